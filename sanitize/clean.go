package sanitize

import (
	"unicode/utf8"
)

// Removal says what [Clean] took out of a text: how many characters of one
// kind, and where the first of them was. It holds nothing of the text itself.
type Removal struct {
	// Kind is one of "invalid_utf8", "control", "bidi", "tag",
	// "variation_selector", "zero_width", "filler", "noncharacter" and
	// "private_use".
	Kind string `json:"kind"`
	// Count is how many characters of the kind were removed; of invalid UTF-8,
	// how many bytes were replaced.
	Count int `json:"count"`
	// Offset is the byte offset of the first of them in the original text.
	Offset int `json:"offset"`
}

// kind is why a character is looked at; safe characters are never removed.
type kind uint8

const (
	safe kind = iota
	invalid
	control
	bidi
	tag
	selector
	zeroWidth
	filler
	noncharacter
	privateUse
	kinds
)

var kindNames = [kinds]string{
	"", "invalid_utf8", "control", "bidi", "tag", "variation_selector",
	"zero_width", "filler", "noncharacter", "private_use",
}

// Clean removes from text the characters that a reader can't see and that carry
// hidden text or change how it is shown: C0 and C1 controls except tab, newline
// and return, bidirectional controls (Unicode TR36, section 2.5), tag
// characters, variation selectors, zero-width and filler characters, and
// noncharacters. Invalid UTF-8 is replaced, by U+FFFD where that is no longer
// than what it stands for, else by "?".
//
// What belongs to a visible character or to the spelling of a script stays:
// joiners in emoji, Arabic, Persian and Indic words, flags and keycaps,
// variation selectors behind emoji and Han characters, soft hyphens inside long
// enough words, zero-width spaces between words of Khmer, Thai, Lao and
// Myanmar, direction marks beside right-to-left letters.
//
// The result is valid UTF-8, never longer than text, and cleaning it again
// changes nothing. Everything that is not removed is byte-identical. If nothing
// is, text itself is returned, and nothing is allocated.
func Clean(text string) (string, []Removal) { return clean(text, false) }

func clean(text string, private bool) (string, []Removal) {
	if skipPlain(text, 0) == len(text) {
		return text, nil
	}
	c := cleaner{text: text, private: private, valid: utf8.ValidString(text)}
	c.run()
	if c.out == nil {
		return text, nil
	}
	c.out = append(c.out, text[c.from:]...)
	return string(c.out), c.report()
}

// cleaner is one pass over a text. What it decides about a character depends on
// what was kept before it and on safe characters right behind it, never on
// characters that may be removed themselves: that is what makes Clean
// idempotent.
type cleaner struct {
	text    string
	out     []byte // what was kept of text[:from]; nil if all of it was
	from    int
	count   [kinds]int
	first   [kinds]int
	rtlSeen int // how far text was searched for right-to-left letters
	rtlEnd  int // where the last one found ends; 0 if there is none
	private bool
	valid   bool // text is UTF-8
}

func (c *cleaner) run() {
	s := c.text
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			if end := skipPlain(s, i); end > i {
				i = end
				continue
			}
			c.drop(control, i, 1, 1)
			i++
			continue
		}
		if c.valid {
			if n := harmless(s[i:]); n > 0 {
				i += n
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if n == 1 {
			i = c.repair(i)
			continue
		}
		if k := c.kindOf(r); k != safe {
			n = c.judge(k, r, i, n)
		}
		i += n
	}
}

// judge keeps or drops the character r of kind k, or the sequence it begins,
// and returns its length.
func (c *cleaner) judge(k kind, r rune, i, n int) int {
	switch k {
	case tag:
		end := c.tagRun(i)
		if c.before(i) == blackFlag && subdivision(c.text[i:end]) {
			return end - i
		}
		c.drop(tag, i, end-i, (end-i)/n) // all of them have the same length
		return end - i
	case bidi:
		if c.directs(r, i, n) {
			return n
		}
	case selector:
		if c.selects(r, i, n) {
			return n
		}
	case zeroWidth, filler:
		if c.joins(r, i, n) {
			return n
		}
	}
	c.drop(k, i, n, 1)
	return n
}

// drop leaves out the n bytes at i, and counts them as count of kind k.
func (c *cleaner) drop(k kind, i, n, count int) {
	if c.out == nil {
		c.out = make([]byte, 0, len(c.text))
	}
	c.out = append(c.out, c.text[c.from:i]...)
	c.from = i + n
	if c.count[k] == 0 {
		c.first[k] = i
	}
	c.count[k] += count
}

// repair replaces the run of bytes at i that are not UTF-8, and returns its end.
func (c *cleaner) repair(i int) int {
	end := i + 1
	for end < len(c.text) {
		if r, n := utf8.DecodeRuneInString(c.text[end:]); r != utf8.RuneError || n != 1 {
			break
		}
		end++
	}
	c.drop(invalid, i, end-i, end-i)
	if end-i >= len("\uFFFD") {
		c.out = append(c.out, "\uFFFD"...)
	} else {
		c.out = append(c.out, '?')
	}
	return end
}

func (c *cleaner) report() []Removal {
	n := 0
	for _, count := range c.count {
		if count > 0 {
			n++
		}
	}
	list := make([]Removal, 0, n)
	for k, count := range c.count {
		if count > 0 {
			list = append(list, Removal{Kind: kindNames[k], Count: count, Offset: c.first[k]})
		}
	}
	return list
}

