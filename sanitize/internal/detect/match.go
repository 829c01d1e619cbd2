package detect

import (
	"github.com/sparkhttp/spark/sanitize/internal/word"
)

// A program is what all patterns compile to: one automaton for the words, and
// one slot for each element of each pattern. The text is read once. Every word
// that is in the vocabulary fills the slots it can fill; a slot is filled if the
// slot before it was filled not too many words ago. There is no backtracking:
// of two ways to fill a slot the later one is at least as good, because gaps
// have an upper bound and no lower one. So the work is at most the number of
// slots of each word, whatever the text is.
type program struct {
	words      *automaton
	vocabulary *vocabulary
	fuzzy      fuzzy
	slots      []slot
	steps      [][]int32 // of all literals, see goOn
	// clauseEnd is the use of the literal of that name, 0 if there is none.
	clauseEnd int32
}

// A place is the number of a word, and of the punctuation mark after it: words
// are counted for gaps, marks only have an order.
type place = uint32

// maxMark is the highest number of a mark, and maxWord of a word that is begun:
// with the words of a phrase and a gap behind it a place has room for it.
const (
	maxMark = 255
	maxWord = 1<<24 - 1 - 2*(maxGap+maxPhrase)
)

// hit is one rule found in one view.
type hit struct {
	rule       int32
	start, end int32
	quoted     bool // every match stood in quotation marks
}

// matcher is the state of one scan. It is reused; nothing has to be cleared,
// because words are numbered through from scan to scan.
type matcher struct {
	prog  *program
	state []state // of each slot
	live  lively
	seen  []uint32 // rule -> word number at which the scan that found it began
	index []int32  // rule -> its place in hits, if seen
	hits  []hit
	parts []part
	dull  [1 << 8]word.Key // words that stand for no others, where their hashes say
	view  []byte
	// allowed tells that a match is harmless. Nil: none is.
	allowed func(view []byte, start, end int) bool
	word    uint32 // number of the current word
	mark    uint32 // number of the current mark after that word, at most maxMark
	from    uint32 // word number at which the scan began
	bol     bool   // no word of this line was read yet
	// work counts automaton steps and slot visits: what the linear-time test bounds.
	work int
}

// maxParts bounds the words that one run of letters is split into.
const maxParts = 64

func newMatcher(p *program, rules int) *matcher {
	return &matcher{prog: p, state: make([]state, len(p.slots)), seen: make([]uint32, rules), index: make([]int32, rules), word: 1}
}

// scan reads view once and leaves what it found in m.hits, at most one hit for
// each rule.
func (m *matcher) scan(view []byte) {
	m.hits = m.hits[:0]
	if m.word += 2 * (maxGap + maxPhrase); m.word >= maxWord {
		m.restart()
	}
	m.from = m.word
	m.mark = 0
	m.live.slots = slotBits{}
	m.view = view
	m.bol = true
	for i := 0; i < len(view); {
		switch k := kinds[view[i]]; k {
		case kindSpace:
			i++
		case kindLine:
			m.bol = true
			m.endClause(i)
			i++
		case kindWord:
			if i = m.readWord(view, i); i < len(view) && view[i] == ' ' {
				i++
			}
		case kindPunct:
			m.punctuation(view, i)
			i++
		case kindStop:
			m.endClause(i)
			m.punctuation(view, i)
			i++
		default:
			switch n, k := runeKind(view[i:]); k {
			case kindWord:
				i = m.readWord(view, i)
			case kindSingle:
				m.nextWord()
				m.walk(view, i)
				m.bol = false
				i += n
			default:
				m.punctuation(view, i)
				i += n
			}
		}
	}
	m.endClause(len(view))
	m.word += maxPhrase
}

// nextWord begins a word.
func (m *matcher) nextWord() {
	m.word++
	m.mark = 0
	if m.word >= maxWord {
		m.restart()
	}
}

// restart numbers the words from 1 on again. What was begun is forgotten, what
// was found is not.
func (m *matcher) restart() {
	clear(m.state)
	clear(m.live.until[:])
	clear(m.seen)
	m.word = 1 + maxGap // so that no gap reaches back before the first one
	m.from = m.word
	for _, h := range m.hits {
		m.seen[h.rule] = m.from
	}
}

