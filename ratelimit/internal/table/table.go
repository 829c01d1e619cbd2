// Package table maps buckets to the moment at which they are full again, in
// sixteen bytes each and without a pointer for the garbage collector to follow.
//
// It is a hash table with open addressing that makes use of what it stores: a
// bucket that is full is the same as one that was never used, so its slot is free
// for the next one. Nothing has to be removed, and no goroutine has to look for
// what expired.
package table

import "math/bits"

const (
	minSlots = 8
	// sample is how many slots are looked at to find the best one to give up, and
	// search how many to find any.
	sample = 24
	search = 1024
	// PolicyBits is how many low bits of an id are the number of its policy.
	PolicyBits = 10
)

type slot struct {
	id   uint64
	full int64
}

// A Table is not safe for concurrent use. The zero value is an empty table that
// holds nothing: set Max.
type Table struct {
	// Max is the largest number of buckets held at once.
	Max   int
	slots []slot
	used  int // slots that are not empty, full buckets included
	hand  int // where the search for a victim goes on
}

// A Fill tells what part of a bucket is used: above 1 if it is in debt.
type Fill func(policy int, left int64) float64

// ID returns the id of the bucket of a key for a policy, which is never 0. The
// buckets of one key lie side by side.
func ID(hash uint64, policy int) uint64 { return hash<<PolicyBits | uint64(policy) }

// Get returns when the bucket is full again, which may be past; 0 if it is not in
// the table.
func (t *Table) Get(id uint64) int64 {
	if len(t.slots) == 0 {
		return 0
	}
	for i := t.home(id); ; i = t.next(i) {
		switch t.slots[i].id {
		case id:
			return t.slots[i].full
		case 0:
			return 0
		}
	}
}

// Set stores when the bucket is full again. It takes a place for granted: call
// [Table.Reserve] first, unless Get found the bucket.
func (t *Table) Set(id uint64, full, now int64) {
	if len(t.slots) == 0 {
		t.resize(now)
	}
	free := -1
	for i := t.home(id); ; i = t.next(i) {
		s := &t.slots[i]
		switch {
		case s.id == id:
			s.full = full
			return
		case s.id == 0:
			if free >= 0 {
				t.slots[free] = slot{id, full}
				return
			}
			if (t.used+1)*4 > len(t.slots)*3 {
				t.resize(now)
				t.Set(id, full, now)
				return
			}
			*s = slot{id, full}
			t.used++
			return
		case free < 0 && s.full <= now:
			free = i
		}
	}
}

// Reserve makes room for n more buckets. None of their key is given up for it.
// It reports false if there is none: if all that it found are more than half used,
// it forgets none of them, since that would fill them.
func (t *Table) Reserve(n int, key uint64, now int64, fill Fill) bool {
	for range n {
		if t.used+n <= t.Max {
			return true
		}
		if !t.evict(key, now, fill) {
			return false
		}
	}
	return t.used+n <= t.Max
}

// Len returns how many buckets are held, which includes full ones whose slots
// were not needed yet.
func (t *Table) Len() int { return t.used }

// evict frees at least one slot: those of full buckets, else that of the bucket
// which is used the least.
func (t *Table) evict(key uint64, now int64, fill Fill) bool {
	before := t.used
	victim, least := -1, 0.5
	for seen := range min(search, len(t.slots)) {
		if seen >= sample && (victim >= 0 || t.used < before) {
			break
		}
		if t.hand >= len(t.slots) {
			t.hand = 0
		}
		s := t.slots[t.hand]
		switch {
		case s.id == 0, s.id>>PolicyBits == key<<PolicyBits>>PolicyBits:
		case s.full <= now:
			t.remove(t.hand)
			victim = -1 // it may have moved
			continue    // another one may have moved here
		case t.used == before:
			if f := fill(int(s.id&(1<<PolicyBits-1)), s.full-now); f <= least {
				victim, least = t.hand, f
			}
		}
		t.hand++
	}
	if t.used == before && victim >= 0 {
		t.remove(victim)
	}
	return t.used < before
}

// remove empties slot i and closes the gap, so that every bucket can still be
// reached from its home.
func (t *Table) remove(i int) {
	for j := t.next(i); t.slots[j].id != 0; j = t.next(j) {
		// The bucket at j may move to i unless its home lies behind i.
		h := t.home(t.slots[j].id)
		if i <= j && i < h && h <= j || i > j && (i < h || h <= j) {
			continue
		}
		t.slots[i] = t.slots[j]
		i = j
	}
	t.slots[i] = slot{}
	t.used--
}

// resize drops the full buckets and leaves half of the slots empty.
func (t *Table) resize(now int64) {
	old := t.slots
	live := 0
	for i := range old {
		if old[i].id != 0 && old[i].full > now {
			live++
		}
	}
	size := max(minSlots, min((live+1)*2, t.Max*4/3+2))
	t.slots, t.used, t.hand = make([]slot, size), 0, 0
	for _, s := range old {
		if s.id == 0 || s.full <= now {
			continue
		}
		i := t.home(s.id)
		for t.slots[i].id != 0 {
			i = t.next(i)
		}
		t.slots[i] = s
		t.used++
	}
}

func (t *Table) home(id uint64) int {
	hi, _ := bits.Mul64(id, uint64(len(t.slots)))
	return int(hi)
}

func (t *Table) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}
