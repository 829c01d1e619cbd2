package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/problem"
)

func newGroup(t testing.TB, cfg breaker.GroupConfig) *breaker.Group {
	t.Helper()
	if cfg.Names == nil {
		cfg.Names = []string{"claude", "openai", "local"}
	}
	g, err := breaker.NewGroup(cfg)
	require.NoError(t, err)
	return g
}

func newFailover(t testing.TB, cfg breaker.FailoverConfig) *breaker.Failover {
	t.Helper()
	if cfg.Group == nil {
		cfg.Group = newGroup(t, breaker.GroupConfig{})
	}
	if cfg.Order == nil {
		cfg.Order = []string{"claude", "openai"}
	}
	f, err := breaker.NewFailover(cfg)
	require.NoError(t, err)
	return f
}

// script answers the attempts one after the other.
type script struct {
	errs  []error
	asked []string
	at    []time.Duration
	start time.Time
}

func (s *script) call(_ context.Context, provider string) error {
	if s.start.IsZero() {
		s.start = time.Now()
	}
	s.asked = append(s.asked, provider)
	s.at = append(s.at, time.Since(s.start))
	if len(s.asked) > len(s.errs) {
		return nil
	}
	return s.errs[len(s.asked)-1]
}

func anthropic(status int, h http.Header) error {
	return breaker.WithOutcome(fmt.Errorf("sdk: %d", status), breaker.Anthropic(status, h, nil))
}

func TestFailover(t *testing.T) {
	callersFault := &problem.Document{Status: 400}
	tests := []struct {
		name   string
		errs   []error
		asked  []string
		served string
		err    error
	}{
		{"first serves", nil, []string{"claude"}, "claude", nil},
		{"retry serves", []error{errDown}, []string{"claude", "claude"}, "claude", nil},
		{"second serves", []error{errDown, errDown}, []string{"claude", "claude", "openai"}, "openai", nil},
		{"nobody serves", []error{io.ErrUnexpectedEOF, errDown, io.ErrUnexpectedEOF, errDown}, []string{"claude", "claude", "openai", "openai"}, "", errDown},
		{"overloaded", []error{anthropic(529, nil), anthropic(529, nil)}, []string{"claude", "claude", "openai"}, "openai", nil},
		{"not to be retried", []error{anthropic(500, header("X-Should-Retry", "false"))}, []string{"claude", "openai"}, "openai", nil},
		{"asks for more time than there is", []error{anthropic(503, header("Retry-After", "60"))}, []string{"claude", "openai"}, "openai", nil},
		{"rate limit: the other is asked at once", []error{anthropic(429, header("Retry-After", "1"))}, []string{"claude", "openai"}, "openai", nil},
		{"no money", []error{anthropic(402, nil)}, []string{"claude", "openai"}, "openai", nil},
		{"wrong key", []error{anthropic(401, nil)}, []string{"claude", "openai"}, "openai", nil},
		{"caller's fault", []error{anthropic(400, nil)}, []string{"claude"}, "", nil},
		{"caller's fault, said by a problem", []error{callersFault}, []string{"claude"}, "", callersFault},
		{"too long", []error{anthropic(413, nil)}, []string{"claude"}, "", nil},
		{"policy", []error{breaker.WithOutcome(errDown, breaker.OpenAI(400, nil, []byte(openAIError("no", "x", `"content_policy_violation"`))))}, []string{"claude"}, "", errDown},
		{"client gone", []error{context.Canceled}, []string{"claude"}, "", context.Canceled},
		{"shutdown", []error{http.ErrServerClosed}, []string{"claude"}, "", http.ErrServerClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{errs: tt.errs}
				res, err := newFailover(t, breaker.FailoverConfig{}).Do(t.Context(), s.call)
				require.Equal(t, tt.asked, s.asked)
				require.Equal(t, tt.served, res.Provider)
				require.Equal(t, tt.served == "", err != nil)
				if tt.err != nil {
					require.ErrorIs(t, err, tt.err)
				}
				require.Len(t, res.Attempts, len(tt.asked))
				for i, a := range res.Attempts {
					require.Equal(t, tt.asked[i], a.Provider)
					require.Equal(t, i < len(tt.errs), a.Err != nil)
				}
			})
		})
	}
}

