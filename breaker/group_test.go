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

func TestGroup(t *testing.T) {
	g := newGroup(t, breaker.GroupConfig{
		Names:   []string{"claude", "claude:opus", "openai"},
		Breaker: breaker.Config{Name: "ignored", ConsecutiveFailures: 1},
		Configure: func(name string, cfg *breaker.Config) {
			if name == "openai" {
				cfg.ConsecutiveFailures = 2
				cfg.Name = "ignored too"
			}
		},
	})
	require.Empty(t, g.Status(), "breakers are made when they are asked for")
	tests := []struct {
		name, want string
	}{
		{"claude:opus", "claude:opus"},
		{"claude:haiku", "claude"},
		{"claude", "claude"},
		{"openai", "openai"},
	}
	for _, tt := range tests {
		b, err := g.Get(tt.name)
		require.NoError(t, err)
		require.Equal(t, tt.want, b.Name())
		again, err := g.Get(tt.name)
		require.NoError(t, err)
		require.Same(t, b, again)
	}
	for _, name := range []string{"", "mistral", "mistral:claude", ":claude", "CLAUDE"} {
		_, err := g.Get(name)
		require.ErrorIs(t, err, breaker.ErrUnknown, name)
	}
	b, err := g.Get("openai")
	require.NoError(t, err)
	require.Error(t, b.Do(t.Context(), fail))
	require.Equal(t, breaker.Closed, b.State())
	require.Error(t, b.Do(t.Context(), fail))
	require.Equal(t, breaker.Open, b.State())

	var names []string
	for _, s := range g.Status() {
		names = append(names, s.Name+" "+string(s.State))
	}
	require.Equal(t, []string{"claude closed", "claude:opus closed", "openai open"}, names)
}

func TestGroupInParallel(t *testing.T) {
	g := newGroup(t, breaker.GroupConfig{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				b, err := g.Get("claude:any")
				if err == nil {
					_ = b.Do(t.Context(), succeed)
				}
				_ = g.Status()
			}
		})
	}
	wg.Wait()
	require.Len(t, g.Status(), 1)
	require.Equal(t, 800, g.Status()[0].Counts.Successes)
}

// Hooks may use the group: it holds no lock when they run.
func TestGroupFromAHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *breaker.Group
		var seen [][]breaker.Status
		g = newGroup(t, breaker.GroupConfig{Breaker: breaker.Config{
			ConsecutiveFailures: 1,
			OnStateChange:       func(context.Context, breaker.StateChange) { seen = append(seen, g.Status()) },
		}})
		b, err := g.Get("claude")
		require.NoError(t, err)
		require.Error(t, b.Do(t.Context(), fail))
		time.Sleep(time.Minute)
		require.Equal(t, breaker.HalfOpen, g.Status()[0].State)
		require.Len(t, seen, 2)
		require.Equal(t, breaker.HalfOpen, seen[1][0].State)
	})
}

func TestNewGroupReportsWhatIsWrong(t *testing.T) {
	names := []string{"claude"}
	tests := []struct {
		name string
		cfg  breaker.GroupConfig
		err  string
	}{
		{"names", breaker.GroupConfig{}, "breaker: Names is empty, want at least one"},
		{"empty name", breaker.GroupConfig{Names: []string{""}}, "breaker: Names has an empty name"},
		{"ratio", breaker.GroupConfig{Names: names, RetryRatio: 2}, "breaker: RetryRatio is 2, want at most 1"},
		{"burst", breaker.GroupConfig{Names: names, RetryBurst: -1}, "breaker: RetryBurst is -1, want at least 0"},
		{"breaker", breaker.GroupConfig{Names: names, Breaker: breaker.Config{MinCalls: -1}}, `breaker: MinCalls is -1, want at least 0 (of "claude")`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := breaker.NewGroup(tt.cfg)
			require.EqualError(t, err, tt.err)
		})
	}
}
