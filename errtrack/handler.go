package errtrack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/internal/traceparent"
	"github.com/sparkhttp/spark/problem"
)

// Handler tracks what goes wrong with the responses of next: panics, statuses of
// 500 and above with the error that was passed to problem.Write, and responses
// that were cut. A client that leaves and a server that stops are no errors.
//
// A panic is answered with a bare 500 if nothing was sent yet; otherwise the
// response is aborted, so that the client sees that it is not complete.
// [http.ErrAbortHandler] goes on as it is.
//
// One request makes one event, the first: be it from here or from
// [Collector.Track] with the context of the request or one made of it. What is
// worse is not lost to what came before it: a critical event that is tracked and
// a panic count even so. A response that says nothing but that it failed is grouped by its
// route and status.
func (c *Collector) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(scopeKey{c}) != nil {
			next.ServeHTTP(w, r) // it stands in the chain twice
			return
		}
		s := newScope(c, next, r)
		response.Serve(w, r, s, s)
	})
}

type scopeKey struct{ c *Collector }

// scope is the request that an event belongs to. A nil scope is no request.
type scope struct {
	c     *Collector
	next  http.Handler
	worst atomic.Int32         // the rank of the event that counts
	panic *response.PanicError // how the handler ended
	stack []uintptr            // of the panic

	method, trace, span, session string
}

func newScope(c *Collector, next http.Handler, r *http.Request) *scope {
	s := &scope{c: c, next: next, method: r.Method, session: SessionURL(r.Header)}
	s.trace, s.span, _ = traceparent.Of(r.Header)
	return s
}

// ServeHTTP serves the request, which is in its context from here on.
func (s *scope) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recover(w, r)
	response.ServeContext(context.WithValue(r.Context(), scopeKey{s.c}, s), w, r, s.next)
}

// complete adds what is known of the request to e.
func (s *scope) complete(e *Event) {
	if s == nil {
		return
	}
	e.Method = cmp.Or(e.Method, s.method)
	e.SessionURL = cmp.Or(e.SessionURL, s.session)
	if e.TraceID == "" {
		e.TraceID, e.SpanID = s.trace, s.span
	}
}

// claim reports whether e counts: as the first event of its request, or as one
// that is worse than those before it.
func (s *scope) claim(e *Event, severity Severity) bool {
	if s == nil {
		return true
	}
	rank := int32(1)
	switch {
	case e.Panic:
		rank = 3
	case severity == Critical:
		rank = 2
	}
	for {
		worst := s.worst.Load()
		if worst >= rank {
			return false
		}
		if s.worst.CompareAndSwap(worst, rank) {
			return true
		}
	}
}

// errPanicked is what a client may know of a panic. The value stays here: it
// could be an error that asks to be shown.
var errPanicked = errors.New("errtrack: handler panicked")

// recover ends a panic of the handler.
func (s *scope) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
		panic(v)
	}
	s.panic, s.stack = &response.PanicError{Value: v}, callers()
	rec := response.Of(w)
	rec.Fail(s.panic)
	if rec.Started() {
		panic(http.ErrAbortHandler)
	}
	answer := s.c.cfg.ErrorHandler
	if answer == nil {
		answer = problem.Write
	}
	answer(w, r, errPanicked)
}

// ResponseEnded implements response.Watcher.
func (s *scope) ResponseEnded(w *response.Writer, end response.End) {
	r := w.Request()
	defer s.c.survive(r.Context())
	e := Event{Err: end.Err, Route: r.Pattern, Status: w.Status(), RequestID: w.Header().Get("X-Request-Id")}
	status, bare := errors.AsType[response.Status](end.Err)
	switch {
	case s.panic != nil:
		e.Panic, e.Stack, e.Status = true, s.stack, http.StatusInternalServerError
		if e.Err = s.panic.Unwrap(); e.Err == nil {
			e.Message = panicMessage(s.panic.Value)
		}
	case end.Kind != response.Failed && end.Kind != response.Truncated, s.worst.Load() > 0:
		return
	case bare:
		e.Err, e.Message = nil, cmp.Or(http.StatusText(int(status)), "unknown status")
		e.Fingerprint = []string{"status", strconv.Itoa(int(status)), e.Route}
	case e.Status < 500: // began well
		e.Fingerprint = []string{"{{ default }}", e.Route}
	}
	s.complete(&e)
	s.c.track(r.Context(), s, &e)
}

// panicMessage returns what a panic says that has no error: its text, if it is
// one, else its type.
func panicMessage(v any) string {
	if text, ok := v.(string); ok && text != "" {
		return text
	}
	return fmt.Sprintf("%T", v)
}

const maxSessionURL = 512

// SessionURL returns the recording of the user's session that the client names
// in the header X-LogRocket-URL, if it is one: an https URL of app.logrocket.com
// without anything that would lead elsewhere. Anything else gives "": the header
// is the client's to choose.
func SessionURL(h http.Header) string {
	values := h["X-Logrocket-Url"]
	if len(values) != 1 || len(values[0]) > maxSessionURL {
		return ""
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme != "https" || u.Host != "app.logrocket.com" || u.User != nil || u.Opaque != "" ||
		len(u.Path) < 2 || strings.ContainsFunc(values[0], func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'<>\`, r) }) {
		return ""
	}
	return values[0]
}
