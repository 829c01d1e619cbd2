package breaker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/internal/sse"
)

// exchange is one request and its response.
type exchange struct {
	b      *Breaker
	p      permit
	nested bool            // a call around it is counted instead
	caller context.Context // of the request as it came
	t      *tracker
	ctx    context.Context // of the request as it goes out
	cancel context.CancelCauseFunc
	ended  atomic.Bool
}

// judge says what err means, after the provider had been waited for so long.
func (x *exchange) judge(err error, waited time.Duration) Outcome {
	return x.b.hangCredit(x.b.cfg.Classify(x.caller, err), waited)
}

// end takes the first outcome.
func (x *exchange) end(o Outcome, err error) {
	if !x.ended.CompareAndSwap(false, true) {
		return
	}
	switch {
	case o == (Outcome{}):
		x.t.see(nil)
	case o.Reason != "client_gone": // it is the provider's doing
		x.t.see(&o)
	}
	if !x.nested {
		x.b.settle(x.t, x.p, o, err)
	}
}

// body is the body of a response, watched to its end. Close may be called while
// Read waits.
type body struct {
	x      *exchange
	rc     io.ReadCloser
	start  *bytes.Reader // what was read of it already
	failed bool          // it is that of an error: what it says has been heard
	length int64
	idle   time.Duration
	timer  *time.Timer // ends a Read that waits too long; only used by Read
	over   error       // what Read returned last, if an error; only used by Read

	// What follows is written by Read, and read by Close as well.
	mu      sync.Mutex
	waiting time.Time // when Read began to wait; zero if it does not
	got     int64
	stream  *sse.Watcher // nil if the body is no stream
	json    *jsonEnd     // nil if the body is no JSON
	token   finder
	finish  finder
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.start != nil && b.start.Len() > 0 {
		return b.start.Read(p)
	}
	if b.over != nil {
		return 0, b.over
	}
	b.mu.Lock()
	b.waiting = time.Now()
	b.mu.Unlock()
	b.arm()
	n, err := b.rc.Read(p)
	b.disarm()

	b.mu.Lock()
	waited := time.Since(b.waiting)
	b.waiting = time.Time{}
	if n > 0 {
		b.follow(p[:n])
	}
	b.mu.Unlock()
	if err != nil { // hooks run, and with no lock held
		b.over = b.finished(err, waited)
	}
	return n, b.over
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.mu.Lock()
	o, waited := Outcome{}, time.Duration(0)
	switch {
	case b.whole():
	case b.stream != nil && b.stream.Failed:
		o = failed("error_event")
	default:
		if !b.waiting.IsZero() {
			waited = time.Since(b.waiting)
		}
		o = b.x.b.hangCredit(given(b.x.caller), waited)
	}
	b.mu.Unlock()
	b.x.end(o, nil)
	err := b.rc.Close()
	b.x.cancel(nil)
	return err
}

// given is the outcome of a response that was given up by who asked for it.
func given(ctx context.Context) Outcome {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return ignored("client_gone")
}

// whole reports whether all that counts has been read.
func (b *body) whole() bool {
	if b.stream != nil {
		return !b.stream.Failed && (b.stream.Terminal || b.finish.found)
	}
	return b.length >= 0 && b.got >= b.length || b.json != nil && b.json.over
}

func (b *body) follow(p []byte) {
	b.got += int64(len(p))
	b.x.t.hear()
	if b.stream == nil {
		if b.json != nil {
			b.json.follow(p)
		}
		Progress(b.x.t)
		return
	}
	before := b.stream.Events
	_, _ = b.stream.Write(p)
	b.finish.follow(p)
	// What has no deltas at all is taken as it comes.
	if b.token.follow(p) || !b.token.found && b.stream.Events > before && !b.stream.Truncated() {
		Progress(b.x.t)
	}
}

// finished ends the exchange, since Read got err. It returns what the caller gets
// to read instead.
func (b *body) finished(err error, waited time.Duration) error {
	defer b.x.cancel(nil)
	idle, isIdle := errors.AsType[*idleError](context.Cause(b.x.ctx))
	o := Outcome{}
	switch {
	case b.stream != nil && b.stream.Failed:
		o = failed("error_event")
	case b.stream != nil && b.whole(), b.failed && errors.Is(err, io.EOF):
	case errors.Is(err, io.EOF) && b.stream != nil && b.stream.Events == 0:
		o, err = failed("empty_stream"), io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF) && b.stream != nil && b.stream.Truncated():
		o, err = failed("truncated"), io.ErrUnexpectedEOF
	case errors.Is(err, io.EOF):
	case isIdle:
		o, err = failed("idle"), idle
	default:
		o = b.x.judge(err, waited)
	}
	if !b.failed {
		b.x.end(o, err)
	}
	return err
}

// arm starts the clock of a Read.
func (b *body) arm() {
	switch {
	case b.idle <= 0:
	case b.timer == nil:
		b.timer = time.AfterFunc(b.idle, func() { b.x.cancel(&idleError{b.idle}) })
	default:
		b.timer.Reset(b.idle)
	}
}

func (b *body) disarm() {
	if b.timer != nil {
		b.timer.Stop()
	}
}
