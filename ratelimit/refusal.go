package ratelimit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// An Error says why something is not allowed now. It is shown to clients as a
// problem document: 429 quota-exceeded, or 503 temporary-reduced-capacity if the
// limiter failed (draft-ietf-httpapi-ratelimit-headers-11, section 5).
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
	d := quotaExceeded(e.Policies)
	if e.RetryAfter == 0 {
		d.Detail = "The request asks for more than the quota ever allows at once. Ask for less."
	}
	return d
}

func quotaExceeded(names []string) *problem.Document {
	return &problem.Document{
		Type:    "https://iana.org/assignments/http-problem-types#quota-exceeded",
		Title:   "Request cannot be satisfied as assigned quota has been exceeded",
		Status:  http.StatusTooManyRequests,
		Members: map[string]any{"violated-policies": names},
	}
}

// refuse returns the error for what was not granted.
func (m *Middleware) refuse(r *Reservation) *Error {
	e := &Error{m: m, state: r}
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
	if wait != Never {
		e.RetryAfter = m.retryAfter(wait)
	}
	if i := slices.Index(r.set.policies, first); count == 1 && i >= 0 {
		e.Policies = r.set.alone[i].names
		if wait != Never {
			e.document = r.set.alone[i].document
		}
	} else {
		e.Policies = r.refused(false)
	}
	return e
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
	switch {
	case e.RetryAfter <= 0:
	case e.m == nil: // made by somebody else
		h[headerRetry] = []string{strconv.FormatInt(e.RetryAfter, 10)}
	default:
		v := e.m.retries.get(e.RetryAfter, 0)
		if v == nil {
			v = e.m.retries.put(e.RetryAfter, 0, strconv.FormatInt(e.RetryAfter, 10))
		}
		h[headerRetry] = v
	}
}