// before returns the last character kept in front of i, which is at or behind
// c.from; 0 if there is none.
func (c *cleaner) before(i int) rune {
	r, _ := c.back(i, len(c.out))
	return r
}

// back returns the kept character that ends at text[:i], or at out[:o] if
// nothing of the text in front of i is pending, and its length there.
func (c *cleaner) back(i, o int) (r rune, n int) {
	if i > c.from {
		r, n = utf8.DecodeLastRuneInString(c.text[c.from:i])
	} else if o > 0 {
		r, n = utf8.DecodeLastRune(c.out[:o])
	}
	return r, n
}

// lastKept fills runes with the characters kept in front of i, the last one
// first, and returns how many there are.
func (c *cleaner) lastKept(i int, runes []rune) int {
	o := len(c.out)
	for k := range runes {
		r, n := c.back(i, o)
		if n == 0 {
			return k
		}
		runes[k] = r
		if i > c.from {
			i -= n
		} else {
			o -= n
		}
	}
	return len(runes)
}

// after returns the character at i if it is safe, so that it stays whatever is
// around it, and its length; else 0.
func (c *cleaner) after(i int) (rune, int) {
	if i >= len(c.text) {
		return 0, 0
	}
	r, n := utf8.DecodeRuneInString(c.text[i:])
	if r == utf8.RuneError && n == 1 || c.kindOf(r) != safe {
		return 0, 0
	}
	return r, n
}

// skipPlain returns the offset at or behind i of the first byte that is not
// plain ASCII: a control other than tab, newline and return, or a byte of a
// longer character. It looks at eight bytes at a time.
func skipPlain(s string, i int) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		del := x ^ 0x7F*ones
		// A byte sets its high bit if it is below 0x20, is DEL, or is not ASCII.
		if (x|(x-0x20*ones)|(del-ones))&high == 0 {
			continue
		}
		for j := i; j < i+8; j++ {
			if !plain[s[j]] {
				return j
			}
		}
	}
	for ; i < len(s); i++ {
		if !plain[s[i]] {
			return i
		}
	}
	return i
}

// plain are the bytes that are characters of their own and stay.
var plain = func() (t [256]bool) {
	for b := 0x20; b < 0x7F; b++ {
		t[b] = true
	}
	t['\t'], t['\n'], t['\r'] = true, true, true
	return t
}()

// harmless returns the length of the character that s, which is valid UTF-8,
// begins with, if the bytes show that it is a safe one; else 0.
func harmless(s string) int {
	switch b := s[0]; {
	case b < 0xC3, b == 0xCD, b == 0xD8: // C1 and soft hyphen; grapheme joiner; Arabic letter mark
		return 0
	case b < 0xE0:
		return 2
	case b == 0xE0, b > 0xE3 && b < 0xEE:
		return 3
	case b == 0xE1: // Hangul and Khmer fillers, Mongolian selectors
		if t := s[1]; t != 0x85 && t != 0x9E && t != 0xA0 {
			return 3
		}
	case b == 0xE2: // U+2000 to U+207F, but the dashes, quotes and dots of prose
		if s[1] > 0x81 || s[1] == 0x80 && s[2] >= 0x90 && s[2] <= 0xA7 {
			return 3
		}
	case b == 0xE3: // Hangul filler
		if s[1] != 0x85 {
			return 3
		}
	case b == 0xF0: // the plane of emoji, but its noncharacters
		if s[1] == 0x9F && s[2] != 0xBF {
			return 4
		}
	}
	return 0
}

// kindOf sorts characters into kinds by what a reader sees of them: the
// Default_Ignorable_Code_Point and Bidi_Control properties of Unicode, the
// controls, noncharacters and, if asked for, those of private use.
func (c *cleaner) kindOf(r rune) kind {
	switch {
	case r < 0x20:
		if r == '\t' || r == '\n' || r == '\r' {
			return safe
		}
		return control
	case r < 0x7F:
		return safe
	case r < 0xA0:
		return control
	case r < 0x2000:
		return lowKind(r)
	case r < 0x2070:
		return formatKind(r)
	case r < 0xE000:
		if r == 0x3164 {
			return filler
		}
		return safe
	case r <= 0xF8FF, r >= 0xF0000 && r&0xFFFF < 0xFFFE:
		if c.private {
			return privateUse
		}
		return safe
	}
	return highKind(r)
}

// lowKind sorts the characters from U+00A0 to U+1FFF.
func lowKind(r rune) kind {
	switch r {
	case 0xAD, 0x034F, 0x180E:
		return zeroWidth
	case 0x061C:
		return bidi
	case 0x115F, 0x1160, 0x17B4, 0x17B5:
		return filler
	case 0x180B, 0x180C, 0x180D, 0x180F:
		return selector
	}
	return safe
}

// formatKind sorts the characters from U+2000 to U+206F.
func formatKind(r rune) kind {
	switch {
	case r >= 0x200B && r <= 0x200D, r >= 0x2060 && r <= 0x2065, r >= 0x206A:
		return zeroWidth
	case r == 0x200E, r == 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return bidi
	}
	return safe
}

// highKind sorts the characters from U+F900 on that are not of private use.
func highKind(r rune) kind {
	switch {
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF:
		return selector
	case r >= 0xE0000 && r < 0xE1000:
		return tag
	case r == 0xFEFF, r >= 0xFFF0 && r <= 0xFFFB, r >= 0x1BCA0 && r <= 0x1BCA3, r >= 0x1D173 && r <= 0x1D17A:
		return zeroWidth
	case r == 0xFFA0:
		return filler
	case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		return noncharacter
	}
	return safe
}