// Once output has reached the client there is no other attempt, whatever happens.
func TestNoAttemptAfterOutput(t *testing.T) {
	for _, err := range []error{errDown, io.ErrUnexpectedEOF, context.DeadlineExceeded, anthropic(529, nil), anthropic(429, nil)} {
		t.Run(err.Error(), func(t *testing.T) {
			asked := 0
			res, got := newFailover(t, breaker.FailoverConfig{}).Do(t.Context(), func(ctx context.Context, _ string) error {
				asked++
				breaker.Commit(ctx)
				return err
			})
			require.Equal(t, 1, asked)
			require.Equal(t, err, got)
			require.Equal(t, "claude", res.Provider, "it was serving")
		})
	}
}

// Nobody else is asked for a client that has left, whatever the provider said.
func TestNoAttemptForAClientThatLeft(t *testing.T) {
	for _, err := range []error{errDown, anthropic(401, nil), anthropic(429, nil), anthropic(529, nil)} {
		t.Run(err.Error(), func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			asked := 0
			_, got := newFailover(t, breaker.FailoverConfig{}).Do(ctx, func(context.Context, string) error {
				asked++
				leave()
				return err
			})
			require.Equal(t, 1, asked)
			require.Equal(t, err, got)
		})
	}
}

// Progress is not output: what arrived may still be thrown away.
func TestProgressAllowsFallback(t *testing.T) {
	res, err := newFailover(t, breaker.FailoverConfig{Retries: -1}).Do(t.Context(), func(ctx context.Context, provider string) error {
		breaker.Progress(ctx)
		if provider == "claude" {
			return errDown
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "openai", res.Provider)
}

func TestOpenBreakersAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, breaker.GroupConfig{})
		claude, err := g.Get("claude")
		require.NoError(t, err)
		openai, err := g.Get("openai")
		require.NoError(t, err)
		f := newFailover(t, breaker.FailoverConfig{Group: g})

		claude.ForceOpen(time.Minute)
		s := &script{}
		res, err := f.Do(t.Context(), s.call)
		require.NoError(t, err)
		require.Equal(t, []string{"openai"}, s.asked)
		require.Equal(t, "refused", res.Attempts[0].Outcome.Reason)
		require.Len(t, res.Attempts, 2)

		openai.ForceOpen(20 * time.Second)
		s = &script{}
		res, err = f.Do(t.Context(), s.call)
		require.Empty(t, s.asked)
		require.Equal(t, 20*time.Second, refused(t, err).RetryAfter, "the one that is ready first")
		require.Empty(t, res.Provider)

		claude.Release()
		_, err = f.Do(t.Context(), func(context.Context, string) error { return errDown })
		require.ErrorIs(t, err, errDown, "an attempt says more than a refusal")
	})
}

// While one provider is retried its breaker opens: there is nothing to wait for.
func TestNoWaitForABreakerThatOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailover(t, breaker.FailoverConfig{
			Group:   newGroup(t, breaker.GroupConfig{Breaker: breaker.Config{ConsecutiveFailures: 1}}),
			Retries: 9,
		})
		start := time.Now()
		s := &script{errs: []error{errDown}}
		res, err := f.Do(t.Context(), s.call)
		require.NoError(t, err)
		require.Equal(t, "openai", res.Provider)
		require.Zero(t, time.Since(start))
	})
}

func TestOrderOfACall(t *testing.T) {
	f := newFailover(t, breaker.FailoverConfig{})
	s := &script{}
	res, err := f.Do(t.Context(), s.call, "local")
	require.NoError(t, err)
	require.Equal(t, "local", res.Provider)
	_, err = f.Do(t.Context(), s.call, "somebody")
	require.ErrorIs(t, err, breaker.ErrUnknown)
	require.Equal(t, []string{"local"}, s.asked)
}

