package cache

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// string writes the runes of a string themselves, and escapes only what must be.
func (c *canonical) string() error {
	run := c.pos // what is copied as it is: the quote, and all up to an escape
	c.pos++
	for {
		n, ascii := plain(c.in[c.pos:])
		if !ascii && !utf8.Valid(c.in[c.pos:c.pos+n]) {
			return c.fail("text that is not UTF-8")
		}
		c.pos += n
		if c.pos == len(c.in) {
			return c.fail("a string without end")
		}
		switch c.in[c.pos] {
		case '"':
			c.pos++
			c.out = append(c.out, c.in[run:c.pos]...)
			return nil
		case '\\':
			c.out = append(c.out, c.in[run:c.pos]...)
			if err := c.escape(); err != nil {
				return err
			}
			run = c.pos
		default:
			return c.fail("a control character in a string")
		}
	}
}

// plain returns how many bytes of text stand before a quote, a backslash or a
// control character, and whether they are all ASCII. Prompts are long: it looks
// at eight at a time.
func plain(text []byte) (n int, ascii bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var all uint64
	for ; len(text)-n >= 8; n += 8 {
		v := binary.LittleEndian.Uint64(text[n:])
		// A byte less than another borrows the top bit, which bytes of text that
		// is not ASCII have anyhow. It may borrow from those after it as well, so
		// only the first that is found is sure to be one.
		quote, slash := v^ones*'"', v^ones*'\\'
		found := ((quote-ones)&^quote | (slash-ones)&^slash | (v-ones*' ')&^v) & tops
		if found != 0 {
			first := bits.TrailingZeros64(found)
			return n + first/8, (all|v&(1<<first-1))&tops == 0
		}
		all |= v
	}
	for _, b := range text[n:] {
		if b == '"' || b == '\\' || b < ' ' {
			break
		}
		all |= uint64(b)
		n++
	}
	return n, all&tops == 0
}

func (c *canonical) escape() error {
	if c.pos+1 >= len(c.in) {
		return c.fail("a string without end")
	}
	const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	b := c.in[c.pos+1]
	if i := bytes.IndexByte([]byte(names), b); i >= 0 {
		c.pos += 2
		c.rune(rune(values[i]))
		return nil
	}
	if b != 'u' {
		return c.fail("an unknown escape")
	}
	r, ok := c.unit()
	if ok && utf16.IsSurrogate(r) {
		low, also := c.unit()
		r = utf16.DecodeRune(r, low)
		ok = also && r != utf8.RuneError
	}
	if !ok {
		return c.fail("an escape that is no character")
	}
	c.rune(r)
	return nil
}

// unit reads one \uXXXX.
func (c *canonical) unit() (rune, bool) {
	if len(c.in)-c.pos < 6 || c.in[c.pos] != '\\' || c.in[c.pos+1] != 'u' {
		return 0, false
	}
	var v rune
	for _, b := range c.in[c.pos+2 : c.pos+6] {
		switch {
		case b >= '0' && b <= '9':
			v = v<<4 | rune(b-'0')
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			v = v<<4 | rune(b|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	c.pos += 6
	return v, true
}

func (c *canonical) rune(r rune) {
	const hex = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		c.out = append(c.out, '\\', byte(r))
	case r < ' ':
		c.out = append(c.out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
	default:
		c.out = utf8.AppendRune(c.out, r)
	}
}
