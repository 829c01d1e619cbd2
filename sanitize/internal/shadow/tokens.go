package shadow

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// shortest is the length of the shortest token that is decoded.
const shortest = 12

// What characters of the usual encodings a byte may be.
const (
	in64 = 1 << iota
	inHex
	in32
	pad
	in85
)

var alphabets = func() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= in64
		t[c-'a'+'A'] |= in64 | in32
	}
	for c := '0'; c <= '9'; c++ {
		t[c] |= in64 | inHex
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= in32
	}
	for c := '2'; c <= '7'; c++ {
		t[c] |= in32
	}
	for c := 'a'; c <= 'f'; c++ {
		t[c] |= inHex
		t[c-'a'+'A'] |= inHex
	}
	for _, c := range "+/-_" {
		t[c] |= in64
	}
	t['='] = pad
	for c := '!'; c <= '~'; c++ {
		t[c] |= in85
	}
	return t
}()

// tokens decodes tokens in base64, base32 and hexadecimal digits.
func (t *Text) tokens(v *view) {
	raw := v.raw
	for from := 0; from+shortest <= len(raw); {
		if last := lastOutside(raw[from:from+shortest], &alphabets, in64); last >= 0 {
			from += last + 1
			continue
		}
		all := byte(in64 | inHex | in32)
		to := from
		for to < len(raw) && alphabets[raw[to]]&in64 != 0 {
			all &= alphabets[raw[to]]
			to++
		}
		from = t.token(v, from, to, all)
	}
}

// lastOutside returns the place of the last byte of b that has none of the given bits in a table, -1 if all have. No token that
// is longer than b starts before that, so most of a text needs no look.
func lastOutside(b []byte, table *[256]byte, want byte) int {
	i := len(b) - 1
	for i >= 0 && table[b[i]]&want != 0 {
		i--
	}
	return i
}

// token decodes the token raw[from:to], and base64 that goes on in further lines. It returns where it ends.
func (t *Text) token(v *view, from, to int, all byte) int {
	raw := v.raw
	w := raw[from:to]
	if all&inHex != 0 && len(w)%2 == 0 {
		out := t.out[:0]
		for i := 0; i+1 < len(w); i += 2 {
			out = append(out, nibble(w[i])<<4|nibble(w[i+1]))
		}
		if t.out = out; readable(out) {
			t.conceal(v, Hex, from, to, out)
			return to
		}
	}
	if all&in32 != 0 && len(w) >= 16 {
		t.out = thirty2(t.out[:0], w)
		if readable(t.out) {
			t.conceal(v, Base32, from, to, t.out)
			return to
		}
	}
	out := t.out[:0]
	if promising(w) {
		out = sixty4(out, w)
		t.out = out
	}
	if !readable(out) {
		t.backToken(v, from, to)
		return to
	}
	t.out, to = wrapped(out, raw, from, to)
	t.conceal(v, Base64, from, to, t.out)
	return to
}

// wrapped goes on with base64 in the lines after raw[from:to], as long as it is text, and returns where it ends.
func wrapped(out, raw []byte, from, to int) ([]byte, int) {
	for size := to - from; size%4 == 0; {
		next := to
		for next < len(raw) && (raw[next] == '\n' || raw[next] == '\r' || raw[next] == ' ') && next < to+4 {
			next++
		}
		end := next
		for end < len(raw) && alphabets[raw[end]]&in64 != 0 {
			end++
		}
		if end == next || next == to {
			break
		}
		more := sixty4(out, raw[next:end])
		if last := more[len(out):]; !readable(last) && (len(last) > 2 || !ascii(last)) {
			break
		}
		out, to, size = more, end, end-next
	}
	return out, to
}

// backToken decodes base64 that was written backwards.
func (t *Text) backToken(v *view, from, to int) {
	if to-from < 16 {
		return
	}
	var tail [16]byte
	for i := range tail {
		tail[i] = v.raw[to-1-i]
	}
	if !promising(tail[:]) {
		return
	}
	t.out = backwards(t.out[:0], v.raw[from:to])
	n := len(t.out)
	t.out = sixty4(t.out, t.out)
	if text := t.out[n:]; readable(text) {
		t.conceal(v, Base64, from, to, text)
	}
}

// promising reports whether the start of w may be text in base64.
func promising(w []byte) bool {
	if w[0] >= 'g' && w[0] <= 'v' {
		return false // it would begin in the middle of a character, as words in prose do
	}
	var start [12]byte
	b := sixty4(start[:0], w[:min(len(w), 16)])
	for i := 0; i < len(b); {
		if b[i] < ' ' && b[i] != '\n' && b[i] != '\t' && b[i] != '\r' {
			return false
		}
		_, n := utf8.DecodeRune(b[i:])
		if n < 2 && b[i] >= utf8.RuneSelf && utf8.FullRune(b[i:]) {
			return false
		}
		i += n
	}
	return len(b) > 0
}

