package cache_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

// build makes a cache for tests.
func build(t testing.TB, cfg cache.Config) *cache.Cache {
	t.Helper()
	if cfg.Scope == nil {
		cfg.Scope = func(r *http.Request) (cache.Scope, error) { return cache.Tenant(r.Header.Get("User")), nil }
	}
	c, err := cache.New(cfg)
	require.NoError(t, err)
	return c
}

func key(t testing.TB, tenant, params string) cache.Key {
	t.Helper()
	k, err := cache.NewKey(cache.Tenant(tenant), cache.Call{Model: "m", Provider: "p", Params: []byte(params)})
	require.NoError(t, err)
	return k
}

// says returns a fill that writes chunks, and counts its calls.
func says(calls *atomic.Int64, chunks ...string) cache.Fill {
	return func(_ context.Context, out *cache.Recorder) error {
		calls.Add(1)
		out.SetTokens(7)
		for _, c := range chunks {
			if _, err := out.Write([]byte(c)); err != nil {
				return err
			}
		}
		return nil
	}
}

// read returns all chunks of an answer, divided by bars, and closes it.
func read(a *cache.Answer) (string, error) {
	var text []string
	for chunk, err := range a.Chunks() {
		if err != nil {
			return strings.Join(text, "|"), errors.Join(err, a.Close())
		}
		text = append(text, string(chunk))
	}
	return strings.Join(text, "|"), a.Close()
}

// eventLog collects events from all goroutines.
type eventLog struct {
	mu   sync.Mutex
	list []cache.Event
}

func (l *eventLog) add(_ context.Context, e cache.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

// of returns the events of a kind.
func (l *eventLog) of(kind cache.Kind) (found []cache.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// ask is Do and read.
func ask(t testing.TB, c *cache.Cache, k cache.Key, fill cache.Fill) (string, cache.Kind) {
	t.Helper()
	a, err := c.Do(t.Context(), k, fill)
	require.NoError(t, err)
	text, err := read(a)
	require.NoError(t, err)
	return text, a.Kind()
}

func TestMissThenHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{Jitter: -1})
		var calls atomic.Int64
		fill := says(&calls, "Hello", ", ", "world")
		text, kind := ask(t, c, key(t, "a", `{}`), fill)
		require.Equal(t, "Hello|, |world", text)
		require.Equal(t, cache.Miss, kind)
		time.Sleep(time.Minute)

		a, err := c.Do(t.Context(), key(t, "a", `{}`), fill)
		require.NoError(t, err)
		require.Equal(t, cache.Hit, a.Kind())
		require.Equal(t, time.Minute, a.Age())
		require.Equal(t, 59*time.Minute, a.TTL())
		require.Equal(t, "spark; hit; ttl=3540", a.CacheStatus())
		require.EqualValues(t, 7, a.Tokens())
		text, err = read(a)
		require.NoError(t, err)
		require.Equal(t, "Hello|, |world", text)

		text, kind = ask(t, c, key(t, "b", `{}`), fill)
		require.Equal(t, "Hello|, |world", text)
		require.Equal(t, cache.Miss, kind, "another tenant")
		require.EqualValues(t, 2, calls.Load())
		time.Sleep(time.Hour)
		_, kind = ask(t, c, key(t, "a", `{}`), fill)
		require.Equal(t, cache.Miss, kind, "its time is over, though it was read meanwhile")
	})
}

func TestThousandCallersShareOneFillAlsoWhenTheFirstLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{})
		var calls, served atomic.Int64
		k := key(t, "a", `{}`)
		fill := func(ctx context.Context, out *cache.Recorder) error {
			calls.Add(1)
			for _, chunk := range []string{"a", "b", "c"} {
				time.Sleep(time.Second)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				_, _ = out.Write([]byte(chunk))
			}
			return nil
		}
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Do(ctx, k, fill)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for range 999 {
			wg.Go(func() {
				text, kind := ask(t, c, k, fill)
				require.Equal(t, "a|b|c", text)
				require.Equal(t, cache.Coalesced, kind)
				served.Add(1)
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		require.EqualValues(t, 1, calls.Load())
		require.EqualValues(t, 999, served.Load())
	})
}
