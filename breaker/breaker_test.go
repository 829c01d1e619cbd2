package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

var errDown = errors.New("provider is down")

func fail(context.Context) error    { return errDown }
func succeed(context.Context) error { return nil }

// taking returns a call that takes d and ends with err.
func taking(d time.Duration, err error) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return err
	}
}

func newBreaker(t testing.TB, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New(cfg)
	require.NoError(t, err)
	return b
}

// opened returns a breaker that has just opened, for about a minute.
func opened(t testing.TB, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	cfg.ConsecutiveFailures = 1
	cfg.OpenTime = time.Minute
	b := newBreaker(t, cfg)
	require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
	require.Equal(t, breaker.Open, b.State())
	return b
}

func refused(t testing.TB, err error) *breaker.OpenError {
	t.Helper()
	e, ok := errors.AsType[*breaker.OpenError](err)
	require.True(t, ok, "%v is no refusal", err)
	return e
}

func TestConsecutiveFailuresOpen(t *testing.T) {
	b := newBreaker(t, breaker.Config{Name: "claude"})
	for range 4 {
		require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
	}
	require.NoError(t, b.Do(t.Context(), succeed))
	for range 5 {
		require.Equal(t, breaker.Closed, b.State())
		require.ErrorIs(t, b.Do(t.Context(), fail), errDown)
	}
	require.Equal(t, breaker.Open, b.State())
	called := false
	err := b.Do(t.Context(), func(context.Context) error { called = true; return nil })
	require.False(t, called)
	require.Equal(t, "breaker: claude is open", err.Error())
}

// Failures count one after the other however far apart they are: no window makes
// the breaker forget them.
func TestSparseFailuresOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{Window: 10 * time.Second})
		for range 5 {
			require.Equal(t, breaker.Closed, b.State())
			require.Error(t, b.Do(t.Context(), taking(time.Hour, errDown)))
		}
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestFailureRatioOpens(t *testing.T) {
	b := newBreaker(t, breaker.Config{ConsecutiveFailures: -1, MinCalls: 10})
	for i := range 10 {
		require.Equal(t, breaker.Closed, b.State(), "after %d calls", i)
		if i%2 == 0 {
			require.NoError(t, b.Do(t.Context(), succeed))
		} else {
			require.Error(t, b.Do(t.Context(), fail))
		}
	}
	require.Equal(t, breaker.Open, b.State())
	require.Equal(t, "failure ratio", b.Status().Reason)
}

// What ended before the window does not count.
func TestWindowForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: -1, MinCalls: 10, Window: 10 * time.Second})
		for range 9 {
			require.Error(t, b.Do(t.Context(), fail))
		}
		require.Equal(t, 9, b.Counts().Failures)
		time.Sleep(12 * time.Second)
		require.Equal(t, breaker.Counts{Consecutive: 9}, b.Counts())
		require.Error(t, b.Do(t.Context(), fail))
		require.Equal(t, breaker.Closed, b.State())
		require.Equal(t, breaker.Counts{Failures: 1, Consecutive: 10}, b.Counts())
	})
}

// Calls count when they end: a window that is shorter than they take must not
// lose them.
func TestCallsLongerThanTheWindowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: -1, MinCalls: 20, Window: 10 * time.Second})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _ = b.Do(t.Context(), taking(time.Minute, errDown)) })
		}
		wg.Wait()
		require.Equal(t, breaker.Open, b.State())
	})
}

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{Probes: 2})
		left := refused(t, b.Do(t.Context(), succeed)).RetryAfter
		require.InDelta(t, time.Minute, left, float64(12*time.Second))
		time.Sleep(left - 1)
		require.Equal(t, time.Duration(1), refused(t, b.Do(t.Context(), succeed)).RetryAfter, "exact")
		time.Sleep(1)
		require.Equal(t, breaker.HalfOpen, b.State())
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.HalfOpen, b.State())
		require.NoError(t, b.Do(t.Context(), succeed))
		require.Equal(t, breaker.Closed, b.State())
		require.Zero(t, b.Counts())
	})
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		verdict breaker.Verdict
		counts  breaker.Counts
		state   breaker.State // of a half-open breaker whose probe ended so
	}{
		{"success", breaker.Success, breaker.Counts{Successes: 1}, breaker.Closed},
		{"failure", breaker.Failure, breaker.Counts{Failures: 1, Consecutive: 1}, breaker.Open},
		{"ignored", breaker.Ignored, breaker.Counts{Ignored: 1}, breaker.HalfOpen},
		{"cooldown", breaker.Cooldown, breaker.Counts{Ignored: 1}, breaker.HalfOpen},
		{"unknown", breaker.Verdict(77), breaker.Counts{Ignored: 1}, breaker.HalfOpen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{})
				done, err := b.Allow()
				require.NoError(t, err)
				done(tt.verdict)
				require.Equal(t, tt.counts, b.Counts())

				b = opened(t, breaker.Config{})
				time.Sleep(2 * time.Minute)
				done, err = b.Allow()
				require.NoError(t, err)
				done(tt.verdict)
				require.Equal(t, tt.state, b.State())
			})
		})
	}
}

