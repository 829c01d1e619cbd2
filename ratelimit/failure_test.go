package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

var errDown = errors.New("redis: connection refused at 10.0.0.9")

// remote is a limiter somewhere else, which can be down or hang.
type remote struct {
	*ratelimit.Memory
	down, hangs atomic.Bool
	calls       atomic.Int64
}

func (r *remote) wait(ctx context.Context) error {
	r.calls.Add(1)
	if r.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if r.down.Load() {
		return errDown
	}
	return ctx.Err()
}

func (r *remote) Take(ctx context.Context, h *ratelimit.Hold) (bool, error) {
	if err := r.wait(ctx); err != nil {
		return false, err
	}
	return r.Memory.Take(ctx, h)
}

func (r *remote) Settle(ctx context.Context, h *ratelimit.Hold) error {
	if err := r.wait(ctx); err != nil {
		return err
	}
	return r.Memory.Settle(ctx, h)
}

type events []ratelimit.Event

func (e *events) add(_ context.Context, ev ratelimit.Event) { *e = append(*e, ev) }

func (e *events) take() (kinds []ratelimit.EventKind) {
	for _, ev := range *e {
		kinds = append(kinds, ev.Kind)
	}
	*e = nil
	return kinds
}

func TestLimiterIsDown(t *testing.T) {
	with := func(f ratelimit.OnFailure) ratelimit.Policy {
		p := perHour("p", 10)
		p.OnFailure = f
		return p
	}
	for _, tt := range []struct {
		name     string
		policies []ratelimit.Policy
		codes    []int
		policy   string
		retry    string
	}{
		{"degrade by default", []ratelimit.Policy{with("")}, []int{200, 200, 200, 429}, `"p";q=3;w=3600`, "1200"},
		{"open", []ratelimit.Policy{with(ratelimit.FailOpen)}, []int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}, "", ""},
		{"closed", []ratelimit.Policy{with(ratelimit.FailClosed)}, []int{503, 503}, "", "5"},
		{"one closed", []ratelimit.Policy{with(ratelimit.FailClosed), perHour("q", 5)}, []int{503}, "", "5"},
		{"one open, one degraded", []ratelimit.Policy{with(ratelimit.FailOpen), perHour("q", 5)}, []int{200, 200, 429}, `"q";q=2;w=3600`, "1800"},
		{"shadow", []ratelimit.Policy{{Name: "s", Limit: 1, Window: time.Hour, Mode: ratelimit.Shadow, OnFailure: ratelimit.FailClosed}}, []int{200, 200}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log events
				l := &remote{Memory: ratelimit.NewMemory(0)}
				l.down.Store(true)
				h := newMiddleware(t, ratelimit.Config{
					Policies: tt.policies, Limiter: l, Replicas: 4, OnEvent: log.add,
				}).Handler(ok)
				var w *httptest.ResponseRecorder
				for i, code := range tt.codes {
					w = get(h, "/", "")
					require.Equal(t, code, w.Code, i)
					require.ErrorIs(t, log[0].Err, errDown)
					require.Equal(t, ratelimit.LimiterFailed, log.take()[0])
				}
				require.Equal(t, tt.policy, w.Header().Get("RateLimit-Policy"))
				require.Equal(t, tt.retry, w.Header().Get("Retry-After"))
				require.NotContains(t, w.Body.String(), "redis")
				if w.Code == 503 {
					require.Contains(t, w.Body.String(), "#temporary-reduced-capacity")
					require.Contains(t, w.Body.String(), `"violated-policies":["p"]`)
				} else {
					require.Equal(t, "degraded", w.Header().Get("X-RateLimit-Mode"))
				}

				l.down.Store(false)
				w = get(h, "/", "")
				require.Equal(t, 200, w.Code, "the limiter itself had not charged anything")
				require.Empty(t, w.Header().Get("X-RateLimit-Mode"))
				for _, k := range log.take() {
					require.NotEqual(t, ratelimit.LimiterFailed, k)
				}
			})
		})
	}
}

func TestLimiterHangs(t *testing.T) {
	for _, tt := range []struct {
		name          string
		timeout, want time.Duration
	}{{"default", 0, 250 * time.Millisecond}, {"own", 80 * time.Millisecond, 80 * time.Millisecond}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log events
				l := &remote{Memory: ratelimit.NewMemory(0)}
				l.hangs.Store(true)
				h := newMiddleware(t, ratelimit.Config{
					Policies: []ratelimit.Policy{perHour("p", 10)}, Limiter: l, OnEvent: log.add, Timeout: tt.timeout,
				}).Handler(ok)
				start := time.Now()
				w := get(h, "/", "")
				require.Equal(t, 200, w.Code)
				require.Equal(t, "degraded", w.Header().Get("X-RateLimit-Mode"))
				require.Equal(t, tt.want, time.Since(start))
				require.ErrorIs(t, log[0].Err, context.DeadlineExceeded)
			})
		})
	}
}

// TestClientLeavesWhileTheLimiterDecides is no failure of the limiter.
func TestClientLeavesWhileTheLimiterDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log events
		l := &remote{Memory: ratelimit.NewMemory(0)}
		l.hangs.Store(true)
		var got error
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{perHour("p", 10)}, Limiter: l, OnEvent: log.add,
			ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { got = err },
		}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(10*time.Millisecond, cancel)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		require.ErrorIs(t, got, context.Canceled)
		require.Empty(t, log)
	})
}

