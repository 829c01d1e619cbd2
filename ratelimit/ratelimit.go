// Package ratelimit limits what each client may use: requests, tokens of a
// language model, and answers that run at the same time.
//
// A request is charged by several policies in one atomic decision: if one of them
// refuses, none is charged. Each is a token bucket for each key, the user or else
// the address of the client. Tokens are reserved by an estimate and settled when
// it is known how many there were; a permit to run is held until the end of the
// stream, whatever ends it. Every response says what is left, in the fields of
// draft-ietf-httpapi-ratelimit-headers-11.
//
// It does not tell who a client is (see [Config.Key]), does not queue what comes
// in, and does not protect from floods that have to be stopped before they reach
// a process.
//
//	limit, err := ratelimit.New(ratelimit.Config{
//		Policies: []ratelimit.Policy{
//			{Name: "requests", Limit: 60, Window: time.Minute},
//			{Name: "streams", Unit: ratelimit.Concurrency, Limit: 4},
//		},
//	})
//	…
//	http.ListenAndServe("localhost:8080", limit.Handler(mux))
package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

// Config configures a [Middleware]. A policy somewhere is required; the zero
// value of every other field is a safe default.
type Config struct {
	// Policies and Endpoints are the [Plan] of those that have no other.
	Policies  []Policy
	Endpoints map[string][]Policy
	// Endpoint names the endpoint of a request, as a key of Endpoints. Nil means
	// the pattern that matches.
	Endpoint func(*http.Request) string

	// Plans are other plans, by name, and PlanOf returns which of them a request
	// has; "" means the policies above. A name that is not in Plans is an error:
	// nobody is given a default by mistake. Nil means that there are none.
	Plans  map[string]Plan
	PlanOf func(*http.Request) string

	// Key returns who is charged, as the id of a user. "" means that it is not
	// known, and so the address of the client is charged. Nil means that it never
	// is known. The two can't be mistaken for each other.
	Key func(*http.Request) string
	// ClientIP finds the address of the client. The zero value takes the address
	// of the connection.
	ClientIP ClientIP
	// Exempt reports whether a request is not limited at all. key is as Key and
	// ClientIP have it. Nil means that none is exempt.
	Exempt func(r *http.Request, key string) bool

	// Estimate returns how many tokens to reserve before the handler runs. Nil
	// means none: the handler can reserve them when it has read the request (see
	// [Reservation.Reserve]).
	Estimate func(*http.Request) int64
	// Lease is how long a reservation lasts that nobody settles: then its permit
	// is free, and its tokens count as used. It should be longer than any
	// response. Zero means 10 minutes.
	Lease time.Duration

	// Limiter keeps the buckets. Nil means a [Memory] of the default size. No more
	// than 1023 names of policies are possible.
	Limiter Limiter
	// Timeout is how long a Limiter may take for a decision that is not a Memory.
	// Zero means 250 milliseconds.
	Timeout time.Duration
	// Replicas is how many processes share Limiter. If it fails, each of them
	// enforces its part of the limits, rounded up. Zero means 1.
	Replicas int

	// Jitter is the largest random time that is added to Retry-After, so that
	// clients don't come back all at once. Zero means none.
	Jitter time.Duration
	// LegacyHeaders adds X-RateLimit-Limit, -Remaining and -Reset (a Unix time).
	LegacyHeaders bool
	// ExposeHeaders lets scripts of other origins read the headers, by
	// Access-Control-Expose-Headers.
	ExposeHeaders bool

	// ErrorHandler answers what is refused: err is an [*Error], or one that says
	// that there is no plan of a name. The headers are set already. Nil means
	// [problem.Write].
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// OnEvent is told of what did not go as it should. It is called on the
	// goroutine of the request, which waits for it. Optional.
	OnEvent func(context.Context, Event)
}

// Middleware limits requests. It may be used by several goroutines at once.
type Middleware struct {
	cfg    Config
	memory *Memory // cfg.Limiter, if it is one
	local  *Memory // stands in for it if it isn't
	base   *plan
	plans  map[string]*plan
	pool   sync.Pool // of *Reservation, for requests that hold nothing
}

// New returns a Middleware, or an error that says what is wrong with cfg.
func New(cfg Config) (*Middleware, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := &Middleware{cfg: cfg, plans: make(map[string]*plan, len(cfg.Plans))}
	var err error
	if m.base, err = newPlan(Plan{cfg.Policies, cfg.Endpoints}, &cfg); err != nil {
		return nil, err
	}
	for name, p := range cfg.Plans {
		if m.plans[name], err = newPlan(p, &cfg); err != nil {
			return nil, fmt.Errorf("%w (plan %q)", err, name)
		}
	}
	m.memory, _ = cfg.Limiter.(*Memory)
	if m.memory == nil {
		m.local = NewMemory(localBuckets)
	}
	if err = m.register(); err != nil {
		return nil, err
	}
	m.pool.New = func() any {
		return &Reservation{m: m, hold: Hold{Charges: make([]Charge, 0, maxPolicies)}, stock: new(stock)}
	}
	return m, nil
}

