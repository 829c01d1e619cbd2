// Package ratelimittest tests implementations of [ratelimit.Limiter].
//
// An implementation calls [Suite.Run] from a test of its own:
//
//	func TestLimiter(t *testing.T) {
//		ratelimittest.Suite{
//			New:      func(t *testing.T) ratelimit.Limiter { return newLimiter(t) },
//			RealTime: true, // it talks to a server, whose clock can't be turned
//		}.Run(t)
//	}
//
// What it tests is what the documentation of the interface says: that a decision
// about several policies is one, under parallel calls as well, what refills and
// when, what Settle does, and that the lease of a permit runs out. It does not
// test how an implementation fails, or how much memory it needs.
package ratelimittest

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparkhttp/spark/ratelimit"
)

// Suite says what to test.
type Suite struct {
	// New returns a limiter. Each test has keys and policies of its own, so that
	// all may be views of one store. Required.
	New func(*testing.T) ratelimit.Limiter
	// RealTime lets the tests sleep really, a few seconds in all. Without it they
	// run in the time of [testing/synctest], in which New must work too: that is
	// for limiters that stay in this process.
	RealTime bool
}

// Run runs all tests as subtests of t.
func (s Suite) Run(t *testing.T) {
	for _, tt := range []struct {
		name string
		test func(*fixture)
	}{
		{"burst, then refused", (*fixture).burst},
		{"keys are apart", (*fixture).keys},
		{"policies are apart", (*fixture).policies},
		{"all or nothing", (*fixture).allOrNothing},
		{"refill", (*fixture).refill},
		{"never fuller than the burst", (*fixture).cap},
		{"more than the burst", (*fixture).never},
		{"zero cost", (*fixture).zeroCost},
		{"max wait", (*fixture).maxWait},
		{"shadow and off", (*fixture).modes},
		{"settle less", (*fixture).settleLess},
		{"settle more", (*fixture).settleMore},
		{"settle is idempotent", (*fixture).settleTwice},
		{"permits", (*fixture).permits},
		{"lease", (*fixture).lease},
		{"parallel takes", (*fixture).parallel},
		{"parallel takes of several policies", (*fixture).parallelSeveral},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := func(t *testing.T) {
				tt.test(&fixture{T: t, limiter: s.New(t), prefix: strconv.FormatUint(rand.Uint64(), 36)})
			}
			if s.RealTime {
				run(t)
			} else {
				synctest.Test(t, run)
			}
		})
	}
}

// fixture is one test.
type fixture struct {
	*testing.T
	limiter ratelimit.Limiter
	prefix  string // of keys and policies, so that they are new
}

// slow returns a policy that gives nothing back while a test runs.
func (f *fixture) slow(name string, limit int64) *ratelimit.Policy {
	return f.checked(&ratelimit.Policy{Name: f.prefix + name, Limit: limit, Window: time.Duration(limit) * 24 * time.Hour})
}

// quick returns a policy of which ten units come back each second.
func (f *fixture) quick(name string, burst int64) *ratelimit.Policy {
	return f.checked(&ratelimit.Policy{Name: f.prefix + name, Limit: 10, Window: time.Second, Burst: burst})
}

func (f *fixture) concurrency(limit int64) *ratelimit.Policy {
	return f.checked(&ratelimit.Policy{Name: f.prefix + "running", Unit: ratelimit.Concurrency, Limit: limit})
}

func (f *fixture) checked(p *ratelimit.Policy) *ratelimit.Policy {
	f.Helper()
	if err := p.Validate(); err != nil {
		f.Fatal(err)
	}
	return p
}

func (f *fixture) hold(key string, charges ...ratelimit.Charge) *ratelimit.Hold {
	return &ratelimit.Hold{Key: f.prefix + key, ID: rand.Uint64() | 1, Lease: time.Hour, Charges: charges}
}

func cost(p *ratelimit.Policy, n int64) ratelimit.Charge {
	return ratelimit.Charge{Policy: p, Cost: n, Actual: n}
}

// take expects a decision.
func (f *fixture) take(want bool, h *ratelimit.Hold) *ratelimit.Hold {
	f.Helper()
	granted, err := f.limiter.Take(f.Context(), h)
	if err != nil {
		f.Fatalf("Take: %v", err)
	}
	if granted != want {
		f.Fatalf("Take = %v, want %v", granted, want)
	}
	any := false
	for _, c := range h.Charges {
		any = any || c.Refused && c.Policy.Mode != ratelimit.Shadow
	}
	if any == granted {
		f.Fatalf("Take = %v, but Refused of a policy that is enforced is %v", granted, any)
	}
	return h
}

func (f *fixture) settle(h *ratelimit.Hold) {
	f.Helper()
	if err := f.limiter.Settle(f.Context(), h); err != nil {
		f.Fatalf("Settle: %v", err)
	}
	for i, c := range h.Charges {
		if c.Cost != c.Actual {
			f.Fatalf("after Settle, charge %d has Cost %d and Actual %d, want the same", i, c.Cost, c.Actual)
		}
	}
}

