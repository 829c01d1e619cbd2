package breaker

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// OpenError says that a call was refused. It shows itself to clients as a 503
// that does not name the provider.
type OpenError struct {
	// Breaker is the name of the breaker that refused.
	Breaker string
	// State is its state: Open, or HalfOpen if all probes are under way, or any
	// but Open in a cooldown.
	State State
	// Cooldown reports whether the provider's rate limit is being waited for.
	Cooldown bool
	// Forced reports whether the breaker was opened by hand.
	Forced bool
	// RetryAfter is the exact time that is left until a call may be let
	// through. It is a second while all probes are under way, since nobody knows
	// when they end, and 0 if the breaker was opened by hand without a time.
	RetryAfter time.Duration
}

// Error implements error.
func (e *OpenError) Error() string {
	why := string(e.State)
	if e.Cooldown {
		why = "cooling down"
	}
	return fmt.Sprintf("breaker: %s is %s", e.Breaker, why)
}

// Outcome says that a refusal is no news of a provider, and that another may
// serve.
func (e *OpenError) Outcome() Outcome {
	return Outcome{Verdict: Ignored, Reason: "refused", RetryAfter: e.RetryAfter, Fallback: true}
}

// Problem returns a document with status 503 (RFC 9110, section 15.6.4), which has
// the exact time to wait as the member "retry_after_ms".
func (e *OpenError) Problem() *problem.Document {
	d := &problem.Document{
		Status: http.StatusServiceUnavailable,
		Detail: "The service behind this one is not available at the moment. Try again later.",
	}
	if e.RetryAfter > 0 {
		s := e.seconds()
		d.Detail = fmt.Sprintf("The service behind this one is not available at the moment. Try again in %d s.", s)
		d.Members = map[string]any{"retry_after_ms": int64((e.RetryAfter + time.Millisecond - 1) / time.Millisecond)}
	}
	return d
}

// SetHeader sets Retry-After (RFC 9110, section 10.2.3) in whole seconds, rounded
// up, if the time is known. It has to be called before the error is written.
func (e *OpenError) SetHeader(h http.Header) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(e.seconds(), 10))
	}
}

func (e *OpenError) seconds() int64 {
	return int64((e.RetryAfter + time.Second - 1) / time.Second)
}
