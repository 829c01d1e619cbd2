package main

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/runenames"
)

// A class says what the folding does with a character; package shadow has the same list.
type class byte

const (
	symbol    class = iota // stands for itself (emoji, punctuation), or for plain
	letter                 // a letter or mark of a script that is not mistaken for Latin
	latin                  // a Latin letter, plain is its ASCII
	styled                 // a Latin letter or digit in fancy dress: full width, circled, bold
	foreign                // a letter with a look-alike by confusables.txt
	loosely                // a letter or sign whose look-alike counts only inside a Latin word
	flipped                // a Latin letter upside down
	mark                   // an accent, dropped
	invisible              // dropped
	space
	newline
	digit
	bidi    // dropped, counted apart
	shifter // a variation selector, dropped unless it carries data
)

// named are words in the name of a character that stand before or after the letter that it shows.
var named = []struct {
	prefix  string // saves most matches
	pattern *regexp.Regexp
	class   class
}{
	{"LATIN", regexp.MustCompile(`^LATIN (?:SMALL|CAPITAL) LETTER (?:SIDEWAYS |SIDEWAYS DIAERESIZED |REVERSED |OPEN |SCRIPT |DOTLESS |LONG |SMALL CAPITAL |BLACKLETTER |INSULAR |BARRED |LENIS |BASELINE |HALF |MIDDLE-WELSH |TAILLESS )?([A-Z])(?: WITH .*| ROTUNDA| BAR)?$`), latin},
	{"LATIN", regexp.MustCompile(`^LATIN (?:SMALL|CAPITAL) LETTER ([A-Z]{2}|AFRICAN D|SHARP S)(?: WITH .*)?$`), latin},
	{"LATIN", regexp.MustCompile(`^LATIN LETTER SMALL CAPITAL (?:BARRED |REVERSED )?([A-Z])(?: WITH .*)?$`), styled},
	{"LATIN", regexp.MustCompile(`^LATIN (?:SMALL|CAPITAL) LETTER (?:TURNED|INVERTED) (?:SMALL |OPEN )?([A-Z])(?: WITH .*)?$`), flipped},
	{"LATIN", regexp.MustCompile(`^LATIN LETTER SMALL CAPITAL (?:TURNED|INVERTED) ([A-Z])$`), flipped},
	{"", regexp.MustCompile(`^(?:MODIFIER LETTER|LATIN SUBSCRIPT SMALL LETTER|LATIN SUPERSCRIPT SMALL LETTER) (?:SMALL |CAPITAL |SMALL CAPITAL )?([A-Z])$`), styled},
	{"", regexp.MustCompile(`^(?:NEGATIVE |CROSSED NEGATIVE )?(?:CIRCLED|SQUARED|PARENTHESIZED) (?:ITALIC )?LATIN (?:SMALL|CAPITAL) LETTER ([A-Z])$`), styled},
	{"REGIONAL", regexp.MustCompile(`^REGIONAL INDICATOR SYMBOL LETTER ([A-Z])$`), styled},
	{"", regexp.MustCompile(`^(?:DINGBAT )?NEGATIVE CIRCLED DIGIT ([A-Z]+)$`), styled},
}

