// Package auth lets requests in by API key.
//
// A request shows its key as "Authorization: Bearer <key>" (RFC 6750) or as
// "X-API-Key: <key>". The key's checksum is verified first: what is mistyped or
// invented never reaches a store. Then its record is looked up by the public id
// in the key, the hash of the key is compared in constant time with the one or
// two hashes in the record, and the record says whether the key is still good.
// What is wrong with a key the client isn't told, nor does time tell.
//
//	store, err := auth.OpenFile(auth.FileConfig{Path: "keys.json"})
//	gate, err := auth.New(auth.Config{Store: store})
//	go gate.Run(ctx) // writes when keys were used last
//	mux.Handle("POST /v1/answer", gate.Handler(answer))               // any key
//	mux.Handle("GET /v1/health", gate.Optional(health))               // with or without
//	mux.Handle("GET /v1/usage", gate.RequireScopes("usage:read")(usage)) // certain keys
//
// In a handler, [FromContext] returns the [Identity]. A [Manager] issues, lists,
// rotates and revokes keys. [Memory], [File] and package sqlstore keep them, as
// hashes only; [Cached] spares a slow store, and says for how long a revoked key
// may still be let in.
//
// Errors are answered as RFC 6750 says: 401 with a challenge, which bears no
// error code if there was no key; 403 if the key lacks a scope; 400 if there are
// two keys. If the store fails, the answer is 503: never 401, and the request is
// never let in.
//
// The package does no sessions, no passwords and no tokens of other issuers
// (OAuth, JWT), and it never reads keys from the query string.
package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

// storeRetry is when to try again after the store failed.
const storeRetry = 5 * time.Second

var (
	errScheme   = errors.New("scheme is not Bearer")
	errNoRecord = errors.New("the store returned no record and no error")
	errReserved = errors.New("the record has the reserved owner " + masterUser)
)

// Config says whom an [Authenticator] lets in.
type Config struct {
	// Store finds the records of keys. Required, unless there are MasterKeys.
	Store KeyStore
	// Prefix is what the keys of users begin with. All others are refused
	// without asking the store. Default: [DefaultPrefix].
	Prefix string
	// Peppers are those that hashes of keys may be made with, the current one
	// first. They are the same as in the [ManagerConfig]. Default: plain
	// SHA-256, see [Pepper].
	Peppers []Pepper
	// MasterKeys returns the keys of those who run the service. They have every
	// scope and are marked in the [Identity]. It is called for each request
	// whose key is not of the form of a user's, so that master keys can be
	// changed while the service runs: return what an atomic.Pointer holds, not
	// what a file does. Any text of 8 to 512 visible ASCII characters will do,
	// but only a random one is safe: openssl rand -hex 32. A text of the form
	// of a user's key is never taken for a master key, nor a master key for a
	// user's. Default: none.
	MasterKeys func() []string
	// Realm is what the keys are good for, told to clients in challenges
	// (RFC 9110, section 11.5). Printable ASCII without " and \. Default: "api".
	Realm string

	// FailedAttempts is how many wrong keys may come from one address at once.
	// After that all of its requests that have a key are answered with 429,
	// without looking at the key, until as many are forgiven, evenly over
	// FailureWindow. Negative means no such limit. Default: 100.
	FailedAttempts int
	// FailureWindow is the time in which FailedAttempts are forgiven.
	// Default: 1 minute.
	FailureWindow time.Duration
	// ClientIP returns the address that FailedAttempts go by; an IPv6 address
	// stands for its /64. For an invalid one there is no limit. Behind a
	// proxy it must find the client, or all clients share the budget of the
	// proxy. Default: the address in RemoteAddr.
	ClientIP func(*http.Request) netip.Addr

	// OnAttempt is told of each request, after it was let in or refused, and
	// once more of one whose key is good but lacks a scope. Optional.
	OnAttempt func(context.Context, Attempt)
	// ErrorHandler answers a request that is refused; the error is an [*Error].
	// The headers that RFC 6750 wants are set before. Default: [problem.Write].
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
	// Logger is told when Run can't write to the store. Default: slog.Default().
	Logger *slog.Logger
}

// Authenticator finds out whom requests come from. It is safe for use by
// several goroutines.
type Authenticator struct {
	cfg    Config
	seal   *sealer
	dummy  Record  // stands for the record that is not there
	budget *budget // nil if there is none
	used   *usage
}

