package cache

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"
)

// Answer is what a caller of [Cache.Do] gets, to be read chunk by chunk. It
// must be closed. It is used by one goroutine at a time.
type Answer struct {
	c      *Cache
	ctx    context.Context //nolint:containedctx // that of the caller, for Next to end with it
	key    Key
	kind   Kind
	detail string
	closed bool
	told   bool // of a coalesced answer: that it has ended

	// An answer that is being produced:
	f     *flight
	first bool // nobody was there before
	pos   int  // chunks read; guarded by f.mu

	// One that is stored:
	entry entry
	has   bool // there is one; as long as f is set, one that may not be used yet
}

// fallback returns what may serve if the answer can't be produced, or nil.
func (a *Answer) fallback() *entry {
	if !a.has || a.entry.grace <= 0 {
		return nil
	}
	return &a.entry
}

// errClosed is what Next returns after Close.
var errClosed = errors.New("cache: answer is closed")

// Next returns the next chunk, as the fill wrote it. It waits until there is
// one, and returns io.EOF after the last one of a complete answer. Any other
// error is that of the fill, or the cause of the context that Do was called
// with; the answer is not complete then, and must not look as if it were.
//
// The chunk is shared with others: it must not be changed.
func (a *Answer) Next() ([]byte, error) {
	if a.closed {
		return nil, errClosed
	}
	if a.f == nil {
		chunk, rest, ok := cutChunk(a.entry.chunks)
		if !ok {
			return nil, io.EOF // decodeEntry has seen that all are whole
		}
		a.entry.chunks = rest
		return chunk, nil
	}
	chunk, done, err := a.f.next(a)
	if done {
		a.tell()
		if err == nil {
			err = io.EOF
		}
	}
	return chunk, err
}

// Chunks iterates over the chunks that are left. An error that ends the answer
// early comes last; io.EOF is not one.
func (a *Answer) Chunks() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			chunk, err := a.Next()
			if err == io.EOF { //nolint:errorlint // a wrapped one would be the fill's
				return
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

// Close says that nothing more will be read. When the last reader of an answer
// that is being produced leaves before its end, its fill is cancelled, unless
// [Config].FinishAbandoned is set. It may be called again.
func (a *Answer) Close() error {
	if !a.closed {
		a.closed = true
		a.leave()
	}
	return nil
}

// Kind says how the answer was come by: [Hit], [Miss], [Coalesced], [Stale] or
// [Bypass]. Tokens are spent with Miss and Bypass only.
func (a *Answer) Kind() Kind { return a.kind }

// Meta returns what the fill set with [Recorder.SetMeta]. It must not be
// changed.
func (a *Answer) Meta() []byte {
	if a.f == nil {
		return a.entry.meta
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.meta
}

// Tokens returns what the fill set with [Recorder.SetTokens]. It is settled
// when Next has returned io.EOF.
func (a *Answer) Tokens() int64 {
	if a.f == nil {
		return a.entry.tokens
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.tokens
}

// Age returns for how long the answer has been stored; 0 if it is new.
func (a *Answer) Age() time.Duration {
	if a.f != nil {
		return 0
	}
	return a.entry.age(a.entry.at)
}

// TTL returns for how much longer the answer is fresh; negative if it is stale,
// 0 if it is new.
func (a *Answer) TTL() time.Duration {
	if a.f == nil {
		return a.entry.left(a.entry.at)
	}
	if a.kind != Hit {
		return 0
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.ttl // it is complete as of now
}

// CacheStatus returns a member for the Cache-Status header (RFC 9211), such as
// "spark; hit; ttl=376". It never says "stored": whether an answer is kept is
// known at its end.
func (a *Answer) CacheStatus() string {
	var b [64]byte
	return string(a.appendStatus(b[:0]))
}

func (a *Answer) appendStatus(b []byte) []byte {
	b = append(b, a.c.cfg.Name...)
	switch a.kind {
	case Hit, Stale:
		return appendHit(b, a.TTL(), a.detail)
	case Coalesced:
		return append(b, "; fwd=miss; collapsed"...)
	case Bypass:
		if a.key.ask.noStore || a.key.ask.noCache {
			return append(b, "; fwd=request"...)
		}
		return append(b, "; fwd=bypass"...)
	}
	switch {
	case !a.has:
		return append(b, "; fwd=miss"...)
	case a.entry.left(a.entry.at) > 0: // but older than the request's max-age
		return append(b, "; fwd=request"...)
	default:
		return append(b, "; fwd=stale"...)
	}
}

func appendHit(b []byte, ttl time.Duration, detail string) []byte {
	b = append(b, "; hit; ttl="...)
	b = strconv.AppendInt(b, floorSeconds(ttl), 10)
	if detail != "" {
		b = append(append(b, "; detail="...), detail...)
	}
	return b
}

// floorSeconds rounds down, so that what is stale by half a second is not shown
// as fresh.
func floorSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// size returns the length of all chunks of an answer that is complete.
func (a *Answer) size() int {
	if a.f == nil {
		return a.entry.size
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.size
}

// ready reports whether Next would return without waiting.
func (a *Answer) ready() bool {
	if a.f == nil {
		return true
	}
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	return a.f.done || a.pos-a.f.dropped < len(a.f.chunks)
}

// leave takes the reader off its flight.
func (a *Answer) leave() {
	if a.f == nil {
		return
	}
	a.tell()
	a.c.leave(a)
}

// tell reports a coalesced answer once, when it is over for this reader.
func (a *Answer) tell() {
	if a.kind != Coalesced || a.told {
		return
	}
	a.told = true
	e := a.key.event(Coalesced)
	a.f.mu.Lock()
	if a.f.done && a.f.err == nil {
		e.Tokens = a.f.tokens
	}
	e.Err = a.f.err
	a.f.mu.Unlock()
	a.c.report(a.ctx, e)
}

// serve makes the answer the stored one.
func (a *Answer) serve(kind Kind, e *entry, detail string, why error) {
	a.f = nil
	a.kind, a.entry, a.detail = kind, *e, detail
	ev := a.key.event(kind)
	ev.Tokens, ev.Err = e.tokens, why
	a.c.report(a.ctx, ev)
}
