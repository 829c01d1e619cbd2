package breaker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

func TestCooldown(t *testing.T) {
	limited := func(d time.Duration) error {
		return breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Cooldown, RetryAfter: d})
	}
	tests := []struct {
		name       string
		asked, got time.Duration
	}{
		{"as asked", 7 * time.Second, 7 * time.Second},
		{"not said", 0, 5 * time.Second},
		{"capped", time.Hour, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{Name: "openai"})
				running, err := b.Allow()
				require.NoError(t, err)
				for range 10 {
					_ = b.Do(t.Context(), func(context.Context) error { return limited(tt.asked) })
				}
				e := refused(t, b.Do(t.Context(), succeed))
				require.Equal(t, &breaker.OpenError{Breaker: "openai", State: breaker.Closed, Cooldown: true, RetryAfter: tt.got}, e)
				require.Equal(t, "breaker: openai is cooling down", e.Error())
				require.Equal(t, breaker.Closed, b.State(), "a rate limit is no failure")
				require.True(t, b.Status().Cooldown)
				require.Equal(t, tt.got, b.Status().RetryAfter)
				running(breaker.Failure)
				require.Equal(t, 1, b.Counts().Failures, "calls under way still count")
				time.Sleep(tt.got)
				require.NoError(t, b.Do(t.Context(), succeed))
				require.False(t, b.Status().Cooldown)
			})
		})
	}
}

func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{Name: "claude", ConsecutiveFailures: 1, OpenTime: time.Minute})
		b.ForceOpen(10 * time.Second)
		require.Equal(t, breaker.Open, b.State())
		require.Equal(t, &breaker.OpenError{Breaker: "claude", State: breaker.Open, Forced: true, RetryAfter: 10 * time.Second}, refused(t, b.Do(t.Context(), succeed)))
		require.True(t, b.Status().Forced)
		require.Equal(t, 10*time.Second, b.Status().RetryAfter)
		time.Sleep(10 * time.Second)
		require.Equal(t, breaker.Closed, b.State())
		require.False(t, b.Status().Forced)

		b.ForceOpen(0)
		time.Sleep(time.Hour)
		require.Zero(t, refused(t, b.Do(t.Context(), succeed)).RetryAfter, "nobody knows")
		b.Release()
		require.NoError(t, b.Do(t.Context(), succeed))

		b.ForceClose(time.Second)
		for range 9 {
			require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
		}
		require.Equal(t, breaker.Closed, b.State())
		time.Sleep(time.Second)
		require.Equal(t, breaker.Closed, b.State())
		require.Error(t, b.Do(t.Context(), fail))
		require.Equal(t, breaker.Open, b.State())
		b.ForceClose(time.Second)
		require.NoError(t, b.Do(t.Context(), succeed))
		time.Sleep(time.Second)
		require.Equal(t, breaker.Open, b.State(), "it goes on as it was")
		time.Sleep(2 * time.Minute)
		require.Equal(t, breaker.HalfOpen, b.State())
	})
}

// The longer of two cooldowns counts, and that of a breaker that opened meanwhile.
func TestLongestCooldown(t *testing.T) {
	limited := func(d time.Duration) func(context.Context) error {
		return func(context.Context) error {
			return breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Cooldown, RetryAfter: d})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, OpenTime: 10 * time.Second})
		var wg sync.WaitGroup
		for i, call := range []func(context.Context) error{limited(time.Minute), limited(time.Second), fail} {
			wg.Go(func() { // they are under way together, and end one after the other
				_ = b.Do(t.Context(), func(ctx context.Context) error { time.Sleep(time.Duration(i+1) * time.Second); return call(ctx) })
			})
		}
		wg.Wait()
		require.Equal(t, breaker.Open, b.State())
		require.Equal(t, 58*time.Second, refused(t, b.Do(t.Context(), succeed)).RetryAfter)
		require.Equal(t, 58*time.Second, b.Status().RetryAfter)
	})
}

// Only what changes something is told, and a forced state keeps quiet about what
// would have happened without it.
func TestForceIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		b := newBreaker(t, breaker.Config{
			ConsecutiveFailures: 1,
			OnStateChange:       func(_ context.Context, c breaker.StateChange) { told = append(told, c.Reason) },
		})
		b.Release()
		require.Error(t, b.Do(t.Context(), fail))
		b.ForceOpen(time.Minute)
		b.ForceOpen(time.Hour)
		time.Sleep(30 * time.Minute)
		require.Equal(t, breaker.Open, b.State())
		require.Equal(t, 30*time.Minute, b.Status().RetryAfter)
		require.Equal(t, []string{"consecutive failures", "forced"}, told)
		time.Sleep(30 * time.Minute)
		require.Equal(t, breaker.HalfOpen, b.State())
		require.Equal(t, []string{"consecutive failures", "forced", "released", "open time over"}, told)
	})
}

func TestModes(t *testing.T) {
	t.Run("shadow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var events []breaker.Event
			b := newBreaker(t, breaker.Config{
				Mode: breaker.Shadow, ConsecutiveFailures: 1, OpenTime: time.Minute,
				OnOutcome: func(_ context.Context, e breaker.Event) { events = append(events, e) },
			})
			for range 3 {
				require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
			}
			require.Equal(t, breaker.Open, b.State())
			require.NoError(t, b.Do(t.Context(), succeed))
			require.Len(t, events, 4)
			require.False(t, events[0].WouldRefuse)
			require.True(t, events[1].WouldRefuse && events[2].WouldRefuse && events[3].WouldRefuse)
			require.False(t, events[3].Counted)
			time.Sleep(2 * time.Minute)
			require.NoError(t, b.Do(t.Context(), succeed))
			require.Equal(t, breaker.Closed, b.State())
		})
	})
	t.Run("off", func(t *testing.T) {
		told := false
		b := newBreaker(t, breaker.Config{
			Mode: breaker.Off, ConsecutiveFailures: 1,
			OnOutcome: func(context.Context, breaker.Event) { told = true },
		})
		for range 9 {
			require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
		}
		b.ForceOpen(0)
		require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
		require.Zero(t, b.Counts())
		require.False(t, told)
	})
}

func TestForceForEver(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	b.ForceOpen(1<<63 - 1)
	require.Equal(t, breaker.Open, b.State())
}