func TestDoneCountsOnce(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	done, err := b.Allow()
	require.NoError(t, err)
	for range 9 {
		done(breaker.Failure)
	}
	require.Equal(t, 1, b.Counts().Failures)
}

// A call that began before the breaker opened says nothing about the time after.
func TestLateOutcomesAreIgnored(t *testing.T) {
	tests := []struct {
		name    string
		verdict breaker.Verdict
	}{
		{"success", breaker.Success},
		{"failure", breaker.Failure},
		{"ignored", breaker.Ignored},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, OpenTime: time.Minute})
				var late [3]func(breaker.Verdict)
				for i := range late {
					done, err := b.Allow()
					require.NoError(t, err)
					late[i] = done
				}
				require.Error(t, b.Do(t.Context(), fail))
				late[0](tt.verdict)
				require.Equal(t, breaker.Open, b.State())
				time.Sleep(2 * time.Minute)
				late[1](tt.verdict)
				require.Equal(t, breaker.HalfOpen, b.State())
				require.NoError(t, b.Do(t.Context(), succeed))
				require.Equal(t, breaker.Closed, b.State())
				late[2](tt.verdict)
				require.Equal(t, breaker.Closed, b.State())
				require.Zero(t, b.Counts())
			})
		})
	}
}

func TestPanicAndGoexit(t *testing.T) {
	boom := errors.New("boom")
	panics := func(context.Context) error { panic(boom) }
	aborts := func(context.Context) error { panic(http.ErrAbortHandler) }
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{})
		require.PanicsWithValue(t, boom, func() { _ = b.Do(t.Context(), panics) })
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = b.Do(t.Context(), aborts) })
		go func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) }()
		synctest.Wait()
		require.Equal(t, 3, b.Counts().Failures)

		gone, leave := context.WithCancel(t.Context())
		leave()
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = b.Do(gone, aborts) })
		require.Equal(t, breaker.Counts{Failures: 3, Ignored: 1, Consecutive: 3}, b.Counts(), "the client left: that is why the handler aborted")
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

// A probe that hangs, or that nobody ever ends, must not keep the breaker
// half-open for ever.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := opened(t, breaker.Config{ProbeLease: 20 * time.Second})
		time.Sleep(2 * time.Minute)
		done, err := b.Allow()
		require.NoError(t, err)
		require.Equal(t, breaker.HalfOpen, refused(t, b.Do(t.Context(), succeed)).State)
		time.Sleep(20*time.Second - 1)
		require.Equal(t, breaker.HalfOpen, b.State())
		time.Sleep(1)
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

// A late end of a probe of an earlier half-open time frees no place of a later one.
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

func TestClientGoneAndHangCredit(t *testing.T) {
	leave := func(after time.Duration, sent ...time.Duration) func(context.Context, *breaker.Breaker) {
		return func(ctx context.Context, b *breaker.Breaker) {
			ctx, cancel := context.WithCancel(breaker.Track(ctx))
			defer cancel()
			_ = b.Do(ctx, func(ctx context.Context) error {
				for _, d := range sent {
					time.Sleep(d)
					after -= d
					breaker.Progress(ctx)
				}
				time.Sleep(after)
				cancel()
				return fmt.Errorf("ask: %w", ctx.Err())
			})
		}
	}
	tests := []struct {
		name   string
		cfg    breaker.Config
		call   func(context.Context, *breaker.Breaker)
		counts breaker.Counts
	}{
		{"soon", breaker.Config{}, leave(29 * time.Second), breaker.Counts{Ignored: 1}},
		{"after a long silence", breaker.Config{}, leave(30 * time.Second), breaker.Counts{Failures: 1, Consecutive: 1}},
		{"after a long answer", breaker.Config{}, leave(60*time.Second, 20*time.Second, 20*time.Second), breaker.Counts{Ignored: 1}},
		{"after an answer that fell silent", breaker.Config{}, leave(60*time.Second, 20*time.Second), breaker.Counts{Failures: 1, Consecutive: 1}},
		{"no credit", breaker.Config{HangAfter: -1}, leave(time.Hour), breaker.Counts{Ignored: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, tt.cfg)
				tt.call(t.Context(), b)
				require.Equal(t, tt.counts, b.Counts())
			})
		})
	}
}

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

