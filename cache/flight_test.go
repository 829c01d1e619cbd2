package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/problem"
)

var errProvider = errors.New("provider is down")

// fails is a fill that writes chunks and then fails.
func fails(err error, chunks ...string) cache.Fill {
	return func(_ context.Context, out *cache.Recorder) error {
		for _, c := range chunks {
			_, _ = out.Write([]byte(c))
		}
		return err
	}
}

func TestFailureBeforeTheFirstChunkIsAnErrorOfDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{})
		a, err := c.Do(t.Context(), key(t, "a", `{}`), fails(errProvider))
		require.Nil(t, a)
		require.Equal(t, errProvider, err, "it arrives as it is")
		synctest.Wait()
		require.Zero(t, c.Stats().InFlight)
	})
}

func TestFailureInTheMiddleReachesAllAndNothingIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{StaleIfError: time.Hour})
		k := key(t, "a", `{}`)
		step := make(chan struct{})
		fill := func(_ context.Context, out *cache.Recorder) error {
			_, _ = out.Write([]byte("half"))
			<-step
			return errProvider
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				a, err := c.Do(t.Context(), k, fill)
				require.NoError(t, err)
				text, err := read(a)
				require.Equal(t, "half", text)
				require.ErrorIs(t, err, errProvider)
			})
		}
		synctest.Wait()
		close(step)
		wg.Wait()
		text, kind := ask(t, c, k, says(new(atomic.Int64), "whole"))
		require.Equal(t, "whole", text)
		require.Equal(t, cache.Miss, kind)
	})
}

// Providers that close the connection make an io.EOF of it, which must not
// pass for the regular end.
func TestEOFOfAFillIsNoRegularEnd(t *testing.T) {
	shown := &problem.Document{Status: 502}
	for _, cut := range []error{io.EOF, &url.Error{Op: "Post", URL: "x", Err: io.EOF}, errors.Join(shown, io.EOF)} {
		synctest.Test(t, func(t *testing.T) {
			c := build(t, cache.Config{})
			a, err := c.Do(t.Context(), key(t, "a", `{}`), fails(cut, "half"))
			require.NoError(t, err)
			text, err := read(a)
			require.Equal(t, "half", text)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NotErrorIs(t, err, io.EOF)
			require.ErrorContains(t, err, cut.Error())
			if errors.Is(cut, shown) {
				require.Equal(t, 502, problem.Of(err).Status, "it still shows itself")
				require.ErrorIs(t, err, shown)
			}
			require.Zero(t, c.Stats().Stored)
		})
	}
}

func TestPanicAndExitOfAFillReachAll(t *testing.T) {
	tests := []struct {
		name  string
		fill  cache.Fill
		check func(t *testing.T, err error)
	}{
		{"panic", func(context.Context, *cache.Recorder) error { time.Sleep(time.Millisecond); panic("oops") }, func(t *testing.T, err error) {
			p, ok := errors.AsType[*cache.PanicError](err)
			require.True(t, ok)
			require.Equal(t, "oops", p.Value)
			require.Contains(t, string(p.Stack), "flight_test.go")
			require.EqualError(t, err, "cache: fill panicked: oops")
			require.Equal(t, 500, problem.Of(err).Status)
		}},
		{"panic with an error", func(context.Context, *cache.Recorder) error {
			time.Sleep(time.Millisecond)
			panic(http.ErrAbortHandler)
		}, func(t *testing.T, err error) {
			require.ErrorIs(t, err, http.ErrAbortHandler)
		}},
		{"exit", func(context.Context, *cache.Recorder) error {
			time.Sleep(time.Millisecond)
			runtime.Goexit()
			return nil
		}, func(t *testing.T, err error) {
			require.EqualError(t, err, "cache: fill exited its goroutine")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := build(t, cache.Config{})
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						_, err := c.Do(t.Context(), key(t, "a", `{}`), tt.fill)
						tt.check(t, err)
					})
				}
				wg.Wait()
				_, kind := ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "whole"))
				require.Equal(t, cache.Miss, kind)
			})
		})
	}
}

func TestFillHasTheValuesButNotTheEndOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type name struct{}
		c := build(t, cache.Config{Timeout: time.Minute, FinishAbandoned: true})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "v"), time.Second)
		defer cancel()
		var value any
		var left time.Duration
		_, err := c.Do(ctx, key(t, "a", `{}`), func(ctx context.Context, out *cache.Recorder) error {
			value = ctx.Value(name{})
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			time.Sleep(10 * time.Second)
			_, err := out.Write([]byte("late"))
			return errors.Join(err, ctx.Err())
		})
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own deadline")
		synctest.Wait()
		require.Equal(t, "v", value)
		require.Equal(t, time.Minute, left)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		text, kind := ask(t, c, key(t, "a", `{}`), fails(errProvider))
		require.Equal(t, "late", text, "it was finished though nobody waited")
		require.Equal(t, cache.Hit, kind)
	})
}

func TestTimeoutReleasesReadersOfAFillThatDoesNotHeedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{Timeout: time.Minute})
		start := time.Now()
		hang := make(chan struct{})
		_, err := c.Do(t.Context(), key(t, "a", `{}`), func(_ context.Context, out *cache.Recorder) error {
			<-hang
			_, err := out.Write([]byte("too late"))
			require.ErrorIs(t, err, cache.ErrTimeout)
			return nil
		})
		require.ErrorIs(t, err, cache.ErrTimeout)
		require.EqualError(t, err, "cache: fill took longer than Timeout")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 504, problem.Of(err).Status)
		require.Equal(t, time.Minute, time.Since(start))
		text, kind := ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "next"))
		require.Equal(t, "next", text, "the hung one is out of the way")
		require.Equal(t, cache.Miss, kind)
		close(hang)
		synctest.Wait()
		require.Zero(t, c.Stats().InFlight)
		_, kind = ask(t, c, key(t, "a", `{}`), fails(errProvider))
		require.Equal(t, cache.Hit, kind)
	})
}

func TestTimeoutIsTheErrorOfAFillThatHeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{Timeout: time.Minute})
		_, err := c.Do(t.Context(), key(t, "a", `{}`), func(ctx context.Context, _ *cache.Recorder) error {
			<-ctx.Done()
			return fmt.Errorf("asking: %w", ctx.Err())
		})
		require.ErrorIs(t, err, cache.ErrTimeout)
	})
}

func TestLastReaderToLeaveCancelsTheFill(t *testing.T) {
	for name, cause := range map[string]error{"client": context.Canceled, "shutdown": http.ErrServerClosed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := build(t, cache.Config{})
				k := key(t, "a", `{}`)
				var got error
				var calls atomic.Int64
				fill := func(ctx context.Context, out *cache.Recorder) error {
					calls.Add(1)
					_, _ = out.Write([]byte("x"))
					<-ctx.Done()
					got = context.Cause(ctx)
					_, err := out.Write([]byte("y"))
					require.ErrorIs(t, err, cause)
					return nil // says complete, which nobody believes any more
				}
				first, err := c.Do(t.Context(), k, fill)
				require.NoError(t, err)
				ctx, cancel := context.WithCancelCause(t.Context())
				last, err := c.Do(ctx, k, fill)
				require.NoError(t, err)
				require.NoError(t, first.Close())
				require.NoError(t, first.Close(), "twice is once")
				_, err = first.Next()
				require.EqualError(t, err, "cache: answer is closed")
				synctest.Wait()
				require.NoError(t, got, "one is still there")

				chunk, err := last.Next()
				require.NoError(t, err)
				require.Equal(t, "x", string(chunk))
				cancel(cause)
				_, err = last.Next()
				require.ErrorIs(t, err, cause)
				require.NoError(t, last.Close())
				synctest.Wait()
				require.ErrorIs(t, got, cause)
				text, kind := ask(t, c, k, says(&calls, "new"))
				require.Equal(t, "new", text)
				require.Equal(t, cache.Miss, kind, "what was cut off is not stored")
				require.EqualValues(t, 2, calls.Load())
			})
		})
	}
}

func TestCallerThatIsGoneAlreadyStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(http.ErrServerClosed)
	_, err := build(t, cache.Config{}).Do(ctx, key(t, "a", `{}`), func(context.Context, *cache.Recorder) error {
		panic("called")
	})
	require.ErrorIs(t, err, http.ErrServerClosed)
}

func TestStaleIfError(t *testing.T) {
	refused := &problem.Document{Status: 422}
	tests := []struct {
		name  string
		after time.Duration
		fill  cache.Fill
		err   error // nil: the stale answer serves
		chunk string
	}{
		{"failed", 90 * time.Second, fails(errProvider), nil, ""},
		{"unavailable", 90 * time.Second, fails(&problem.Document{Status: 503}), nil, ""},
		{"document without status", 90 * time.Second, fails(&problem.Document{}), nil, ""},
		{"panicked", 90 * time.Second, func(context.Context, *cache.Recorder) error { panic("x") }, nil, ""},
		{"hung", 90 * time.Second, func(ctx context.Context, _ *cache.Recorder) error { <-ctx.Done(); return ctx.Err() }, nil, ""},
		{"begun", 90 * time.Second, func(_ context.Context, out *cache.Recorder) error { out.Begin(); return errProvider }, errProvider, ""},
		{"written", 90 * time.Second, fails(errProvider, "new"), errProvider, "new"},
		{"the client's fault", 90 * time.Second, fails(refused), refused, ""},
		{"too old", 3 * time.Minute, fails(errProvider), errProvider, ""},
		{"too old in the meantime", 119 * time.Second, func(context.Context, *cache.Recorder) error { time.Sleep(time.Second); return errProvider }, errProvider, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events eventLog
				c := build(t, cache.Config{
					TTL: time.Minute, Jitter: -1, StaleIfError: time.Minute, Timeout: 5 * time.Second,
					OnEvent: events.add,
				})
				k := key(t, "a", `{}`)
				ask(t, c, k, says(new(atomic.Int64), "old"))
				time.Sleep(tt.after)
				synctest.Wait()
				a, err := c.Do(t.Context(), k, tt.fill)
				if tt.err != nil {
					text := ""
					if err == nil {
						require.Equal(t, cache.Miss, a.Kind())
						require.Equal(t, "spark; fwd=stale", a.CacheStatus())
						text, err = read(a)
					}
					require.ErrorIs(t, err, tt.err)
					require.Equal(t, tt.chunk, text)
					return
				}
				require.NoError(t, err)
				require.Equal(t, cache.Stale, a.Kind())
				require.Negative(t, a.TTL())
				require.Regexp(t, `^spark; hit; ttl=-3\d; detail=stale-if-error$`, a.CacheStatus())
				text, err := read(a)
				require.NoError(t, err)
				require.Equal(t, "old", text)
				require.Len(t, events.of(cache.Stale), 1)
				last := events.of(cache.Stale)[0]
				require.Error(t, last.Err)
				require.EqualValues(t, 7, last.Tokens)
			})
		})
	}
}

// Who leaves gets no answer, not even an old one.
func TestStaleIsNotForThoseWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{TTL: time.Minute, StaleIfError: time.Hour})
		k := key(t, "a", `{}`)
		ask(t, c, k, says(new(atomic.Int64), "old"))
		time.Sleep(2 * time.Minute)
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		_, err := c.Do(ctx, k, func(ctx context.Context, _ *cache.Recorder) error { <-ctx.Done(); return ctx.Err() })
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, c.Stats().Stale)
	})
}

// Everybody who waited is served the stale answer.
func TestStaleServesFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{TTL: time.Minute, Jitter: -1, StaleIfError: time.Minute})
		k := key(t, "a", `{}`)
		ask(t, c, k, says(new(atomic.Int64), "old", "er"))
		time.Sleep(61 * time.Second)
		var calls atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				text, kind := ask(t, c, k, func(context.Context, *cache.Recorder) error {
					calls.Add(1)
					time.Sleep(time.Second)
					return errProvider
				})
				require.Equal(t, "old|er", text)
				require.Equal(t, cache.Stale, kind)
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, calls.Load())
		require.EqualValues(t, 50, c.Stats().Stale)
		require.Zero(t, c.Stats().Coalesced)
	})
}