func TestRetryDelays(t *testing.T) {
	few := []string{"claude"}
	tests := []struct {
		name     string
		err      error
		min, max []time.Duration // of the waits before the attempts
	}{
		{"full jitter", errDown, []time.Duration{0, 0, 0}, []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond}},
		{
			"as asked", anthropic(503, header("Retry-After-Ms", "1200", "Retry-After", "2")),
			[]time.Duration{1200 * time.Millisecond, 1200 * time.Millisecond, 1200 * time.Millisecond},
			[]time.Duration{1700 * time.Millisecond, 1700 * time.Millisecond, 1700 * time.Millisecond},
		},
		{
			"rate limit, with nobody else to ask", anthropic(429, header("Retry-After", "1")),
			[]time.Duration{time.Second, time.Second, time.Second},
			[]time.Duration{1500 * time.Millisecond, 1500 * time.Millisecond, 1500 * time.Millisecond},
		},
		{
			"rate limit without a time", anthropic(429, nil),
			[]time.Duration{1200 * time.Millisecond, 1200 * time.Millisecond, 1200 * time.Millisecond},
			[]time.Duration{1700 * time.Millisecond, 1700 * time.Millisecond, 1700 * time.Millisecond},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(map[time.Duration]bool)
				longest := make([]time.Duration, 3)
				for range 100 {
					g := newGroup(t, breaker.GroupConfig{Breaker: breaker.Config{CooldownTime: 1200 * time.Millisecond}})
					f := newFailover(t, breaker.FailoverConfig{Group: g, Order: few, Retries: 3, MaxDelay: 1500 * time.Millisecond})
					s := &script{errs: []error{tt.err, tt.err, tt.err}}
					res, err := f.Do(t.Context(), s.call)
					require.NoError(t, err)
					require.Len(t, res.Attempts, 4)
					for i := range 3 {
						wait := s.at[i+1] - s.at[i]
						require.GreaterOrEqual(t, wait, tt.min[i])
						require.Less(t, wait, tt.max[i])
						seen[wait] = true
						longest[i] = max(longest[i], wait)
					}
				}
				require.Greater(t, len(seen), 200, "jitter")
				for i, d := range longest {
					require.Greater(t, d, tt.min[i]+(tt.max[i]-tt.min[i])*4/5, "the whole range is used")
				}
			})
		})
	}
}

// Retries are a share of the calls, so that they don't multiply the load.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, breaker.GroupConfig{
			Breaker:    breaker.Config{ConsecutiveFailures: -1, FailureRatio: -1},
			RetryRatio: 0.1, RetryBurst: 5,
		})
		order := []string{"claude"}
		first := newFailover(t, breaker.FailoverConfig{Group: g, Order: order})
		second := newFailover(t, breaker.FailoverConfig{Group: g, Order: order})
		asked := 0
		for range 100 {
			for _, f := range []*breaker.Failover{first, second} { // they share the budget of the group
				_, err := f.Do(t.Context(), func(context.Context, string) error { asked++; return errDown })
				require.ErrorIs(t, err, errDown)
			}
		}
		require.Equal(t, 200+5+19, asked, "200 calls, a burst of 5, a tenth of the 199 after the first, which found it full")
		for range 1000 { // what is saved up is limited
			_, err := first.Do(t.Context(), func(context.Context, string) error { return nil })
			require.NoError(t, err)
		}
		asked = 0
		for range 8 {
			_, _ = first.Do(t.Context(), func(context.Context, string) error { asked++; return errDown })
		}
		require.Equal(t, 8+5, asked)
	})
}

// Ten tenths are one retry, though they don't add up to 1 exactly.
func TestTenCallsEarnARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailover(t, breaker.FailoverConfig{Group: newGroup(t, breaker.GroupConfig{RetryBurst: 1}), Order: []string{"claude"}})
		asked := func(errs ...error) int {
			s := &script{errs: errs}
			_, _ = f.Do(t.Context(), s.call)
			return len(s.asked)
		}
		require.Equal(t, 2, asked(errDown), "what is there in the beginning")
		for range 8 {
			require.Equal(t, 1, asked(nil))
		}
		require.Equal(t, 1, asked(errDown), "nine tenths")
		require.Equal(t, 2, asked(errDown))
	})
}

