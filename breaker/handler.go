package breaker

import (
	"errors"
	"net/http"
	"time"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

// Handler guards next, a handler that depends on the provider: while the breaker
// is open, requests are answered with 503 and Retry-After at once. A response that
// fails, by a 5xx, an error event or by being cut, counts as a failure.
func (b *Breaker) Handler(next http.Handler) http.Handler {
	answer := b.cfg.ErrorHandler
	if answer == nil {
		answer = problem.Write
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := b.admit(r.Context())
		if err != nil {
			if refused, ok := errors.AsType[*OpenError](err); ok {
				refused.SetHeader(w.Header())
			}
			answer(w, r, err)
			return
		}
		response.Serve(w, r, next, &served{b, p})
	})
}

// served waits for the end of a response.
type served struct {
	b *Breaker
	p permit
}

// ResponseEnded implements [response.Watcher].
func (s *served) ResponseEnded(w *response.Writer, end response.End) {
	o := Outcome{}
	switch end.Kind {
	case response.Complete:
	case response.Shutdown:
		o = ignored("shutdown")
	case response.ClientGone:
		silent := time.Duration(0)
		if !w.Started() {
			silent = s.b.now() - s.p.start
		}
		o = s.b.hangCredit(ignored("client_gone"), silent)
	case response.Truncated:
		o = outcomeOf(end.Err, "truncated")
	default:
		o = outcomeOf(end.Err, "server_error")
	}
	s.b.settle(w.Request().Context(), s.p, o, end.Err)
}
