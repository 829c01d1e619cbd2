package errtrack_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

// recorder is a Reporter that notes what it is told. answer decides, if set.
type recorder struct {
	answer func(ctx context.Context, r errtrack.Report) error

	mu    sync.Mutex
	calls int
	got   []errtrack.Report
}

func (r *recorder) Report(ctx context.Context, report errtrack.Report) error {
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	if r.answer != nil {
		if err := r.answer(ctx, report); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, report)
	return nil
}

func (r *recorder) reports() []errtrack.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]errtrack.Report(nil), r.got...)
}

func (r *recorder) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// summary returns the reports as texts: the title, and what was only counted.
func (r *recorder) summary() []string {
	var out []string
	for _, report := range r.reports() {
		s := report.Group.Title
		if report.Unreported > 0 {
			s += fmt.Sprintf(" +%d", report.Unreported)
		}
		out = append(out, s)
	}
	return out
}

// running runs c until the returned function is called.
func running(t testing.TB, c *errtrack.Collector) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

// bubble runs a test on a clock of its own. Whatever goroutine is left at its end
// makes it fail.
func bubble(t *testing.T, cfg errtrack.Config, r *recorder, test func(t *testing.T, c *errtrack.Collector)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Reporters = append(cfg.Reporters, r)
		test(t, newCollector(t, cfg))
	})
}

// Of a storm the first are reported, then numbers.
func TestStorm(t *testing.T) {
	r := &recorder{}
	bubble(t, errtrack.Config{FirstN: 3, EscalateAt: -1}, r, func(t *testing.T, c *errtrack.Collector) {
		defer running(t, c)()
		time.Sleep(50 * time.Millisecond) // so that no event comes with a summary
		for range 1000 {                  // 100 s, ten a second
			c.Track(t.Context(), text("storm"))
			time.Sleep(100 * time.Millisecond)
		}
		c.Track(t.Context(), text("calm"))
		time.Sleep(time.Minute)
		synctest.Wait()
		told := 0
		for _, report := range r.reports() {
			if report.Group.Title == "storm" {
				told += max(int(report.Unreported), 1)
			}
		}
		require.Equal(t, 1000, told)
		require.Equal(t, []string{"storm", "storm", "storm", "storm +597", "storm", "storm", "storm", "calm", "storm +397"}, r.summary())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Len(t, r.reports(), 9, "nothing happened since")
	})
}

// Who was reported long ago is news again.
func TestCalm(t *testing.T) {
	r := &recorder{}
	bubble(t, errtrack.Config{FirstN: 2}, r, func(t *testing.T, c *errtrack.Collector) {
		defer running(t, c)()
		for range 5 {
			c.Track(t.Context(), text("x"))
			time.Sleep(61 * time.Second)
		}
		synctest.Wait()
		require.Equal(t, []string{"x", "x", "x", "x", "x"}, r.summary())
	})
}

// A Reporter that is down for a minute loses nothing below the bound, and is told
// how much it lost above.
func TestReporterDown(t *testing.T) {
	for _, tt := range []struct {
		name         string
		events, lost int
	}{{"below the bound", 100, 0}, {"above the bound", 130, 30}} {
		t.Run(tt.name, func(t *testing.T) {
			var up time.Time
			r := &recorder{answer: func(context.Context, errtrack.Report) error {
				if time.Now().Before(up) {
					return errors.New("down")
				}
				return nil
			}}
			var log strings.Builder
			cfg := errtrack.Config{Queue: 100, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			bubble(t, cfg, r, func(t *testing.T, c *errtrack.Collector) {
				up = time.Now().Add(time.Minute)
				defer running(t, c)()
				for i := range tt.events {
					c.Track(t.Context(), errtrack.Event{Message: "kind " + word(i)})
				}
				time.Sleep(50 * time.Second)
				require.Empty(t, r.reports())
				require.Equal(t, 100, c.Stats().Queued)
				time.Sleep(time.Minute)
				synctest.Wait()
				reports := r.reports()
				require.Len(t, reports, 100)
				for i, report := range reports {
					require.Equal(t, "kind "+word(i), report.Group.Title, "in order")
				}
				require.EqualValues(t, tt.lost, reports[0].Dropped)
				require.Zero(t, reports[1].Dropped, "said once")
				s := c.Stats()
				require.Equal(t, []int{0, tt.lost, 0}, []int{s.Queued, int(s.Dropped), int(s.Failed)})
				require.Equal(t, tt.lost > 0, strings.Contains(log.String(), "reports were dropped"))
				require.Less(t, r.attempts(), 100+20, "pauses between the attempts")
			})
		})
	}
}

func TestGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name           string
		err            error
		after          time.Duration
		fewest, utmost int
	}{
		{"after a time", errors.New("down"), 11 * time.Minute, 15, 60},
		{"at once", errtrack.Permanent(errors.New("refused")), time.Second, 1, 1},
		{"at once, wrapped", fmt.Errorf("x: %w", errtrack.Permanent(errors.New("refused"))), time.Second, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{answer: func(context.Context, errtrack.Report) error { return tt.err }}
			var log strings.Builder
			cfg := errtrack.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			bubble(t, cfg, r, func(t *testing.T, c *errtrack.Collector) {
				defer running(t, c)()
				c.Track(t.Context(), text("x"))
				time.Sleep(tt.after)
				synctest.Wait()
				require.EqualValues(t, 1, c.Stats().Failed)
				require.Zero(t, c.Stats().Queued)
				require.GreaterOrEqual(t, r.attempts(), tt.fewest)
				require.LessOrEqual(t, r.attempts(), tt.utmost)
				require.Contains(t, log.String(), "report given up")
			})
		})
	}
	cause := errors.New("refused")
	require.ErrorIs(t, errtrack.Permanent(cause), cause)
	require.EqualError(t, errtrack.Permanent(cause), "refused")
}

