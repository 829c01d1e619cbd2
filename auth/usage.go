package auth

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	usagePrecision = time.Minute // how precise LastUsed is
	maxPending     = 65536       // ids that wait for being written, some 100 bytes each
	usageBatch     = 256         // ids that are written at once
)

// usage collects which keys were used, so that requests don't wait for a store
// to note it.
type usage struct {
	on   atomic.Bool // somebody writes them
	seed maphash.Seed
	// recent holds, by hash of the id, what was noted last: a busy key is noted
	// once a minute without a lock. Two ids that share a place are noted more
	// often than they need be.
	recent [1024]atomic.Uint64

	mu      sync.Mutex
	pending map[string]use
}

// use is the last use of a key.
type use struct {
	at time.Time
	// old and sum are the hash that verified the key, and one by the current
	// pepper, if that is another.
	old, sum Hash
}

func newUsage() *usage {
	return &usage{seed: maphash.MakeSeed(), pending: make(map[string]use)}
}

// wants reports whether there is something to note: of most requests there isn't.
func (u *usage) wants(rec *Record, now time.Time, current bool) bool {
	return u.on.Load() && (!current || now.Sub(rec.LastUsed) >= usagePrecision)
}

// note notes that the key of a record was used.
func (u *usage) note(rec *Record, n use) {
	hash := maphash.String(u.seed, rec.ID)
	minute := uint64(n.at.Unix()/int64(usagePrecision/time.Second)) & 0xffff // #nosec G115 -- only a tag
	place, tag := &u.recent[hash%1024], hash&^0xffff|minute
	if place.Load() == tag {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, there := u.pending[rec.ID]; !there && len(u.pending) >= maxPending {
		return
	}
	u.pending[rec.ID] = n
	place.Store(tag)
}

// flush writes what was noted. What could not be written is kept for the next
// time.
func (u *usage) flush(ctx context.Context, store Store) error {
	u.mu.Lock()
	pending := u.pending
	u.pending = make(map[string]use)
	u.mu.Unlock()
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(pending)), usageBatch) {
		err := store.Update(ctx, func(rec *Record) (*Record, error) {
			if rec != nil {
				pending[rec.ID].apply(rec)
			}
			return rec, nil
		}, ids...)
		if err != nil {
			u.keep(pending)
			return err
		}
		for _, id := range ids {
			delete(pending, id)
		}
	}
	return nil
}

func (n use) apply(rec *Record) {
	if at := n.at.UTC().Truncate(time.Microsecond); at.After(rec.LastUsed) {
		rec.LastUsed = at
	}
	// Only the hash that verified the key is replaced: the key may have been
	// rotated meanwhile.
	switch n.old {
	case n.sum:
	case rec.Current:
		rec.Current = n.sum
	case rec.Previous:
		rec.Previous = n.sum
	}
}

// keep puts back what could not be written, unless there is newer.
func (u *usage) keep(pending map[string]use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, n := range pending {
		if _, newer := u.pending[id]; !newer && len(u.pending) < maxPending {
			u.pending[id] = n
		}
	}
}
