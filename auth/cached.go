package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"strings"
	"sync"
	"time"
)

// CachedConfig says what a [Cached] may remember, and for how long.
type CachedConfig struct {
	// Store is asked for what is not remembered. Required. If it is a [Store],
	// so is the Cached.
	Store KeyStore
	// MaxRevocationDelay is the promise: a key that is revoked, disabled or
	// deleted in the store, by whomever, is let in by no request that comes
	// later than this after it. Default: 10 seconds.
	MaxRevocationDelay time.Duration
	// MaxUnknownDelay is for how long the store is not asked again for an id
	// that it doesn't know, and so how long a new key may be refused if it was
	// tried too early. At most MaxRevocationDelay. Default: 1 second, or
	// MaxRevocationDelay if that is less. Negative: ask each time.
	MaxUnknownDelay time.Duration
	// MaxKeys bounds how many records are remembered, and, beside them, a tenth
	// as many unknown ids, which can't drive out the records.
	// Default: 100,000. At least 1024.
	MaxKeys int
}

// Cached is a [KeyStore] that remembers what another has said, for a time that
// is its promise of how soon a revocation takes effect. The time counts from
// before the store was asked. What is older is not used, not even while it is
// looked up anew, nor if the store fails: errors are not remembered, nor do they
// prolong anything.
//
// Changes through the Cached itself take effect at once. For those by others,
// call Invalidate when a message about them comes in.
//
// Several requests that need the same record at once ask the store once. A
// Cached is safe for use by several goroutines.
type Cached struct {
	cfg    CachedConfig
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

const cacheShards = 16

var (
	errReadOnly  = errors.New("auth: the store behind Cached can't be written to")
	errAbandoned = errors.New("auth: the lookup was abandoned")
)

// cacheShard is the part of the cache for the ids of some hashes.
type cacheShard struct {
	mu      sync.Mutex
	known   generations
	unknown generations
	asking  map[string]*question
}

// question is a lookup in progress.
type question struct {
	began time.Time
	done  chan struct{}
	rec   *Record // after done
	err   error   // after done
}

// remembered is a record, or nil for an id that is not known.
type remembered struct {
	rec   *Record
	until time.Time
}

// generations is a bounded map that drops, when it is full, what was not asked
// for lately: half of it at once, which costs nothing.
type generations struct {
	young, old map[string]remembered
	half       int
}

// NewCached returns a Cached, or an error that names the field that is wrong.
func NewCached(cfg CachedConfig) (*Cached, error) {
	cfg.MaxRevocationDelay = cmp.Or(cfg.MaxRevocationDelay, 10*time.Second)
	cfg.MaxUnknownDelay = cmp.Or(cfg.MaxUnknownDelay, min(time.Second, cfg.MaxRevocationDelay))
	cfg.MaxKeys = cmp.Or(cfg.MaxKeys, 100_000)
	switch {
	case cfg.Store == nil:
		return nil, errors.New("auth: Store is required")
	case cfg.MaxRevocationDelay < 0:
		return nil, fmt.Errorf("auth: MaxRevocationDelay is %v, want more than 0", cfg.MaxRevocationDelay)
	case cfg.MaxUnknownDelay > cfg.MaxRevocationDelay:
		return nil, fmt.Errorf("auth: MaxUnknownDelay is %v, want at most the MaxRevocationDelay of %v", cfg.MaxUnknownDelay, cfg.MaxRevocationDelay)
	case cfg.MaxKeys < 1024:
		return nil, fmt.Errorf("auth: MaxKeys is %d, want at least 1024", cfg.MaxKeys)
	}
	c := &Cached{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.known.half, s.unknown.half = cfg.MaxKeys/cacheShards/2, max(1, cfg.MaxKeys/cacheShards/20)
		s.asking = make(map[string]*question)
	}
	return c, nil
}

// Lookup implements [KeyStore].
func (c *Cached) Lookup(ctx context.Context, id string) (*Record, error) {
	s := &c.shards[maphash.String(c.seed, id)%cacheShards]
	for {
		began := time.Now()
		s.mu.Lock()
		if rec, found := s.getLocked(id, began); found {
			s.mu.Unlock()
			if rec == nil {
				return nil, ErrNotFound
			}
			return rec, nil
		}
		q, asked := s.asking[id]
		if !asked || began.Sub(q.began) >= c.cfg.MaxRevocationDelay { // what a stuck lookup will say is too old
			q, asked = &question{began: began, done: make(chan struct{}), err: errAbandoned}, false
			s.asking[id] = q
		}
		s.mu.Unlock()
		if !asked {
			return c.ask(ctx, s, q, id)
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Whoever asked may have left meanwhile; that is no answer for others.
		if !errors.Is(q.err, errAbandoned) {
			return q.rec, q.err
		}
	}
}

// ask asks the store, for all who wait for the same record.
func (c *Cached) ask(ctx context.Context, s *cacheShard, q *question, id string) (*Record, error) {
	defer close(q.done) // even if the store panics: q is abandoned then
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asking[id] != q {
			return // it was invalidated meanwhile: what was read may be old
		}
		delete(s.asking, id)
		switch {
		case q.err == nil && q.rec != nil:
			s.known.put(q.rec.ID, remembered{q.rec, q.began.Add(c.cfg.MaxRevocationDelay)})
		case errors.Is(q.err, ErrNotFound) && c.cfg.MaxUnknownDelay > 0:
			// A copy, since id may be a part of the key.
			s.unknown.put(strings.Clone(id), remembered{nil, q.began.Add(c.cfg.MaxUnknownDelay)})
		}
	}()
	rec, err := c.cfg.Store.Lookup(ctx, id)
	if err == nil || ctx.Err() == nil {
		q.rec, q.err = rec, err
	}
	return rec, err
}

// Invalidate forgets what is remembered of ids, or everything if there are
// none: call it when another process has changed keys, or when a message that
// said so may have been lost. Every later Lookup asks the store.
func (c *Cached) Invalidate(ids ...string) {
	for i := range c.shards {
		if len(ids) == 0 {
			c.shards[i].clear()
		}
	}
	for _, id := range ids {
		s := &c.shards[maphash.String(c.seed, id)%cacheShards]
		s.mu.Lock()
		s.known.remove(id)
		s.unknown.remove(id)
		delete(s.asking, id)
		s.mu.Unlock()
	}
}

// Update implements [Store], and invalidates the ids. It fails if the store
// behind is not a Store.
func (c *Cached) Update(ctx context.Context, change func(*Record) (*Record, error), ids ...string) error {
	store, ok := c.cfg.Store.(Store)
	if !ok {
		return errReadOnly
	}
	if len(ids) == 0 {
		return store.Update(ctx, change)
	}
	defer c.Invalidate(ids...) // after an error too: who knows what was written
	return store.Update(ctx, change, ids...)
}

// List implements [Store]; it asks the store behind. It fails if that is not a
// Store.
func (c *Cached) List(ctx context.Context) iter.Seq2[*Record, error] {
	if store, ok := c.cfg.Store.(Store); ok {
		return store.List(ctx)
	}
	return func(yield func(*Record, error) bool) { yield(nil, errReadOnly) }
}

// writable returns store as one that can be written to.
func writable(store KeyStore) (Store, bool) {
	if c, ok := store.(*Cached); ok {
		_, ok = writable(c.cfg.Store)
		return c, ok
	}
	s, ok := store.(Store)
	return s, ok
}

// getLocked returns a record, or nil for an id that is known to be unknown.
func (s *cacheShard) getLocked(id string, now time.Time) (rec *Record, found bool) {
	for _, g := range [...]*generations{&s.known, &s.unknown} {
		if e, ok := g.get(id); ok && now.Before(e.until) {
			return e.rec, true
		}
	}
	return nil, false
}

func (s *cacheShard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range [...]*generations{&s.known, &s.unknown} {
		g.young, g.old = nil, nil
	}
	clear(s.asking)
}

func (g *generations) get(id string) (remembered, bool) {
	if e, ok := g.young[id]; ok {
		return e, true
	}
	e, ok := g.old[id]
	if ok {
		delete(g.old, id)
		g.put(id, e)
	}
	return e, ok
}

func (g *generations) put(id string, e remembered) {
	if _, there := g.young[id]; g.young == nil || !there && len(g.young) >= g.half {
		g.young, g.old = make(map[string]remembered), g.young
	}
	g.young[id] = e
}

func (g *generations) remove(id string) {
	delete(g.young, id)
	delete(g.old, id)
}
