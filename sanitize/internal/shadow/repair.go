package shadow

import (
	"bytes"
	"slices"
)

// findings are what reading a view's words told about things hidden in it. They decide which decoders run at all.
type findings struct {
	gate   [gates]uint8 // points for each word disguise
	long   bool         // a token long enough to be encoded
	digits int          // decimal digits
	escape int          // signs that start an escape
	dots   int          // dots that end no word
	swords int          // signs that ROT47 makes of letters
	quotes int          // quotes: perhaps a text in parts
}

// A span of bytes that is taken out.
type span struct{ from, to int }

// A scanner reads the words of a view.
type scanner struct {
	lex  *lexicon
	cuts []span // in the order met
	buf  []byte
	v    *view
	t    *Text

	close       int      // where the next > stands, if that is known
	veiled      bool     // the text has characters that veil words
	leet        int      // words with leetspeak undone
	leetLike    int      // words that may be leetspeak
	leetDone    int      // up to here no token is leetspeak
	recent      [4]piece // the last words, in turn
	turn        int      // of the word at hand
	chain       chain
	solo        span // a stretch of single letters, from the first to the last
	solos       int
	soloLetters int
	f           findings
}

// A piece is a word as the scanner remembers it.
type piece struct {
	hash     uint32
	from, to int
	size     int
	worth    byte
}

// What a byte of a folded text is to the scanner.
const (
	isOther byte = iota
	isLetter
	isDigit
	isSign // stands for a letter in leetspeak
	isMarkup
	isDash
	isEscape
	isQuote
	isSword
	isHigh
)

var kinds = func() (t [256]byte) {
	set := func(s string, k byte) {
		for i := range len(s) {
			t[s[i]] = k
		}
	}
	set("0123456789", isDigit)
	set("@$!|+(", isSign)
	set("*`~<", isMarkup)
	set(".-", isDash)
	set(`%&\=`, isEscape)
	set(`"'`, isQuote)
	set(":;>?", isSword)
	for c := 'a'; c <= 'z'; c++ {
		t[c] = isLetter
	}
	for c := 0x80; c < 0x100; c++ {
		t[c] = isHigh
	}
	return t
}()

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

// repair puts words of v together that were taken apart, and undoes leetspeak.
func (t *Text) repair(v *view) {
	s := &t.words
	if s.lex == nil {
		s.lex = words()
	}
	s.t, s.v = t, v
	s.veiled = t.signals.Invisible+t.signals.Styled+t.signals.Mixed+t.signals.Marks > 0
	for range 2 {
		s.read()
		if s.leet >= 2 && s.leetLike > s.leet {
			s.unleetAll()
		}
		if len(s.cuts) == 0 {
			break
		}
		t.take(v, s.cuts)
	}
	v.found = s.f
}

// take removes the spans from the view.
func (t *Text) take(v *view, cuts []span) {
	slices.SortFunc(cuts, func(a, b span) int { return a.from - b.from })
	w := &t.tmp
	w.buf, w.runs = w.buf[:0], w.runs[:0]
	at, k := 0, 0
	keep := func(to int) {
		for at < to {
			for k+1 < len(v.runs) && int(v.runs[k+1].at) <= at {
				k++
			}
			src, end := at, to
			if k < len(v.runs) && int(v.runs[k].at) <= at {
				src = int(v.runs[k].src) + at - int(v.runs[k].at)
				if k+1 < len(v.runs) {
					end = min(end, int(v.runs[k+1].at))
				}
			} else if k < len(v.runs) {
				end = min(end, int(v.runs[k].at))
			}
			w.jump(src)
			w.buf = append(w.buf, v.buf[at:end]...)
			at = end
		}
	}
	for _, c := range cuts {
		if c.from > at {
			keep(c.from)
		}
		at = max(at, c.to)
	}
	keep(len(v.buf))
	v.buf, w.buf = w.buf, v.buf
	v.runs, w.runs = w.runs, v.runs
}

// read goes through the words of the view once.
func (s *scanner) read() {
	s.buf, s.cuts, s.leet, s.leetLike = s.v.buf, s.cuts[:0], 0, 0
	s.leetDone, s.close = 0, -1
	s.recent, s.turn, s.chain, s.solos, s.soloLetters, s.f = [4]piece{}, 0, chain{}, 0, 0, findings{}
	buf := s.buf
	token := 0 // start of the run of characters that encodings are made of
	for i := 0; i < len(buf); {
		switch kinds[buf[i]] {
		case isLetter:
			i = s.word(i)
			continue
		case isHigh:
			i = s.high(i)
			token = i
			continue
		case isDigit, isSign:
			if end := s.leetWord(i); end > i {
				i = end
				continue
			}
			if buf[i]-'0' <= 9 {
				s.f.digits++
				if s.alone(i) {
					s.single(i, i+1, false)
				}
				i++
				continue
			}
			if buf[i] == '+' && i > 0 && buf[i-1] == 'u' {
				s.f.escape++ // U+0041
			}
		case isDash:
			if buf[i] == '-' {
				i++
				continue
			}
			if i == 0 || buf[i-1] == ' ' || kinds[buf[i-1]] == isDash || buf[i-1] == '/' {
				s.f.dots++
			}
		case isEscape:
			s.f.escape++
			if buf[i] == '=' {
				i++
				continue
			}
		case isQuote:
			s.f.quotes++
		case isSword:
			if i+1 < len(buf) && buf[i+1] > ' ' && i > 0 && buf[i-1] > ' ' {
				s.f.swords++
			}
		}
		if i-token >= 12 {
			s.f.long = true
		}
		i++
		token = i
	}
	if len(buf)-token >= 12 {
		s.f.long = true
	}
	s.endSolo()
	s.unchain()
}