// A Reporter that panics, or ends its goroutine, fails for good with that report
// and gets the next one.
func TestBrokenReporter(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func()
	}{
		{"panic", func() { panic("no") }},
		{"exit", runtime.Goexit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{answer: func(_ context.Context, r errtrack.Report) error {
				if r.Group.Title == "bad" {
					tt.end()
				}
				return nil
			}}
			bubble(t, errtrack.Config{}, r, func(t *testing.T, c *errtrack.Collector) {
				defer running(t, c)()
				c.Track(t.Context(), text("bad"))
				c.Track(t.Context(), text("good"))
				synctest.Wait()
				require.Equal(t, []string{"good"}, r.summary())
				require.EqualValues(t, 1, c.Stats().Failed)
			})
		})
	}
}

func TestSlowReporter(t *testing.T) {
	slow := true
	r := &recorder{answer: func(ctx context.Context, _ errtrack.Report) error {
		if slow {
			slow = false
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	bubble(t, errtrack.Config{ReportTimeout: 3 * time.Second}, r, func(t *testing.T, c *errtrack.Collector) {
		defer running(t, c)()
		c.Track(t.Context(), text("x"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"x"}, r.summary(), "at the second attempt")
		require.Equal(t, 2, r.attempts())
	})
}

// A Reporter that hangs for ever holds up neither Track, nor Run, nor Flush, nor
// another Reporter.
func TestHangingReporter(t *testing.T) {
	release := make(chan struct{})
	hanging := &recorder{}
	other := &recorder{}
	bubble(t, errtrack.Config{Reporters: []errtrack.Reporter{hanging}}, other, func(t *testing.T, c *errtrack.Collector) {
		release = make(chan struct{})
		hanging.answer = func(context.Context, errtrack.Report) error { <-release; return nil }
		stop := running(t, c)
		c.Track(t.Context(), text("x"))
		time.Sleep(time.Hour)
		c.Track(t.Context(), text("y"))
		synctest.Wait()
		require.Equal(t, []string{"x", "y"}, other.summary())
		require.Equal(t, 1, hanging.attempts(), "one at a time")
		stop()
		c.Track(t.Context(), text("z"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded)
		require.Equal(t, []string{"x", "y", "z"}, other.summary())
		require.Equal(t, 3, c.Stats().Queued)
		close(release)
		require.NoError(t, c.Flush(t.Context()))
		require.Equal(t, []string{"x", "y", "z"}, hanging.summary(), "and none twice")
	})
}

func TestFlush(t *testing.T) {
	t.Run("while it runs", func(t *testing.T) {
		r := &recorder{}
		bubble(t, errtrack.Config{FirstN: 1}, r, func(t *testing.T, c *errtrack.Collector) {
			defer running(t, c)()
			for range 3 {
				c.Track(t.Context(), text("x"))
			}
			require.NoError(t, c.Flush(t.Context()))
			require.Equal(t, []string{"x", "x +2"}, r.summary())
		})
	})
	t.Run("after it ran", func(t *testing.T) {
		down := true
		r := &recorder{answer: func(context.Context, errtrack.Report) error {
			if down {
				return errors.New("down")
			}
			return nil
		}}
		bubble(t, errtrack.Config{}, r, func(t *testing.T, c *errtrack.Collector) {
			stop := running(t, c)
			c.Track(t.Context(), text("x"))
			synctest.Wait()
			stop()
			down = false
			require.NoError(t, c.Flush(t.Context()))
			require.Equal(t, []string{"x"}, r.summary())
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		r := &recorder{answer: func(ctx context.Context, _ errtrack.Report) error { <-ctx.Done(); return errtrack.Permanent(ctx.Err()) }}
		bubble(t, errtrack.Config{}, r, func(t *testing.T, c *errtrack.Collector) {
			stop := running(t, c)
			c.Track(t.Context(), text("x"))
			synctest.Wait()
			stop()
			synctest.Wait()
			require.Equal(t, 1, c.Stats().Queued, "an attempt that was interrupted is none")
			r.answer = nil
			require.NoError(t, c.Flush(t.Context()))
			require.Equal(t, []string{"x"}, r.summary())
		})
	})
	t.Run("down to the end", func(t *testing.T) {
		r := &recorder{answer: func(context.Context, errtrack.Report) error { return errors.New("down") }}
		bubble(t, errtrack.Config{}, r, func(t *testing.T, c *errtrack.Collector) {
			c.Track(t.Context(), text("x"))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded)
			require.Equal(t, 1, c.Stats().Queued)
		})
	})
	t.Run("nobody to tell", func(t *testing.T) {
		c := newCollector(t, errtrack.Config{})
		c.Track(t.Context(), text("x"))
		require.NoError(t, c.Flush(t.Context()))
	})
}

func TestRelease(t *testing.T) {
	r := &recorder{}
	c := newCollector(t, errtrack.Config{Release: "v1.2.3", Reporters: []errtrack.Reporter{r}})
	c.Track(t.Context(), text("x"))
	require.NoError(t, c.Flush(t.Context()))
	require.Equal(t, "v1.2.3", r.reports()[0].Release)
}
