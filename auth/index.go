package auth

import (
	"hash/maphash"
	"sync/atomic"
)

// index finds records by their ids. With a million keys it is the accesses to
// memory that cost: this hash table with open addressing makes one where a map
// makes three, and takes no lock to read. The hash is seeded, so that nobody can
// look for ids that take long to look up.
//
// It may be read while it is changed, by one goroutine at a time.
type index struct {
	table atomic.Pointer[table] // nil if there never was a record
	used  int                   // places of table with an id
	live  int                   // places with a record
}

// table is what an index consists of until that grows.
type table struct {
	seed    maphash.Seed
	buckets []bucket // their number is a power of two
}

// bucket is as long as a line of the processor's cache. Its places are taken in
// order; one that was given up keeps its id.
type bucket struct {
	ids     [bucketLen][idLen]byte // of those places that have a record: it is set after the id
	_       [4]byte
	records [bucketLen]atomic.Pointer[Record] // nil if the place is free
}

const bucketLen = 3

// removed is in the place of a record that was removed.
var removed Record

// find returns the place of an id and what is there, or the free one where it
// belongs. There must be a free one.
func (t *table) find(id string) (b *bucket, place int, rec *Record) {
	mask := uint64(len(t.buckets) - 1)
	for i := maphash.String(t.seed, id); ; i++ {
		b := &t.buckets[i&mask]
		for place := range b.records {
			if rec := b.records[place].Load(); rec == nil || string(b.ids[place][:]) == id {
				return b, place, rec
			}
		}
	}
}

func (x *index) get(id string) *Record {
	t := x.table.Load()
	if len(id) != idLen || t == nil {
		return nil
	}
	if _, _, rec := t.find(id); rec != &removed {
		return rec
	}
	return nil
}

// set stores the record of a valid id; nil removes it.
func (x *index) set(id string, rec *Record) {
	old := x.get(id)
	switch {
	case rec == nil && old == nil:
		return
	case rec == nil:
		x.live--
		rec = &removed
	case old == nil:
		x.live++
	}
	t := x.table.Load()
	if t == nil || x.used+1 > 2*len(t.buckets) {
		t = x.grow()
	}
	x.used += t.set(id, rec)
}

// set returns how many free places it took.
func (t *table) set(id string, rec *Record) (taken int) {
	b, place, old := t.find(id)
	if old == nil {
		copy(b.ids[place][:], id)
		taken = 1
	}
	b.records[place].Store(rec)
	return taken
}

// grow makes room for as many records again, without those that were removed.
func (x *index) grow() *table {
	size := 4
	for size < x.live {
		size *= 2
	}
	next := &table{seed: maphash.MakeSeed(), buckets: make([]bucket, size)}
	x.used = 0
	for _, rec := range x.all() {
		x.used += next.set(rec.ID, rec)
	}
	x.table.Store(next)
	return next
}

// all returns the records in no order.
func (x *index) all() []*Record {
	var records []*Record
	if t := x.table.Load(); t != nil {
		for i := range t.buckets {
			for place := range t.buckets[i].records {
				if rec := t.buckets[i].records[place].Load(); rec != nil && rec != &removed {
					records = append(records, rec)
				}
			}
		}
	}
	return records
}
