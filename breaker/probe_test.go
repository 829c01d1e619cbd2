package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{Probes: 2})
		left := refused(t, b.Do(t.Context(), succeed)).RetryAfter
		require.InDelta(t, time.Minute, left, float64(12*time.Second))
		time.Sleep(left - time.Nanosecond)
		require.Equal(t, time.Nanosecond, refused(t, b.Do(t.Context(), succeed)).RetryAfter, "exact")
		time.Sleep(time.Nanosecond)
		require.Equal(t, breaker.HalfOpen, b.State())
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.HalfOpen, b.State())
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Counts())
	})
}

func TestAVanishedProbeFails(t *testing.T) {
	tests := []struct {
		name string
		call func(context.Context) error
	}{
		{"panic", func(context.Context) error { panic("boom") }},
		{"goexit", func(context.Context) error { runtime.Goexit(); return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := opened(t, breaker.Config{})
				time.Sleep(2 * time.Minute)
				go func() {
					defer func() { _ = recover() }()
					_ = b.Do(t.Context(), tt.call)
				}()
				synctest.Wait()
				require.Equal(t, breaker.Open, b.State())
			})
		})
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{ProbeLease: 20 * time.Second})
		time.Sleep(2 * time.Minute)
		done, err := b.Allow()
		require.NoError(t, err)
		require.Equal(t, breaker.HalfOpen, refused(t, b.Do(t.Context(), succeed)).State)
		time.Sleep(20*time.Second - time.Nanosecond)
		require.Equal(t, breaker.HalfOpen, b.State())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, breaker.Open, b.State())
		done(breaker.Success)
		require.Equal(t, breaker.Open, b.State(), "too late")

		time.Sleep(4 * time.Minute) // it opened for twice as long
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.Closed, b.State())
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, breaker.Closed, b.State(), "the lease of a probe that ended is over")
	})
}

func TestProbesOfAnEarlierTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{Probes: 2, ProbeLease: time.Hour})
		time.Sleep(2 * time.Minute)
		old, err := b.Allow()
		require.NoError(t, err)
		require.Error(t, b.Do(t.Context(), fail))
		time.Sleep(4 * time.Minute)
		for range 2 {
			_, err = b.Allow()
			require.NoError(t, err)
		}
		old(breaker.Ignored)
		_, err = b.Allow()
		refused(t, err)
	})
}

// Probes that succeeded take up their places: no more calls are let through than
// are needed.
func TestNoMoreProbesThanNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{Probes: 2})
		time.Sleep(2 * time.Minute)
		require.NoError(t, b.Do(t.Context(), succeed))
		done, err := b.Allow()
		require.NoError(t, err)
		_, err = b.Allow()
		refused(t, err)
		done(breaker.Success)
		require.Equal(t, breaker.Closed, b.State())
	})
}

// The longest that any of the failing calls was told counts.
func TestLongestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 2})
		for _, d := range []time.Duration{100 * time.Second, 10 * time.Second} {
			_ = b.Do(t.Context(), func(context.Context) error {
				return breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Failure, RetryAfter: d})
			})
		}
		require.GreaterOrEqual(t, b.Status().RetryAfter, 100*time.Second)
	})
}

func TestIgnoredProbesFreeTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{})
		time.Sleep(2 * time.Minute)
		for range 10 {
			done, err := b.Allow()
			require.NoError(t, err)
			_, err = b.Allow()
			refused(t, err)
			done(breaker.Ignored)
		}
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestOpenTime(t *testing.T) {
	asking := func(d time.Duration) func(context.Context) error {
		return func(context.Context) error {
			return breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Failure, RetryAfter: d})
		}
	}
	tests := []struct {
		name     string
		calls    []func(context.Context) error // each when the breaker is closed or half-open
		min, max time.Duration
	}{
		{"first", []func(context.Context) error{fail}, 24 * time.Second, 36 * time.Second},
		{"a probe failed", []func(context.Context) error{fail, fail}, 48 * time.Second, 72 * time.Second},
		{"two probes failed", []func(context.Context) error{fail, fail, fail}, 96 * time.Second, 144 * time.Second},
		{"capped", []func(context.Context) error{fail, fail, fail, fail, fail, fail, fail, fail}, 4 * time.Minute, 5 * time.Minute},
		{"closed in between", []func(context.Context) error{fail, fail, fail, succeed, fail}, 24 * time.Second, 36 * time.Second},
		{"retry after", []func(context.Context) error{asking(10 * time.Second)}, 10 * time.Second, 12 * time.Second},
		{"retry after, a probe failed", []func(context.Context) error{fail, asking(10 * time.Second)}, 20 * time.Second, 24 * time.Second},
		{"retry after, capped", []func(context.Context) error{asking(24 * time.Hour)}, 5 * time.Minute, 5 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(map[time.Duration]bool)
				for range 20 {
					b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1})
					for _, call := range tt.calls {
						time.Sleep(b.Status().RetryAfter)
						_ = b.Do(t.Context(), call)
					}
					d := b.Status().RetryAfter
					require.GreaterOrEqual(t, d, tt.min)
					require.LessOrEqual(t, d, tt.max)
					seen[d] = true
				}
				require.Equal(t, tt.min < tt.max, len(seen) > 1, "jitter")
			})
		})
	}
}

func TestLeaseOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{ProbeLease: 10 * time.Second})
		time.Sleep(2 * time.Minute)
		require.NoError(t, b.Do(breaker.Track(t.Context()), func(ctx context.Context) error {
			for range 10 {
				time.Sleep(9 * time.Second)
				breaker.Progress(ctx)
			}
			require.Equal(t, breaker.HalfOpen, b.State())
			return nil
		}))
		require.Equal(t, breaker.Closed, b.State())

		b = opened(t, breaker.Config{ProbeLease: 10 * time.Second})
		time.Sleep(2 * time.Minute)
		_ = b.Do(breaker.Track(t.Context()), func(ctx context.Context) error {
			time.Sleep(9 * time.Second)
			breaker.Progress(ctx)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			require.Equal(t, breaker.Open, b.State(), "it fell silent")
			return nil
		})
	})
}
