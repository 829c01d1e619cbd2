package ratelimit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// An Error says why something is not allowed now. It is shown to clients as a
// problem document: 429 quota-exceeded, or 503 temporary-reduced-capacity if the
// limiter failed (draft-ietf-httpapi-ratelimit-headers-11, section 5).
//
// Requests may share one, so it must not be changed.
type Error struct {
	// Policies are the names of the policies that refused.
	Policies []string
	// RetryAfter is the number of seconds after which it could be allowed, or 0
	// if it never can: it costs more than the quota can hold.
	RetryAfter int64
	// Err is why the limiter failed, if it did. Clients don't see it.
	Err error

	m        *Middleware
	state    *Reservation
	document *problem.Document // nil if it was not made before
}

// Error lists the policies.
func (e *Error) Error() string {
	names := strings.Join(e.Policies, ", ")
	if e.Err != nil {
		return "ratelimit: limiter failed for " + names + ": " + e.Err.Error()
	}
	return "ratelimit: quota exceeded: " + names
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Problem implements [problem.Shower].
func (e *Error) Problem() *problem.Document {
	switch {
	case e.document != nil:
		return e.document
	case e.Err != nil:
		return &problem.Document{
			Type:    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
			Title:   "Request cannot be satisfied due to temporary server capacity constraints",
			Status:  http.StatusServiceUnavailable,
			Members: map[string]any{"violated-policies": e.Policies},
		}
	}
	if e.RetryAfter == 0 {
		return never(e.Policies)
	}
	return quotaExceeded(e.Policies)
}

func quotaExceeded(names []string) *problem.Document {
	return &problem.Document{
		Type:    "https://iana.org/assignments/http-problem-types#quota-exceeded",
		Title:   "Request cannot be satisfied as assigned quota has been exceeded",
		Status:  http.StatusTooManyRequests,
		Detail:  "The quota is used up. Try again after the time that Retry-After gives.",
		Members: map[string]any{"violated-policies": names},
	}
}

// never is for what costs more than the quota can hold.
func never(names []string) *problem.Document {
	d := quotaExceeded(names)
	d.Detail = "The request asks for more than the quota ever allows at once. Ask for less."
	return d
}

// A refusal is an Error with the value of its Retry-After.
type refusal struct {
	Error
	retryAfter [1]string
}

// A verdict is what is said if one policy alone refuses. That depends on nothing
// but the seconds to wait, and so the latest refusals are kept: a client that is
// not let in should cost less than one that is.
type verdict struct {
	names    []string
	document *problem.Document
	latest   [64]atomic.Pointer[refusal] // by RetryAfter modulo 64
}

func newVerdict(p *Policy) *verdict {
	names := []string{p.Name}
	return &verdict{names: names, document: quotaExceeded(names).Prepare()}
}

func (v *verdict) refusal(retryAfter int64) *refusal {
	slot := &v.latest[uint64(retryAfter)%uint64(len(v.latest))]
	if f := slot.Load(); f != nil && f.RetryAfter == retryAfter {
		return f
	}
	f := newRefusal(v.names, retryAfter)
	f.document = v.document
	if retryAfter == 0 {
		f.document = never(v.names).Prepare()
	}
	slot.Store(f)
	return f
}

func newRefusal(names []string, retryAfter int64) *refusal {
	return &refusal{Error{Policies: names, RetryAfter: retryAfter}, [1]string{strconv.FormatInt(retryAfter, 10)}}
}

// refusal returns what is said of what was not granted. It may be shared.
func (m *Middleware) refusal(r *Reservation) *refusal {
	var wait time.Duration
	var first *Policy
	count := 0
	for i := range r.hold.Charges {
		c := &r.hold.Charges[i]
		if !c.Refused || c.Policy.Mode == Shadow {
			continue
		}
		if count++; count == 1 {
			first = c.Policy
		}
		wait = max(wait, c.Wait)
	}
	retryAfter := int64(0)
	if wait != Never {
		retryAfter = m.retryAfter(wait)
	}
	if count == 1 {
		// What stands in for a policy is not among them.
		if i := slices.Index(r.set.policies, first); i >= 0 {
			return r.set.alone[i].refusal(retryAfter)
		}
	}
	return newRefusal(r.refused(false), retryAfter)
}

// refuse returns the error for what was not granted, with what SetHeader needs.
func (m *Middleware) refuse(r *Reservation) *Error {
	e := m.refusal(r).Error
	e.m, e.state = m, r
	return &e
}

// SetHeader sets Retry-After, RateLimit and RateLimit-Policy. [Middleware.Handler]
// does that itself; it is for those who answer in its place.
func (e *Error) SetHeader(h http.Header) {
	if e.state != nil {
		e.m.setState(h, e.state, e.RetryAfter)
	}
	e.setRetryAfter(h)
}

func (e *Error) setRetryAfter(h http.Header) {
	if e.RetryAfter > 0 {
		h[headerRetry] = []string{strconv.FormatInt(e.RetryAfter, 10)}
	}
}
