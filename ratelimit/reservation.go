package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sparkhttp/spark/internal/response"
)

// A Reservation is what a request was granted: its tokens until they are settled,
// and its permit until the response has ended. A handler finds that of its
// request with [FromContext]:
//
//	quota, _ := ratelimit.FromContext(r.Context())
//	if err := quota.Reserve(ctx, inputTokens+min(maxTokens, 4096)); err != nil {
//		problem.Write(w, r, err) // 429 with all headers
//		return
//	}
//	defer func() { quota.Settle(ctx, used) }()
//
// A nil Reservation is one that nothing limits: its methods do nothing. It may be
// used by several goroutines at once.
type Reservation struct {
	m   *Middleware
	set *set

	mu       sync.Mutex
	hold     Hold    // what was taken first, with the latest state of all policies
	limiter  Limiter // of hold
	more     []taken // what was taken later
	start    time.Time
	used     int64
	reported bool // used counts
	settled  bool
	attached bool // to a response, or to whatever else calls finish
	degraded bool
	refusal  *Error // the latest, if Reserve refused
	changed  bool   // since the headers were set
	sent     string // the value of RateLimit-Policy that was set
	stock    *stock // nil if it is used but once
}

// taken is a hold and who keeps it.
type taken struct {
	limiter Limiter
	hold    *Hold
}

type contextKey struct{}

// FromContext returns the reservation of the request of ctx. There is none, which
// is no reason not to call its methods, if none of the policies of the request is
// of [Tokens]. If there are two middlewares with such policies around a handler,
// it is that of the inner one.
func FromContext(ctx context.Context) (*Reservation, bool) {
	r, ok := ctx.Value(contextKey{}).(*Reservation)
	return r, ok
}

// NewContext returns a copy of ctx with r.
func NewContext(ctx context.Context, r *Reservation) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// Reserve takes n more tokens from all policies of [Tokens], or none. A refusal is
// an [*Error]; behind [Middleware.Handler] its headers are set already when it is
// returned.
func (r *Reservation) Reserve(ctx context.Context, n int64) error {
	if r == nil || n <= 0 || !r.set.tokens {
		return nil
	}
	r.mu.Lock()
	next := &Reservation{m: r.m, set: r.set}
	next.prepare(r.hold.Key, n, func(p *Policy) bool { return p.Unit == Tokens })
	r.mu.Unlock()

	granted, err := r.m.take(ctx, next)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.degraded = r.degraded || next.degraded
	r.adopt(next)
	r.changed = true
	if err == nil && !granted {
		err = r.m.refuse(next)
	}
	if err != nil {
		r.refusal, _ = errors.AsType[*Error](err)
		return err
	}
	r.start = time.Now()
	if r.settled {
		r.settled, r.used, r.reported = false, 0, false
	}
	if len(next.hold.Charges) > 0 {
		r.more = append(r.more, taken{next.limiter, &next.hold})
	}
	return nil
}

// adopt takes over the state that next found, for the headers.
func (r *Reservation) adopt(next *Reservation) {
	for _, c := range next.hold.Charges {
		for i := range r.hold.Charges {
			if own := &r.hold.Charges[i]; own.Policy.Name == c.Policy.Name {
				own.Remaining, own.Next = c.Remaining, c.Next
			}
		}
	}
}

// Use adds n to the tokens that are known to be used. If nobody calls Settle,
// what was used so far is what counts at the end: call it with each part of a
// stream, and a client that leaves in the middle pays for what it got.
func (r *Reservation) Use(n int64) {
	if r == nil || n < 0 {
		return
	}
	r.mu.Lock()
	r.used += n
	r.reported = true
	r.mu.Unlock()
}

// Settle puts the tokens that were actually used in place of those reserved: the
// rest is given back, or what is missing taken as a debt, which refuses the next
// requests until it is paid. The first call counts, unless more is reserved after
// it. If there is none when the response ends, what [Reservation.Use] was told
// counts, else the estimate.
//
// When the lease has run out, nothing is given back any more. For a reservation
// from [Middleware.Reserve] or [Middleware.Wait], Settle also gives back its
// permit.
//
// That ctx is cancelled does not matter: who has left has to pay as well.
func (r *Reservation) Settle(ctx context.Context, actual int64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.settled {
		r.mu.Unlock()
		return
	}
	err := r.settleLocked(ctx, max(0, actual), !r.attached)
	r.mu.Unlock()
	r.settleFailed(ctx, err)
}

// finish settles what is not settled and gives back the permit.
func (r *Reservation) finish(ctx context.Context) {
	r.mu.Lock()
	actual := int64(-1)
	if !r.settled && r.reported {
		actual = r.used
	}
	err := r.settleLocked(ctx, actual, true)
	r.mu.Unlock()
	r.settleFailed(ctx, err)
}