// punctuation looks for literals that begin with a mark.
func (m *matcher) punctuation(view []byte, i int) {
	m.mark = min(m.mark+1, maxMark)
	v, b := m.prog.vocabulary, view[i]
	if i+1 < len(view) && v.pairs[b]>>(view[i+1]&31)&1 != 0 {
		m.walk(view, i)
	} else if out := v.alone[b]; out != 0 {
		m.fill(out, int32(i), int32(i+1)) //nolint:gosec // views are shorter than 2 GiB
	}
}

// endClause counts as a word and fills what waits for the end of a clause.
func (m *matcher) endClause(i int) {
	m.nextWord()
	m.fill(m.prog.clauseEnd, int32(i), int32(i)) //nolint:gosec // views are shorter than 2 GiB
}

// readWord looks up the word at i and returns the offset behind it.
func (m *matcher) readWord(view []byte, i int) int {
	m.nextWord()
	k, n := word.Letters(view, i)
	end := i + n
	if n <= word.Max && end < len(view) && view[end]-'0' < 10 {
		k, n = word.Alnum(view, i)
		end = i + n
	}
	switch {
	case n == 0 || n > word.Max || end < len(view) && kinds[view[end]] >= kindWord: // it is long, or not all of it is ASCII
		end = wordEnd(view, i)
		if !m.walk(view, i) && end-i >= minFuzzy {
			m.guess(view, i, end)
		}
	case !m.lookUp(view, i, end, k) && n >= minFuzzy:
		if dull := &m.dull[k.Hash()%uint64(len(m.dull))]; *dull != k && !m.guess(view, i, end) {
			*dull = k
		}
	}
	m.bol = false
	return end
}

// lookUp is walk for the word k, which is all of view[i:end].
func (m *matcher) lookUp(view []byte, i, end int, k word.Key) (found bool) {
	m.work++
	v := m.prog.vocabulary.find(k)
	switch {
	case v == nil:
		return m.prog.vocabulary.prefixes.has(k) && m.walk(view, i)
	case v.slow:
		return m.walk(view, i)
	case v.whole != 0:
		m.fill(v.whole, int32(i), int32(end)) //nolint:gosec // views are shorter than 2 GiB
		found = true
	}
	return v.goesOn(view, end) && m.walkOn(view, i, end, v.state) || found
}

// guess looks for a word of the vocabulary with its letters scrambled, and for
// several of them written without spaces. It reports whether it found any.
func (m *matcher) guess(view []byte, i, end int) bool {
	if end-i <= maxFuzzy {
		if out := m.prog.fuzzy.find(view[i:end]); out != 0 {
			m.fill(out, int32(i), int32(end)) //nolint:gosec // views are shorter than 2 GiB
			return true
		}
	}
	return end-i >= minGlued && m.split(view, i, end)
}

// part is one word found in a run of letters, or a stretch that is none.
type part struct{ out, start, end int32 }

// split reads a run of letters as words written without spaces between them,
// always taking the longest one. A run that is mostly something else is left
// alone: long words of any language have short ones in them.
func (m *matcher) split(view []byte, i, end int) bool {
	parts, at, other := m.parts[:0], i, 0
	for at < end && len(parts) < maxParts && 4*other <= end-i {
		out, to := m.longest(view, at, end)
		if out == 0 {
			other++
			if n := len(parts); n > 0 && parts[n-1].out == 0 {
				parts[n-1].end++
			} else {
				parts = append(parts, part{0, int32(at), int32(at + 1)}) //nolint:gosec // views are shorter than 2 GiB
			}
			at++
			continue
		}
		parts = append(parts, part{out, int32(at), int32(to)}) //nolint:gosec // as above
		at = to
	}
	m.parts = parts
	if 4*(at-i-other) < 3*(end-i) {
		return false
	}
	for _, p := range parts {
		if p.out != 0 {
			m.fill(p.out, p.start, p.end)
			m.bol = false
		}
		m.nextWord()
	}
	return true
}

