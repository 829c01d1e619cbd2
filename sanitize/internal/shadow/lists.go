package shadow

import "github.com/sparkhttp/spark/sanitize/internal/word"

// How the numbers of a list may be meant.
const (
	asBits = 1 << iota
	asHex
	asDecimal
	asOctal
	asLetter
)

// A number of a list, as it is written.
type number struct {
	from, to int
	as       byte
}

// lists decodes lists of numbers: bits, hexadecimal and decimal codes of characters, numbers of letters.
func (t *Text) lists(v *view) {
	as, count := byte(0xFF), 0
	var first, last number
	finish := func() {
		if count > 0 {
			t.list(v, first.from, last.to, as, count)
		}
		as, count = 0xFF, 0
	}
	for i := 0; i < len(v.buf); {
		if count == 0 {
			i = nearDigit(v.buf, i)
		}
		n, next := nextNumber(v.buf, i)
		if next == i {
			break
		}
		i = next
		if n.as == 0 {
			switch string(v.buf[n.from:n.to]) {
			case "chr", "char": // chr(73) + chr(103)
			default:
				finish()
			}
			continue
		}
		if count > 0 && (n.from-last.to > 8 || as&n.as == 0) {
			finish()
		}
		if count == 0 {
			first = n
		}
		as &= n.as
		last = n
		count++
	}
	finish()
}

// nearDigit returns where the next list may begin, from i on: a little before a digit, where no token is cut.
func nearDigit(b []byte, i int) int {
	const near = 16
	digit := i
	for digit < len(b) && b[digit]-'0' >= 10 {
		digit++
	}
	at := max(i, digit-near)
	if at == i {
		return i
	}
	for at < digit && inToken[b[at-1]] {
		at++
	}
	for at > i && inToken[b[at-1]] { // of a token that is longer than that
		at--
	}
	return at
}

// nextNumber returns the next token of letters and digits from i on, and its end.
func nextNumber(b []byte, i int) (number, int) {
	for i < len(b) && !inToken[b[i]] {
		i++
	}
	n := number{from: i}
	if i+2 < len(b) && b[i] == '0' && (b[i+1] == 'x' || b[i+1] == 'b' || b[i+1] == 'o') && alphabets[b[i+2]]&inHex != 0 {
		n.from += 2
	} else if i+1 < len(b) && b[i] == 'x' && alphabets[b[i+1]]&inHex != 0 {
		n.from++
	}
	_, size := word.Alnum(b, n.from)
	end := n.from + min(size, word.Max)
	for end < len(b) && inToken[b[end]] {
		end++
	}
	n.to = end
	n.as = meaning(b[n.from:end])
	return n, end
}

// inToken has what a number of a list, or a word between them, consists of.
var inToken = func() (t [256]bool) {
	for c := range t {
		t[c] = isAlnum(byte(c)) || c >= 0x80 //nolint:gosec // below 256
	}
	return t
}()

// meaning says how a number may be meant.
func meaning(w []byte) (as byte) {
	if len(w) == 0 || len(w) > 8 && len(w)%8 != 0 || len(w) > 4096 {
		return 0
	}
	if len(w) > 3 && w[0]&^1 != '0' {
		return 0 // nor bits
	}
	bits, hex, dec := true, true, true
	for _, c := range w {
		bits = bits && c&^1 == '0'
		hex = hex && alphabets[c]&inHex != 0
		dec = dec && c-'0' < 10
		if !bits && !hex {
			return 0
		}
	}
	if bits && (len(w) == 6 || len(w) == 7 || len(w)%8 == 0) {
		as |= asBits
	}
	if hex && len(w) == 2 {
		as |= asHex
	}
	if dec && len(w) <= 3 {
		as |= small(w)
	}
	return as
}

// small says how a number of at most three decimal digits may be meant.
func small(w []byte) (as byte) {
	value, octal := 0, 0
	for _, c := range w {
		d := int(c - '0')
		value = value*10 + d
		octal = octal*8 + d
		if d > 7 {
			octal = -1 << 20
		}
	}
	if value >= 32 && value < 127 || value == 10 {
		as |= asDecimal
	}
	if octal >= 32 && octal < 127 && len(w) >= 2 {
		as |= asOctal
	}
	if len(w) <= 2 && value >= 1 && value <= 26 {
		as |= asLetter
	}
	return as
}

// list decodes the numbers in buf[from:to], in the first way that gives something readable.
func (t *Text) list(v *view, from, to int, as byte, count int) {
	for _, way := range [...]struct {
		as   byte
		kind Kind
		few  int
	}{{asBits, Binary, 1}, {asDecimal, Decimal, 6}, {asHex, Hex, 6}, {asOctal, Decimal, 6}, {asLetter, Alphabet, 8}} {
		if as&way.as == 0 || count < way.few {
			continue
		}
		out := t.out[:0]
		end := from
		for i := from; i < to; {
			n, next := nextNumber(v.buf[:to], i)
			if next == i {
				break
			}
			if n.as&way.as == 0 { // chr
				i = next
				continue
			}
			if way.as == asLetter && end > from && wordGap(v.buf[end:n.from]) {
				out = append(out, ' ')
			}
			out = spell(out, v.buf[n.from:n.to], way.as)
			i, end = next, next
		}
		if t.out = out; readable(out) && len(out) >= 4 {
			t.reveal(way.kind, v, from, to, out)
			return
		}
	}
}

// wordGap reports whether the gap between two numbers of letters also ends a word.
func wordGap(gap []byte) bool {
	for _, c := range gap {
		if c == '/' || c == '|' || c == '\n' {
			return true
		}
	}
	return len(gap) > 2
}

// spell appends the characters that a number stands for.
func spell(out, w []byte, as byte) []byte {
	base := 10
	switch as {
	case asBits:
		for len(w) > 0 {
			n := min(8, len(w))
			c := byte(0)
			for _, b := range w[:n] {
				c = c<<1 | b&1
			}
			out = append(out, c)
			w = w[n:]
		}
		return out
	case asHex:
		return append(out, nibble(w[0])<<4|nibble(w[1]))
	case asOctal:
		base = 8
	}
	value := 0
	for _, c := range w {
		value = value*base + int(c-'0')
	}
	if as == asLetter {
		return append(out, byte('a'+value-1)) //nolint:gosec // 1 to 26
	}
	return append(out, byte(value)) //nolint:gosec // below 127
}
