package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// flight is one answer while it is being produced: a log that the fill appends
// to and that any number of readers follow, each at its own place.
type flight struct {
	c     *Cache
	key   Key
	stale *entry // what its first reader found, if that may still serve
	stop  context.CancelCauseFunc

	listed bool // others can find it; guarded by Cache.mu

	mu      sync.Mutex
	wake    chan struct{}        // closed at the next change; nil if nobody waits
	readers map[*Answer]struct{} // changed with Cache.mu held as well
	chunks  [][]byte
	dropped int  // chunks that all readers have passed, of a long answer
	held    int  // bytes of chunks
	size    int  // bytes written altogether
	long    bool // larger than what is stored: read by those who are here
	begun   bool // readers may look at it
	done    bool
	alone   bool // for its first reader only
	adopted *entry
	detail  string // how the adopted one was found
	err     error
	meta    []byte
	tokens  int64
	ttl     time.Duration
	grace   time.Duration
	skip    string        // why it is not to be stored
	saving  chan struct{} // closed when the store has it, or not; nil before it is asked
}

// PanicError is the error of all readers of an answer whose fill panicked.
type PanicError struct {
	Value any
	Stack []byte // where, as from debug.Stack
}

// Error names the value. It is for logs: what it says is not for clients.
func (e *PanicError) Error() string { return fmt.Sprintf("cache: fill panicked: %v", e.Value) }

// Unwrap returns the value, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var (
	errExited = errors.New("cache: fill exited its goroutine")
	errEnded  = errors.New("cache: answer has ended")
	errAlone  = errors.New("cache: answer is for its first reader only")
)

// waitLocked returns what is closed at the next change.
func (f *flight) waitLocked() <-chan struct{} {
	if f.wake == nil {
		f.wake = make(chan struct{})
	}
	return f.wake
}

func (f *flight) wakeLocked() {
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// launch runs the fill, detached from the caller but for the values of its
// context.
func (c *Cache) launch(ctx context.Context, f *flight, again bool, fill Fill) {
	detached, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	detached, release := context.WithTimeoutCause(detached, c.cfg.Timeout, ErrTimeout)
	f.stop = stop
	// A fill that does not heed its context doesn't hold its readers.
	unhook := context.AfterFunc(detached, func() {
		c.unlist(f)
		f.end(context.Cause(detached))
	})
	go func() {
		err := errExited
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{v, debug.Stack()}
			}
			unhook()
			if errors.Is(err, io.EOF) {
				err = cutError{err}
			}
			if ended := detached.Err(); ended != nil && (err == nil || errors.Is(err, ended)) {
				// The context knows more of why it failed; and a fill that says it
				// is complete may not have looked at the errors of its writes.
				err = context.Cause(detached)
			}
			c.land(detached, f, err)
			release()
			stop(nil)
		}()
		if c.found(detached, f, again) {
			err = nil
			return
		}
		err = fill(detached, &Recorder{ctx: detached, f: f})
	}()
}

// land ends the flight and stores what is to be kept.
func (c *Cache) land(ctx context.Context, f *flight, err error) {
	why, keep := f.storable(err)
	if !keep {
		c.unlist(f)
	}
	complete := f.end(err) && err == nil
	defer c.forget(f)
	if !complete || f.adopted != nil {
		return
	}
	if keep {
		why = c.save(ctx, f)
	}
	if why != "" {
		e := f.key.event(Skipped)
		e.Tokens, e.Detail = f.tokens, why
		c.report(ctx, e)
	}
}

// storable says whether the answer may be kept for others, or why not.
func (f *flight) storable(err error) (why string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil || f.adopted != nil:
		return "", false
	case f.skip != "":
		return f.skip, false
	case f.ttl <= 0:
		return "max-age", false
	default:
		return "", true
	}
}

// storeTimeout bounds the write of a complete answer, for which nobody waits.
const storeTimeout = 10 * time.Second

// save stores a complete answer, or says why not. Its log does not change any
// more.
func (c *Cache) save(ctx context.Context, f *flight) (why string) {
	f.mu.Lock()
	if f.skip != "" {
		defer f.mu.Unlock()
		return f.skip // purged since it ended
	}
	f.saving = make(chan struct{})
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	e := entry{stored: time.Now(), ttl: c.jitter(f.ttl), grace: f.grace, tokens: f.tokens, meta: f.meta}
	value := encodeEntry(f.key.id, e, f.chunks)
	err := c.store.Set(ctx, f.key.id, value, e.ttl+e.grace)
	f.mu.Lock()
	why = f.skip
	f.mu.Unlock()
	if err == nil && why != "" { // purged meanwhile
		_, err = c.store.Delete(ctx, f.key.id)
	}
	close(f.saving)
	if err != nil {
		c.broken(ctx, f.key, err)
		return ""
	}
	if why != "" {
		return why
	}
	c.saved.Add(1)
	ev := f.key.event(Stored)
	ev.Tokens, ev.Bytes = f.tokens, int64(len(value))
	c.report(ctx, ev)
	if c.cfg.Matcher != nil {
		if err := c.cfg.Matcher.Learn(ctx, f.key.query()); err != nil {
			c.broken(ctx, f.key, err)
		}
	}
	return ""
}

