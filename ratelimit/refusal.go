package ratelimit

import (
	"net/http"
	"strconv"
	"strings"

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

	m     *Middleware
	state *Reservation
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
	d := &problem.Document{Members: map[string]any{"violated-policies": e.Policies}}
	switch {
	case e.Err != nil:
		d.Type = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
		d.Title = "Request cannot be satisfied due to temporary server capacity constraints"
		d.Status = http.StatusServiceUnavailable
	case e.RetryAfter == 0:
		d.Detail = "The request asks for more than the quota ever allows at once. Ask for less."
		fallthrough
	default:
		d.Type = "https://iana.org/assignments/http-problem-types#quota-exceeded"
		d.Title = "Request cannot be satisfied as assigned quota has been exceeded"
		d.Status = http.StatusTooManyRequests
	}
	return d
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