// cancel gives back everything: nothing of it was used.
func (r *Reservation) cancel(ctx context.Context) {
	r.mu.Lock()
	for i := range r.hold.Charges {
		if c := &r.hold.Charges[i]; !c.Refused { // a shadow charged nothing if it refused
			c.Actual = 0
		}
	}
	r.settled = true
	err := r.send(ctx, r.limiter, &r.hold)
	r.mu.Unlock()
	r.settleFailed(ctx, err)
}

// settleLocked settles the tokens at actual, unless that is negative, and
// releases the permits if it should.
func (r *Reservation) settleLocked(ctx context.Context, actual int64, release bool) error {
	r.settled = true
	for i := range r.hold.Charges {
		c := &r.hold.Charges[i]
		c.Actual = c.Cost
		if c.Policy.Unit == Concurrency && release {
			c.Actual = 0
		}
	}
	for _, t := range r.more {
		for i := range t.hold.Charges {
			t.hold.Charges[i].Actual = t.hold.Charges[i].Cost
		}
	}
	if actual >= 0 {
		for _, p := range r.set.policies {
			if p.Unit == Tokens {
				r.spread(p.Name, actual)
			}
		}
	}
	err := r.send(ctx, r.limiter, &r.hold)
	for _, t := range r.more {
		err = cmp.Or(err, r.send(ctx, t.limiter, t.hold))
	}
	r.forgetTokens()
	return err
}

// forgetTokens leaves what is settled behind: what is reserved afterwards is
// settled by itself.
func (r *Reservation) forgetTokens() {
	r.more = nil
	for i := range r.hold.Charges {
		if c := &r.hold.Charges[i]; c.Policy.Unit == Tokens {
			c.Cost, c.Actual = 0, 0
		}
	}
}

// spread sets Actual of all charges of a policy so that they add up to actual.
func (r *Reservation) spread(policy string, actual int64) {
	var charges [8]*Charge
	list := charges[:0]
	pick := func(h *Hold) {
		for i := range h.Charges {
			// A shadow that would have refused charged nothing.
			if c := &h.Charges[i]; c.Policy.Name == policy && !c.Refused {
				list = append(list, c)
				actual -= c.Cost
			}
		}
	}
	pick(&r.hold)
	for _, t := range r.more {
		pick(t.hold)
	}
	if actual < 0 && time.Since(r.start) > r.hold.Lease {
		return
	}
	for _, c := range slices.Backward(list) {
		c.Actual = max(0, c.Cost+actual)
		actual -= c.Actual - c.Cost
	}
}

// send has a limiter settle a hold, if there is anything to change.
func (r *Reservation) send(ctx context.Context, l Limiter, h *Hold) error {
	for i := range h.Charges {
		if h.Charges[i].Actual != h.Charges[i].Cost {
			return r.m.call(context.WithoutCancel(ctx), l, func(ctx context.Context) error { return l.Settle(ctx, h) })
		}
	}
	return nil
}

func (r *Reservation) settleFailed(ctx context.Context, err error) {
	if err != nil {
		r.m.event(ctx, Event{Kind: SettleFailed, Key: r.hold.Key, Policies: r.names(), Err: err})
	}
}

// names returns the names of the policies that there is something to settle of.
func (r *Reservation) names() (names []string) {
	for _, p := range r.set.policies {
		if p.Unit == Tokens || p.Unit == Concurrency {
			names = append(names, p.Name)
		}
	}
	return names
}

// prepare asks for what the policies that are wanted take.
func (r *Reservation) prepare(key string, tokens int64, want func(*Policy) bool) {
	r.hold.Key, r.hold.Lease = key, r.m.cfg.Lease
	for _, p := range r.set.policies {
		if want != nil && !want(p) {
			continue
		}
		c := Charge{Policy: p, Cost: 1}
		if p.Unit == Tokens {
			c.Cost = tokens
		}
		c.Actual = c.Cost
		r.hold.Charges = append(r.hold.Charges, c)
	}
	if r.set.holds {
		r.hold.ID = rand.Uint64() | 1
		r.start = time.Now()
	}
}

// watch is the part of a Reservation that a response calls.
type watch Reservation

// BeforeHeader implements [response.HeaderWatcher]: the handler may have reserved
// since the headers were set.
func (w *watch) BeforeHeader(rec *response.Writer, status int) {
	r := (*Reservation)(w)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.changed {
		return
	}
	h := rec.Header()
	if e := r.refusal; e != nil && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		r.m.setState(h, r, e.RetryAfter)
		e.setRetryAfter(h)
		return
	}
	r.m.setState(h, r, 0)
}

// ResponseEnded implements [response.Watcher].
func (w *watch) ResponseEnded(rec *response.Writer, _ response.End) {
	(*Reservation)(w).finish(rec.Request().Context())
}
