package shadow

// widest is the largest gap between two letters of a spaced word, in bytes.
const widest = 5

// single takes note of a letter that stands alone.
func (s *scanner) single(from, to int, isLetter bool) {
	switch gap := from - s.solo.to; {
	case s.solos == 0:
	case gap == 0: // letters of two scripts side by side
		s.solos, s.soloLetters = 0, 0
		return
	case gap > widest:
		s.endSolo()
	}
	if s.solos == 0 {
		s.solo.from = from
	}
	s.solo.to = to
	s.solos++
	if isLetter {
		s.soloLetters++
	}
}

// endSolo puts the letters of a stretch together: i g n o r e, i.g.n.o.r.e. Where the gap is wider than usual, or white space
// among other signs, a word ends.
func (s *scanner) endSolo() {
	n, letters, at := s.solos, s.soloLetters, s.solo
	s.solos, s.soloLetters = 0, 0
	if letters < 4 || letters*2 < n {
		return
	}
	usual := s.usual(at)
	narrow, spaces, count, alike := 1<<30, 0, 0, 0
	c := cursor{v: s.v}
	c.from(at.from)
	for from, to := s.gap(at.from, at.to); from < at.to; from, to = s.gap(to, at.to) {
		if s.buf[from] == usual {
			narrow = min(narrow, s.width(&c, from, to))
			alike++
		}
		if blank(s.buf[from:to]) {
			spaces++
		}
		count++
	}
	if alike*2 < count {
		return // a formula, a path
	}
	c.from(at.from)
	for from, to := s.gap(at.from, at.to); from < at.to; from, to = s.gap(to, at.to) {
		if s.width(&c, from, to) > narrow || spaces < count && blank(s.buf[from:to]) {
			s.buf[from] = ' '
			from++
		}
		if from < to {
			s.cuts = append(s.cuts, span{from, to})
		}
	}
	s.t.signals.Spaced++
}

// usual returns the sign that most gaps of a stretch start with, if there is one (by the vote of Boyer and Moore).
func (s *scanner) usual(at span) (sign byte) {
	votes := 0
	for from, to := s.gap(at.from, at.to); from < at.to; from, to = s.gap(to, at.to) {
		switch {
		case votes == 0:
			sign, votes = s.buf[from], 1
		case s.buf[from] == sign:
			votes++
		default:
			votes--
		}
	}
	return sign
}

// width is how wide a gap is: in the source if it is white space, of which the view keeps one.
func (s *scanner) width(c *cursor, from, to int) int {
	if to-from == 1 && s.buf[from] <= ' ' {
		start := c.origin(from)
		return c.origin(to) - start
	}
	return to - from
}

// gap returns the next stretch of bytes before end that are no letters or digits.
func (s *scanner) gap(i, end int) (from, to int) {
	for i < end && isWordByte(s.buf, i) {
		i++
	}
	from = i
	for i < end && !isWordByte(s.buf, i) {
		i += max(1, signLen(s.buf, i))
	}
	return from, min(i, end)
}

// isWordByte reports whether a letter or digit stands at i.
func isWordByte(b []byte, i int) bool {
	switch kinds[b[i]] {
	case isLetter, isDigit:
		return true
	case isHigh:
		return signLen(b, i) == 0
	}
	return false
}

// signLen returns the length of the punctuation mark or emoji beyond ASCII that starts at i, or 0.
func signLen(b []byte, i int) int {
	switch {
	case b[i] == 0xE2 && i+3 <= len(b):
		return 3
	case b[i] == 0xF0 && i+4 <= len(b) && b[i+1] == 0x9F:
		return 4
	}
	return 0
}

// blank reports whether b has white space.
func blank(b []byte) bool {
	for _, c := range b {
		if c <= ' ' {
			return true
		}
	}
	return false
}
