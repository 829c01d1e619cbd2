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

func TestSlowness(t *testing.T) {
	pace := func(first, gap time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			time.Sleep(first)
			breaker.Progress(ctx)
			time.Sleep(gap)
			breaker.Progress(ctx)
			return nil
		}
	}
	slow := breaker.Config{SlowCall: 10 * time.Second, SlowFirstToken: 4 * time.Second, SlowGap: 3 * time.Second, MinCalls: 10, SlowRatio: 0.5}
	tests := []struct {
		name   string
		call   func(context.Context) error
		reason string
	}{
		{"fast", pace(4*time.Second, 3*time.Second), ""},
		{"slow call", taking(11*time.Second, nil), "slow calls"},
		{"slow first token", pace(5*time.Second, 0), "slow first tokens"},
		{"slow gap", pace(time.Second, 4*time.Second), "slow gaps"},
		{"no tokens reported", taking(5*time.Second, nil), "slow first tokens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, slow)
				for i := range 10 {
					require.Equal(t, breaker.Closed, b.State(), "after %d calls", i)
					if i%2 == 0 {
						require.NoError(t, b.Do(t.Context(), succeed))
					} else {
						require.NoError(t, b.Do(t.Context(), tt.call))
					}
				}
				require.Equal(t, tt.reason, b.Status().Reason)
				require.Equal(t, tt.reason != "", b.State() == breaker.Open)
				if tt.reason == "" {
					return
				}
				time.Sleep(b.Status().RetryAfter)
				require.NoError(t, b.Do(t.Context(), tt.call))
				require.Equal(t, breaker.Open, b.State(), "a slow probe is no recovery")
				require.Equal(t, tt.reason, b.Status().Reason)
			})
		})
	}
}

func TestSlowWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{SlowCall: time.Second, MinCalls: 4, Window: time.Minute})
		for range 3 {
			require.NoError(t, b.Do(t.Context(), taking(2*time.Second, nil)))
		}
		require.Equal(t, breaker.Counts{Successes: 3, SlowCalls: 3}, b.Counts())
		time.Sleep(2 * time.Minute)
		require.Zero(t, b.Counts())
		require.NoError(t, b.Do(t.Context(), taking(2*time.Second, nil)))
		require.Equal(t, breaker.Closed, b.State())
	})
}

func TestSlowlyFailingHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{Window: time.Second, MinCalls: 10, ConsecutiveFailures: -1, OpenTime: 10 * time.Second})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				_ = b.Do(t.Context(), taking(2*time.Second, []error{nil, errDown}[i%2]))
			})
		}
		wg.Wait()
		require.Equal(t, breaker.Open, b.State())
		require.Equal(t, "failure ratio", b.Status().Reason)
		time.Sleep(b.Status().RetryAfter)
		require.NoError(t, b.Do(t.Context(), taking(2*time.Second, nil)))
		require.Equal(t, breaker.Closed, b.State())
	})
}