// New returns an Authenticator, or an error that names the field that is wrong.
func New(cfg Config) (*Authenticator, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, DefaultPrefix)
	cfg.Realm = cmp.Or(cfg.Realm, "api")
	cfg.FailedAttempts = cmp.Or(cfg.FailedAttempts, 100)
	cfg.FailureWindow = cmp.Or(cfg.FailureWindow, time.Minute)
	if cfg.Store == nil && cfg.MasterKeys == nil {
		return nil, errors.New("auth: Store is required, unless there are MasterKeys")
	}
	if cfg.Store == nil {
		cfg.Store = NewMemory()
	}
	if cfg.FailureWindow < 0 {
		return nil, fmt.Errorf("auth: FailureWindow is %v, want more than 0", cfg.FailureWindow)
	}
	for _, c := range []byte(cfg.Realm) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return nil, fmt.Errorf("auth: Realm is %q, want printable ASCII without \" and \\", cfg.Realm)
		}
	}
	if err := checkPrefix(cfg.Prefix); err != nil {
		return nil, err
	}
	seal, err := newSealer(cfg.Peppers)
	if err != nil {
		return nil, err
	}
	if cfg.ClientIP == nil {
		cfg.ClientIP = remoteAddr
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = problem.Write
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	a := &Authenticator{cfg: cfg, seal: seal, used: newUsage()}
	if cfg.FailedAttempts > 0 {
		a.budget = newBudget(cfg.FailedAttempts, cfg.FailureWindow)
	}
	if cfg.MasterKeys != nil {
		if err := a.checkMasters(cfg.MasterKeys()); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Authenticate returns whom a request comes from. An error is an [*Error].
//
// It counts a wrong key against the address that it came from, but it is the
// middlewares that answer, and that keep the identity for handlers.
func (a *Authenticator) Authenticate(r *http.Request) (Identity, error) {
	id, err := a.authenticate(r)
	if err != nil {
		return Identity{}, err // err is not nil as an error either
	}
	return id, nil
}

// Handler lets requests through to next that have a valid key.
func (a *Authenticator) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, err := a.authenticate(r); err != nil {
			a.refuse(w, r, err)
		} else {
			a.admit(w, r, id, next)
		}
	})
}

// Optional lets requests through to next that have a valid key or none; those
// without have an [Identity] that is marked as anonymous. A key that is not
// valid is refused all the same: who sends one doesn't want to be a stranger.
func (a *Authenticator) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := a.authenticate(r)
		switch {
		case err != nil && err.Reason == NoKey && err.Err == nil:
			a.admit(w, r, Identity{Anonymous: true}, next)
		case err != nil:
			a.refuse(w, r, err)
		default:
			a.admit(w, r, id, next)
		}
	})
}

// RequireScopes lets requests through that have a valid key with all of the
// scopes; no scopes means that any valid key will do. It may stand alone, or
// inside Handler or Optional: then it takes the identity from the context.
// A master key has all scopes.
//
// It panics if a scope is not 1 to 128 visible ASCII characters without " and \
// (RFC 6750, section 3), since scopes are constants of a program.
func (a *Authenticator) RequireScopes(scopes ...string) func(next http.Handler) http.Handler {
	if err := checkScopes(scopes); err != nil {
		panic(err)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, known := FromContext(r.Context())
			var err *Error
			if !known {
				id, err = a.authenticate(r)
			} else if id.Anonymous {
				err = &Error{Reason: NoKey}
			}
			if err == nil && !id.Has(scopes...) {
				err = &Error{Reason: Scope, Scopes: scopes}
				a.notify(r.Context(), Attempt{Refused: Scope, KeyID: id.KeyID, User: id.User, Err: err})
			}
			switch {
			case err != nil:
				a.refuse(w, r, err)
			case known:
				next.ServeHTTP(w, r)
			default:
				a.admit(w, r, id, next)
			}
		})
	}
}

// Run writes when keys were used last, and hashes by the current pepper, to the
// store: once a minute, and when ctx ends. Without it that isn't done; what
// it is to write is bounded, and no request waits for it. Run returns nil when
// ctx ends; if the store is not a [Store], it does nothing else.
func (a *Authenticator) Run(ctx context.Context) error {
	store, ok := writable(a.cfg.Store)
	if !ok {
		<-ctx.Done()
		return nil
	}
	a.used.on.Store(true)
	defer a.used.on.Store(false)
	tick := time.NewTicker(usagePrecision)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.flush(ctx, store)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeRetry)
			defer cancel()
			a.flush(last, store)
			return nil
		}
	}
}

func (a *Authenticator) flush(ctx context.Context, store Store) {
	if err := a.used.flush(ctx, store); err != nil {
		a.cfg.Logger.WarnContext(ctx, "auth: writing when keys were used last", "error", err)
	}
}

// What an authenticated reply bears: shared by all of them, so not to be changed
// in place. Appending to them copies.
var (
	noStore = []string{"no-store"}
	vary    = []string{"Authorization, X-API-Key"}
)

// admit calls next with the identity on the context.
func (a *Authenticator) admit(w http.ResponseWriter, r *http.Request, id Identity, next http.Handler) {
	h := w.Header()
	setVary(h)
	if !id.Anonymous && len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = noStore[:1:1]
	}
	response.ServeContext(NewContext(r.Context(), id), w, r, next)
}

func (a *Authenticator) refuse(w http.ResponseWriter, r *http.Request, err *Error) {
	h := w.Header()
	setVary(h)
	h["Cache-Control"] = noStore[:1:1]
	err.setHeader(h, a.cfg.Realm)
	a.cfg.ErrorHandler(w, r, err)
}

// setVary says that a reply depends on the key, once, and beside what it depends
// on besides.
func setVary(h http.Header) {
	switch have := h["Vary"]; {
	case len(have) == 0:
		h["Vary"] = vary[:1:1]
	case !slices.Contains(have, vary[0]):
		h["Vary"] = append(have, vary[0])
	}
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}
