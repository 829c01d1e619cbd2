package response

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
)

// Kind says in one word how a response ended.
type Kind string

// The ways a response can end.
const (
	Complete   Kind = "complete"    // all of it was written, and it is no error of ours
	Failed     Kind = "failed"      // the client was told of a failure: a 5xx, an error event
	Truncated  Kind = "truncated"   // it stopped in the middle
	ClientGone Kind = "client_gone" // the client went away before the end
	Shutdown   Kind = "shutdown"    // the server stopped before the end
)

// End is the verdict about one response.
type End struct {
	Kind Kind
	// Err is why, as far as anybody said: what the handler passed to
	// [Writer.Fail], a panic, a write error, the cause of the request's
	// context. It is nil if Kind is Complete.
	Err error
}

// PanicError is the Err of a response whose handler panicked.
type PanicError struct{ Value any }

// Error says that there was a panic. What it said stays in Value: it may hold
// anything.
func (e *PanicError) Error() string { return "handler panicked" }

// Unwrap returns the value of the panic, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Status is the Err of a response that failed by its status alone.
type Status int

func (s Status) Error() string { return "status " + strconv.Itoa(int(s)) }

// Errors for ends that nobody gave a reason for.
var (
	errTruncated = errors.New("response is not as long as it said")
	errEvent     = errors.New("error event in the stream")
	errExited    = errors.New("handler exited its goroutine")
)

// end decides. v is the value of a panic; running is false if the goroutine was
// ended by runtime.Goexit.
//
//nolint:contextcheck // w has the request, and that its context
func (w *Writer) end(v any, running bool) End {
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
		w.extra().failed = &PanicError{v}
	}
	if w.more != nil {
		if p, ok := errors.AsType[*PanicError](w.more.failed); ok {
			if w.status == 0 {
				w.status = http.StatusInternalServerError // what becomes of it further out
			}
			return End{Failed, p}
		}
	}
	if v == nil && running && !w.cut() {
		return w.whole()
	}
	return w.blame(running)
}

// cut reports whether less was written than the response should have had,
// though the handler returned.
func (w *Writer) cut() bool {
	if m := w.more; m != nil && (m.written != nil || m.source != nil) || w.short() {
		return true
	}
	err := w.r.Context().Err()
	if err == nil || w.hijack || !errors.Is(err, context.Canceled) {
		return false
	}
	if w.gaveUp() {
		return true // what was sent instead nobody reads
	}
	// The context of a request ends early if its client leaves or its server
	// stops. What says where it ends tells whether it had got there.
	switch {
	case w.Streaming():
		return !w.stream().Terminal && !w.stream().Failed
	case w.length >= 0 && w.Started():
		return false
	default:
		return !w.Started() || !errors.Is(context.Cause(w.r.Context()), http.ErrServerClosed)
	}
}

// gaveUp reports whether the handler says that it stopped because it was told to.
func (w *Writer) gaveUp() bool {
	m := w.more
	return m != nil && (errors.Is(m.failed, context.Canceled) || errors.Is(m.failed, http.ErrServerClosed))
}

// blame decides who ended a response that was cut.
func (w *Writer) blame(running bool) End {
	ctx := w.r.Context()
	cause := context.Cause(ctx)
	m := w.extra()
	canceled := errors.Is(ctx.Err(), context.Canceled)
	if canceled && w.r.ProtoMajor > 1 && w.status != 0 {
		_ = w.FlushError() // the stream is closed, and as a rule says why
	}
	switch {
	case errors.Is(cause, http.ErrServerClosed):
		return End{Shutdown, cause}
	case errors.Is(m.written, os.ErrDeadlineExceeded), errors.Is(m.written, http.ErrContentLength):
		// Before the context: the server ends that too when a write fails.
		return End{Truncated, cmp.Or(m.failed, m.written)}
	case canceled:
		return End{ClientGone, cause}
	case errors.Is(m.failed, context.Canceled): // the handler knew before the context did
		return End{ClientGone, m.failed}
	case m.written != nil:
		return End{ClientGone, m.written}
	case !running:
		return End{Truncated, cmp.Or(m.failed, errExited)}
	default:
		return End{Truncated, cmp.Or(m.failed, m.source, cause, errTruncated)}
	}
}

// whole decides about a response that was written to its end.
func (w *Writer) whole() End {
	var reason error
	switch {
	case w.Streaming() && w.stream().Failed:
		reason = errEvent
	case w.Status() >= 500 && !w.hijack:
		reason = Status(w.Status())
	default:
		return End{Kind: Complete}
	}
	return End{Failed, cmp.Or(w.extra().failed, reason)}
}

// short reports whether the body is not what was promised.
func (w *Writer) short() bool {
	if w.hijack {
		return false
	}
	if w.Streaming() && w.r.Method != http.MethodHead {
		return w.stream().Truncated()
	}
	switch {
	case w.length < 0, w.r.Method == http.MethodHead, w.status == http.StatusNotModified, w.status == http.StatusNoContent:
		return false
	default:
		return w.bytes != w.length
	}
}
