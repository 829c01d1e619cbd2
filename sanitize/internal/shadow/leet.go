package shadow

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
	letters, others := 0, 0
	end, h := from, uint32(0)
	var before uint32 // the hash without trailing signs
	tail := from
	for end < len(buf) && end <= from+24 {
		c := leetOf[buf[end]]
		if c == 0 {
			break
		}
		h = h*prime + letterValue[c]
		switch kinds[buf[end]] {
		case isLetter:
			letters++
		default:
			others++
		}
		end++
		if kinds[buf[end-1]] != isSign {
			before, tail = h, end
		}
	}
	s.leetDone = end
	if letters == 0 || others == 0 || end-from > 24 || letters+others < fewest {
		return from
	}
	worth := s.lex.plain.get(h)
	if worth == 0 && tail < end && tail > from {
		if worth = s.lex.plain.get(before); worth != 0 {
			end, h = tail, before
		}
	}
	if worth == 0 {
		if letters >= others && tail == end {
			s.leetLike++
		}
		return from
	}
	plain := true
	for _, c := range buf[from:end] {
		plain = plain && kinds[c] == isLetter
	}
	if plain {
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
	*s.word0() = piece{hash: h, from: from, to: end, size: end - from, worth: worth}
	s.turn++
	return end
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
