package auth

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// Reason says in one word why a request was refused, for logs and metrics.
// Clients are told less: all that is wrong with a key looks the same to them.
type Reason string

// The reasons for a refusal.
const (
	NoKey       Reason = "no_key"       // 401: there is no key, or one of a scheme other than Bearer
	TwoKeys     Reason = "two_keys"     // 400: there is more than one
	Malformed   Reason = "malformed"    // 401: neither a well-formed key nor a master key
	UnknownKey  Reason = "unknown_key"  // 401: no record has its id
	WrongSecret Reason = "wrong_secret" // 401: a record has its id, but another secret, or its pepper is gone
	Revoked     Reason = "revoked"      // 401
	Disabled    Reason = "disabled"     // 401
	Expired     Reason = "expired"      // 401: the key, or this one of two after a rotation
	Scope       Reason = "scope"        // 403: the key lacks a scope
	Blocked     Reason = "blocked"      // 429: the address has failed too often
	Unavailable Reason = "unavailable"  // 503: the store failed
)

// Error is why a request was refused. It shows itself to clients as a problem
// document that says no more than they may know; Error and Unwrap are for logs.
type Error struct {
	Reason Reason
	// Scopes are those that the request needs, if Reason is Scope.
	Scopes []string
	// RetryAfter is when to try again, if Reason is Blocked or Unavailable.
	RetryAfter time.Duration
	// Err is what the store said, if Reason is Unavailable. It is
	// context.Canceled if the client left meanwhile.
	Err error
}

// Error returns the reason, and what the store said.
func (e *Error) Error() string {
	s := "auth: " + strings.ReplaceAll(string(e.Reason), "_", " ")
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns what the store said.
func (e *Error) Unwrap() error { return e.Err }

// Problem returns what the client is told.
func (e *Error) Problem() *problem.Document {
	d := &problem.Document{Status: e.status()}
	switch e.Reason {
	case NoKey:
		d.Detail = "Send an API key as \"Authorization: Bearer <key>\" or as \"X-API-Key: <key>\"."
	case TwoKeys:
		d.Detail = "Send one API key, either as Authorization or as X-API-Key."
	case Scope:
		d.Detail = "The API key may not be used for this. It needs the scope " + strings.Join(e.Scopes, " ") + "."
	case Blocked:
		d.Detail = "Too many requests with a wrong API key came from your address. Try again later."
	case Unavailable:
		d.Detail = "API keys can't be checked at the moment. Try again later."
	default:
		d.Detail = "The API key is not valid."
	}
	return d
}

func (e *Error) status() int {
	switch e.Reason {
	case TwoKeys:
		return http.StatusBadRequest
	case Scope:
		return http.StatusForbidden
	case Blocked:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnauthorized
	}
}

// challenge returns the WWW-Authenticate field (RFC 6750, section 3), or "" if
// another key would change nothing. There is no error code if there was no key
// (section 3.1).
func (e *Error) challenge(realm string) string {
	c := `Bearer realm="` + realm + `"`
	switch e.Reason {
	case NoKey:
		return c
	case TwoKeys:
		return c + `, error="invalid_request"`
	case Scope:
		return c + `, error="insufficient_scope", scope="` + strings.Join(e.Scopes, " ") + `"`
	case Blocked, Unavailable:
		return ""
	default:
		return c + `, error="invalid_token"`
	}
}

// setHeader sets what a client needs beside the problem document, before an
// ErrorHandler runs.
func (e *Error) setHeader(h http.Header, realm string) {
	if c := e.challenge(realm); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(e.RetryAfter.Seconds())), 10))
	}
}

// guess reports whether the refusal is what guessing keys would meet.
func (e *Error) guess() bool {
	switch e.Reason {
	case Malformed, UnknownKey, WrongSecret, Revoked, Disabled, Expired:
		return true
	default:
		return false
	}
}

// Attempt is one request and what became of it.
type Attempt struct {
	// Refused is why the request was refused; empty if it was let in.
	Refused Reason
	// KeyID is the id of the key, as far as the request had a well-formed one;
	// "master:1" for the first master key, and so on.
	KeyID string
	// User is the owner of the key; empty unless the secret was right.
	User string
	// Client is the address that the request came from. It is set if the
	// request was refused for its key, otherwise only if that was looked at.
	Client netip.Addr
	// Superseded says that the key was let in though it has been rotated: its
	// holder has yet to change over, before [KeyInfo.PreviousExpires].
	Superseded bool
	// Exhausted says that this attempt was the last that the budget of its
	// address allowed: somebody may be guessing keys.
	Exhausted bool
	// Err is what the request was refused with.
	Err error
}

// notify tells an observer of an attempt.
func (a *Authenticator) notify(ctx context.Context, at Attempt) {
	if a.cfg.OnAttempt != nil {
		a.cfg.OnAttempt(ctx, at)
	}
}