// remaining expects what a charge says is left.
func (f *fixture) remaining(h *ratelimit.Hold, want ...int64) {
	f.Helper()
	for i, w := range want {
		if got := h.Charges[i].Remaining; got != w {
			f.Fatalf("charge %d: Remaining is %d, want %d", i, got, w)
		}
	}
}

func (f *fixture) burst() {
	p := f.slow("p", 5)
	for left := int64(4); left >= 0; left-- {
		f.remaining(f.take(true, f.hold("k", cost(p, 1))), left)
	}
	h := f.take(false, f.hold("k", cost(p, 1)))
	f.remaining(h, 0)
	c := h.Charges[0]
	if c.Wait <= 23*time.Hour || c.Wait > 24*time.Hour || c.Next <= 23*time.Hour || c.Next > 24*time.Hour {
		f.Fatalf("Wait is %v and Next %v, want a little below 24h", c.Wait, c.Next)
	}
}

func (f *fixture) keys() {
	p := f.slow("p", 1)
	for _, key := range []string{"a", "b", "", "a\x00b", "ключ", string(make([]byte, 4096))} {
		f.take(true, f.hold(key, cost(p, 1)))
		f.take(false, f.hold(key, cost(p, 1)))
	}
}

func (f *fixture) policies() {
	p, q := f.slow("p", 1), f.slow("q", 1)
	f.take(true, f.hold("k", cost(p, 1)))
	f.take(true, f.hold("k", cost(q, 1)))
	f.take(false, f.hold("k", cost(p, 1)))
}

func (f *fixture) allOrNothing() {
	p, q, r := f.slow("p", 10), f.slow("q", 2), f.concurrency(3)
	f.take(true, f.hold("k", cost(p, 1), cost(q, 2), cost(r, 1)))
	for range 3 {
		h := f.take(false, f.hold("k", cost(p, 1), cost(q, 1), cost(r, 1)))
		f.remaining(h, 9, 0, 2)
		if h.Charges[0].Refused || !h.Charges[1].Refused || h.Charges[2].Refused {
			f.Fatal("Refused is not that of the second policy alone")
		}
	}
	f.remaining(f.take(true, f.hold("k", cost(p, 0), cost(r, 1))), 9, 1)
}

func (f *fixture) refill() {
	p := f.quick("p", 5)
	f.take(true, f.hold("k", cost(p, 5)))
	h := f.take(false, f.hold("k", cost(p, 4)))
	if w := h.Charges[0].Wait; w <= 0 || w > 400*time.Millisecond {
		f.Fatalf("Wait is %v, want at most 400ms", w)
	}
	time.Sleep(h.Charges[0].Wait + time.Millisecond)
	f.take(true, f.hold("k", cost(p, 4)))
	f.take(false, f.hold("k", cost(p, 4)))
}

func (f *fixture) cap() {
	p := f.quick("p", 3)
	f.take(true, f.hold("k", cost(p, 1)))
	time.Sleep(time.Second)
	f.remaining(f.take(true, f.hold("k", cost(p, 0))), 3)
	f.take(true, f.hold("k", cost(p, 3)))
	f.take(false, f.hold("k", cost(p, 3)))
}

func (f *fixture) never() {
	p := f.slow("p", 5)
	h := f.take(false, f.hold("k", cost(p, 6)))
	if h.Charges[0].Wait != ratelimit.Never {
		f.Fatalf("Wait is %v, want Never", h.Charges[0].Wait)
	}
	f.remaining(h, 5)
}

func (f *fixture) zeroCost() {
	p := f.slow("p", 5)
	f.take(true, f.hold("k", cost(p, 0)))
	h := f.take(true, f.hold("k", cost(p, 5)))
	f.take(true, f.hold("k", cost(p, 0))) // empty is no debt
	h.Charges[0].Actual = 6
	f.settle(h)
	f.take(false, f.hold("k", cost(p, 0)))
}

func (f *fixture) maxWait() {
	p := f.slow("p", 1)
	h := f.hold("k", cost(p, 1))
	h.MaxWait = 25 * time.Hour
	f.take(true, h)
	if h.Charges[0].Wait != 0 {
		f.Fatalf("Wait is %v, want 0", h.Charges[0].Wait)
	}
	f.take(true, h)
	if w := h.Charges[0].Wait; w <= 23*time.Hour || w > 24*time.Hour {
		f.Fatalf("Wait is %v, want a little below 24h", w)
	}
	f.take(false, h)
}

func (f *fixture) modes() {
	p, shadow, off := f.slow("p", 3), f.slow("s", 1), f.slow("o", 1)
	shadow.Mode, off.Mode = ratelimit.Shadow, ratelimit.Off
	for i := range 3 {
		h := f.take(true, f.hold("k", cost(p, 1), cost(shadow, 1), cost(off, 1)))
		if h.Charges[1].Refused != (i > 0) || h.Charges[2].Refused {
			f.Fatalf("take %d: Refused of the shadow is %v, of the one that is off %v", i, h.Charges[1].Refused, h.Charges[2].Refused)
		}
	}
	f.take(false, f.hold("k", cost(p, 1), cost(shadow, 1)))
}

