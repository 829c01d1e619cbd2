package cache

import (
	"context"
	"time"
)

// Fill produces an answer: it writes the chunks as they come, and returns nil
// if the answer is complete. An error is passed to all readers after the chunks
// written so far, and nothing is stored.
//
// It runs on a goroutine of its own. Its context has the values of the context
// that [Cache.Do] was called with, but neither its cancellation nor its
// deadline: it is cancelled after [Config].Timeout with the cause [ErrTimeout],
// and when the last reader has left, with the cause of that reader's context
// (context.Canceled if it has none).
type Fill func(ctx context.Context, out *Recorder) error

// Recorder takes the answer that a [Fill] produces. It is used by one goroutine
// at a time, until the fill returns.
type Recorder struct {
	ctx context.Context //nolint:containedctx // that of the fill, for Write to end with it
	f   *flight
}

// Write appends one chunk, a copy of p; readers get the chunks as they were
// written. It fails when there is nobody left to read, or no time. It waits
// only if the answer is larger than what can be stored and a reader is slow.
func (r *Recorder) Write(p []byte) (int, error) {
	if err := r.f.append(r.ctx, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Begin lets the readers begin though there is no chunk yet. From here on a
// failure can't be replaced by a stale answer any more. The first Write begins
// as well. When the time is over there is nothing to begin with.
func (r *Recorder) Begin() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.ctx.Err() == nil {
		r.f.begun = true
		r.f.wakeLocked()
	}
}

// SetMeta keeps something that readers get before the first chunk, from
// [Answer.Meta], such as headers. It is not copied. It must be set before the
// answer begins; later it is ignored.
func (r *Recorder) SetMeta(meta []byte) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.f.begun && !r.f.done {
		r.f.meta = meta
	}
}

// SetTokens says how many tokens the answer costs, which is what is saved when
// it is used again.
func (r *Recorder) SetTokens(n int64) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.f.done {
		r.f.tokens = n
	}
}

// SetTTL makes the answer fresh for no longer than d. It never prolongs. With
// zero or less, the answer is not stored.
func (r *Recorder) SetTTL(d time.Duration) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.f.done {
		r.f.ttl = min(r.f.ttl, d)
	}
}

// NoStore says that the answer is not to be kept, though it may be complete:
// it was cut at a limit, it calls tools, it is an error. Why is one of few
// words, for events; the first one counts.
func (r *Recorder) NoStore(why string) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.f.skip == "" {
		r.f.skip = why
	}
}

// NoShare says that the answer is for the first reader only, and not to be
// stored: it sets a cookie, it is about that reader's rights. Others who wait
// for it get one of their own. It must be said before the answer begins.
func (r *Recorder) NoShare(why string) {
	r.NoStore(why)
	r.f.c.unlist(r.f)
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.f.begun {
		r.f.alone = true
		r.f.wakeLocked()
	}
}
