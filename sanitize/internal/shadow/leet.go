package shadow

import (
	"slices"

	"github.com/sparkhttp/spark/sanitize/internal/word"
)

// leetOf is the letter that a digit or sign stands for.
var leetOf = func() (t [256]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] = byte(c) //nolint:gosec // ASCII
	}
	const pairs = "0o1i2z3e4a5s6g7t8b9g@a$s!i|i+t(c"
	for i := 0; i < len(pairs); i += 2 {
		t[pairs[i]] = pairs[i+1]
	}
	return t
}()

// leetWord looks at the token that starts at from, which has digits or signs among its letters. If it spells a known word, it
// is written so. It returns the end of the token, or from if the token is none.
func (s *scanner) leetWord(from int) int {
	buf := s.buf
	if from < s.leetDone || from > 0 && leetOf[buf[from-1]] != 0 {
		return from
	}
	k := leetToken(buf, from)
	end, letters := k.end, k.code
	s.leetDone = end
	if k.letters == 0 || k.others == 0 || end-from > 24 || k.letters+k.others < fewest {
		return from
	}
	worth := s.lex.find(letters.hash()).worth
	if worth == 0 && k.tail < end && k.tail > from {
		end, letters = k.tail, k.tailCode
		worth = s.lex.find(letters.hash()).worth
	}
	switch {
	case worth == 0:
		if k.letters >= k.others && k.tail == k.end {
			s.leetLike++
		}
		return from
	case !slices.ContainsFunc(buf[from:end], func(c byte) bool { return kinds[c] != isLetter }):
		return from // the sign was punctuation
	}
	s.leet++
	s.leetLike++
	s.write(from, end)
	s.t.signals.Leet++
	if worth == 2 {
		s.t.signals.Disguised++
	}
	s.endSolo()
	*s.word0() = piece{code: letters, from: from, to: end, size: end - from, worth: worth}
	s.turn++
	return end
}

// A leet is a token of letters and what may stand for letters.
type leet struct {
	end             int
	code            code // of the letters that it stands for
	tail            int  // its end without signs at the end
	tailCode        code
	letters, others int
}

// leetToken reads the token at from, no further than a word is long.
func leetToken(buf []byte, from int) leet {
	k := leet{end: from, tail: from}
	for k.end < len(buf) && k.end <= from+24 {
		c := leetOf[buf[k.end]]
		if c == 0 {
			break
		}
		k.code = k.code.join(k.end-from, encode(word.Key{Lo: uint64(c)}))
		kind := kinds[buf[k.end]]
		if kind == isLetter {
			k.letters++
		} else {
			k.others++
		}
		k.end++
		if kind != isSign {
			k.tail, k.tailCode = k.end, k.code
		}
	}
	return k
}

// write puts letters in the place of what stands for them.
func (s *scanner) write(from, end int) {
	for i := from; i < end; i++ {
		s.buf[i] = leetOf[s.buf[i]]
	}
}

// unleetAll undoes leetspeak in every token that has letters, once a text is known to use it.
func (s *scanner) unleetAll() {
	buf := s.buf
	for i := 0; i < len(buf); {
		if leetOf[buf[i]] == 0 {
			i++
			continue
		}
		from, letters := i, 0
		for i < len(buf) && leetOf[buf[i]] != 0 {
			if kinds[buf[i]] == isLetter {
				letters++
			}
			i++
		}
		end := i
		for end > from && kinds[buf[end-1]] == isSign {
			end--
		}
		if letters > 0 && end-from > 1 && end-from <= 16 { // longer ones are codes
			s.write(from, end)
		}
	}
}
