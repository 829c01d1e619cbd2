package shadow

import (
	"bytes"
	"unicode/utf8"
)

// escapes undoes the escapes of programming languages, URLs, HTML and e-mail, all at once, where they stand. It reports whether
// they were used to write letters.
func (t *Text) escapes(v *view) bool {
	e := unescaper{out: t.out[:0]}
	raw := v.raw
	from := 0 // of what is to be copied
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if !startsEscape[c] {
			continue
		}
		if c == '+' {
			if e.spaces > 0 { // of a query
				e.out = append(append(e.out, raw[from:i]...), ' ')
				from = i + 1
			}
			continue
		}
		if r, n := escape(raw[i:]); n > 0 {
			e.out = append(e.out, raw[from:i]...)
			e.put(r, c, raw[i+n:])
			from = i + n
			i = from - 1
		}
	}
	e.out = append(e.out, raw[from:]...)
	if t.out = e.out; e.letters >= 2 || e.spaces >= 2 {
		t.conceal(v, Escaped, 0, len(raw), e.out)
	}
	return e.letters >= 6
}

// startsEscape has the characters that escapes start with, and the plus that stands for a space.
var startsEscape = func() (t [256]bool) {
	for _, c := range []byte("%&\\=uU+") {
		t[c] = true
	}
	return t
}()

// An unescaper collects a text, and counts what it had to undo.
type unescaper struct {
	out             []byte
	letters, spaces int
}

// put appends what an escape that starts with sign says; rest follows it.
func (e *unescaper) put(r rune, sign byte, rest []byte) {
	switch {
	case r >= utf8.RuneSelf && (sign == '%' || sign == '='):
		e.out = append(e.out, byte(r)) //nolint:gosec // a byte of UTF-8
		e.letters++
		return
	case r >= utf8.RuneSelf || r|0x20 >= 'a' && r|0x20 <= 'z' && r > ' ':
		e.letters++
	case r == '&' && len(rest) > 0 && rest[0] == '#':
		e.letters++ // escaped once more
	case r <= ' ' || r == '+' || r == '%':
		e.spaces++
	}
	e.out = utf8.AppendRune(e.out, r)
}

// escape reads the escape that b starts with. The length is 0 if it is none.
func escape(b []byte) (r rune, n int) {
	switch {
	case len(b) < 2:
	case b[0] == '%' && b[1] == 'u':
		return hexRune(b, 2, 4, 4)
	case b[0] == '=' && len(b) > 2 && b[1] >= 'A' && b[2] >= 'A' && (b[1]^b[2])&0x20 != 0:
		return 0, 0 // =False; nobody writes quoted-printable in mixed case
	case b[0] == '%', b[0] == '=':
		if r, n = hexRune(b, 1, 2, 2); n > 0 && (r < ' ' && r != '\n' && r != '\t' && r != '\r') {
			return 0, 0
		}
		return r, n
	case b[0] == '\\':
		return backslash(b)
	case b[0] == '&' && b[1] == '#':
		return numeric(b)
	case b[0] == '&':
		return entity(b)
	case b[1] == '+':
		return hexRune(b, 2, 4, 6)
	}
	return 0, 0
}

// manyEscaped is how many characters with a backslash before each make a row, and manyKinds how many different ones it has at
// least: regular expressions and line breaks have fewer.
const (
	manyEscaped = 10
	manyKinds   = 7
)

// slashed returns the length of the longest row of characters with a backslash before each.
func slashed(b []byte) (most int) {
	for i := 0; i < len(b); i++ {
		n, kinds, seen := 0, 0, [256]bool{}
		for i+1 < len(b) && b[i] == '\\' {
			if c := b[i+1]; !seen[c] {
				seen[c] = true
				kinds++
			}
			_, size := utf8.DecodeRune(b[i+1:])
			i += 1 + size
			n++
		}
		if n >= manyEscaped && kinds >= manyKinds {
			most = max(most, n)
		}
	}
	return most
}

// hexRune reads least to most hexadecimal digits at b[at:].
func hexRune(b []byte, at, least, most int) (r rune, n int) {
	for n < most && at+n < len(b) && alphabets[b[at+n]]&inHex != 0 {
		r = r<<4 | rune(nibble(b[at+n]))
		n++
	}
	if n < least || r > utf8.MaxRune {
		return 0, 0
	}
	return r, at + n
}

func backslash(b []byte) (rune, int) {
	switch c := b[1]; {
	case c == 'x':
		if len(b) > 2 && b[2] == '{' {
			return braced(b)
		}
		return hexRune(b, 2, 2, 2)
	case c == 'u':
		if len(b) > 2 && b[2] == '{' {
			return braced(b)
		}
		return hexRune(b, 2, 4, 4)
	case c == 'U':
		return hexRune(b, 2, 8, 8)
	case c == 'n', c == 'r', c == 't':
		if len(b) > 3 && b[2] == '\\' && alphabets[b[3]]&in32 != 0 && b[3] != 'n' && b[3] != 'r' && b[3] != 't' && b[3] != 'u' {
			return 0, 0 // one of many letters with a backslash each
		}
		return '\n', 2
	case c >= '0' && c <= '3' && len(b) > 3 && b[2]&^7 == '0' && b[3]&^7 == '0':
		return rune(c&7)<<6 | rune(b[2]&7)<<3 | rune(b[3]&7), 4
	}
	return 0, 0
}

func braced(b []byte) (rune, int) {
	r, n := hexRune(b, 3, 1, 6)
	if n == 0 || n >= len(b) || b[n] != '}' {
		return 0, 0
	}
	return r, n + 1
}

// numeric reads &#73; and &#x49;, with or without the semicolon.
func numeric(b []byte) (r rune, n int) {
	if len(b) > 3 && b[2]|0x20 == 'x' {
		r, n = hexRune(b, 3, 1, 6)
	} else {
		for n = 2; n < len(b) && n < 10 && b[n] >= '0' && b[n] <= '9'; n++ {
			r = r*10 + rune(b[n]-'0')
		}
		if n == 2 || r > utf8.MaxRune {
			return 0, 0
		}
	}
	if n > 0 && n < len(b) && b[n] == ';' {
		n++
	}
	return r, n
}

// entity reads the named characters that matter inside words and between them.
func entity(b []byte) (rune, int) {
	end := bytes.IndexByte(b[:min(len(b), 10)], ';')
	if end < 2 {
		return 0, 0
	}
	switch string(b[1:end]) {
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "amp":
		return '&', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	case "nbsp", "ensp", "emsp", "Tab", "thinsp":
		return ' ', end + 1
	case "NewLine":
		return '\n', end + 1
	case "shy", "zwnj", "zwj":
		return 0xAD, end + 1
	case "colon":
		return ':', end + 1
	case "lbrack":
		return '[', end + 1
	case "rbrack":
		return ']', end + 1
	}
	return 0, 0
}