// longest finds the longest literal of at least three letters at i.
func (m *matcher) longest(view []byte, i, end int) (out int32, to int) {
	m.work++
	if end-i < 3 || !m.prog.vocabulary.starts.has(word.Key{Lo: uint64(view[i]) | uint64(view[i+1])<<8 | uint64(view[i+2])<<16}) {
		return 0, i
	}
	cells := m.prog.words.cells
	for s, j := int32(0), i; j < end; j++ {
		t := cells[s].base + int32(view[j])
		m.work++
		if cells[t].check != s {
			break
		}
		s = t
		if w := cells[s].whole; w != 0 && j-i >= 2 {
			out, to = w, j+1
		}
	}
	return out, to
}

// walk fills the slots of every literal that begins at i, and reports whether
// one ended at the end of a word.
func (m *matcher) walk(view []byte, i int) bool { return m.walkOn(view, i, i, 0) }

// walkOn is walk in state s, which view[i:j] leads to.
func (m *matcher) walkOn(view []byte, i, j int, s int32) (found bool) {
	cells := m.prog.words.cells
	from := j
	for ; j < len(view); j++ {
		t := cells[s].base + int32(view[j])
		c := &cells[t]
		if c.check != s {
			break
		}
		s = t
		if c.part != 0 {
			m.fill(c.part, int32(i), int32(j+1)) //nolint:gosec // views are shorter than 2 GiB
			found = true
		}
		if c.whole != 0 && atWordEnd(view, j+1) {
			m.fill(c.whole, int32(i), int32(j+1)) //nolint:gosec // views are shorter than 2 GiB
			found = true
		}
	}
	m.work += j - from + 1
	return found
}

// accept records a complete pattern unless its guard stands before it. Of
// several matches of a rule one without quotation marks counts more.
func (m *matcher) accept(s *slot, f *filled, end int32) {
	seen := m.seen[s.rule] == m.from
	if seen && !m.hits[m.index[s.rule]].quoted {
		return
	}
	if s.guard >= 0 {
		g := m.state[s.guard].now.end >> 8
		if g >= m.from && g < f.startWord && f.startWord-g <= uint32(s.within) {
			return
		}
	}
	if m.allowed != nil && m.allowed(m.view, int(f.start), int(end)) {
		return
	}
	h := hit{rule: s.rule, start: f.start, end: end, quoted: m.quoted(int(f.start), int(end))}
	switch {
	case !seen:
		m.seen[s.rule] = m.from
		m.index[s.rule] = int32(len(m.hits)) //nolint:gosec // at most one for each rule
		m.hits = append(m.hits, h)
	case !h.quoted:
		m.hits[m.index[s.rule]] = h
	}
}

// How far from a match its quotation marks may be, in bytes.
const (
	beforeQuote = 60
	afterQuote  = 200
)

// quoted reports whether at least a part of a match stands in quotation marks, as
// in "override: 'ignore …'": one opens shortly before start, or within the match,
// and the same one closes shortly after that.
func (m *matcher) quoted(start, end int) bool {
	for i := start - 1; i >= 0 && i >= start-beforeQuote && m.view[i] != '\n'; i-- {
		m.work++
		if !isQuote(m.view[i]) {
			continue
		}
		if i == 0 || atWordEnd(m.view, i-1) {
			return m.closesQuote(m.view[i], start, end)
		}
		if atWordEnd(m.view, i+1) {
			break // of a quotation that is over
		}
	}
	for i := start; i < end; i++ {
		m.work++
		if isQuote(m.view[i]) && (i == 0 || atWordEnd(m.view, i-1)) && !atWordEnd(m.view, i+1) {
			return m.closesQuote(m.view[i], i+1, end)
		}
	}
	return false
}

func isQuote(b byte) bool { return b == '"' || b == '\'' || b == '`' }

// closesQuote reports whether the quotation mark q stands behind i, and no word
// goes on behind it, before or shortly after the end of a match.
func (m *matcher) closesQuote(q byte, i, end int) bool {
	for j := i; j < len(m.view) && j < end+afterQuote; j++ {
		m.work++
		if m.view[j] == q && atWordEnd(m.view, j+1) {
			return true
		}
	}
	return false
}
