package detect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// maxPhrase bounds the words of one literal.
const maxPhrase = 40

// library is the built-in rules, read and compiled.
type library struct {
	sets     sets
	typos    []literal
	rules    []Rule
	patterns [][]pattern // of each rule
	prog     *program
}

// builtin compiles the embedded rules once.
var builtin = sync.OnceValues(func() (*library, error) {
	rs, err := loadRules(ruleFiles)
	if err != nil {
		return nil, err
	}
	lib := &library{sets: rs.sets, typos: rs.typos, rules: rs.rules}
	if lib.patterns, err = lib.parse(rs.rules); err != nil {
		return nil, err
	}
	lib.prog = lib.compile(nil)
	return lib, nil
})

// parse reads the patterns of rules, which may use the library's sets.
func (l *library) parse(rules []Rule) ([][]pattern, error) {
	all := make([][]pattern, len(rules))
	for i, r := range rules {
		for _, s := range r.Patterns {
			p, err := parsePattern(s, l.sets)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", r.ID, err)
			}
			all[i] = append(all[i], p)
		}
	}
	return all, nil
}

// compile compiles the rules of the library, and more after them.
func (l *library) compile(more [][]pattern) *program {
	c := compiler{words: map[literal][]int32{}, typos: l.typos, share: map[string]int32{}}
	for i, alternatives := range slices.Concat(l.patterns, more) {
		for _, p := range alternatives {
			c.add(int32(i), p) //nolint:gosec // a few hundred rules
		}
	}
	return c.program()
}

// compiler collects the slots and the vocabulary of patterns.
type compiler struct {
	slots []slot
	words map[literal][]int32
	typos []literal // words that are found with one letter wrong

	share map[string]int32 // slots that several patterns have
	steps [][]int32        // of the literals so far
}

// add compiles p as an alternative of the rule with that number.
func (c *compiler) add(rule int32, p pattern) {
	guarded := int32(-1)
	if p.guard != nil {
		guarded = c.guard(p.guard.literals)
	}
	before := int32(-1)
	for i, e := range p.elements {
		gap := uint8(e.gap) //nolint:gosec // at most maxGap
		if i > 0 {
			c.slots[before].leads = true
			c.slots[before].next = max(c.slots[before].next, gap)
		}
		last := i == len(p.elements)-1
		if i == 0 && !last {
			before = c.opening(e)
			continue
		}
		s := slot{rule: -1, guard: -1, before: before, gap: gap, flow: flow{last: last, bol: e.bol}}
		if last {
			s.rule = rule
			if p.guard != nil {
				s.guard, s.within = guarded, uint8(p.guard.within) //nolint:gosec // at most maxGap
			}
		}
		before = c.slot(s, e.literals)
	}
}

// opening returns the slot for the first element of a pattern; patterns that
// begin alike share it.
func (c *compiler) opening(e element) int32 {
	return c.shared(fmt.Sprint(e.bol, e.literals), slot{rule: -1, guard: -1, before: -1, flow: flow{bol: e.bol}}, e.literals)
}

// guard returns the slot for a guard; patterns with the same one share it.
func (c *compiler) guard(lits []literal) int32 {
	return c.shared(fmt.Sprint("guard", lits), slot{rule: -1, guard: -1, before: -1}, lits)
}

func (c *compiler) shared(key string, s slot, lits []literal) int32 {
	id, ok := c.share[key]
	if !ok {
		id = c.slot(s, lits)
		c.share[key] = id
	}
	return id
}

func (c *compiler) slot(s slot, lits []literal) int32 {
	id := int32(len(c.slots)) //nolint:gosec // a few thousand
	c.slots = append(c.slots, s)
	for _, l := range lits {
		if ids := c.words[l]; len(ids) == 0 || ids[len(ids)-1] != id {
			c.words[l] = append(ids, id)
		}
	}
	return id
}

// program builds the automaton. Within a literal the later slots of a pattern
// come first, so that one word never fills two of them.
func (c *compiler) program() *program {
	lits := slices.SortedFunc(maps.Keys(c.words), func(a, b literal) int {
		return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(b2i(a.open), b2i(b.open)))
	})
	entries := make([]entry, 0, len(lits))
	for _, l := range lits {
		entries = append(entries, entry{text: l.text, open: l.open, use: c.use(l)})
	}
	p := &program{words: newAutomaton(entries), slots: c.slots, steps: c.steps}
	p.vocabulary = newVocabulary(p.words, entries)
	single := map[string]int32{}
	for i, l := range lits {
		if !l.open && len(l.text) >= minFuzzy {
			single[l.text] = p.words.find(entries[i].text)
		}
	}
	p.fuzzy = newFuzzy(single, c.typos)
	p.clauseEnd = p.words.find(clauseEnd)
	return p
}

// use lists the slots that the literal fills.
func (c *compiler) use(l literal) use {
	u := use{words: uint32(min(countWords(l.text), maxPhrase)), steps: int32(len(c.steps))} //nolint:gosec // small
	after := map[int][]int32{}                                                              // by bits
	for _, id := range slices.Backward(c.words[l]) {
		s := c.slots[id]
		if s.before < 0 {
			u.opens = append(u.opens, opener{id, s.flow})
			continue
		}
		bit := bitOf(s.before)
		u.after.add(bit)
		after[bit] = append(after[bit], id)
	}
	for _, bit := range slices.Sorted(maps.Keys(after)) {
		c.steps = append(c.steps, after[bit])
	}
	return u
}

// find returns the use of the literal s, 0 if there is none.
func (a *automaton) find(s string) int32 {
	at := int32(0)
	for i := range len(s) {
		t := a.cells[at].base + int32(s[i])
		if a.cells[t].check != at {
			return 0
		}
		at = t
	}
	return max(a.cells[at].whole, a.cells[at].part)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