// TestSettleRemotelyAfterTheClientLeft has a limiter that does nothing for a
// context that has ended.
func TestSettleRemotelyAfterTheClientLeft(t *testing.T) {
	l := &remote{Memory: ratelimit.NewMemory(0)}
	ctx, leave := context.WithCancel(t.Context())
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{tokenPolicy, streamPolicy}, Limiter: l,
	}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q, _ := ratelimit.FromContext(r.Context())
		require.NoError(t, q.Reserve(r.Context(), 500))
		q.Use(30)
		leave()
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	require.Equal(t, []int64{970, 1}, left(t, l, "ip:192.0.2.1", tokenPolicy, streamPolicy))
}

// TestSettleAfterTheLimiterFailed reserves with one limiter and settles with it,
// whichever is up then.
func TestSettleAfterTheLimiterFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log events
		l := &remote{Memory: ratelimit.NewMemory(0)}
		m := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{tokenPolicy, streamPolicy}, Limiter: l, OnEvent: log.add, Replicas: 2,
		})

		// Taken from the remote one, which fails before it is settled.
		q, err := m.Reserve(t.Context(), "", "k", 600)
		require.NoError(t, err)
		l.down.Store(true)
		q.Settle(t.Context(), 100)
		require.Equal(t, []ratelimit.EventKind{ratelimit.SettleFailed}, log.take())
		l.down.Store(false)
		require.Equal(t, []int64{400, 0}, left(t, l, "k", tokenPolicy, streamPolicy), "the estimate stands")

		// Taken from the one that stands in, which has half of the tokens.
		l.down.Store(true)
		q, err = m.Reserve(t.Context(), "", "k", 450)
		require.NoError(t, err)
		_, err = m.Reserve(t.Context(), "", "k", 100)
		require.Error(t, err)
		l.down.Store(false)
		calls := l.calls.Load()
		q.Settle(t.Context(), 0)
		require.Equal(t, calls, l.calls.Load(), "the remote one gets nothing back that it did not give")
		l.down.Store(true)
		_, err = m.Reserve(t.Context(), "", "k", 500)
		require.NoError(t, err)
	})
}

// TestReserveInTheHandlerWhenTheLimiterFails begins with the remote limiter and
// goes on with the local one.
func TestReserveInTheHandlerWhenTheLimiterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &remote{Memory: ratelimit.NewMemory(0)}
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{tokenPolicy}, Limiter: l,
			Estimate: func(*http.Request) int64 { return 100 },
			Replicas: 2,
		}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, _ := ratelimit.FromContext(r.Context())
			l.down.Store(true)
			require.NoError(t, q.Reserve(r.Context(), 300))
			l.down.Store(false)
			q.Settle(r.Context(), 50)
			w.WriteHeader(200)
		}))
		w := get(h, "/", "").Result()
		require.Equal(t, 200, w.StatusCode)
		require.Equal(t, "degraded", w.Header.Get("X-RateLimit-Mode"))
		require.Equal(t, []string{`"tokens";r=200;t=8`}, w.Header.Values("RateLimit"), "of the one that stands in")
		require.Equal(t, []int64{950}, left(t, l, "ip:192.0.2.1", tokenPolicy), "100 were reserved there, and 50 used in all")
	})
}

// TestDegradedHeaders sets them a second time, after the handler has reserved.
func TestDegradedHeaders(t *testing.T) {
	l := &remote{Memory: ratelimit.NewMemory(0)}
	l.down.Store(true)
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{tokenPolicy}, Limiter: l, Replicas: 2}).Handler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, _ := ratelimit.FromContext(r.Context())
			require.NoError(t, q.Reserve(r.Context(), 300))
			w.WriteHeader(200)
		}))
	w := get(h, "/", "").Result()
	require.Equal(t, []string{`"tokens";q=500;spark-unit="tokens";w=3600`}, w.Header.Values("RateLimit-Policy"))
	require.Equal(t, []string{`"tokens";r=200;t=8`}, w.Header.Values("RateLimit"))
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log events
		shadow := perHour("new", 1)
		shadow.Mode = ratelimit.Shadow
		m := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{perHour("old", 2), shadow}, Key: byUser, OnEvent: log.add,
		})
		h := m.Handler(ok)
		get(h, "/", "ada")
		require.Empty(t, log)
		require.Equal(t, 200, get(h, "/", "ada").Code)
		require.Equal(t, events{{Kind: ratelimit.WouldRefuse, Key: "ada", Policies: []string{"new"}}}, log)
		log = nil
		require.Equal(t, 429, get(h, "/", "ada").Code)
		require.Equal(t, events{
			{Kind: ratelimit.Refused, Key: "ada", Policies: []string{"old"}},
			{Kind: ratelimit.WouldRefuse, Key: "ada", Policies: []string{"new"}},
		}, log)
	})
}

// TestEventsAreToldWithoutALock calls back into the middleware.
func TestEventsAreToldWithoutALock(t *testing.T) {
	var m *ratelimit.Middleware
	var q *ratelimit.Reservation
	l := &remote{Memory: ratelimit.NewMemory(0)}
	called := 0
	m = newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{tokenPolicy, streamPolicy}, Limiter: l,
		OnEvent: func(ctx context.Context, e ratelimit.Event) {
			if called++; called == 1 {
				q.Use(1)
				q.Settle(ctx, 1)
				_, _ = m.Reserve(ctx, "", e.Key, 1)
			}
		},
	})
	var err error
	q, err = m.Reserve(t.Context(), "", "k", 10)
	require.NoError(t, err)
	l.down.Store(true)
	q.Settle(t.Context(), 5)
	require.Positive(t, called)
}
