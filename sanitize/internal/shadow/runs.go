package shadow

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// plain folds ASCII from raw[i] on, up to the first character that needs a closer look, and returns where that stands.
func (f *folder) plain(i int) int {
	v := f.v
	at := len(v.buf)
	v.buf = slices.Grow(v.buf, len(v.raw)-i)
	in := v.raw[i:]
	out := v.buf[at : at+len(in)]
	last := byte(' ')
	if at > 0 {
		last = v.buf[at-1]
	}
	n := 0
	for n < len(in) {
		for n+8 <= len(in) {
			x, ok := lower8(binary.LittleEndian.Uint64(in[n:]), last)
			if !ok {
				break
			}
			binary.LittleEndian.PutUint64(out[n:], x)
			n += 8
			last = out[n-1]
		}
		for end := min(n+8, len(in)); n < end; n++ {
			x := lower[in[n]]
			if x == 0 {
				x = in[n]
				if x != ' ' && (x != '\n' || len(f.secrets) > 0) || last <= ' ' {
					v.buf = v.buf[:at+n]
					return i + n
				} // else it is one space after a word
			}
			out[n], last = x, x
		}
	}
	v.buf = v.buf[:at+n]
	return i + n
}

// lower8 is lower for eight bytes that follow last, if none of them needs a closer look.
func lower8(x uint64, last byte) (uint64, bool) {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	low := x &^ high // adding to seven bits never carries into the next byte
	seen := low + (0x80-' ')*ones
	space := ^(low + (0x80-'!')*ones) & seen & high
	odd := x | ^seen | (low + 1*ones) | space&(space<<8)
	if last <= ' ' {
		odd |= space << 56 >> 56
	}
	if odd&high != 0 {
		return 0, false
	}
	capital := (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) & high
	return x | capital>>2, true
}

// letters copies letters beyond ASCII that stand for themselves from raw[i] on, and returns where they end.
func (f *folder) letters(i int) int {
	raw, from := f.v.raw, i
	for i < len(raw) && raw[i] >= utf8.RuneSelf {
		r, n := decode(raw[i:])
		cl, plain, _ := lookup(r)
		if cl != letter && (cl != foreign && cl != loosely || i >= f.done) || plain != "" || joins(r) {
			break
		}
		f.after = r
		i += n
	}
	if i > from {
		f.flush(from)
		f.stack = 0
		f.v.jump(from)
		f.v.buf = append(f.v.buf, raw[from:i]...)
	}
	return i
}

// joins reports whether r may become one with the character before it.
func joins(r rune) bool {
	return r >= 0x1100 && r <= 0x11FF || r == 0x3099 || r == 0x309A || r == 0xFF9E || r == 0xFF9F
}
