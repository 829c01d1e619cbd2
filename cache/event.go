package cache

import (
	"context"
	"sync/atomic"
)

// Kind says what happened: how an answer was come by, or what became of an
// entry.
type Kind string

// What an [Answer] can be.
const (
	Hit       Kind = "hit"       // it was stored and is fresh
	Miss      Kind = "miss"      // it is being produced for this call
	Coalesced Kind = "coalesced" // it is being produced for another, identical call
	Stale     Kind = "stale"     // producing it failed; an older one serves
	Bypass    Kind = "bypass"    // it is produced for this call and shared with nobody
)

// What else is reported.
const (
	Stored   Kind = "stored"   // a complete answer was stored
	Skipped  Kind = "skipped"  // a complete answer was not stored; Detail says why
	Evicted  Kind = "evicted"  // the Memory that New made removed Count entries
	Poisoned Kind = "poisoned" // an entry could not be read, and was deleted
	Purged   Kind = "purged"   // Count entries were deleted on demand
	Broken   Kind = "broken"   // the store or the matcher failed; Err says how
)

// Event tells what the cache did. Which fields are set depends on Kind.
type Event struct {
	Kind     Kind
	Scope    Scope
	Provider string
	Model    string
	// Tokens is what the answer costs. With [Hit], [Coalesced] and [Stale] they
	// were saved, with [Stored] and [Skipped] they were spent. A coalesced
	// answer is reported at its end, since they are known only then.
	Tokens int64
	// Bytes is the size of what was stored or evicted.
	Bytes int64
	// Count is how many entries were evicted or purged.
	Count int
	// Detail is why an answer was not stored, in a word: "length", "no-store".
	Detail string
	// Err is why the provider failed ([Stale]), or the store ([Broken],
	// [Poisoned]).
	Err error
}

// Stats counts what the cache did since it was made.
type Stats struct {
	Hits, Misses, Coalesced, Stale, Bypassed   uint64
	Stored, Skipped, Evicted, Poisoned, Errors uint64
	// SavedTokens is what the answers that came from the cache would have cost.
	SavedTokens int64
	// InFlight is how many answers are being produced.
	InFlight int
	// Entries and Bytes are what the store holds, if it has a method
	// Usage() (entries int, bytes int64, evicted uint64), as [Memory] has.
	Entries int
	Bytes   int64
}

// counters are behind Stats.
type counters struct {
	hits, misses, coalesced, stale, bypassed, stored, skipped, evicted, poisoned, broken atomic.Uint64
	saved                                                                                atomic.Int64
}

func (n *counters) of(k Kind) *atomic.Uint64 {
	switch k {
	case Hit:
		return &n.hits
	case Miss:
		return &n.misses
	case Coalesced:
		return &n.coalesced
	case Stale:
		return &n.stale
	case Bypass:
		return &n.bypassed
	case Stored:
		return &n.stored
	case Skipped:
		return &n.skipped
	case Evicted:
		return &n.evicted
	case Poisoned:
		return &n.poisoned
	case Broken:
		return &n.broken
	case Purged: // falls to default: only told, not counted
	}
	return nil
}

// report counts and tells e. No lock is held.
func (c *Cache) report(ctx context.Context, e Event) {
	switch n := c.count.of(e.Kind); {
	case n == nil:
	case e.Kind == Evicted:
		n.Add(uint64(e.Count)) // #nosec G115 -- not negative
	default:
		n.Add(1)
	}
	switch e.Kind {
	case Hit, Coalesced, Stale:
		c.count.saved.Add(e.Tokens)
	}
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(ctx, e)
	}
}

// event returns an event about the call with this key.
func (k Key) event(kind Kind) Event {
	return Event{Kind: kind, Scope: k.scope, Provider: k.call.Provider, Model: k.call.Model}
}

// Stats returns what was counted so far.
func (c *Cache) Stats() Stats {
	n := &c.count
	s := Stats{
		Hits: n.hits.Load(), Misses: n.misses.Load(), Coalesced: n.coalesced.Load(),
		Stale: n.stale.Load(), Bypassed: n.bypassed.Load(),
		Stored: n.stored.Load(), Skipped: n.skipped.Load(), Evicted: n.evicted.Load(),
		Poisoned: n.poisoned.Load(), Errors: n.broken.Load(),
		SavedTokens: n.saved.Load(),
	}
	c.mu.Lock()
	s.InFlight = len(c.flying)
	c.mu.Unlock()
	if u, ok := c.store.(interface {
		Usage() (entries int, bytes int64, evicted uint64)
	}); ok {
		s.Entries, s.Bytes, s.Evicted = u.Usage()
	}
	return s
}
