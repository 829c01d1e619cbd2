package shadow

import "unicode/utf8"

// unseen takes note of a character that shows nothing. Runs of some kinds of them spell a text.
func (f *folder) unseen(r rune, cl class, src int) {
	s := &f.t.signals
	n := len(f.v.buf)
	if cl == bidi {
		s.Bidi++
		return
	}
	if cl == invisible && r != 0xAD && n > 0 && isAlnum(f.v.buf[n-1]) {
		s.Invisible++
	}
	switch {
	case cl == tag && r >= 0xE0020 && r < 0xE007F:
		s.Tags++
		f.secret(Tags, byte(r-0xE0000), src) //nolint:gosec // ASCII
	case cl == shifter && r >= 0xE0100:
		s.Selectors++
		f.secret(Selectors, byte(r-0xE0100+16), src) //nolint:gosec // below 256
	case cl == shifter:
		f.secret(Selectors, byte(r-0xFE00), src) //nolint:gosec // below 16
	case r == 0x200B || r == 0x200C || r == 0x200D || r == 0x2060 || r == 0x2062 || r == 0x2063 || r == 0x2064 || r == 0xFEFF:
		f.secret(ZeroWidth, byte(r), src) //nolint:gosec // the low byte tells them apart
	}
}

// secret adds a byte to the run of invisible characters at hand.
func (f *folder) secret(k Kind, b byte, src int) {
	if k != f.kind || len(f.secrets) == 0 || src != f.next {
		f.flush(src)
		f.kind, f.first = k, src
		f.secrets = f.t.out[:0]
	}
	_, n := decode(f.v.raw[src:])
	f.next = src + n
	f.secrets = append(f.secrets, b)
	f.t.out = f.secrets
}

// flush reveals the run of invisible characters that ends before src, if it is long enough to say something.
func (f *folder) flush(src int) {
	if len(f.secrets) == 0 {
		return
	}
	text, kind := f.secrets, f.kind
	f.secrets = f.secrets[:0]
	switch kind {
	case Tags:
		if f.after == 0x1F3F4 && len(text) <= 6 { // the flag of England
			f.t.signals.Tags -= len(text)
			return
		}
	case Selectors:
		if len(text) < 4 {
			return
		}
	default:
		if text = bits(text); text == nil {
			return
		}
	}
	f.t.conceal(f.v, kind, f.first, src, text)
}

// bits reads zero-width characters as the bits of bytes: the first two kinds met are 0 and 1 or 1 and 0, whichever gives text.
func bits(text []byte) []byte {
	if len(text) < 16 {
		return nil
	}
	zero, n, b := text[0], 0, byte(0)
	one := byte(0)
	out := text[:0]
	for _, c := range text {
		if c != zero && one == 0 {
			one = c
		}
		if c != zero && c != one {
			continue // a separator
		}
		b <<= 1
		if c != zero {
			b |= 1
		}
		if n++; n == 8 {
			out, n, b = append(out, b), 0, 0
		}
	}
	if len(out) > 0 && out[0] >= utf8.RuneSelf {
		for i := range out {
			out[i] ^= 0xFF
		}
	}
	return out
}
