package breaker_test

import (
	"context"
	"errors"
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
	tests := []struct {
		name string
		cfg  breaker.Config
	}{
		{"plain", breaker.Config{Name: "claude"}},
		{"observed", breaker.Config{Name: "claude", OnOutcome: func(context.Context, breaker.Event) {}}},
		{"looking for slowness", breaker.Config{Name: "claude", SlowCall: time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { testConsecutiveFailures(t, newBreaker(t, tt.cfg)) })
	}
}

func testConsecutiveFailures(t *testing.T, b *breaker.Breaker) {
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

// The window moves on in small steps: what lies close together is seen together.
func TestWindowRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: -1, MinCalls: 2, Window: 10 * time.Second})
		for range 2 { // a window that is emptied at once, after 10 s, would have lost the first
			time.Sleep(8 * time.Second)
			require.Error(t, b.Do(t.Context(), fail))
		}
		require.Equal(t, breaker.Open, b.State())
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

// A closed breaker does without allocations.
func TestDoAllocatesNothing(t *testing.T) {
	b, ctx := newBreaker(t, breaker.Config{}), t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = b.Do(ctx, succeed) }))
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

// A probe that hangs, or that nobody ever ends, must not keep the breaker
// half-open for ever.
// A late end of a probe of an earlier half-open time frees no place of a later one.
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

// A provider of which every second answer fails, slowly, opens the breaker though
// its window is shorter than any call, and is found to have recovered.
// A probe that goes on sending is alive, however long it takes.