func TestNewReportsWhatIsWrong(t *testing.T) {
	nan := func() float64 { var zero float64; return zero / zero }()
	tests := []struct {
		name string
		cfg  breaker.Config
		err  string
	}{
		{"mode", breaker.Config{Mode: "on"}, `breaker: Mode is "on", want Enforce, Shadow or Off`},
		{"window", breaker.Config{Window: -1}, "breaker: Window is -1ns, want at least 0"},
		{"lease", breaker.Config{ProbeLease: -time.Second}, "breaker: ProbeLease is -1s, want at least 0"},
		{"calls", breaker.Config{MinCalls: -1}, "breaker: MinCalls is -1, want at least 0"},
		{"probes", breaker.Config{Probes: 1001}, "breaker: Probes is 1001, want 0 to 1000"},
		{"failure ratio", breaker.Config{FailureRatio: 1.1}, "breaker: FailureRatio is 1.1, want at most 1"},
		{"failure ratio is no number", breaker.Config{FailureRatio: nan}, "breaker: FailureRatio is NaN, want at most 1"},
		{"slow ratio", breaker.Config{SlowRatio: -0.1}, "breaker: SlowRatio is -0.1, want 0 to 1"},
		{"slow ratio is no number", breaker.Config{SlowRatio: nan}, "breaker: SlowRatio is NaN, want 0 to 1"},
		{"open time", breaker.Config{OpenTime: time.Hour, MaxOpenTime: time.Minute}, "breaker: OpenTime is 1h0m0s, want at most MaxOpenTime, 1m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := breaker.New(tt.cfg)
			require.EqualError(t, err, tt.err)
		})
	}
	b := newBreaker(t, breaker.Config{OpenTime: time.Hour, ConsecutiveFailures: 1})
	require.Error(t, b.Do(t.Context(), fail))
	require.Greater(t, b.Status().RetryAfter, 47*time.Minute, "an open time above the default cap raises it")
}

func TestClassify(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(http.ErrServerClosed)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		err     error
		verdict breaker.Verdict
		reason  string
		retry   bool
		other   bool
	}{
		{"complete", t.Context(), nil, breaker.Success, "", false, false},
		{"client gone", gone, errDown, breaker.Ignored, "client_gone", false, false},
		{"client gone, body cut", gone, io.ErrUnexpectedEOF, breaker.Ignored, "client_gone", false, false},
		{"cancelled elsewhere", t.Context(), fmt.Errorf("x: %w", context.Canceled), breaker.Ignored, "client_gone", false, false},
		{"shutdown", stopped, context.Canceled, breaker.Ignored, "shutdown", false, false},
		{"shutdown returned", t.Context(), http.ErrServerClosed, breaker.Ignored, "shutdown", false, false},
		{"deadline of the request", late, context.DeadlineExceeded, breaker.Failure, "timeout", true, true},
		{"deadline of the attempt", t.Context(), context.DeadlineExceeded, breaker.Failure, "timeout", true, true},
		{"cut", t.Context(), io.ErrUnexpectedEOF, breaker.Failure, "truncated", true, true},
		{"anything else", t.Context(), errDown, breaker.Failure, "failed", true, true},
		{"says so itself", gone, breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Failure, Reason: "overloaded"}), breaker.Failure, "overloaded", false, false},
		{"refused by another breaker", t.Context(), &breaker.OpenError{}, breaker.Ignored, "refused", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := breaker.Classify(tt.ctx, tt.err)
			require.Equal(t, breaker.Outcome{Verdict: tt.verdict, Reason: tt.reason, Retry: tt.retry, Fallback: tt.other}, o)
		})
	}
	require.NoError(t, breaker.WithOutcome(nil, breaker.Outcome{}))
	require.ErrorIs(t, breaker.WithOutcome(errDown, breaker.Outcome{}), errDown)
}

// A provider of which every second answer fails, slowly, opens the breaker though
// its window is shorter than any call, and is found to have recovered.
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

// A probe that goes on sending is alive, however long it takes.
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

func TestForceForEver(t *testing.T) {
	b := newBreaker(t, breaker.Config{})
	b.ForceOpen(1<<63 - 1)
	require.Equal(t, breaker.Open, b.State())
}
