package breaker

import (
	"errors"
	"time"
)

// Verdict says what the end of a call means for the breaker.
type Verdict uint8

// The verdicts.
const (
	// Success counts for the provider. That an answer was an error of the
	// caller's, a 400 or 404, is a success of the provider.
	Success Verdict = iota
	// Failure counts against the provider.
	Failure
	// Ignored says nothing about the provider. A probe that ends so makes room
	// for another.
	Ignored
	// Cooldown is a rate limit. It does not count, but calls are refused until
	// it is over.
	Cooldown
)

// String returns the verdict as a word.
func (v Verdict) String() string {
	switch v {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Cooldown:
		return "cooldown"
	default:
		return "ignored"
	}
}

// Outcome is all that the end of a call says. Its zero value is a plain success.
type Outcome struct {
	Verdict Verdict
	// Reason says in a word why, one of: "overloaded", "rate_limited", "quota",
	// "auth", "caller", "context_length", "policy", "server_error",
	// "unsupported", "timeout", "connection", "truncated", "empty_stream",
	// "error_event", "idle", "client_gone", "hang", "shutdown", "refused",
	// "lease", "vanished", "failed". Empty for a plain success.
	Reason string
	// RetryAfter is how long the provider asked to be left alone; 0 if it did
	// not say.
	RetryAfter time.Duration
	// Retry reports whether the same call may succeed if made again.
	Retry bool
	// Fallback reports whether another provider may do better.
	Fallback bool
	// Severity is "high" or "critical" for what a human must repair: a quota
	// that is used up, a key that is refused. Empty otherwise.
	Severity string
}

// Outcomer is implemented by errors that know what they mean. It is found
// through errors that wrap it.
type Outcomer interface {
	error
	Outcome() Outcome
}

// WithOutcome returns an error that says what err means. It wraps err, and reads
// like it. It returns nil if err is nil.
func WithOutcome(err error, o Outcome) error {
	if err == nil {
		return nil
	}
	return &judged{err, o}
}

type judged struct {
	error
	o Outcome
}

func (j *judged) Outcome() Outcome { return j.o }
func (j *judged) Unwrap() error    { return j.error }

// outcomeOf returns what err says it means, or a failure for that reason.
func outcomeOf(err error, reason string) Outcome {
	if o, ok := errors.AsType[Outcomer](err); ok {
		return o.Outcome()
	}
	return failed(reason)
}

// failed returns a failure that is worth another attempt, here or elsewhere.
func failed(reason string) Outcome {
	return Outcome{Verdict: Failure, Reason: reason, Retry: true, Fallback: true}
}

func ignored(reason string) Outcome { return Outcome{Verdict: Ignored, Reason: reason} }
