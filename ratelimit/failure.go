package ratelimit

import (
	"context"
	"errors"
	"time"
)

const (
	// localBuckets is how many keys the limiter that stands in keeps apart.
	localBuckets = 1 << 16
	// closedRetry is what clients of a policy that fails closed are told to wait.
	closedRetry = 5 * time.Second
)

// take has the limiter decide about r, and decides in its place if it fails. An
// error that is not of the context is an [*Error].
func (m *Middleware) take(ctx context.Context, r *Reservation) (granted bool, err error) {
	r.limiter = m.cfg.Limiter
	if len(r.hold.Charges) == 0 {
		return true, nil
	}
	if m.memory != nil {
		granted, err = m.memory.Take(ctx, &r.hold)
	} else {
		err = m.call(ctx, r.limiter, func(ctx context.Context) (err error) {
			granted, err = r.limiter.Take(ctx, &r.hold)
			return err
		})
	}
	if err != nil {
		granted, err = m.standIn(ctx, r, err)
	}
	if err == nil && (!granted || r.set.shadows) {
		m.report(ctx, r)
	}
	return granted, err
}

// call calls a limiter, for which there is a time limit if it isn't in memory.
func (m *Middleware) call(ctx context.Context, l Limiter, f func(context.Context) error) error {
	if _, ok := l.(*Memory); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.cfg.Timeout)
		defer cancel()
	}
	return f(ctx)
}

// standIn decides about r after its limiter failed, as its policies say.
func (m *Middleware) standIn(ctx context.Context, r *Reservation, failure error) (bool, error) {
	if ctx.Err() != nil && errors.Is(failure, ctx.Err()) {
		return false, failure // nobody waits for the decision any more
	}
	e := Event{Kind: LimiterFailed, Key: r.hold.Key, Err: failure}
	var closed []string
	degraded := r.hold.Charges[:0]
	for _, c := range r.hold.Charges {
		e.Policies = append(e.Policies, c.Policy.Name)
		switch {
		case c.Policy.Mode == Shadow, c.Policy.OnFailure == FailOpen:
		case c.Policy.OnFailure == FailClosed:
			closed = append(closed, c.Policy.Name)
		default:
			degraded = append(degraded, Charge{Policy: r.set.localOf(c.Policy), Cost: c.Cost, Actual: c.Cost})
		}
	}
	m.event(ctx, e)
	if len(closed) > 0 {
		r.hold.Charges = degraded[:0]
		return false, &Error{Policies: closed, RetryAfter: m.retryAfter(closedRetry), Err: failure, m: m}
	}
	r.hold.Charges = degraded
	r.limiter = m.local
	r.degraded = true
	if len(degraded) == 0 {
		return true, nil
	}
	return m.local.Take(ctx, &r.hold)
}

// localOf returns what stands in for p.
func (s *set) localOf(p *Policy) *Policy {
	for i, own := range s.policies {
		if own == p {
			return s.local[i]
		}
	}
	return p
}
