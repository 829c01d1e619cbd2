package detect

import "math/bits"

// state is what a scan remembers of a slot: how it was filled last, and how
// when an earlier word had filled it.
type state struct{ now, older filled }

// filled is how a slot was filled.
type filled struct {
	at, end   place  // of the first and the last word of the literal
	startWord uint32 // number of the first word of the pattern
	start     int32  // byte offset of that word
}

// fill visits the slots of a literal that stands in view[start:end]: first those
// that go on with a pattern, then those that begin one.
func (m *matcher) fill(literal, start, end int32) {
	u := &m.prog.words.uses[literal]
	here := m.word<<8 | m.mark
	last := here
	if u.words > 1 {
		last = (m.word + u.words - 1) << 8
	}
	live := &m.live.slots
	if both := (slotBits{u.after[0] & live[0], u.after[1] & live[1], u.after[2] & live[2], u.after[3] & live[3]}); both != (slotBits{}) {
		m.goOn(u, &both, here, last, end)
	}
	m.work += 1 + len(u.opens)
	if len(u.opens) == 0 {
		return
	}
	f := filled{at: here, end: last, startWord: m.word, start: start}
	for i := range u.opens {
		if o := &u.opens[i]; !o.bol || m.bol {
			m.put(o.slot, &o.flow, &f, end)
		}
	}
	m.work += m.live.prune(here)
}

// goOn looks at the slots of u that come after live ones. Those after the slots
// of one bit stand together.
func (m *matcher) goOn(u *use, live *slotBits, here, last place, end int32) {
	for i, set := range live {
		for ; set != 0; set &= set - 1 {
			bit := 64*i + bits.TrailingZeros64(set)
			m.work++
			if m.live.until[bit] < here {
				continue
			}
			steps := m.prog.steps[int(u.steps)+u.after.rank(bit)]
			for _, id := range steps {
				m.follow(id, here, last, end)
			}
			m.work += len(steps)
		}
	}
}

// follow fills a slot if the slot before it was filled by words that are over
// and not too far away.
func (m *matcher) follow(id int32, here, last place, end int32) {
	s := &m.prog.slots[id]
	if s.bol && !m.bol {
		return
	}
	before := &m.state[s.before].now
	if before.end >= here { // a longer literal that begins here, or isn't over yet
		before = &m.state[s.before].older
	}
	if before.end < m.from<<8 || here <= before.end {
		return
	}
	between := here>>8 - before.end>>8 // words; a mark stands behind its word, a word doesn't
	if here&maxMark == 0 {
		between--
	}
	if between > place(s.gap) {
		return
	}
	m.put(id, &s.flow, &filled{at: here, end: last, startWord: before.startWord, start: before.start}, end)
}

// reach is a place behind which a slot can't be filled any more, if the slot
// before it ends at end and gap words may stand between them.
func reach(end place, gap uint8) place {
	return (end>>8+1+place(gap))<<8 | maxMark
}

// put fills a slot. The last one of a pattern completes it instead.
func (m *matcher) put(id int32, flow *flow, f *filled, end int32) {
	if flow.last {
		m.accept(&m.prog.slots[id], f, end)
		return
	}
	s := &m.state[id]
	if s.now.at != f.at {
		s.older = s.now
	}
	s.now = *f
	if flow.leads {
		m.live.add(id, reach(f.end, flow.next))
	}
}