func TestNoRetriesWithoutABudget(t *testing.T) {
	f := newFailover(t, breaker.FailoverConfig{Group: newGroup(t, breaker.GroupConfig{RetryRatio: -1}), Retries: 5})
	s := &script{errs: []error{errDown}}
	res, err := f.Do(t.Context(), s.call)
	require.NoError(t, err)
	require.Equal(t, "openai", res.Provider, "a fallback is no retry")
}

func TestRetriesEndWithTheContext(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			start := time.Now()
			s := &script{errs: []error{anthropic(503, header("Retry-After", "1"))}}
			res, err := newFailover(t, breaker.FailoverConfig{}).Do(ctx, s.call)
			require.NoError(t, err)
			require.Equal(t, "openai", res.Provider, "the wait would have been too long")
			require.Zero(t, time.Since(start))
		})
	})
	t.Run("client leaves during a wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			s := &script{errs: []error{anthropic(503, header("Retry-After", "1"))}}
			res, err := newFailover(t, breaker.FailoverConfig{}).Do(ctx, s.call)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "sdk: 503")
			require.Len(t, res.Attempts, 1)
			require.Empty(t, res.Provider)
		})
	})
}

// An impatient client's leaving counts if the provider had been silent for long,
// but not if it had been sending.
func TestFailoverHangCredit(t *testing.T) {
	tests := []struct {
		name   string
		mark   func(context.Context)
		reason string
	}{
		{"silent", func(context.Context) {}, "hang"},
		{"progress", breaker.Progress, "client_gone"},
		{"output", breaker.Commit, "client_gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				res, err := newFailover(t, breaker.FailoverConfig{}).Do(ctx, func(ctx context.Context, _ string) error {
					time.Sleep(20 * time.Second)
					tt.mark(ctx)
					time.Sleep(20 * time.Second)
					cancel()
					return ctx.Err()
				})
				require.ErrorIs(t, err, context.Canceled)
				require.Len(t, res.Attempts, 1)
				require.Equal(t, tt.reason, res.Attempts[0].Outcome.Reason)
				require.Equal(t, 40*time.Second, res.Attempts[0].Duration)
			})
		})
	}
}

func TestFailoverPanics(t *testing.T) {
	g := newGroup(t, breaker.GroupConfig{})
	f := newFailover(t, breaker.FailoverConfig{Group: g})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		_, _ = f.Do(t.Context(), func(context.Context, string) error { panic(http.ErrAbortHandler) })
	})
	require.Equal(t, 1, g.Status()[0].Counts.Failures)
}

func TestNewFailoverReportsWhatIsWrong(t *testing.T) {
	g := newGroup(t, breaker.GroupConfig{})
	tests := []struct {
		name string
		cfg  breaker.FailoverConfig
		err  string
	}{
		{"group", breaker.FailoverConfig{Order: []string{"claude"}}, "breaker: Group is missing"},
		{"order", breaker.FailoverConfig{Group: g}, "breaker: Order is empty, want at least one name"},
		{"name", breaker.FailoverConfig{Group: g, Order: []string{"claud"}}, `breaker: name is not in the group: "claud"`},
		{"delay", breaker.FailoverConfig{Group: g, Order: []string{"claude"}, BaseDelay: -1}, "breaker: BaseDelay is -1ns and MaxDelay 0s, want at least 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := breaker.NewFailover(tt.cfg)
			require.EqualError(t, err, tt.err)
		})
	}
}

func TestOrderIsCopied(t *testing.T) {
	order := []string{"claude"}
	f := newFailover(t, breaker.FailoverConfig{Order: order})
	order[0] = "openai"
	res, err := f.Do(t.Context(), (&script{}).call)
	require.NoError(t, err)
	require.Equal(t, "claude", res.Provider)
	require.NotErrorIs(t, err, errors.ErrUnsupported)
}