func (f *fixture) settleLess() {
	p, q := f.slow("p", 100), f.slow("q", 100)
	h := f.take(true, f.hold("k", cost(p, 80), cost(q, 80)))
	h.Charges[0].Actual, h.Charges[1].Actual = 30, 0
	f.settle(h)
	f.remaining(f.take(true, f.hold("k", cost(p, 0), cost(q, 0))), 70, 100)
}

func (f *fixture) settleMore() {
	p := f.quick("p", 10)
	h := f.take(true, f.hold("k", cost(p, 5)))
	h.Charges[0].Actual = 20
	f.settle(h)
	h = f.take(false, f.hold("k", cost(p, 1)))
	f.remaining(h, 0)
	if w := h.Charges[0].Wait; w <= 500*time.Millisecond || w > 1100*time.Millisecond {
		f.Fatalf("Wait is %v, want that of a debt of 10: about 1.1s", w)
	}
	time.Sleep(h.Charges[0].Wait + time.Millisecond)
	f.take(true, f.hold("k", cost(p, 1)))
}

func (f *fixture) settleTwice() {
	p := f.slow("p", 100)
	h := f.take(true, f.hold("k", cost(p, 50)))
	other := f.take(true, f.hold("k", cost(p, 20)))
	h.Charges[0].Actual = 10
	for range 3 {
		f.settle(h)
		f.remaining(f.take(true, f.hold("k", cost(p, 0))), 70)
	}
	f.settle(other)
	f.remaining(f.take(true, f.hold("k", cost(p, 0))), 70)
}

func (f *fixture) permits() {
	r := f.concurrency(2)
	a := f.take(true, f.hold("k", cost(r, 1)))
	f.remaining(a, 1)
	b := f.take(true, f.hold("k", cost(r, 1)))
	f.remaining(f.take(false, f.hold("k", cost(r, 1))), 0)
	f.take(true, f.hold("other", cost(r, 1)))
	f.settle(b) // Actual is 1: it goes on
	f.take(false, f.hold("k", cost(r, 1)))
	a.Charges[0].Actual = 0
	f.settle(a)
	f.settle(a)
	f.remaining(f.take(true, f.hold("k", cost(r, 1))), 0)
	f.take(false, f.hold("k", cost(r, 1)))
}

func (f *fixture) lease() {
	r := f.concurrency(1)
	h := f.hold("k", cost(r, 1))
	h.Lease = 400 * time.Millisecond
	f.take(true, h)
	f.take(false, f.hold("k", cost(r, 1)))
	time.Sleep(450 * time.Millisecond)
	f.take(true, f.hold("k", cost(r, 1)))
	h.Charges[0].Actual = 0
	f.settle(h) // too late: it must not free what another one has
	f.take(false, f.hold("k", cost(r, 1)))
}

// workers calls do from several goroutines at once, rounds times each.
func (f *fixture) workers(rounds int, do func(ctx context.Context, worker int) error) {
	f.Helper()
	ctx := f.Context()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range rounds {
				if err := do(ctx, w); err != nil {
					f.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (f *fixture) parallel() {
	p := f.slow("p", 50)
	var count atomic.Int64
	f.workers(25, func(ctx context.Context, _ int) error {
		granted, err := f.limiter.Take(ctx, f.hold("k", cost(p, 1)))
		if granted {
			count.Add(1)
		}
		return err
	})
	if n := count.Load(); n != 50 {
		f.Fatalf("%d of 200 parallel calls were granted, want 50", n)
	}
}

// parallelSeveral takes from two policies in each order. What the second refuses
// must not be missing in the first.
func (f *fixture) parallelSeveral() {
	p, q, r := f.slow("p", 60), f.slow("q", 30), f.concurrency(4)
	var count, running, most atomic.Int64
	f.workers(25, func(ctx context.Context, worker int) error {
		h := f.hold("k", cost(p, 1), cost(q, 1), cost(r, 1))
		if worker%2 == 0 {
			h = f.hold("k", cost(r, 1), cost(q, 1), cost(p, 1))
		}
		granted, err := f.limiter.Take(ctx, h)
		if err != nil || !granted {
			return err
		}
		count.Add(1)
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		running.Add(-1)
		for i := range h.Charges {
			if h.Charges[i].Policy == r {
				h.Charges[i].Actual = 0
			}
		}
		return f.limiter.Settle(ctx, h)
	})
	n := count.Load()
	if n > 30 || most.Load() > 4 {
		f.Fatalf("%d were granted and %d ran at once, want at most 30 and 4", n, most.Load())
	}
	f.remaining(f.take(true, f.hold("k", cost(p, 0), cost(q, 0), cost(r, 0))), 60-n, 30-n, 4)
}