// A long answer reaches its readers whole, at the pace of the slowest, without
// being held in memory.
func TestLongAnswerIsHeldBackToItsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk = 1000
		c := build(t, cache.Config{MaxAnswer: 10 * chunk})
		k := key(t, "a", `{}`)
		var written atomic.Int64
		fill := func(_ context.Context, out *cache.Recorder) error {
			for i := range 100 {
				if _, err := out.Write([]byte(strings.Repeat(string(rune('a'+i%26)), chunk))); err != nil {
					return err
				}
				written.Add(1)
				time.Sleep(time.Millisecond)
			}
			return nil
		}
		quick, err := c.Do(t.Context(), k, fill)
		require.NoError(t, err)
		slow, err := c.Do(t.Context(), k, fill)
		require.NoError(t, err)
		gone, err := c.Do(t.Context(), k, fill)
		require.NoError(t, err)
		var wg sync.WaitGroup
		wg.Go(func() {
			text, err := read(quick)
			require.NoError(t, err)
			require.Len(t, text, 100*chunk+99)
		})
		time.Sleep(time.Minute)
		require.EqualValues(t, 11, written.Load(), "it waits for the slow ones")
		late, err := c.Do(t.Context(), k, says(new(atomic.Int64), "other"))
		require.NoError(t, err)
		require.Equal(t, cache.Miss, late.Kind(), "who comes now would miss the beginning")
		require.NoError(t, late.Close())
		wg.Go(func() {
			text, err := read(slow)
			require.NoError(t, err)
			require.Len(t, text, 100*chunk+99)
		})
		time.Sleep(time.Minute)
		require.EqualValues(t, 11, written.Load(), "for the slowest")
		require.NoError(t, gone.Close())
		wg.Wait()
	})
}

func TestLongAnswerWithoutReadersIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{MaxAnswer: 10, FinishAbandoned: true})
		var got error
		a, err := c.Do(t.Context(), key(t, "a", `{}`), func(ctx context.Context, out *cache.Recorder) error {
			for {
				if _, err := out.Write([]byte("12345")); err != nil {
					got = context.Cause(ctx)
					return err
				}
				time.Sleep(time.Second)
			}
		})
		require.NoError(t, err)
		require.NoError(t, a.Close())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.ErrorIs(t, got, context.Canceled)
	})
}

// Whatever callers do, each gets the whole answer or an error, an answer is
// never mixed with another's, and nothing is left behind.
func TestHammer(t *testing.T) {
	c := build(t, cache.Config{TTL: time.Millisecond, StaleIfError: time.Millisecond, MaxAnswer: 64})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 200 {
				tenant := fmt.Sprint("t", rnd.IntN(3))
				n := rnd.IntN(4)
				hammerOnce(t, c, rnd.IntN(8), tenant, n)
				if rnd.IntN(50) == 0 {
					_, err := c.Purge(t.Context(), cache.Tenant(tenant))
					require.NoError(t, err)
				}
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return c.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
}

func hammerOnce(t *testing.T, c *cache.Cache, what int, tenant string, n int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	want := strings.Repeat(tenant+"|", 8*n) + tenant
	a, err := c.Do(ctx, key(t, tenant, fmt.Sprint(n)), func(_ context.Context, out *cache.Recorder) error {
		for range 8*n + 1 {
			if _, err := out.Write([]byte(tenant)); err != nil {
				return err
			}
			runtime.Gosched()
		}
		switch what {
		case 0:
			return errProvider
		case 1:
			panic("x")
		}
		return nil
	})
	if err != nil {
		return
	}
	if what == 2 {
		cancel()
	}
	text, err := read(a)
	if err == nil {
		require.Equal(t, want, text)
	} else {
		require.True(t, strings.HasPrefix(want, text), "%q", text)
	}
}
