package auth

import "hash/maphash"

// index finds records by their ids. With a million keys it is the accesses to
// memory that cost: this hash table with open addressing and linear probing
// makes one where a map makes three. The hash is seeded, so that nobody can
// look for ids that take long to look up.
type index struct {
	seed  maphash.Seed
	slots []slot // their number is a power of two, or 0
	used  int    // slots with an id
	live  int    // slots with a record
}

// slot holds a record, or nil if it was removed; without an id it is free.
type slot struct {
	id  [idLen]byte
	rec *Record
}

// find returns the slot with an id, or the free one where it belongs. There must
// be a free one.
func (x *index) find(id string) *slot {
	mask := uint64(len(x.slots) - 1)
	for i := maphash.String(x.seed, id); ; i++ {
		s := &x.slots[i&mask]
		if string(s.id[:]) == id || s.id[0] == 0 {
			return s
		}
	}
}

func (x *index) get(id string) *Record {
	if len(id) != idLen || x.live == 0 {
		return nil
	}
	return x.find(id).rec
}

// set stores the record of a valid id; nil removes it.
func (x *index) set(id string, rec *Record) {
	if rec == nil && x.get(id) == nil {
		return
	}
	if 4*(x.used+1) > 3*len(x.slots) {
		x.grow()
	}
	s := x.find(id)
	if s.id[0] == 0 {
		copy(s.id[:], id)
		x.used++
	}
	if s.rec != nil {
		x.live--
	}
	if s.rec = rec; rec != nil {
		x.live++
	}
}

// grow makes room for as many records again, without those that were removed.
func (x *index) grow() {
	old, size := x.slots, 8
	for size < 3*x.live {
		size *= 2
	}
	*x = index{seed: maphash.MakeSeed(), slots: make([]slot, size)}
	for i := range old {
		if rec := old[i].rec; rec != nil {
			s := x.find(string(old[i].id[:]))
			*s = old[i]
			x.used, x.live = x.used+1, x.live+1
		}
	}
}

// all returns the records in no order.
func (x *index) all() []*Record {
	records := make([]*Record, 0, x.live)
	for _, s := range x.slots {
		if s.rec != nil {
			records = append(records, s.rec)
		}
	}
	return records
}
