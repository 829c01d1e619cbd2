package sanitize

import (
	"unicode"
	"unicode/utf8"
)

// joins reports whether the invisible character r, n bytes at i, belongs to the
// spelling of what is around it.
func (c *cleaner) joins(r rune, i, n int) bool {
	prev := c.before(i)
	next, _ := c.after(i + n)
	switch r {
	case 0x200D: // zero width joiner
		return pictograph(next) && c.emojiEndsAt(i) || joined(prev) || cursive(next) && !joiner(prev)
	case 0x200C: // zero width non-joiner
		return joined(prev) || (cursive(next) || brahmic(next)) && !joiner(prev)
	case 0x200B: // zero width space, which scripts without spaces put between words
		return spaceless(prev) && spaceless(next)
	case 0xAD: // soft hyphen
		return c.hyphenates(i, n)
	case 0x034F: // combining grapheme joiner
		return unicode.Is(unicode.M, next) && (unicode.IsLetter(prev) || unicode.Is(unicode.M, prev))
	case 0x180E: // Mongolian vowel separator
		return mongolian(prev) && mongolian(next)
	case 0x115F: // Hangul choseong filler
		return next > 0x1160 && next <= 0x11A7
	case 0x1160: // Hangul jungseong filler
		return prev >= 0x1100 && prev < 0x115F && next >= 0x11A8 && next <= 0x11FF
	}
	if r >= 0x1D173 && r <= 0x1D17A { // beams, ties, slurs and phrases of musical notation
		return prev >= 0x1D100 && prev <= 0x1D1FF && (prev < 0x1D173 || prev > 0x1D17A)
	}
	return false
}

// emojiEndsAt reports whether what was kept in front of i ends with an emoji
// that a joiner may continue (emoji_zwj_element of Unicode TS51, ED-15a).
func (c *cleaner) emojiEndsAt(i int) bool {
	var last [2]rune
	c.lastKept(i, last[:])
	switch {
	case last[0] >= 0x1F3FB && last[0] <= 0x1F3FF, last[0] == 0xFE0F:
		return pictograph(last[1])
	}
	return pictograph(last[0])
}

// hyphenates reports whether there are two letters or more on both sides, as
// hyphenation leaves them; a hyphen behind every letter is a disguise.
func (c *cleaner) hyphenates(i, n int) bool {
	last, size := utf8.DecodeLastRuneInString(c.text[:i])
	first, _ := utf8.DecodeLastRuneInString(c.text[:i-size])
	if !wordPart(first) || !wordPart(last) || c.kindOf(first) != safe || c.kindOf(last) != safe {
		return false
	}
	first, size = c.after(i + n)
	last, _ = c.after(i + n + size)
	return wordPart(first) && wordPart(last)
}

// selects reports whether the variation selector r changes how the character in
// front of it looks (StandardizedVariants.txt, emoji-variation-sequences.txt and
// the Ideographic Variation Database of Unicode).
func (c *cleaner) selects(r rune, i, n int) bool {
	prev := c.before(i)
	switch {
	case r == 0xFE0E || r == 0xFE0F:
		if pictograph(prev) {
			return true
		}
		next, _ := c.after(i + n)
		return next == 0x20E3 && (prev >= '0' && prev <= '9' || prev == '#' || prev == '*') // a keycap
	case r >= 0x180B && r <= 0x180F:
		return mongolian(prev)
	case r >= 0xE0100: // those registered for a character are numbered from the first
		return r < 0xE0120 && unicode.Is(unicode.Han, prev)
	case r > 0xFE02:
		return false
	}
	return unicode.Is(unicode.Han, prev) ||
		r < 0xFE02 && fullwidthMark(prev) ||
		r == 0xFE00 && (prev >= 0x2200 && prev <= 0x22FF || prev >= 0x2A00 && prev <= 0x2AFF || // operators
			prev >= 0x1000 && prev <= 0x109F || prev >= 0xA840 && prev <= 0xA877) // Myanmar, Phags-pa
}

// near is how many bytes around a direction mark are searched for a letter of the
// scripts that need it.
const near = 48

// directs reports whether the bidirectional control r stands in right-to-left
// text. Overrides never stay: no orthography needs them.
func (c *cleaner) directs(r rune, i, n int) bool {
	if r == 0x202D || r == 0x202E {
		return false
	}
	var last [2]rune
	if c.lastKept(i, last[:]) == 2 && c.kindOf(last[0]) == bidi && c.kindOf(last[1]) == bidi {
		return false // a run of them is a code, not a direction
	}
	return c.besideRTL(i, i+n)
}

