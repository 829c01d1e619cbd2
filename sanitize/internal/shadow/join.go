package shadow

import "bytes"

// A chain is a row of words with the same sign between them: ignore_previous_instructions.
type chain struct {
	from, to int
	sign     byte
	worth    byte
	words    int
}

// link adds a word to the chain at hand, or ends that and starts one with it and the word before.
func (s *scanner) link(p *piece) {
	c, last := &s.chain, s.word1()
	linked := last.size > 0 && p.from == last.to+1 && s.buf[last.to] > ' '
	if c.words > 0 && (!linked || s.buf[last.to] != c.sign) {
		s.unchain()
		c.words = 0
	}
	if !linked {
		return
	}
	if c.words == 0 {
		*c = chain{from: last.from, sign: s.buf[last.to], words: 1, worth: last.worth}
	}
	c.to, c.worth, c.words = p.to, c.worth+min(p.worth, 100-c.worth), c.words+1
}

// unchain turns the signs of a chain into spaces if it is made of words that matter.
func (s *scanner) unchain() {
	c := s.chain
	if c.words < 3 || c.worth < 4 || kinds[c.sign] == isHigh {
		return
	}
	for i := c.from; i < c.to; i++ {
		if s.buf[i] == c.sign {
			s.buf[i] = ' '
		}
	}
}

// join looks whether p and the one or two words before it are the parts of a key word.
func (s *scanner) join(p *piece) {
	a, b := s.word1(), s.word2()
	gap := p.from - a.to
	if a.size == 0 || gap < 1 || gap > 8 || a.size+p.size > longest || a.worth == 2 {
		return
	}
	both := a.code.join(a.size, p.code)
	if a.size+p.size >= 5 && s.whole(both, a, p) && s.gapOK(a.to, p.from) {
		s.cuts = append(s.cuts, span{a.to, p.from})
		s.joined(p, both, a.from, a.size+p.size)
		return
	}
	if gap = a.from - b.to; b.size == 0 || gap < 1 || gap > 8 || b.size+a.size+p.size > longest || b.size+a.size+p.size < 6 || b.worth == 2 {
		return
	}
	all := b.code.join(b.size, both)
	if s.lex.find(all.hash()).worth == 2 && s.gapOK(a.to, p.from) && s.gapOK(b.to, a.from) {
		s.cuts = append(s.cuts, span{b.to, a.from}, span{a.to, p.from})
		s.joined(p, all, b.from, b.size+a.size+p.size)
	}
}

// whole reports whether two parts are one word: a keyword; a common one, if a sign stands between them or the text has
// split words already; any, if many were split by the same sign.
func (s *scanner) whole(both code, a, p *piece) bool {
	if a.worth != 0 && p.worth != 0 {
		return false
	}
	sign := s.buf[a.to]
	switch s.lex.find(both.hash()).worth {
	case 2:
		return true
	case 1:
		return a.worth+p.worth == 0 && (sign > ' ' || s.splits[0] > 1)
	}
	return sign > ' ' && s.glue == sign
}

func (s *scanner) joined(p *piece, whole code, from, size int) {
	sign := byte(0)
	if c := s.buf[p.from-1]; c > ' ' {
		sign = c
	}
	p.worth = s.lex.find(whole.hash()).worth
	p.code, p.from, p.size = whole, from, size
	s.splits[sign] = max(s.splits[sign], s.splits[sign]+1) // stays at the largest
	s.split++
	s.t.signals.Split++
	if p.worth == 2 {
		s.t.signals.Disguised++
	}
}

// gapOK reports whether what stands between two parts of a word is no sentence of its own.
func (s *scanner) gapOK(from, to int) bool {
	for _, c := range s.buf[from:to] {
		if k := kinds[c]; k == isLetter || k == isDigit {
			return false
		}
	}
	return true
}

// inWord returns the length of the markup at i if a letter follows it.
func (s *scanner) inWord(i int) int {
	b := s.buf
	n := i
	if b[n] != '<' {
		for n < len(b) && n < i+6 && (b[n] == '*' || b[n] == '`' || b[n] == '~') {
			n++
		}
	}
	for n < len(b) && b[n] == '<' {
		end := s.closing(n)
		if end-n > 64 || !inline(b[n+1:end]) {
			return 0
		}
		n = end + 1
	}
	if n < len(b) && (kinds[b[n]] == isLetter || kinds[b[n]] == isHigh) {
		return n - i
	}
	return 0
}

// closing returns where the next > after i stands, far beyond the end if there is none. It looks at each byte once.
func (s *scanner) closing(i int) int {
	if s.close < i {
		n := bytes.IndexByte(s.buf[i:], '>')
		if n < 0 {
			n = 1 << 30
		}
		s.close = i + n
	}
	return s.close
}

// inline reports whether a tag leaves the word that it stands in whole.
func inline(tag []byte) bool {
	if len(tag) > 0 && tag[0] == '!' {
		return true
	}
	if len(tag) > 0 && tag[0] == '/' {
		tag = tag[1:]
	}
	n := 0
	for n < len(tag) && isAlnum(tag[n]) {
		n++
	}
	switch string(tag[:n]) {
	case "", "b", "i", "u", "s", "a", "em", "strong", "span", "font", "sub", "sup", "small", "big", "del", "ins", "mark", "code", "wbr", "tt", "kbd", "strike", "q", "var", "x", "bdo", "bdi":
		return true
	}
	return false
}
