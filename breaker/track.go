package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// Track returns a context on which [Progress] and [Commit] are noted. [Failover]
// tracks by itself, and so does Do of a breaker that looks for slow tokens;
// around other streams it has to be called.
func Track(ctx context.Context) context.Context { return newTracker(ctx) }

// Progress notes that the provider has just sent something. Without [Track] it
// does nothing.
func Progress(ctx context.Context) {
	for t := trackerOf(ctx); t != nil; t = t.parent {
		t.progress()
	}
}

// Commit notes that output is about to reach the client, so that [Failover] makes
// no other attempt: it must be called before the first byte is written. It is
// also a [Progress]. Without Track it does nothing.
func Commit(ctx context.Context) {
	for t := trackerOf(ctx); t != nil; t = t.parent {
		t.committed.Store(true)
		t.progress()
	}
}

type trackerKey struct{}

// tracker is the context of a call. Times are nanoseconds since its start.
type tracker struct {
	context.Context
	parent    *tracker
	breaker   *Breaker // whose call this is, if known
	start     time.Time
	first     atomic.Int64 // first token; 0 if none came
	last      atomic.Int64 // last token
	heard     atomic.Int64 // last sign of life, a token or not
	gap       atomic.Int64 // longest between two tokens
	committed atomic.Bool
	seen      atomic.Pointer[Outcome] // what Transport saw, if the call failed
}

func newTracker(ctx context.Context) *tracker {
	return &tracker{Context: ctx, parent: trackerOf(ctx), start: time.Now()}
}

func trackerOf(ctx context.Context) *tracker {
	t, _ := ctx.Value(trackerKey{}).(*tracker)
	return t
}

// Value implements [context.Context].
func (t *tracker) Value(key any) any {
	if _, ok := key.(trackerKey); ok {
		return t
	}
	return t.Context.Value(key)
}

func (t *tracker) progress() {
	now := max(int64(time.Since(t.start)), 1)
	last := t.last.Swap(now)
	if t.first.CompareAndSwap(0, now) {
		return
	}
	for gap := t.gap.Load(); now-last > gap; gap = t.gap.Load() {
		if t.gap.CompareAndSwap(gap, now-last) {
			return
		}
	}
}

// pace returns when the first token came, and the longest time without one since;
// 0, 0 if none came.
func (t *tracker) pace() (first, gap time.Duration) {
	first = time.Duration(t.first.Load())
	if first == 0 {
		return 0, 0
	}
	return first, max(time.Duration(t.gap.Load()), time.Since(t.start)-time.Duration(t.last.Load()))
}

// silence returns how long the provider has sent nothing.
func (t *tracker) silence() time.Duration {
	return time.Since(t.start) - time.Duration(max(t.last.Load(), t.heard.Load()))
}

// hear notes a sign of life that is no token.
func (t *tracker) hear() {
	for ; t != nil; t = t.parent {
		t.heard.Store(int64(time.Since(t.start)))
	}
}

// see notes what the response to a call said; nil that it was a good one.
func (t *tracker) see(o *Outcome) {
	for ; t != nil; t = t.parent {
		t.seen.Store(o)
	}
}

// watches reports whether a call under t is already counted by b.
func (t *tracker) watches(b *Breaker) bool {
	for ; t != nil; t = t.parent {
		if t.breaker == b {
			return true
		}
	}
	return false
}
