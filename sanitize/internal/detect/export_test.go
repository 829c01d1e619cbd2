package detect

import (
	"slices"

	"github.com/sparkhttp/spark/sanitize/internal/word"
)

// MaxWord is the highest number of a word.
const MaxWord = maxWord

// Work scans text and returns the steps that the matcher took and the bytes of
// the views that it read.
func (e *Engine) Work(text string) (steps, bytes int) {
	s := newScratch(e)
	s.text.Fold(text)
	for i := range s.text.Len() {
		v := s.text.View(i)
		bytes += len(v.Bytes)
		s.m.scan(v.Bytes)
	}
	return s.m.work, bytes
}

// Matches scans a view as it is and returns the ids of the rules found.
func (e *Engine) Matches(view string) []string {
	m := newMatcher(e.prog, len(e.rules))
	m.scan([]byte(view))
	var ids []string
	for _, h := range m.hits {
		ids = append(ids, e.rules[h.rule].ID)
	}
	return ids
}

// Restart makes the word numbers of the next scan run into the limit at which
// they begin again.
func (e *Engine) Restart(view string, from uint32) []string {
	m := newMatcher(e.prog, len(e.rules))
	m.scan([]byte(view))
	m.word = from
	m.scan([]byte(view))
	var ids []string
	for _, h := range m.hits {
		ids = append(ids, e.rules[h.rule].ID)
	}
	return ids
}

// LookUp reports whether a word that a view begins with does the same when it is
// looked up as when the automaton reads it.
func (e *Engine) LookUp(view string) bool {
	k, n := word.Alnum([]byte(view), 0)
	if n == 0 || n > word.Max {
		return true
	}
	known, read := newMatcher(e.prog, len(e.rules)), newMatcher(e.prog, len(e.rules))
	for _, m := range []*matcher{known, read} {
		m.view, m.bol, m.from = []byte(view), true, m.word
		m.nextWord()
	}
	same := known.lookUp(known.view, 0, n, k) == read.walk(read.view, 0)
	return same && slices.Equal(known.state, read.state) && slices.Equal(known.hits, read.hits)
}

// Literals returns the texts of all literals.
func (e *Engine) Literals() []string {
	var all []string
	var visit func(state int32, text []byte)
	visit = func(state int32, text []byte) {
		c := e.prog.words.cells[state]
		if c.whole != 0 || c.part != 0 {
			all = append(all, string(text))
		}
		for b := range 256 {
			if next := c.base + int32(b); e.prog.words.cells[next].check == state && next != 0 {
				visit(next, append(text, byte(b)))
			}
		}
	}
	visit(0, nil)
	return all
}
