package cache

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// lookup returns what is stored under id for a call, whether that may be used at
// all, and whether it is fresh. An entry that can't be read is deleted.
func (c *Cache) lookup(ctx context.Context, k Key, id string) (e entry, ok, fresh bool) {
	value, err := c.store.Get(ctx, id)
	if err != nil {
		c.broken(ctx, k, err)
		return e, false, false
	}
	if value == nil {
		return e, false, false
	}
	if e, err = decodeEntry(id, value); err != nil {
		c.poisoned(ctx, k, id)
		return e, false, false
	}
	e.at = time.Now()
	left := e.left(e.at)
	fresh = left > 0 && (k.ask.maxAge < 0 || e.age(e.at) <= k.ask.maxAge)
	return e, fresh || left > -e.grace, fresh
}

// poisoned deletes an entry that can't be read.
func (c *Cache) poisoned(ctx context.Context, k Key, id string) {
	e := k.event(Poisoned)
	e.Err = errPoisoned
	c.report(ctx, e)
	c.drop(ctx, k, id)
}

func (c *Cache) drop(ctx context.Context, k Key, id string) {
	if _, err := c.store.Delete(ctx, id); err != nil {
		c.broken(ctx, k, err)
	}
}

// join makes a reader of the flight for its key, if there is one.
func (c *Cache) join(a *Answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[a.key.id]
	if f != nil {
		f.board(a, Coalesced)
	}
	return f != nil
}

// board adds a reader. Cache.mu is held.
func (f *flight) board(a *Answer, kind Kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		kind = Hit // it is complete, and just not stored yet
	}
	a.f, a.pos, a.kind = f, 0, kind
	f.readers[a] = struct{}{}
}

// lead makes a reader of a flight of its own, unless there is one by now. again
// says whether to look into the store once more; it is asked when nobody else
// can begin a flight any more.
func (c *Cache) lead(a *Answer, solo bool, again func() bool, prepare func() Fill) {
	f := &flight{c: c, key: a.key, ttl: c.cfg.TTL, grace: c.cfg.StaleIfError, alone: solo, readers: make(map[*Answer]struct{}, 1)}
	if e := a.fallback(); e != nil {
		stale := *e // a copy: that of the reader is read to its end
		f.stale = &stale
	}
	switch ask := a.key.ask; {
	case ask.noStore:
		f.skip = "no-store"
	case a.key.sampled && !c.cfg.Sampled:
		f.skip = "temperature"
	}
	c.mu.Lock()
	if other := c.flights[a.key.id]; other != nil && !solo {
		other.board(a, Coalesced)
		c.mu.Unlock()
		return
	}
	a.first = true
	c.flying[f] = struct{}{}
	if solo {
		f.board(a, Bypass)
	} else {
		f.board(a, Miss)
		f.listed = true
		c.flights[a.key.id] = f
	}
	c.mu.Unlock()
	c.launch(a.ctx, f, !solo && again(), prepare())
}

// settle waits until it is clear what the reader gets. When it returns an
// error, the reader has left.
func (c *Cache) settle(a *Answer) error {
	f := a.f
	err := f.begin(a)
	switch {
	case errors.Is(err, errAlone):
		a.told = true // it was not coalesced after all
		c.leave(a)
		return err
	case err != nil:
		return c.failed(a, err)
	}
	f.mu.Lock()
	adopted, detail := f.adopted, f.detail
	e := a.key.event(a.kind)
	if a.kind == Hit {
		e.Tokens = f.tokens
	}
	f.mu.Unlock()
	if adopted != nil {
		a.told = true
		c.leave(a)
		a.serve(Hit, adopted, detail, nil)
		return nil
	}
	if a.kind != Coalesced {
		c.report(a.ctx, e)
	}
	return nil
}

// failed is settle for a flight that failed before it began: a stale answer
// serves, if there is one and the failure is not the client's own doing.
func (c *Cache) failed(a *Answer, err error) error {
	f := a.f
	stale := f.stale
	if e := a.fallback(); e != nil {
		stale = e
	}
	status := problem.Of(err).Status
	own := a.ctx.Err() != nil || status >= 400 && status < 500
	if stale == nil || own || stale.left(time.Now()) <= -stale.grace {
		if a.kind != Coalesced {
			e := a.key.event(a.kind)
			e.Err = err
			c.report(a.ctx, e)
		}
		_ = a.Close() // never fails
		return err
	}
	a.told = true
	c.leave(a)
	served := *stale // others may be served the same
	served.at = time.Now()
	a.serve(Stale, &served, "stale-if-error", err)
	return nil
}

// leave takes a reader off its flight. The last one to leave before the end
// has the fill cancelled.
func (c *Cache) leave(a *Answer) {
	f := a.f
	c.mu.Lock()
	f.mu.Lock()
	delete(f.readers, a)
	f.wakeLocked() // the fill may be waiting for this one
	abandoned := len(f.readers) == 0 && !f.done && (!c.cfg.FinishAbandoned || f.skip != "")
	f.mu.Unlock()
	if abandoned {
		c.unlistLocked(f) // nobody joins what is about to fail
	}
	c.mu.Unlock()
	if !abandoned {
		return
	}
	cause := context.Canceled
	if a.ctx.Err() != nil {
		cause = context.Cause(a.ctx)
	}
	f.stop(cause)
}

// unlist keeps others from joining a flight.
func (c *Cache) unlist(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlistLocked(f)
}

func (c *Cache) unlistLocked(f *flight) {
	if f.listed {
		f.listed = false
		delete(c.flights, f.key.id)
	}
}

// forget drops a flight that is over.
func (c *Cache) forget(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlistLocked(f)
	delete(c.flying, f)
}

// query is what a Matcher goes by.
func (k Key) query() Query { return Query{Key: k.id, Scope: k.scope, Call: k.call} }

// A cutError is a failure whose text would be taken for the regular end of an
// answer: providers that close the connection make an io.EOF of it.
type cutError struct{ error }

func (e cutError) Is(target error) bool {
	return target == io.ErrUnexpectedEOF || target != io.EOF && errors.Is(e.error, target) //nolint:errorlint // this is an Is
}

func (e cutError) As(target any) bool { return errors.As(e.error, target) }
