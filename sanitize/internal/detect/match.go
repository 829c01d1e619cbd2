package detect

// A program is what all patterns compile to: one automaton for the words, and
// one slot for each element of each pattern. The text is read once. Every word
// that is in the vocabulary fills the slots it can fill; a slot is filled if the
// slot before it was filled not too many words ago. There is no backtracking:
// of two ways to fill a slot the later one is at least as good, because gaps
// have an upper bound and no lower one. So the work is at most the number of
// slots of each word, whatever the text is.
type program struct {
	words *automaton
	fuzzy fuzzy
	slots []slot
	// clauseEnd is the out of the literal of that name.
	clauseEnd int32
}

// slot is one element of one pattern, or the first one of several patterns, or
// what guards them.
type slot struct {
	rule   int32 // in the last slot of a pattern, else -1
	guard  int32 // slot of the pattern's guard, -1 for none; set in the last slot
	before int32 // slot of the element before it, -1 for none
	within uint8 // how near the guard must be
	gap    uint8 // words that may stand between the slot before and this one
	next   uint8 // the largest gap of the slots after it
	last   bool
	bol    bool // only as the first word of a line
}

// A place is the number of a word, and of the punctuation mark after it: words
// are counted for gaps, marks only have an order.
type place = uint64

const maxMark = 255

// filled is what a scan remembers of a slot.
type filled struct {
	at, end   place  // of the first and the last word of the literal
	startWord uint32 // number of the first word of the pattern
	start     int32  // byte offset of that word
}

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
	slot  []filled
	older []filled // what was in the slot when an earlier word had filled it
	until []place  // slot -> last place where a slot after it may be filled
	seen  []uint32 // rule -> word number at which the scan that found it began
	index []int32  // rule -> its place in hits, if seen
	hits  []hit
	parts []part
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
	return &matcher{prog: p, slot: make([]filled, len(p.slots)), older: make([]filled, len(p.slots)), until: make([]place, len(p.slots)), seen: make([]uint32, rules), index: make([]int32, rules), word: 1}
}

// scan reads view once and leaves what it found in m.hits, at most one hit for
// each rule.
func (m *matcher) scan(view []byte) {
	if m.word > 1<<30 {
		clear(m.slot)
		clear(m.older)
		clear(m.until)
		clear(m.seen)
		m.word = 1
	}
	m.word += 2 * (maxGap + maxPhrase)
	m.from = m.word
	m.mark = 0
	m.hits = m.hits[:0]
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
			i = m.readWord(view, i)
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
}

// punctuation looks for literals that begin with a mark.
func (m *matcher) punctuation(view []byte, i int) {
	m.mark = min(m.mark+1, maxMark)
	m.walk(view, i)
}

// endClause counts as a word and fills what waits for the end of a clause.
func (m *matcher) endClause(i int) {
	m.nextWord()
	if out := m.prog.clauseEnd; out != 0 {
		m.fill(out, int32(i), int32(i)) //nolint:gosec // views are shorter than 2 GiB
	}
}

// readWord looks up the word at i and returns the offset behind it.
func (m *matcher) readWord(view []byte, i int) int {
	m.nextWord()
	found := m.walk(view, i)
	end := wordEnd(view, i)
	if !found && end-i >= minFuzzy {
		m.guess(view, i, end)
	}
	m.bol = false
	return end
}

// guess looks for a word of the vocabulary with its letters scrambled, and for
// several of them written without spaces.
func (m *matcher) guess(view []byte, i, end int) {
	if end-i <= maxFuzzy {
		if out := m.prog.fuzzy.find(view[i:end]); out != 0 {
			m.fill(out, int32(i), int32(end)) //nolint:gosec // views are shorter than 2 GiB
			return
		}
	}
	if end-i >= minGlued {
		m.split(view, i, end)
	}
}

// part is one word found in a run of letters, or a stretch that is none.
type part struct{ out, start, end int32 }