// check sets the defaults.
func (cfg *Config) check() error {
	if len(cfg.Policies)+len(cfg.Endpoints)+len(cfg.Plans) == 0 {
		return errors.New("ratelimit: Config.Policies is empty, and so are Endpoints and Plans")
	}
	if len(cfg.Plans) > 0 && cfg.PlanOf == nil {
		return errors.New("ratelimit: Config.PlanOf is required with Plans")
	}
	if cfg.Lease < 0 || cfg.Timeout < 0 || cfg.Jitter < 0 || cfg.Replicas < 0 {
		return fmt.Errorf("ratelimit: Lease is %v, Timeout %v, Jitter %v, Replicas %d, want none below 0",
			cfg.Lease, cfg.Timeout, cfg.Jitter, cfg.Replicas)
	}
	if err := cfg.ClientIP.Validate(); err != nil {
		return err
	}
	if cfg.Lease == 0 {
		cfg.Lease = 10 * time.Minute
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 250 * time.Millisecond
	}
	cfg.Replicas = max(1, cfg.Replicas)
	if cfg.Limiter == nil {
		cfg.Limiter = NewMemory(0)
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = problem.Write
	}
	return nil
}

// register makes the names of all policies known to the Memory that decides or
// stands in: that there are too many must not come out at a request.
func (m *Middleware) register() error {
	var names []string
	for _, p := range append(slices.Collect(maps.Values(m.plans)), m.base) {
		for _, s := range append(slices.Collect(maps.Values(p.endpoints)), p.base) {
			for _, policy := range s.policies {
				names = append(names, policy.Name)
			}
		}
	}
	return cmp.Or(m.memory, m.local).register(names...)
}

// Reserve charges key by the policies of plan: one request, one permit, and the
// given number of tokens. It is for what does not come through
// [Middleware.Handler]. The error is an [*Error] if it is refused. Settle the
// Reservation at the end. The plan "" is that of [Config.Policies].
func (m *Middleware) Reserve(ctx context.Context, plan, key string, tokens int64) (*Reservation, error) {
	s, err := m.plan(plan)
	if err != nil {
		return nil, err
	}
	return m.reserve(ctx, s.base, escape(key), tokens)
}

func (m *Middleware) reserve(ctx context.Context, s *set, key string, tokens int64) (*Reservation, error) {
	r := &Reservation{m: m, set: s}
	r.prepare(key, max(0, tokens), nil)
	granted, err := m.take(ctx, r)
	if err == nil && !granted {
		err = m.refuse(r)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Handler returns a handler that calls next for the requests that are allowed.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := m.key(r)
		if m.cfg.Exempt != nil && m.cfg.Exempt(r, key) {
			next.ServeHTTP(w, r)
			return
		}
		s, err := m.setOf(r)
		switch {
		case err != nil:
			m.cfg.ErrorHandler(w, r, err)
		case s.holds:
			m.serveHolding(w, r, next, s, key)
		default:
			if m.allow(w, r, s, key) {
				next.ServeHTTP(w, r)
			}
		}
	})
}

// allow decides about a request that holds nothing afterwards.
func (m *Middleware) allow(w http.ResponseWriter, r *http.Request, s *set, key string) bool {
	res := m.pool.Get().(*Reservation)
	res.set = s
	res.prepare(key, 0, nil)
	granted, err := m.take(r.Context(), res)
	if granted {
		m.setState(w.Header(), res, 0)
	} else {
		m.answer(w, r, res, err)
	}
	clear(res.hold.Charges)
	*res = Reservation{m: m, hold: Hold{Charges: res.hold.Charges[:0]}, stock: res.stock}
	m.pool.Put(res)
	return granted
}

// serveHolding serves a request that has tokens to settle or a permit to give
// back.
func (m *Middleware) serveHolding(w http.ResponseWriter, r *http.Request, next http.Handler, s *set, key string) {
	var tokens int64
	if s.tokens && m.cfg.Estimate != nil {
		tokens = max(0, m.cfg.Estimate(r))
	}
	res := &Reservation{m: m, set: s, attached: true}
	res.prepare(key, tokens, nil)
	granted, err := m.take(r.Context(), res)
	if !granted {
		m.answer(w, r, res, err)
		return
	}
	m.setState(w.Header(), res, 0)
	if s.tokens {
		handler := next
		next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			response.ServeContext(NewContext(r.Context(), res), w, r, handler)
		})
	}
	response.Serve(w, r, next, (*watch)(res))
}

// answer refuses a request.
func (m *Middleware) answer(w http.ResponseWriter, r *http.Request, res *Reservation, err error) {
	h := w.Header()
	if err == nil {
		f := m.refusal(res)
		m.setState(h, res, f.RetryAfter)
		if f.RetryAfter > 0 {
			h[headerRetry] = f.retryAfter[:]
		}
		err = &f.Error
	} else if e, ok := errors.AsType[*Error](err); ok {
		e.setRetryAfter(h)
	}
	m.cfg.ErrorHandler(w, r, err)
}

// setOf returns the policies for a request.
func (m *Middleware) setOf(r *http.Request) (*set, error) {
	p := m.base
	if m.cfg.PlanOf != nil {
		var err error
		if p, err = m.plan(m.cfg.PlanOf(r)); err != nil {
			return nil, err
		}
	}
	return p.of(r), nil
}

func (m *Middleware) plan(name string) (*plan, error) {
	if name == "" {
		return m.base, nil
	}
	if p := m.plans[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("ratelimit: there is no plan %q", name)
}

// Prefixes of keys: what begins with one of them is either an address or was
// escaped.
const (
	prefixIP  = "ip:"
	prefixKey = "key:"
)

// key returns who is charged for a request.
func (m *Middleware) key(r *http.Request) string {
	if m.cfg.Key != nil {
		if key := m.cfg.Key(r); key != "" {
			return escape(key)
		}
	}
	return m.cfg.ClientIP.Key(r)
}

// escape keeps a key of a user from looking like an address.
func escape(key string) string {
	if strings.HasPrefix(key, prefixIP) || strings.HasPrefix(key, prefixKey) {
		return prefixKey + key
	}
	return key
}