// word reads the word that starts at i and returns its end.
func (s *scanner) word(i int) int {
	buf := s.buf
	from, h, size := i, uint32(0), 0
	for i < len(buf) {
		c := buf[i]
		if c-'a' < 26 {
			h = h*prime + letterValue[c]
			i++
			size++
			continue
		}
		if kinds[c] == isMarkup && i > from {
			if n := s.inWord(i); n > 0 {
				s.cuts = append(s.cuts, span{i, i + n})
				s.t.signals.Marks++
				i += n
				continue
			}
		}
		if (kinds[c] == isDigit || kinds[c] == isSign) && i+1 < len(buf) {
			if end := s.leetWord(from); end > i {
				return end
			}
		}
		break
	}
	p := s.word0()
	p.hash, p.from, p.to, p.size, p.worth = h, from, i, size, 0
	s.piece(p, size < i-from)
	return i
}

// piece takes note of a word: disguised wholly, or part of a word that was split.
func (s *scanner) piece(p *piece, marked bool) {
	if p.size >= fewest {
		p.worth = s.lex.plain.get(p.hash)
		if p.worth == 2 && (marked || s.veiled && s.v.origin(p.to)-s.v.origin(p.from) != p.to-p.from) {
			s.t.signals.Disguised++
		}
		if p.size >= 4 && p.worth == 0 {
			if g := s.lex.gate.get(p.hash); g != 0 {
				s.f.gate[g>>2] = min(200, s.f.gate[g>>2]+g&3)
			}
		}
	}
	if p.size == 1 && s.alone(p.from) {
		s.single(p.from, p.to, true)
	} else if s.solos > 0 {
		s.endSolo()
	}
	if p.worth != 2 {
		s.join(p)
	}
	if s.chain.words > 0 || p.from > 0 && s.buf[p.from-1] > ' ' {
		s.link(p)
	}
	s.turn++
}

// word0 is where the word at hand is kept, word1 and word2 are the two before it. They take turns, since copying shows.
func (s *scanner) word0() *piece { return &s.recent[s.turn&3] }
func (s *scanner) word1() *piece { return &s.recent[(s.turn-1)&3] }
func (s *scanner) word2() *piece { return &s.recent[(s.turn-2)&3] }

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
	h := a.hash*powers[p.size] + p.hash
	if a.size+p.size >= 6 && s.lex.plain.get(h) == 2 && s.gapOK(a.to, p.from) && (a.worth == 0 || p.worth == 0) {
		s.cuts = append(s.cuts, span{a.to, p.from})
		s.joined(p, h, a.from, a.size+p.size)
		return
	}
	if gap = a.from - b.to; b.size == 0 || gap < 1 || gap > 8 || b.size+a.size+p.size > longest || b.size+a.size+p.size < 6 || b.worth == 2 {
		return
	}
	h = b.hash*powers[a.size+p.size] + h
	if s.lex.plain.get(h) == 2 && s.gapOK(a.to, p.from) && s.gapOK(b.to, a.from) {
		s.cuts = append(s.cuts, span{b.to, a.from}, span{a.to, p.from})
		s.joined(p, h, b.from, b.size+a.size+p.size)
	}
}

func (s *scanner) joined(p *piece, h uint32, from, size int) {
	p.hash, p.from, p.size, p.worth = h, from, size, 2
	s.t.signals.Split++
	s.t.signals.Disguised++
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

// high reads a word of another script, or a sign that is no letter, and returns its end.
func (s *scanner) high(i int) int {
	buf := s.buf
	from, size := i, 0
	for i < len(buf) && buf[i] >= 0x80 {
		if n := signLen(buf, i); n > 0 {
			if size == 0 {
				return i + n
			}
			break
		}
		for i++; i < len(buf) && buf[i]&0xC0 == 0x80; {
			i++
		}
		size++
	}
	if size == 1 {
		s.single(from, i, true)
	} else {
		s.endSolo()
	}
	s.word1().size, s.word2().size = 0, 0 // nothing is joined across it
	return i
}

// alone reports whether the character at i has no letter or digit next to it.
func (s *scanner) alone(i int) bool {
	b := s.buf
	return (i == 0 || !isAlnum(b[i-1])) && (i+1 == len(b) || !isAlnum(b[i+1]))
}

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
	begin, _ := s.gap(at.from, at.to)
	if begin == at.to {
		return
	}
	first := s.buf[begin]
	narrow, spaces, count, alike := 1<<30, 0, 0, 0
	c := cursor{v: s.v}
	c.from(at.from)
	for from, to := s.gap(at.from, at.to); from < at.to; from, to = s.gap(to, at.to) {
		if s.buf[from] == first {
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
