package ratelimit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sparkhttp/spark/ratelimit/internal/gcra"
)

// How often those who wait for a permit look again. A limiter can't tell them
// when one is given back.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// Wait charges key as [Middleware.Reserve] does, but waits until it is allowed:
// for the client of a service that limits it. Those who wait for units are served
// in the order in which they came.
//
// It returns an error at once if it would take longer than ctx has: that is an
// [*Error] that wraps [context.DeadlineExceeded]. If ctx ends while it waits,
// nothing is charged, and the error is that of ctx.
func (m *Middleware) Wait(ctx context.Context, plan, key string, tokens int64) (*Reservation, error) {
	p, err := m.plan(plan)
	if err != nil {
		return nil, err
	}
	return m.wait(ctx, p.base, escape(key), tokens)
}

func (m *Middleware) wait(ctx context.Context, s *set, key string, tokens int64) (*Reservation, error) {
	for poll := firstPoll; ; poll = min(poll*2, lastPoll) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := &Reservation{m: m, set: s}
		r.prepare(key, max(0, tokens), nil)
		r.hold.MaxWait = gcra.MaxFill
		if deadline, ok := ctx.Deadline(); ok {
			r.hold.MaxWait = min(r.hold.MaxWait, time.Until(deadline))
		}
		granted, err := m.take(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case granted:
			return r, r.sleep(ctx)
		case !r.busy():
			e := m.refuse(r)
			return nil, fmt.Errorf("%w: %w", e, context.DeadlineExceeded)
		}
		if err := pause(ctx, poll); err != nil {
			return nil, err
		}
	}
}

// sleep waits until all that was taken is there.
func (r *Reservation) sleep(ctx context.Context) error {
	var wait time.Duration
	for i := range r.hold.Charges {
		if c := &r.hold.Charges[i]; c.Policy.Mode != Shadow {
			wait = max(wait, c.Wait)
		}
	}
	err := pause(ctx, wait)
	if err != nil {
		r.cancel(ctx)
	}
	return err
}

// busy reports whether only permits are missing.
func (r *Reservation) busy() bool {
	for i := range r.hold.Charges {
		c := &r.hold.Charges[i]
		if c.Refused && c.Policy.Mode != Shadow && (c.Policy.Unit != Concurrency || c.Wait == Never) {
			return false
		}
	}
	return true
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RoundTripper returns a transport that waits with each request until it is
// allowed, as [Middleware.Wait] does, and then sends it through next. It finds
// policies and tokens as for an incoming request; the key, if [Config.Key] gives
// none, is the host that the request is for. A permit is given back when the body
// of the response has been read to its end or closed.
//
// The reservation is on the context of [http.Response.Request]. A nil next means
// [http.DefaultTransport].
func (m *Middleware) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &paced{m, next}
}

type paced struct {
	m    *Middleware
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (p *paced) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.wait(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper has to, whatever comes of it
		}
		return nil, err
	}
	if res == nil {
		return p.next.RoundTrip(r)
	}
	ctx := NewContext(r.Context(), res)
	resp, err := p.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		res.finish(ctx)
		return nil, err
	}
	if resp.Body == nil { // that of a transport made for tests
		res.finish(ctx)
		return resp, nil
	}
	b := &body{ReadCloser: resp.Body, done: func() { res.finish(ctx) }}
	resp.Body = b
	if w, ok := b.ReadCloser.(io.Writer); ok { // of a connection that was upgraded
		resp.Body = struct {
			*body
			io.Writer
		}{b, w}
	}
	return resp, nil
}

// wait returns nil if the request is not limited.
func (p *paced) wait(r *http.Request) (*Reservation, error) {
	m := p.m
	var key string
	if m.cfg.Key != nil {
		key = m.cfg.Key(r)
	}
	if key == "" {
		key = r.URL.Host
	}
	if m.cfg.Exempt != nil && m.cfg.Exempt(r, key) {
		return nil, nil
	}
	s, err := m.setOf(r)
	if err != nil || len(s.policies) == 0 {
		return nil, err
	}
	var tokens int64
	if m.cfg.Estimate != nil {
		tokens = m.cfg.Estimate(r)
	}
	res, err := m.wait(r.Context(), s, escape(key), tokens)
	if err != nil {
		return nil, err
	}
	res.attached = true
	return res, nil
}

// body is the body of a response whose end is the end of a reservation.
type body struct {
	io.ReadCloser
	done func()
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.done()
	}
	return n, err
}

// Close implements [io.Closer].
func (b *body) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
