package auth

import (
	"fmt"
	"hash"
	"sync"
	"time"
)

// CountHashes makes a count how much it hashes, and returns the counter: how
// often a hash was reset, written to and finished.
func (a *Authenticator) CountHashes() *[3]int {
	n := new([3]int)
	digest := a.seal.digest
	a.seal.digest = func() hash.Hash { return counted{digest(), n} }
	a.seal.pool = sync.Pool{New: a.seal.pool.New} // without what doesn't count
	return n
}

// Pending returns how many uses wait for being written.
func (a *Authenticator) Pending() int {
	a.used.mu.Lock()
	defer a.used.mu.Unlock()
	return len(a.used.pending)
}

// NoteUses notes the use of n keys, as if somebody wrote it.
func (a *Authenticator) NoteUses(n int) {
	a.used.on.Store(true)
	for i := range n {
		a.used.note(&Record{KeyInfo: KeyInfo{ID: fmt.Sprint(i)}}, use{at: time.Now()})
	}
}

// Slots returns for how many records a store has room.
func (m *Memory) Slots() int { return bucketLen * len(m.records.table.Load().buckets) }

// Tracked returns how many addresses the budget remembers.
func (a *Authenticator) Tracked() int {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	return len(a.budget.until)
}

// Remembered returns how many answers a cache holds: of records and of unknown
// ids.
func (c *Cached) Remembered() (known, unknown int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		known += len(s.known.young) + len(s.known.old)
		unknown += len(s.unknown.young) + len(s.unknown.old)
		s.mu.Unlock()
	}
	return known, unknown
}

// What is remembered at most.
const (
	MaxBlocked = maxBlocked
	MaxPending = maxPending
)

type counted struct {
	hash.Hash
	n *[3]int
}

func (c counted) Reset()                      { c.n[0]++; c.Hash.Reset() }
func (c counted) Write(p []byte) (int, error) { c.n[1]++; return c.Hash.Write(p) }
func (c counted) Sum(b []byte) []byte         { c.n[2]++; return c.Hash.Sum(b) }
