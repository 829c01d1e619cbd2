package breaker_test

import (
	"context"
	"io"
	"strings"
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

// What was slow before the breaker opened does not count after it has closed.
func TestSlownessStartsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{SlowCall: time.Second, MinCalls: 4, Window: time.Hour})
		for range 4 {
			require.NoError(t, b.Do(t.Context(), taking(2*time.Second, nil)))
		}
		require.Equal(t, breaker.Open, b.State())
		time.Sleep(time.Minute)
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Counts())
	})
}

// The first token of a stream is the first that has a piece of the answer. Where
// the protocol is not known, it is the first event.
func TestFirstTokenOfAStream(t *testing.T) {
	start, delta, _ := strings.Cut(messages, "event: content")
	tests := []struct {
		name string
		sent []string // a second apart
		want time.Duration
	}{
		{"messages", []string{start, ": ping\n\n", "event: content" + delta, messagesEnd}, 3 * time.Second},
		{"chat", []string{": ping\n\n", chat, chatEnd}, 2 * time.Second},
		{"unknown", []string{": ping\n\n", "data: tick\n\n", "data: tock\n\n"}, 2 * time.Second},
		{"no answer", []string{start, messagesEnd}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(chan breaker.Event, 1)
				client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Base: stream(func(_ context.Context, w *io.PipeWriter) {
					for _, s := range tt.sent {
						time.Sleep(time.Second)
						_, _ = io.WriteString(w, s)
					}
					_ = w.Close()
				})})
				resp := get(t, t.Context(), client)
				_, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, tt.want, (<-seen).FirstToken)
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