// eightyFive decodes words in one of the two usual forms of base85.
func (t *Text) eightyFive(v *view) {
	raw := v.raw
	const fewest = 20
	for i := 0; i+fewest <= len(raw); i++ {
		if last := lastOutside(raw[i:i+fewest], &alphabets, in85); last >= 0 {
			i += last
			continue
		}
		from := i
		for i < len(raw) && alphabets[raw[i]]&in85 != 0 {
			i++
		}
		to := i
		if bytes.HasPrefix(raw[from:to], []byte("<~")) {
			from += 2
		}
		if bytes.HasSuffix(raw[from:to], []byte("~>")) {
			to -= 2
		}
		if to-from < fewest {
			continue
		}
		for _, digits := range [...]*[256]byte{&ascii85, &rfc1924} {
			w := raw[from:to]
			t.out = base85(t.out[:0], w[:10], digits)
			if len(t.out) == 0 || !readable(t.out) {
				continue
			}
			if t.out = base85(t.out[:0], w, digits); readable(t.out) {
				t.conceal(v, Base85, from, to, t.out)
				break
			}
		}
	}
}

// The digits of base85, plus one; zero for what is none.
var ascii85, rfc1924 = digits85()

func digits85() (adobe, rfc [256]byte) {
	for i := range 85 {
		adobe['!'+i] = byte(i + 1)
	}
	const order = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
	for i := range len(order) {
		rfc[order[i]] = byte(i + 1)
	}
	return adobe, rfc
}

// base85 appends what w says, nothing if it has other characters than digits.
func base85(out, w []byte, digits *[256]byte) []byte {
	at := len(out)
	for len(w) > 0 {
		n := min(5, len(w))
		value := uint64(0)
		for i := range 5 {
			d := byte(85) // the last group is filled up with the highest digit
			if i < n {
				d = digits[w[i]]
			}
			if d == 0 {
				return out[:at]
			}
			value = value*85 + uint64(d-1)
		}
		if value > 1<<32-1 {
			return out[:at]
		}
		for i := range n - 1 {
			out = append(out, byte(value>>(24-8*i))) //nolint:gosec // the low byte is meant
		}
		w = w[n:]
	}
	return out
}

// thirty2 appends what w says in base32. The decoder of the standard library allocates.
func thirty2(out, w []byte) []byte {
	bits, n := uint32(0), 0
	for _, c := range w {
		if c >= 'A' {
			bits = bits<<5 | uint32(c|0x20-'a')
		} else {
			bits = bits<<5 | uint32(c-'2'+26)
		}
		if n += 5; n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n)) //nolint:gosec // the low byte is meant
		}
	}
	return out
}

// sixty4 appends what w says in base64, of either alphabet.
func sixty4(out, w []byte) []byte {
	if len(w)%4 == 1 {
		w = w[:len(w)-1]
	}
	at := len(out)
	n := base64.RawStdEncoding.DecodedLen(len(w))
	for range n {
		out = append(out, 0)
	}
	enc := base64.RawStdEncoding
	for _, c := range w {
		if c == '-' || c == '_' {
			enc = base64.RawURLEncoding
			break
		}
	}
	got, err := enc.Decode(out[at:], w)
	if err != nil {
		return out[:at]
	}
	return narrow(out, at, at+got)
}

// narrow takes every second byte of out[at:end] if that is ASCII in UTF-16, little-endian, as PowerShell has it.
func narrow(out []byte, at, end int) []byte {
	for i := at + 1; i < end; i += 2 {
		if out[i] != 0 {
			return out[:end]
		}
	}
	if end-at < 8 {
		return out[:end]
	}
	n := at
	for i := at; i < end; i += 2 {
		out[n] = out[i]
		n++
	}
	return out[:n]
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xF + 9
}

// ascii reports whether b is printable ASCII.
func ascii(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// readable reports whether b looks like written language: valid UTF-8, no controls, mostly letters and spaces.
func readable(b []byte) bool {
	letters, chars := 0, 0
	for i := 0; i < len(b); {
		c := b[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(b[i:])
			if n < 2 {
				return false
			}
			if cl, _, _ := lookup(r); cl != symbol {
				letters++
			}
			chars++
			i += n
			continue
		}
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0x7F {
			return false
		}
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c == ' ' {
			letters++
		} else if alphabets[c]&(in64|pad) != 0 {
			letters++ // encoded once more
		}
		chars++
		i++
	}
	return chars >= 3 && letters*10 >= chars*7
}
