package breaker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// FailoverConfig says which providers are asked in which order, and how often.
type FailoverConfig struct {
	// Group has the breakers of the providers, and the budget of retries.
	// Required.
	Group *Group
	// Order are the names of the providers, the preferred one first. Required.
	Order []string
	// Retries is how many more attempts a provider gets before the next one is
	// asked. Default 1. A negative value means none.
	Retries int
	// BaseDelay is the longest wait before the first retry; it is doubled for
	// each further one. The wait is a random part of it. Default 500 ms.
	BaseDelay time.Duration
	// MaxDelay caps the wait. A provider that asks for more time by Retry-After
	// is not retried. Default 8 s.
	MaxDelay time.Duration
}

// Failover makes a call to the first provider that can serve it. It is safe for
// concurrent use.
type Failover struct{ cfg FailoverConfig }

// Attempt is one try at a provider.
type Attempt struct {
	// Provider is the name from the order.
	Provider string
	// Outcome is what became of it. Its Reason is "refused" if the breaker did
	// not let it through.
	Outcome Outcome
	// Err is the error of the attempt; nil if it succeeded.
	Err error
	// Duration is how long it took.
	Duration time.Duration
}

// Result says who served a call.
type Result struct {
	// Provider is who served it, or was serving it when it failed in the middle;
	// empty if no attempt got as far.
	Provider string
	// Attempts are all that was tried, in order.
	Attempts []Attempt
}

// NewFailover returns a Failover. It reports fields that are missing or out of
// range, and names that the group doesn't know.
func NewFailover(cfg FailoverConfig) (*Failover, error) {
	switch {
	case cfg.Group == nil:
		return nil, errors.New("breaker: Group is missing")
	case len(cfg.Order) == 0:
		return nil, errors.New("breaker: Order is empty, want at least one name")
	case cfg.BaseDelay < 0, cfg.MaxDelay < 0:
		return nil, fmt.Errorf("breaker: BaseDelay is %v and MaxDelay %v, want at least 0", cfg.BaseDelay, cfg.MaxDelay)
	}
	for _, name := range cfg.Order {
		if _, ok := cfg.Group.resolve(name); !ok {
			return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
		}
	}
	cfg.Order = slices.Clone(cfg.Order)
	setDefault(&cfg.Retries, 1)
	setDefault(&cfg.BaseDelay, 500*time.Millisecond)
	setDefault(&cfg.MaxDelay, max(8*time.Second, cfg.BaseDelay))
	return &Failover{cfg}, nil
}

// Do calls fn with the name of a provider until an attempt succeeds. The error of
// fn is the verdict about an attempt, as for [Breaker.Do]. order, if given, is
// used instead of the configured one.
//
// Another attempt is made only if its outcome says that it makes sense: not after
// what is the caller's fault, a context that is too long or a refusal by policy,
// nor when the client has left. And never after [Commit]: fn has to call it with
// its context before it writes anything to the client.
//
// The error is that of the last attempt that was made; if none was, the
// [*OpenError] of the breaker that will let calls through first.
func (f *Failover) Do(ctx context.Context, fn func(ctx context.Context, provider string) error, order ...string) (Result, error) {
	if len(order) == 0 {
		order = f.cfg.Order
	}
	r := run{f: f, ctx: ctx, fn: fn}
	for i, name := range order {
		b, err := f.cfg.Group.Get(name)
		if err != nil {
			return r.result, fmt.Errorf("%w: %q", err, name)
		}
		if r.ask(b, name, i == len(order)-1) { //nolint:contextcheck // r carries ctx
			break
		}
	}
	return r.result, r.err()
}

// run is one call to Failover.Do.
type run struct {
	f       *Failover
	ctx     context.Context
	fn      func(context.Context, string) error
	result  Result
	last    error      // of the last attempt that was made
	refused *OpenError // the one with the shortest time to wait
	made    bool
}

func (r *run) err() error {
	if !r.made && r.refused != nil {
		return r.refused
	}
	return r.last
}

// ask makes the attempts at one provider. It reports whether the call is over.
func (r *run) ask(b *Breaker, name string, final bool) (over bool) {
	for n := 0; ; n++ {
		o, committed, err := r.attempt(b, name)
		switch {
		case err == nil:
			r.result.Provider = name
			return true
		case committed:
			r.result.Provider = name
			return true
		case r.ctx.Err() != nil, !o.Retry && !o.Fallback:
			return true
		case o.Verdict == Cooldown && !final: // somebody else can serve at once
			return false
		case !o.Retry || n >= r.f.cfg.Retries || !r.wait(b, n, b.rest(o)):
			return !o.Fallback || r.ctx.Err() != nil
		}
	}
}

func (r *run) attempt(b *Breaker, name string) (o Outcome, committed bool, err error) {
	t := newTracker(r.ctx)
	t.breaker = b
	called := false
	o, err = b.run(t, func(ctx context.Context) error {
		if called = true; !r.made {
			r.made = true
			r.f.cfg.Group.budget.earn()
		}
		return r.fn(ctx, name)
	})
	r.result.Attempts = append(r.result.Attempts, Attempt{Provider: name, Outcome: o, Err: err, Duration: time.Since(t.start)})
	if refused, ok := errors.AsType[*OpenError](err); ok && !called {
		if r.refused == nil || refused.RetryAfter < r.refused.RetryAfter {
			r.refused = refused
		}
	} else {
		r.last = err
	}
	return o, t.committed.Load(), err
}

// rest is how long the provider asked to be left alone.
func (b *Breaker) rest(o Outcome) time.Duration {
	if o.Verdict == Cooldown && o.RetryAfter <= 0 {
		return b.cfg.CooldownTime
	}
	return o.RetryAfter
}

// refuses reports whether the breaker is open, so that there is nothing to wait
// for.
func (b *Breaker) refuses() bool { return b.cfg.Mode == Enforce && b.State() == Open }

// wait waits before retry number n, with full jitter. It reports false if the
// retry should not be made.
func (r *run) wait(b *Breaker, n int, rest time.Duration) bool {
	cfg := &r.f.cfg
	if rest > cfg.MaxDelay || b.refuses() {
		return false
	}
	most := cfg.BaseDelay
	for ; n > 0 && most < cfg.MaxDelay; n-- {
		most *= 2
	}
	d := jitter(min(most, cfg.MaxDelay))
	if rest > 0 { // what it asked for, and a little more, each another
		d = rest + jitter(cfg.BaseDelay)
	}
	if deadline, ok := r.ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	if !cfg.Group.budget.spend() {
		return false
	}
	if !sleep(r.ctx, d) {
		r.last = fmt.Errorf("%w, after: %w", context.Cause(r.ctx), r.last)
		return false
	}
	return true
}