// found looks for a stored answer once more before the provider is asked: one
// that was stored just now, or one that is near enough.
func (c *Cache) found(ctx context.Context, f *flight, again bool) bool {
	if again {
		if e, _, fresh := c.lookup(ctx, f.key, f.key.id); fresh {
			f.adopt(&e, "")
			return true
		}
	}
	if c.cfg.Matcher == nil || f.alone {
		return false
	}
	near, err := c.cfg.Matcher.Match(ctx, f.key.query())
	if err != nil {
		c.broken(ctx, f.key, err)
		return false
	}
	if near == "" || !sameScope(near, f.key.id) {
		return false
	}
	e, _, fresh := c.lookup(ctx, f.key, near)
	if fresh {
		f.adopt(&e, "semantic")
	}
	return fresh
}

func (f *flight) adopt(e *entry, detail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adopted, f.detail = e, detail
}

// end makes err what readers get after the last chunk. Only the first call
// counts.
func (f *flight) end(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return false
	}
	f.done, f.err = true, err
	f.wakeLocked()
	return true
}

// append adds a chunk and lets readers begin. Past what can be stored the
// answer is held back to the pace of its readers, so that a long one takes no
// more memory than that.
func (f *flight) append(ctx context.Context, p []byte) error {
	f.mu.Lock()
	if len(f.readers) == 0 && f.skip != "" && !f.done {
		f.mu.Unlock()
		f.stop(context.Canceled) // nobody reads it, and nobody will
		return context.Canceled
	}
	if !f.long && f.size+len(p) > f.c.cfg.MaxAnswer {
		f.long, f.skip = true, "size"
		f.mu.Unlock()
		f.c.unlist(f)
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	for ctx.Err() == nil && f.long && !f.done && !f.roomLocked() {
		wait := f.waitLocked()
		f.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
		}
		f.mu.Lock()
	}
	switch {
	case f.done && f.err == nil:
		return errEnded
	case f.done:
		return f.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	f.chunks = append(f.chunks, slices.Clone(p))
	f.held += len(p)
	f.size += len(p)
	f.begun = true
	f.wakeLocked()
	return nil
}

// roomLocked forgets what all readers have passed, and reports whether what is
// left is little enough.
func (f *flight) roomLocked() bool {
	passed := f.dropped + len(f.chunks)
	for a := range f.readers {
		passed = min(passed, a.pos)
	}
	for ; f.dropped < passed; f.dropped++ {
		f.held -= len(f.chunks[0])
		f.chunks[0] = nil
		f.chunks = f.chunks[1:]
	}
	return f.held <= f.c.cfg.MaxAnswer
}

// next returns the next chunk for a reader, waiting for it if need be.
func (f *flight) next(a *Answer) (chunk []byte, done bool, err error) {
	for {
		f.mu.Lock()
		if i := a.pos - f.dropped; i < len(f.chunks) {
			chunk = f.chunks[i]
			a.pos++
			if f.long {
				f.wakeLocked() // the fill may be waiting for its slowest reader
			}
			f.mu.Unlock()
			return slices.Clip(chunk), false, nil
		}
		if f.done {
			defer f.mu.Unlock()
			return nil, true, f.err
		}
		wait := f.waitLocked()
		f.mu.Unlock()
		select {
		case <-wait:
		case <-a.ctx.Done():
			return nil, false, context.Cause(a.ctx)
		}
	}
}

// begin waits until a reader can tell what it has got: the answer has begun or
// ended, or it is not for this reader.
func (f *flight) begin(a *Answer) error {
	for {
		f.mu.Lock()
		switch {
		case f.alone && !a.first:
			f.mu.Unlock()
			return errAlone
		case f.begun || f.done && f.err == nil:
			f.mu.Unlock()
			return nil
		case f.done:
			defer f.mu.Unlock()
			return f.err
		}
		wait := f.waitLocked()
		f.mu.Unlock()
		select {
		case <-wait:
		case <-a.ctx.Done():
			return context.Cause(a.ctx)
		}
	}
}
