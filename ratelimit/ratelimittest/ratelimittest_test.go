package ratelimittest_test

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/ratelimit/ratelimittest"
)

// brokenEnv names what is broken in the limiter that TestMemory tests.
const brokenEnv = "RATELIMITTEST_BROKEN"

func newMemory(*testing.T) ratelimit.Limiter {
	m := ratelimit.NewMemory(0)
	if b, ok := broken[os.Getenv(brokenEnv)]; ok {
		b.Limiter = m
		return b
	}
	return m
}

func TestMemory(t *testing.T) {
	ratelimittest.Suite{New: newMemory}.Run(t)
}

func TestMemoryInRealTime(t *testing.T) {
	ratelimittest.Suite{New: newMemory, RealTime: true}.Run(t)
}

// faulty is a limiter with a fault.
type faulty struct {
	ratelimit.Limiter
	take   func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error)
	settle func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) error
	caught string // by which test
}

func (f faulty) Take(ctx context.Context, h *ratelimit.Hold) (bool, error) {
	if f.take == nil {
		return f.Limiter.Take(ctx, h)
	}
	return f.take(ctx, f.Limiter, h)
}

func (f faulty) Settle(ctx context.Context, h *ratelimit.Hold) error {
	if f.settle == nil {
		return f.Limiter.Settle(ctx, h)
	}
	return f.settle(ctx, f.Limiter, h)
}

// broken are the faults that limiters in the wild have.
var broken = map[string]faulty{
	"grants everything": {caught: "burst,_then_refused", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		_, err := l.Take(ctx, h)
		for i := range h.Charges {
			h.Charges[i].Refused = false
		}
		return true, err
	}},
	"one policy after the other": {caught: "all_or_nothing", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		all := true
		for i := range h.Charges {
			one := *h
			one.Charges = h.Charges[i : i+1]
			granted, err := l.Take(ctx, &one)
			if err != nil {
				return false, err
			}
			all = all && granted
		}
		return all, nil
	}},
	"one bucket for all keys": {caught: "keys_are_apart", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		one := *h
		one.Key = "all"
		return l.Take(ctx, &one)
	}},
	"no waiting": {caught: "max_wait", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		one := *h
		one.MaxWait = 0
		return l.Take(ctx, &one)
	}},
	"no lease": {caught: "lease", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		one := *h
		one.Lease = 1 << 60
		return l.Take(ctx, &one)
	}},
	"settles again and again": {caught: "settle_is_idempotent", settle: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) error {
		for i := range h.Charges {
			if c := &h.Charges[i]; c.Policy.Unit != ratelimit.Concurrency {
				c.Cost = max(c.Cost, 50)
			}
		}
		return l.Settle(ctx, h)
	}},
	"settles nothing": {caught: "settle_less", settle: func(_ context.Context, _ ratelimit.Limiter, h *ratelimit.Hold) error {
		for i := range h.Charges {
			h.Charges[i].Cost = h.Charges[i].Actual
		}
		return nil
	}},
	"forgives debts": {caught: "settle_more", settle: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) error {
		for i := range h.Charges {
			h.Charges[i].Actual = min(h.Charges[i].Actual, h.Charges[i].Cost)
		}
		return l.Settle(ctx, h)
	}},
	"counts what is off": {caught: "shadow_and_off", take: func(ctx context.Context, l ratelimit.Limiter, h *ratelimit.Hold) (bool, error) {
		one := *h
		one.Charges = append([]ratelimit.Charge(nil), h.Charges...)
		for i := range one.Charges {
			p := *one.Charges[i].Policy
			p.Mode = ratelimit.Enforce
			one.Charges[i].Policy = &p
		}
		granted, err := l.Take(ctx, &one)
		for i := range h.Charges {
			h.Charges[i].Refused = one.Charges[i].Refused
		}
		return granted, err
	}},
}

// TestFaultsAreCaught runs TestMemory in a process of its own for each fault: a
// suite that passes them all would be worth nothing.
func TestFaultsAreCaught(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for name, f := range broken {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestMemory$")
			cmd.Env = append(os.Environ(), brokenEnv+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the fault was not noticed")
			require.Contains(t, string(out), "--- FAIL: TestMemory/"+f.caught)
		})
	}
}