// special are characters whose name says too little.
var special = map[rune]string{
	'ſ': "s", 'ƿ': "w", 'ŋ': "n", 'ʃ': "s", 'ʒ': "z", 'ə': "e", 'ı': "i", 'ȷ': "j", 'ĸ': "k", 'þ': "th", 'ð': "d",
	'ɑ': "a", 'ɩ': "i", 'ʋ': "v", 'ꞌ': "'", 'ˈ': "'",
	'“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`, '‟': `"`, '‹': "'", '›': "'", '‘': "'", '’': "'", '‚': "'", '‛': "'", '´': "'", 'ʼ': "'",
	'–': "-", '—': "-", '−': "-", '‐': "-", '‑': "-", '‒': "-", '―': "-", '⁃': "-", '﹘': "-",
	'。': ".", '、': ",", '｡': ".", '،': ",", '؛': ";", '؟': "?", '٪': "%", '।': ".", '·': ".", '•': "*", '・': ".", '∙': ".", '⋅': ".",
	'「': `"`, '」': `"`, '『': `"`, '』': `"`, '【': "[", '】': "]", '〔': "[", '〕': "]", '⟨': "<", '⟩': ">", '〈': "<", '〉': ">", '《': `"`, '》': `"`,
	'⟦': "[[", '¡': "!", '¿': "?", '⟧': "]]", '❝': `"`, '❞': `"`, '′': "'", '″': `"`, '¦': "|", '｜': "|", '│': "|", '⁄': "/", '∕': "/", '∖': `\`, '∗': "*", '∶': ":", '։': ":",
	'ᴉ': "i", 'ɿ': "r", 'ƃ': "g", 'ɟ': "f", 'ɾ': "j", 'Ɐ': "a", '⅄': "y", '˙': ".", '⅂': "l", 'Ⅎ': "f", '⅁': "g", 'Ǝ': "e", 'ǝ': "e", 'Ɔ': "o", 'ɔ': "c", 'ꓤ': "r", 'ꓕ': "t", 'ꓵ': "n", 'ꓷ': "d", 'ꓘ': "k", 'ʅ': "l",
}

var upsideDown = "ʅᴉɐɔǝɟƃɥɾʞꞁɯɹʇʌʍʎɿⱯ⅄⅂Ⅎ⅁Ǝ"

// classify says how r is folded.
func classify(r rune, like map[rune]string) record {
	switch {
	case r < 0x80:
		return record{class: symbol}
	case r == 0x85 || r == 0x2028 || r == 0x2029:
		return record{class: newline}
	case r >= 0xFE00 && r <= 0xFE0F:
		return record{class: shifter}
	case r == 0x202A || r == 0x202B || r == 0x202C || r == 0x202D || r == 0x202E || r >= 0x2066 && r <= 0x2069:
		return record{class: bidi}
	case hidden(r):
		return record{class: invisible}
	case dropped(r):
		return record{class: mark}
	case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || r == 0x2800:
		return record{class: space}
	}
	if b := braille(r); b != "" {
		return record{class: styled, plain: b}
	}
	plain, c := plainOf(r)
	if c == latin || c == styled || c == flipped {
		return record{class: c, plain: plain}
	}
	lookalike, kind := lookalikeOf(r, plain, like)
	isLetter := unicode.IsLetter(r) || unicode.IsMark(r)
	switch {
	case unicode.IsDigit(r):
		return record{class: digit, plain: plain}
	case lowerLetters(lookalike) && isLetter:
		return record{class: kind, plain: plain, like: lookalike}
	case lowerLetters(lookalike):
		return record{class: loosely, plain: plain, like: lookalike}
	case isLetter:
		return record{class: letter, plain: plain}
	case plain == "": // a sign looks like another sign
		return record{class: symbol, plain: lookalike}
	}
	return record{class: symbol, plain: plain}
}

// lookalikeOf returns what r, which is folded to plain, can be mistaken for, and how easily.
func lookalikeOf(r rune, plain string, like map[rune]string) (string, class) {
	low := unicode.ToLower(r)
	lookalike, kind := like[low], foreign
	if l := looseLikes[low]; l != "" && (lookalike == "" || !lowerLetters(lookalike)) {
		lookalike, kind = l, loosely
	}
	if lookalike == "" {
		lookalike = like[r]
	}
	if base := []rune(plain); lookalike == "" && len(base) == 1 && base[0] > unicode.MaxASCII && base[0] != r {
		b := classify(base[0], like) // an accented letter looks like what its letter looks like
		lookalike, kind = b.like, b.class
	}
	return lookalike, kind
}

// plainOf returns what stands for r ("" for itself) and, if that is an ASCII letter, in which dress r was.
func plainOf(r rune) (string, class) {
	if strings.ContainsRune(upsideDown, r) {
		if s := special[r]; s != "" {
			return s, flipped
		}
		p, _ := byName(r)
		return p, flipped
	}
	if s, ok := special[r]; ok {
		if unicode.IsLetter(r) && s[0] >= 'a' {
			return s, latin
		}
		return s, symbol
	}
	if p, c := byName(r); p != "" {
		return p, c
	}
	form := norm.NFKD
	if unicode.In(r, unicode.Hangul, unicode.Hiragana, unicode.Katakana) {
		form = norm.NFKC // syllables and voiced kana stay whole
	}
	var b strings.Builder
	for _, x := range form.String(string(r)) {
		b.WriteString(letterOf(unicode.ToLower(x)))
	}
	p := strings.TrimSpace(b.String())
	if p == string(r) || p == "" || len(p) > 15 {
		return "", symbol
	}
	if !isASCII(p) || !strings.ContainsAny(p, "abcdefghijklmnopqrstuvwxyz") {
		return p, symbol
	}
	if r < 0x250 || r >= 0x1E00 && r < 0x1F00 {
		return p, latin
	}
	return p, styled
}

// letterOf returns what stands for a character without a decomposition.
func letterOf(r rune) string {
	switch s := special[r]; {
	case dropped(r) || hidden(r):
		return ""
	case s != "":
		return s
	case r == 'ς':
		return "σ"
	case unicode.IsDigit(r):
		return string(rune('0' + value(r)))
	case r > unicode.MaxASCII:
		if p, _ := byName(r); p != "" {
			return p
		}
	}
	return string(r)
}

// byName reads the letter that r shows out of its name.
func byName(r rune) (string, class) {
	name := runenames.Name(r)
	if !strings.Contains(name, "LETTER") && !strings.Contains(name, "NEGATIVE CIRCLED DIGIT") {
		return "", symbol
	}
	for _, n := range named {
		if !strings.HasPrefix(name, n.prefix) {
			continue
		}
		m := n.pattern.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		if letters := spelled(m[1]); letters != "" {
			return letters, n.class
		}
	}
	return "", symbol
}

// spelled returns the letters or the digit that a name calls so, "" if it calls none.
func spelled(name string) string {
	switch {
	case len(name) == 1:
		return strings.ToLower(name)
	case name == "SHARP S":
		return "ss"
	case name == "AFRICAN D":
		return "d"
	case len(name) == 2:
		if slices.Contains(strings.Fields("AE OE IJ DZ LJ NJ AA AO AU AV AY OO VY TH FF FI FL ST HV OI LS LZ TC TS DB QP"), name) {
			return strings.ToLower(name)
		}
		return ""
	}
	if v := slices.Index(strings.Fields("ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE"), name); v >= 0 {
		return string(rune('0' + v))
	}
	return ""
}

// value of a decimal digit: the digits of a script follow one another from zero.
func value(r rune) int {
	v := 0
	for unicode.IsDigit(r-1) && v < 9 {
		if r >= 0x1D7CE && r <= 0x1D7FF { // five styles without a gap
			return int(r-0x1D7CE) % 10
		}
		r--
		v++
	}
	return v
}

// lowerLetters reports whether s is made of lower-case ASCII letters.
func lowerLetters(s string) bool {
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return s != ""
}

// dropped reports whether r is an accent that words are matched without. Marks that spell vowels (Indic, Thai) stay.
func dropped(r rune) bool {
	switch {
	case r >= 0x300 && r <= 0x36F, r >= 0x483 && r <= 0x489, r >= 0x1AB0 && r <= 0x1AFF, r >= 0x1DC0 && r <= 0x1DFF,
		r >= 0x20D0 && r <= 0x20FF, r >= 0xFE20 && r <= 0xFE2F:
		return true
	case r >= 0x591 && r <= 0x5C7, r >= 0x610 && r <= 0x61A, r >= 0x64B && r <= 0x65F, r == 0x670, r >= 0x6D6 && r <= 0x6ED:
		return unicode.Is(unicode.Mn, r)
	}
	return r == 0x640 // tatweel stretches a word
}

// hidden reports whether r shows nothing.
func hidden(r rune) bool {
	switch r {
	case 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0xFEFF, 0x2065:
		return true
	}
	return r >= 0x180B && r <= 0x180F || r >= 0x200B && r <= 0x200F || r >= 0x2060 && r <= 0x206F ||
		r >= 0x1D173 && r <= 0x1D17A || r >= 0x1BCA0 && r <= 0x1BCA3 || r >= 0xFFF0 && r <= 0xFFFB ||
		r >= 0x80 && r < 0xA0 || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE || unicode.Is(unicode.Co, r)
}

// braille returns the letter of a six-dot cell.
func braille(r rune) string {
	const cells = "⠁a⠃b⠉c⠙d⠑e⠋f⠛g⠓h⠊i⠚j⠅k⠇l⠍m⠝n⠕o⠏p⠟q⠗r⠎s⠞t⠥u⠧v⠺w⠭x⠽y⠵z"
	if i := strings.Index(cells, string(r)); i >= 0 && r >= 0x2800 && r <= 0x28FF {
		return cells[i+3 : i+4]
	}
	return ""
}
