package breaker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

func TestStateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var seen []string
		b = newBreaker(t, breaker.Config{
			Name: "claude", ConsecutiveFailures: 2, OpenTime: time.Minute,
			OnStateChange: func(_ context.Context, c breaker.StateChange) {
				require.Equal(t, c.To, b.State(), "no lock is held")
				require.Equal(t, "claude", c.Breaker)
				require.Equal(t, c.To == breaker.Open, c.OpenFor > 0)
				seen = append(seen, fmt.Sprintf("%s > %s: %s", c.From, c.To, c.Reason))
			},
		})
		for range 2 {
			require.Error(t, b.Do(t.Context(), fail))
		}
		time.Sleep(2 * time.Minute)
		require.Error(t, b.Do(t.Context(), fail))
		time.Sleep(4 * time.Minute)
		require.NoError(t, b.Do(t.Context(), succeed))
		b.ForceOpen(time.Second)
		time.Sleep(time.Second)
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, []string{
			"closed > open: consecutive failures",
			"open > half-open: open time over",
			"half-open > open: probe failed",
			"open > half-open: open time over",
			"half-open > closed: probes succeeded",
			"closed > open: forced",
			"open > closed: released",
		}, seen)
	})
}

func TestOutcomes(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		var seen []breaker.Event
		b := newBreaker(t, breaker.Config{
			Name: "claude",
			OnOutcome: func(ctx context.Context, e breaker.Event) {
				require.Equal(t, "value", ctx.Value(key{}), "the hook is told of the call's context")
				require.NoError(t, ctx.Err(), "but not bound by it")
				seen = append(seen, e)
			},
		})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		require.NoError(t, b.Do(ctx, taking(time.Second, nil)))
		require.ErrorIs(t, b.Do(ctx, fail), errDown)
		cancel()
		require.ErrorIs(t, b.Do(ctx, func(ctx context.Context) error { return ctx.Err() }), context.Canceled)
		require.Equal(t, []breaker.Event{
			{Breaker: "claude", Duration: time.Second, Counted: true},
			{Breaker: "claude", Outcome: because(retriable, "failed"), Err: errDown, Counted: true},
			{Breaker: "claude", Outcome: breaker.Outcome{Verdict: breaker.Ignored, Reason: "client_gone"}, Err: context.Canceled, Counted: true},
		}, seen)
	})
}

// However calls interleave, changes of state are told in order, and no two hooks
// run at the same time.
func TestHooksAreCalledInOrder(t *testing.T) {
	var inside, calls int
	state := breaker.Closed
	var b *breaker.Breaker
	check := func() {
		inside++
		if inside != 1 {
			t.Error("two hooks at the same time")
		}
		_ = b.State()
		_ = b.Status()
		inside--
	}
	b = newBreaker(t, breaker.Config{
		ConsecutiveFailures: 2, OpenTime: time.Microsecond, MaxOpenTime: 10 * time.Microsecond,
		OnStateChange: func(_ context.Context, c breaker.StateChange) {
			check()
			if c.From != state {
				t.Errorf("told of %s > %s in state %s", c.From, c.To, state)
			}
			state = c.To
		},
		OnOutcome: func(context.Context, breaker.Event) { check(); calls++ },
	})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				if (g+i)%3 == 0 {
					_ = b.Do(t.Context(), succeed)
				} else {
					_ = b.Do(t.Context(), fail)
				}
			}
		})
	}
	wg.Wait()
	_ = b.State() // tells what is left
	require.Positive(t, calls)
	require.Equal(t, state, b.State())
}

// A hook that panics takes its caller down, not the breaker.
func TestHookPanics(t *testing.T) {
	told := 0
	b := newBreaker(t, breaker.Config{OnOutcome: func(context.Context, breaker.Event) {
		if told++; told == 1 {
			panic("boom")
		}
	}})
	require.PanicsWithValue(t, "boom", func() { _ = b.Do(t.Context(), succeed) })
	require.NoError(t, b.Do(t.Context(), succeed))
	require.Equal(t, 2, told)
	require.Equal(t, 2, b.Counts().Successes)
}

// A hook that hangs makes nobody else wait, and what waits for it is bounded.
func TestHookHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, told := make(chan struct{}), 0
		b := newBreaker(t, breaker.Config{OnOutcome: func(context.Context, breaker.Event) {
			if told++; told == 1 {
				<-release
			}
		}})
		go func() { _ = b.Do(t.Context(), succeed) }()
		synctest.Wait()
		for range 5000 {
			require.NoError(t, b.Do(t.Context(), succeed))
		}
		require.Equal(t, 5001, b.Counts().Successes)
		close(release)
		synctest.Wait()
		require.Equal(t, 1+1024, told)
	})
}

// However calls interleave, none is lost and none is counted twice.
func TestCountsAddUp(t *testing.T) {
	b := newBreaker(t, breaker.Config{ConsecutiveFailures: -1, FailureRatio: -1, Window: time.Hour})
	verdicts := []breaker.Verdict{breaker.Success, breaker.Failure, breaker.Ignored}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for i := range 300 {
				done, err := b.Allow()
				if err != nil {
					t.Error(err)
					return
				}
				done(verdicts[i%3])
				done(verdicts[(i+1)%3])
			}
		})
	}
	wg.Wait()
	c := b.Counts()
	require.Equal(t, []int{600, 600, 600}, []int{c.Successes, c.Failures, c.Ignored})
}

// However many ask at the same moment, only so many probes are let through.
func TestProbesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{Probes: 3})
		time.Sleep(2 * time.Minute)
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_ = b.Do(t.Context(), func(context.Context) error {
					admitted.Add(1)
					time.Sleep(time.Second)
					return nil
				})
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, admitted.Load())
		require.Equal(t, breaker.Closed, b.State())
	})
}

// Whatever happened before, a breaker whose provider works closes in the end.
func TestItAlwaysRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{
			ConsecutiveFailures: 3, Probes: 2, OpenTime: time.Second, MaxOpenTime: 4 * time.Second, ProbeLease: 3 * time.Second, MinCalls: 5,
			SlowCall: 2 * time.Second,
		})
		gone, leave := context.WithCancel(t.Context())
		leave()
		calls := []func(){
			func() { _ = b.Do(t.Context(), fail) },
			func() { _ = b.Do(t.Context(), taking(5*time.Second, nil)) },
			func() { _ = b.Do(gone, fail) },
			func() { _, _ = b.Allow() }, // and never done
			func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) },
			func() {
				_ = b.Do(t.Context(), func(context.Context) error {
					return breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Cooldown})
				})
			},
			func() { b.ForceOpen(time.Second) },
			func() { b.ForceClose(time.Second) },
			b.Release,
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					time.Sleep(time.Duration((g*13+i*7)%900) * time.Millisecond)
					go calls[(g*3+i)%len(calls)]()
				}
			})
		}
		wg.Wait()
		b.Release()
		time.Sleep(10 * time.Second)
		for range 2 {
			require.NoError(t, b.Do(t.Context(), succeed))
		}
		require.Equal(t, breaker.Closed, b.State())
	})
}