// besideRTL reports whether a right-to-left letter is near text[from:to]. It
// looks at every byte once, however often it is asked.
func (c *cleaner) besideRTL(from, to int) bool {
	at := max(c.rtlSeen, from-near)
	for at < len(c.text) && at < to+near {
		r, n := utf8.DecodeRuneInString(c.text[at:])
		if rightToLeft(r) {
			if at >= to {
				c.rtlSeen = at
				return true
			}
			c.rtlEnd = at + n
		}
		at += n
	}
	c.rtlSeen = max(c.rtlSeen, at)
	return c.rtlEnd > 0 && c.rtlEnd >= from-near
}

// blackFlag begins the flags of subdivisions.
const blackFlag = 0x1F3F4

// tagRun returns the end of the tag characters that begin at i.
func (c *cleaner) tagRun(i int) int {
	for i < len(c.text) {
		r, n := utf8.DecodeRuneInString(c.text[i:])
		if r < 0xE0000 || c.kindOf(r) != tag {
			break
		}
		i += n
	}
	return i
}

// subdivision reports whether tags, behind a black flag, spell one that fonts
// show: England, Scotland, Wales, Northern Ireland or a state of the USA
// (Unicode TS51, annex C). Any other would carry text that nobody sees.
func subdivision(tags string) bool {
	const size = 4 // bytes of a tag character
	if len(tags) < 5*size || len(tags) > 6*size || tags[len(tags)-size:] != "\U000E007F" {
		return false
	}
	var code [5]byte
	letters := code[:0]
	for _, r := range tags[:len(tags)-size] {
		if r < 0xE0061 || r > 0xE007A {
			return false
		}
		letters = append(letters, byte(r-0xE0000))
	}
	switch string(letters) {
	case "gbeng", "gbsct", "gbwls", "gbnir":
		return true
	}
	return len(letters) == 4 && string(letters[:2]) == "us"
}

// joiner reports whether r is one of the two joiners.
func joiner(r rune) bool { return r == 0x200C || r == 0x200D }

// joined reports whether a joiner may follow r: a letter or mark of a script
// whose letters join or form conjuncts (RFC 5892, appendix A).
func joined(r rune) bool { return cursive(r) || brahmic(r) }

// cursive reports whether r is a letter or mark of a script whose letters are
// joined: Arabic, Syriac, N'Ko, Mandaic, Mongolian, Phags-pa, Adlam and others.
func cursive(r rune) bool {
	switch {
	case r < 0x0600, r > 0x08FF && r < 0x1800:
		return false
	case r <= 0x08FF, r >= 0x1800 && r <= 0x18AF, r >= 0xA840 && r <= 0xA877, r >= 0xFB50 && r <= 0xFDFF,
		r >= 0xFE70 && r < 0xFEFF, r >= 0x10A80 && r <= 0x10FFF, r >= 0x1E900 && r <= 0x1E95F:
		return wordPart(r)
	}
	return false
}

// brahmic reports whether r is a letter or mark of an Indic or South-East Asian
// script with conjuncts.
func brahmic(r rune) bool {
	switch {
	case r >= 0x0900 && r <= 0x0DFF, r >= 0x0F00 && r <= 0x109F, r >= 0x1700 && r <= 0x17FF, r >= 0x1A20 && r <= 0x1BFF,
		r >= 0xA800 && r <= 0xA82F, r >= 0xA880 && r <= 0xA9DF, r >= 0xAA00 && r <= 0xAAFF, r >= 0xABC0 && r <= 0xABFF,
		r >= 0x11000 && r <= 0x11FFF:
		return wordPart(r)
	}
	return false
}

// spaceless reports whether r is a letter or mark of a script that writes words
// without spaces: Thai, Lao, Tibetan, Myanmar, Khmer, Tai and others.
func spaceless(r rune) bool {
	switch {
	case r >= 0x0E00 && r <= 0x109F, r >= 0x1780 && r <= 0x17FF, r >= 0x1950 && r <= 0x19DF, r >= 0x1A20 && r <= 0x1B7F,
		r >= 0xA980 && r <= 0xA9FF, r >= 0xAA00 && r <= 0xAADF:
		return wordPart(r)
	}
	return false
}

func mongolian(r rune) bool { return r >= 0x1820 && r <= 0x18AA }

// fullwidthMark reports whether r is punctuation with a form for each corner of
// its square.
func fullwidthMark(r rune) bool {
	switch r {
	case 0x3001, 0x3002, 0xFF01, 0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F:
		return true
	}
	return false
}

// rightToLeft reports whether r is of a script written from right to left.
func rightToLeft(r rune) bool {
	return r >= 0x0590 && r <= 0x08FF && r != 0x061C || r >= 0xFB1D && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFDFF ||
		r >= 0xFE70 && r < 0xFEFF || r >= 0x10800 && r <= 0x10FFF || r >= 0x1E800 && r <= 0x1EFFF
}

func wordPart(r rune) bool { return unicode.IsLetter(r) || unicode.Is(unicode.M, r) }
