package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

// A thousand clients of two tenants ask the same at once, and the first of
// each goes away: two calls of the provider, everybody else is answered.
func TestStampedeOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		c := build(t, cache.Config{})
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				if i == 2 {
					_, _ = io.WriteString(w, "event: done\n")
				}
				_, _ = fmt.Fprintf(w, "data: %s %d\n\n", r.Header.Get("User"), i)
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		}))
		var wg sync.WaitGroup
		for _, tenant := range []string{"a", "b"} {
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(1500*time.Millisecond, leave)
			wg.Go(func() {
				w := httptest.NewRecorder()
				require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(w, post(tenant, `{}`).WithContext(ctx)) })
				require.Equal(t, fmt.Sprintf("data: %[1]s 0\n\ndata: %[1]s 1\n\n", tenant), w.Body.String())
			})
			synctest.Wait()
			for i := range 499 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * 5 * time.Millisecond) // before, amid and after the first chunks
					w := do(h, post(tenant, `{}`))
					require.Equal(t, fmt.Sprintf("data: %[1]s 0\n\ndata: %[1]s 1\n\nevent: done\ndata: %[1]s 2\n\n", tenant), w.Body.String())
					require.Equal(t, "spark; fwd=miss; collapsed", w.Header().Get("Cache-Status"))
				})
			}
		}
		wg.Wait()
		require.EqualValues(t, 2, calls.Load())
		require.EqualValues(t, 998, c.Stats().Coalesced)
	})
}

// Whatever happens at once, a response is the tenant's own, and whole or
// visibly not.
func TestHandlerHammer(t *testing.T) {
	c := build(t, cache.Config{TTL: 2 * time.Millisecond, StaleIfError: time.Millisecond, MaxAnswer: 1 << 10})
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := r.Header.Get("User") + string(body)
		switch rand.IntN(8) {
		case 0:
			w.WriteHeader(http.StatusBadGateway)
		case 1:
			w.Header().Set("Set-Cookie", text)
		case 2:
			panic(http.ErrAbortHandler)
		}
		for i := range 10 {
			_, _ = io.WriteString(w, strings.Repeat(text, 20)+"\n")
			if i%3 == 0 {
				w.(http.Flusher).Flush()
				runtime.Gosched()
			}
		}
	}))
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 3))
			for range 150 {
				hammerHandler(t, h, fmt.Sprint("t", rnd.IntN(3)), fmt.Sprintf(`{"n":%d}`, rnd.IntN(3)), rnd.IntN(10) == 0)
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return c.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
}

func hammerHandler(t *testing.T, h http.Handler, tenant, body string, leave bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if leave {
		time.AfterFunc(50*time.Microsecond, cancel)
	}
	w := httptest.NewRecorder()
	whole := func() (whole bool) {
		defer func() {
			if v := recover(); v != nil {
				err, ok := v.(error)
				require.True(t, ok && errors.Is(err, http.ErrAbortHandler), "%v", v)
			}
		}()
		h.ServeHTTP(w, post(tenant, body).WithContext(ctx))
		return true
	}()
	want := strings.Repeat(strings.Repeat(tenant+body, 20)+"\n", 10)
	if whole {
		require.Equal(t, want, w.Body.String())
	} else {
		require.True(t, strings.HasPrefix(want, w.Body.String()))
	}
	if cookie := w.Header().Get("Set-Cookie"); cookie != "" {
		require.Equal(t, tenant+body, cookie)
		require.NotContains(t, w.Header().Get("Cache-Status"), "hit")
	}
}
