package detect

import "math/bits"

// slot is one element of one pattern, or the first one of several patterns, or
// what guards them.
type slot struct {
	rule   int32 // in the last slot of a pattern, else -1
	guard  int32 // slot of the pattern's guard, -1 for none; set in the last slot
	before int32 // slot of the element before it, -1 for none
	within uint8 // how near the guard must be
	gap    uint8 // words that may stand between the slot before and this one
	flow
}

// flow says how a slot is filled, and what comes after it.
type flow struct {
	next  uint8 // the largest gap of the slots after it
	leads bool  // there are slots after it
	last  bool
	bol   bool // only as the first word of a line
}

// opener is a slot that nothing comes before.
type opener struct {
	slot int32
	flow
}

// use is what a literal does where it stands. It has the size of a cache line.
type use struct {
	after slotBits // the slots that those of the literal come after
	opens []opener // the slots that nothing comes before
	steps int32    // where the others begin in program.steps, see goOn
	words uint32   // of the literal
}

// slotBits has a bit for each slot. A few slots share one.
type slotBits [4]uint64

// bitOf returns the number of the bit of a slot.
func bitOf(slot int32) int { return int(slot) & (64*len(slotBits{}) - 1) }

func (b *slotBits) add(bit int) { b[bit>>6] |= 1 << (bit & 63) }

// rank returns how many bits of b are below a bit.
func (b *slotBits) rank(bit int) (n int) {
	for _, set := range b[:bit>>6] {
		n += bits.OnesCount64(set)
	}
	return n + bits.OnesCount64(b[bit>>6]&(1<<(bit&63)-1))
}

// lively has the slots after which others may be filled here.
type lively struct {
	slots slotBits
	until [64 * len(slotBits{})]place // for how long, by bits
	added int                         // since the last prune
	most  int                         // that may be added before the next one
}

// add says that slots after this one may be filled until then.
func (l *lively) add(slot int32, until place) {
	bit := bitOf(slot)
	l.slots.add(bit)
	l.until[bit] = max(l.until[bit], until)
	l.added++
}

// prune drops what is over, once so much was added that a few bits are looked
// at for each of them, and returns how many were.
func (l *lively) prune(here place) (work int) {
	if l.added <= l.most {
		return 0
	}
	left := 0
	for i, set := range l.slots {
		for ; set != 0; set &= set - 1 {
			bit := bits.TrailingZeros64(set)
			if l.until[64*i+bit] < here {
				l.slots[i] &^= 1 << bit
			} else {
				left++
			}
			work++
		}
	}
	l.added, l.most = 0, 12+2*left
	return work
}