// split reads a run of letters as words written without spaces between them,
// always taking the longest one. A run that is mostly something else is left
// alone: long words of any language have short ones in them.
func (m *matcher) split(view []byte, i, end int) {
	parts, covered := m.parts[:0], 0
	for at := i; at < end && len(parts) < maxParts; {
		out, to := m.longest(view, at, end)
		if out == 0 {
			if n := len(parts); n > 0 && parts[n-1].out == 0 {
				parts[n-1].end++
			} else {
				parts = append(parts, part{0, int32(at), int32(at + 1)}) //nolint:gosec // views are shorter than 2 GiB
			}
			at++
			continue
		}
		parts = append(parts, part{out, int32(at), int32(to)}) //nolint:gosec // as above
		covered += to - at
		at = to
	}
	m.parts = parts
	if 4*covered < 3*(end-i) {
		return
	}
	for _, p := range parts {
		if p.out != 0 {
			m.fill(p.out, p.start, p.end)
			m.bol = false
		}
		m.nextWord()
	}
}

// longest finds the longest literal of at least three letters at i.
func (m *matcher) longest(view []byte, i, end int) (out int32, to int) {
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
func (m *matcher) walk(view []byte, i int) bool {
	cells := m.prog.words.cells
	s, found := int32(0), false
	j := i
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
	m.work += j - i + 1
	return found
}

// fill visits the slots of a literal that stands in view[start:end]: first those
// that go on with a pattern, then those that begin one.
func (m *matcher) fill(out, start, end int32) {
	outs := m.prog.words.outs[out:]
	here := place(m.word)<<8 | place(m.mark)
	last := here
	if outs[0] > 1 { // a phrase
		last = place(m.word+uint32(outs[0])-1) << 8 //nolint:gosec // 2 to maxPhrase
	}
	later := outs[2 : 2+outs[1]]
	for k := 0; k+1 < len(later); k += 2 {
		if here <= m.until[later[k]] {
			m.goOn(later[k+1], here, last, end)
		}
	}
	first := outs[2+outs[1]:]
	first = first[1 : 1+first[0]]
	for _, id := range first {
		s := &m.prog.slots[id]
		if s.bol && !m.bol {
			continue
		}
		m.put(id, s, filled{at: here, end: last, startWord: m.word, start: start}, end)
	}
	m.work += len(later) + len(first)
}

// goOn fills a slot if the slot before it was filled by words that are over and
// not too far away.
func (m *matcher) goOn(id int32, here, last place, end int32) {
	s := &m.prog.slots[id]
	if s.bol && !m.bol {
		return
	}
	before := &m.slot[s.before]
	if before.end >= here { // a longer literal that begins here, or isn't over yet
		before = &m.older[s.before]
	}
	if before.end < place(m.from)<<8 || here <= before.end {
		return
	}
	between := here>>8 - before.end>>8 // words; a mark stands behind its word, a word doesn't
	if here&maxMark == 0 {
		between--
	}
	if between > place(s.gap) {
		return
	}
	m.put(id, s, filled{at: here, end: last, startWord: before.startWord, start: before.start}, end)
}

// reach is a place behind which a slot can't be filled any more, if the slot
// before it ends at end and gap words may stand between them.
func reach(end place, gap uint8) place {
	return (end>>8+1+place(gap))<<8 | maxMark
}

// put fills a slot. The last one of a pattern completes it instead.
func (m *matcher) put(id int32, s *slot, f filled, end int32) {
	if s.last {
		m.accept(s, f, end)
		return
	}
	if m.slot[id].at != f.at {
		m.older[id] = m.slot[id]
	}
	m.slot[id] = f
	m.until[id] = reach(f.end, s.next)
}

// accept records a complete pattern unless its guard stands before it. Of
// several matches of a rule one without quotation marks counts more.
func (m *matcher) accept(s *slot, f filled, end int32) {
	seen := m.seen[s.rule] == m.from
	if seen && !m.hits[m.index[s.rule]].quoted {
		return
	}
	if s.guard >= 0 {
		g := uint32(m.slot[s.guard].end >> 8) //nolint:gosec // the number of a word
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

// quoted reports whether a quotation mark opens shortly before start and the
// same one closes shortly after end.
func (m *matcher) quoted(start, end int) bool {
	for i := start - 1; i >= 0 && i >= start-beforeQuote && m.view[i] != '\n'; i-- {
		m.work++
		q := m.view[i]
		if q != '"' && q != '\'' && q != '`' || i > 0 && !atWordEnd(m.view, i-1) {
			continue
		}
		for j := end; j < len(m.view) && j < end+afterQuote; j++ {
			m.work++
			if m.view[j] == q && atWordEnd(m.view, j+1) {
				return true
			}
		}
		return false
	}
	return false
}
