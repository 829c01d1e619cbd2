package detect

import "unicode/utf8"

// Kinds of bytes, and of the characters they begin.
const (
	kindPunct  = iota // a literal may begin here; not counted as a word
	kindSpace         // skipped
	kindLine          // a line ends
	kindStop          // a sentence or a clause ends
	kindWord          // part of a word
	kindSingle        // a word of its own: scripts that write no spaces
	kindWide          // see runeKind
)

var kinds = func() (k [256]uint8) {
	for b := range 256 {
		switch {
		case b == '\n':
			k[b] = kindLine
		case b <= ' ' || b == 0x7f:
			k[b] = kindSpace
		case b == '.' || b == '!' || b == '?' || b == ',' || b == ';':
			k[b] = kindStop
		case '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z':
			k[b] = kindWord
		case b >= utf8.RuneSelf:
			k[b] = kindWide
		}
	}
	return k
}()

// runeKind tells how many bytes the first character of s has and what it is. It
// knows scripts by their leading bytes, which is coarse and enough: Chinese,
// kana and Thai are written without spaces, the symbol blocks are no letters,
// the rest is.
func runeKind(s []byte) (size int, kind uint8) {
	b := s[0]
	if b < utf8.RuneSelf {
		return 1, kinds[b]
	}
	size, kind = 2, kindWord
	switch {
	case b < 0xc3: // stray continuation byte, U+0080 to U+00BF
		size, kind = 1+int(b>>6&1), kindPunct
	case b < 0xe0:
	case b < 0xf0:
		size, kind = 3, threeByteKind(s)
	default:
		size, kind = 4, kindPunct
		if len(s) > 1 && b == 0xf0 && s[1] >= 0xa0 && s[1] < 0xb8 { // ideographs beyond the BMP
			kind = kindSingle
		}
	}
	return min(size, len(s)), kind
}

func threeByteKind(s []byte) uint8 {
	if len(s) < 3 {
		return kindPunct
	}
	switch b, c := s[0], s[1]; {
	case b == 0xe0 && (c == 0xb8 || c == 0xb9): // Thai
		return kindSingle
	case b == 0xe2, b >= 0xee: // punctuation, symbols, private use, width forms
		return kindPunct
	case b == 0xe3 && c == 0x80: // CJK punctuation
		return kindPunct
	case b >= 0xe3 && b <= 0xe9: // kana, ideographs
		return kindSingle
	}
	return kindWord
}

// wordEnd returns the end of the word that begins at i.
func wordEnd(s []byte, i int) int {
	for i < len(s) {
		if k := kinds[s[i]]; k == kindWord {
			i++
			continue
		} else if k != kindWide {
			return i
		}
		n, k := runeKind(s[i:])
		if k != kindWord {
			return i
		}
		i += n
	}
	return i
}

// atWordEnd reports whether no word goes on at i.
func atWordEnd(s []byte, i int) bool {
	if i >= len(s) {
		return true
	}
	switch kinds[s[i]] {
	case kindWord:
		return false
	case kindWide:
		_, k := runeKind(s[i:])
		return k != kindWord
	}
	return true
}

// endsInWord reports whether a literal ends in a letter of a script that writes
// spaces, so that it matches whole words only.
func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	if n == 0 || r == utf8.RuneError {
		return false
	}
	_, k := runeKind([]byte(s[len(s)-n:]))
	return k == kindWord
}

// countWords counts the words of a literal as scan counts them.
func countWords(s string) int {
	n := 0
	for i := 0; i < len(s); {
		size, k := runeKind([]byte(s[i:]))
		switch k {
		case kindWord:
			n++
			i = wordEnd([]byte(s), i)
			continue
		case kindSingle:
			n++
		}
		i += size
	}
	return max(1, n)
}
