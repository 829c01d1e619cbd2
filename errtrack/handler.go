package errtrack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
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
// [http.ErrAbortHandler] goes on as it is. One request makes one event, the
// first: also of those that [Collector.Track] is told with its context.
func (c *Collector) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &scope{c: c}
		s.request(r)
		response.Serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer s.recover(w, r)
			response.ServeContext(context.WithValue(r.Context(), scopeKey{}, s), w, r, next)
		}), s)
	})
}

type scopeKey struct{}

// scope is the request that an event belongs to.
type scope struct {
	c       *Collector
	claimed atomic.Bool
	stack   []uintptr // of a panic

	method, requestID, traceID, session string
}

// request notes what is known of a request before it is served.
func (s *scope) request(r *http.Request) {
	s.method = r.Method
	s.traceID, _, _ = traceparent.Parse(r.Header)
	s.session = SessionURL(r.Header)
}

// claim makes e the event of the request, unless there is one, and completes it.
func (s *scope) claim(e *Event) bool {
	if !s.claimed.CompareAndSwap(false, true) {
		return false
	}
	if e.Method == "" {
		e.Method = s.method
	}
	if e.TraceID == "" {
		e.TraceID = s.traceID
	}
	if e.SessionURL == "" {
		e.SessionURL = s.session
	}
	return true
}

// recover ends a panic of the handler.
func (s *scope) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
		panic(v)
	}
	s.stack = callers()
	failure := &response.PanicError{Value: v}
	rec := response.Of(w)
	rec.Fail(failure)
	if rec.Started() {
		panic(http.ErrAbortHandler)
	}
	answer := s.c.cfg.ErrorHandler
	if answer == nil {
		answer = problem.Write
	}
	answer(w, r, failure)
}

// ResponseEnded implements response.Watcher.
func (s *scope) ResponseEnded(w *response.Writer, end response.End) {
	if end.Kind != response.Failed && end.Kind != response.Truncated {
		return
	}
	r := w.Request()
	e := Event{Err: end.Err, Route: r.Pattern, Status: w.Status(), RequestID: w.Header().Get("X-Request-Id")}
	if p, ok := errors.AsType[*response.PanicError](end.Err); ok {
		e.Panic, e.Stack, e.Status = true, s.stack, http.StatusInternalServerError
		if e.Err = p.Unwrap(); e.Err == nil {
			e.Message = panicMessage(p.Value)
		}
	}
	if end.Kind == response.Truncated && errors.Is(e.Err, http.ErrAbortHandler) || e.Err == nil && e.Message == "" {
		e.Err, e.Message = nil, "response aborted"
	}
	if !s.claim(&e) {
		return
	}
	if s.c.cfg.Describe != nil {
		s.c.cfg.Describe(context.WithValue(r.Context(), scopeKey{}, s), &e)
	}
	s.c.track(r.Context(), e)
}

func panicMessage(v any) string {
	switch v := v.(type) {
	case runtime.Error:
		return v.Error()
	case string:
		return v
	default:
		return fmt.Sprintf("%T", v)
	}
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
