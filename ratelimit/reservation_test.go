package ratelimit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/problem"
	"github.com/sparkhttp/spark/ratelimit"
)

var (
	tokenPolicy  = ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 1000, Window: time.Hour}
	streamPolicy = ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 1}
)

// left returns what remains of the policies for a key, in their order.
func left(t *testing.T, m ratelimit.Limiter, key string, policies ...ratelimit.Policy) (list []int64) {
	t.Helper()
	for i := range policies {
		_, h := take(t, m, key, charge(&policies[i], 0))
		list = append(list, h.Charges[0].Remaining)
	}
	return list
}

// TestHowAReservationEnds is the heart of the package: whatever becomes of a
// response, what was used is what counts, and the permit is free again.
func TestHowAReservationEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, q *ratelimit.Reservation)
		left    int64
	}{
		{"nobody reserves", func(http.ResponseWriter, *http.Request, *ratelimit.Reservation) {}, 1000},
		{"settled", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Settle(r.Context(), 123)
		}, 877},
		{"settled twice, the first counts", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Settle(r.Context(), 123)
			q.Settle(r.Context(), 400)
			q.Use(77)
		}, 877},
		{"settled at nothing", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Settle(r.Context(), 0)
		}, 1000},
		{"settled below nothing", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Settle(r.Context(), -5)
		}, 1000},
		{"settled without a reservation", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			q.Settle(r.Context(), 200)
		}, 800},
		{"not settled: the estimate stands", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
		}, 500},
		{"reserved twice", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 300)
			_ = q.Reserve(r.Context(), 300)
			q.Settle(r.Context(), 100) // less than either
		}, 900},
		{"settled, and reserved again", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Settle(r.Context(), 100)
			_ = q.Reserve(r.Context(), 300)
			q.Settle(r.Context(), 50)
		}, 850},
		{"settled, reserved again, and used in part", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(400)
			q.Settle(r.Context(), 100)
			_ = q.Reserve(r.Context(), 300)
			q.Use(20)
		}, 880},
		{"used in parts", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(10)
			q.Use(20)
		}, 970},
		{"a negative use does not count", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(10)
			q.Use(-100)
		}, 990},
		{"panic in the middle", func(w http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(10)
			_, _ = io.WriteString(w, "half")
			panic("boom")
		}, 990},
		{"abort", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(10)
			panic(http.ErrAbortHandler)
		}, 990},
		{"Goexit", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			q.Use(10)
			runtime.Goexit()
		}, 990},
		{"settled after the client left", func(_ http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			_ = q.Reserve(r.Context(), 500)
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			q.Settle(ctx, 60)
		}, 940},
		{"refused", func(w http.ResponseWriter, r *http.Request, q *ratelimit.Reservation) {
			if err := q.Reserve(r.Context(), 1001); err == nil {
				panic("was granted")
			}
		}, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.NewMemory(0)
				m := newMiddleware(t, ratelimit.Config{
					Policies: []ratelimit.Policy{tokenPolicy, streamPolicy}, Key: byUser, Limiter: l,
				})
				h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					q, ok := ratelimit.FromContext(r.Context())
					require.True(t, ok)
					require.Equal(t, []int64{0}, left(t, l, "ada", streamPolicy), "the permit is held")
					tt.handler(w, r, q)
				}))
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() { _ = recover() }()
					get(h, "/", "ada")
				})
				wg.Wait()
				require.Equal(t, []int64{tt.left, 1}, left(t, l, "ada", tokenPolicy, streamPolicy))
			})
		})
	}
}

func TestRefusalInTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{
				{Name: "requests", Limit: 10, Window: time.Minute},
				{Name: "tokens", Unit: ratelimit.Tokens, Limit: 100, Window: 100 * time.Second},
			},
		})
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, _ := ratelimit.FromContext(r.Context())
			n := r.ContentLength
			if err := q.Reserve(r.Context(), n); err != nil {
				var e *ratelimit.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, []string{"tokens"}, e.Policies)
				problem.Write(w, r, fmt.Errorf("generating: %w", err))
				return
			}
			_, _ = io.WriteString(w, "fine")
		}))
		post := func(n int64) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/", nil)
			r.ContentLength = n
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		w := post(70)
		require.Equal(t, 200, w.Code)
		require.Equal(t, `"requests";r=9;t=6, "tokens";r=30;t=1`, w.Result().Header.Get("RateLimit"), "what the handler reserved is in it")
		w = post(50)
		require.Equal(t, 429, w.Code)
		require.Equal(t, "20", w.Result().Header.Get("Retry-After"))
		require.Equal(t, `"requests";r=8;t=6, "tokens";r=30;t=1`, w.Result().Header.Get("RateLimit"))
		require.Contains(t, w.Body.String(), `"violated-policies":["tokens"]`)
		w = post(101)
		require.Equal(t, 429, w.Code)
		require.Empty(t, w.Result().Header.Get("Retry-After"), "waiting doesn't help")
		require.Contains(t, w.Body.String(), "Ask for less.")
	})
}

// TestRefusalThatTheHandlerHandles answers with something smaller instead.
func TestRefusalThatTheHandlerHandles(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{tokenPolicy}}).Handler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, _ := ratelimit.FromContext(r.Context())
			require.Error(t, q.Reserve(r.Context(), 2000))
			require.NoError(t, q.Reserve(r.Context(), 200))
			_, _ = io.WriteString(w, "short")
		}))
	w := get(h, "/", "")
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Result().Header.Get("Retry-After"))
	require.Equal(t, `"tokens";r=800;t=4`, w.Result().Header.Get("RateLimit"))
}

func TestEstimate(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{tokenPolicy},
		Estimate: func(r *http.Request) int64 { return r.ContentLength },
	}).Handler(ok)
	post := func(n int64) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/", nil)
		r.ContentLength = n
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, `"tokens";r=400;t=4`, post(600).Header().Get("RateLimit"))
	require.Equal(t, 429, post(600).Code)
	require.Equal(t, 200, post(-1).Code, "an unknown length is no refund")
	require.Equal(t, 200, post(390).Code)
}

// TestDebtRefusesTheNextRequest settles at more than there was.
func TestDebtRefusesTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{{Name: "tokens", Unit: ratelimit.Tokens, Limit: 100, Window: 100 * time.Second}},
		}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			q, _ := ratelimit.FromContext(r.Context())
			if q.Reserve(r.Context(), 10) == nil {
				q.Settle(r.Context(), 130)
			}
		}))
		require.Equal(t, 200, get(h, "/", "").Code)
		w := get(h, "/", "")
		require.Equal(t, 429, w.Code)
		require.Equal(t, "30", w.Header().Get("Retry-After"), "until there is no debt")
		time.Sleep(30*time.Second - 1)
		require.Equal(t, 429, get(h, "/", "").Code)
		time.Sleep(time.Nanosecond)
		require.Equal(t, 200, get(h, "/", "").Code)
	})
}

func TestLateSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory(0)
		day := ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 1000, Window: 1000 * 24 * time.Hour / 10}
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{day, streamPolicy}, Limiter: l, Lease: time.Minute})
		for _, tt := range []struct {
			name   string
			after  time.Duration
			actual int64
			left   int64
		}{
			{"in time", time.Minute, 100, 900},
			{"too late to give back", time.Minute + 1, 100, 500},
			{"too late, but more was used", time.Minute + 1, 700, 300},
		} {
			q, err := m.Reserve(t.Context(), "", tt.name, 500)
			require.NoError(t, err)
			require.Equal(t, []int64{0}, left(t, l, tt.name, streamPolicy))
			time.Sleep(tt.after)
			require.Equal(t, []int64{1}, left(t, l, tt.name, streamPolicy), "the lease of the permit is over")
			q.Settle(t.Context(), tt.actual)
			require.Equal(t, []int64{tt.left}, left(t, l, tt.name, day), tt.name)
		}
	})
}

// TestLeaseIsTenMinutesByDefault reserves a permit that nobody gives back.
func TestLeaseIsTenMinutesByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory(0)
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{streamPolicy}, Limiter: l})
		_, err := m.Reserve(t.Context(), "", "k", 0)
		require.NoError(t, err)
		time.Sleep(10*time.Minute - 1)
		require.Equal(t, []int64{0}, left(t, l, "k", streamPolicy))
		time.Sleep(time.Nanosecond)
		require.Equal(t, []int64{1}, left(t, l, "k", streamPolicy))
	})
}

// TestReserveWithoutHandler settles what does not come over HTTP.
func TestReserveWithoutHandler(t *testing.T) {
	l := ratelimit.NewMemory(0)
	m := newMiddleware(t, ratelimit.Config{
		Policies: []ratelimit.Policy{tokenPolicy, streamPolicy},
		Plans:    map[string]ratelimit.Plan{"big": {Policies: []ratelimit.Policy{perHour("jobs", 3)}}},
		PlanOf:   func(*http.Request) string { return "" },
		Limiter:  l,
	})
	q, err := m.Reserve(t.Context(), "", "job", 600)
	require.NoError(t, err)
	require.Equal(t, []int64{400, 0}, left(t, l, "job", tokenPolicy, streamPolicy))

	_, err = m.Reserve(t.Context(), "", "job", 600)
	var e *ratelimit.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []string{"tokens", "streams"}, e.Policies)
	header := make(http.Header)
	e.SetHeader(header)
	require.Equal(t, `"tokens";r=400;t=4, "streams";r=0`, header.Get("RateLimit"))
	require.Equal(t, "720", header.Get("Retry-After"))

	q.Settle(t.Context(), 100)
	require.Equal(t, []int64{900, 1}, left(t, l, "job", tokenPolicy, streamPolicy), "Settle gives the permit back too")
	_, err = m.Reserve(t.Context(), "nope", "job", 1)
	require.ErrorContains(t, err, `no plan "nope"`)
	q, err = m.Reserve(t.Context(), "big", "job", 1)
	require.NoError(t, err)
	q.Settle(t.Context(), 1)
	require.Equal(t, []int64{2}, left(t, l, "job", perHour("jobs", 3)))
}

func TestNilReservation(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{perHour("p", 5)}}).Handler(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			q, found := ratelimit.FromContext(r.Context())
			require.False(t, found)
			require.NoError(t, q.Reserve(r.Context(), 1<<60))
			q.Use(5)
			q.Settle(r.Context(), 5)
		}))
	require.Equal(t, 200, get(h, "/", "").Code)
}

// serve starts a real server, for what only a connection can show.
func serve(t *testing.T, h http.Handler, http2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestStream reads the first event while the handler runs, has a second stream
// refused meanwhile, and leaves in the middle.
func TestStream(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2 %v", http2), func(t *testing.T) {
			l := ratelimit.NewMemory(0)
			m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{tokenPolicy, streamPolicy}, Key: byUser, Limiter: l})
			ended := make(chan struct{})
			next := make(chan struct{})
			handler := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q, _ := ratelimit.FromContext(r.Context())
				if err := q.Reserve(r.Context(), 800); err != nil {
					problem.Write(w, r, err)
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				rc := http.NewResponseController(w)
				for {
					q.Use(7)
					_, _ = io.WriteString(w, "data: token\n\n")
					if err := rc.Flush(); err != nil {
						return
					}
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			}))
			s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handler.ServeHTTP(w, r)
				if r.Header.Get("X-Second") == "" {
					close(ended)
				}
			}), http2)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
			require.NoError(t, err)
			req.Header.Set("X-User", "ada")
			resp, err := s.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, `"tokens";r=200;t=4, "streams";r=0`, resp.Header.Get("RateLimit"))
			lines := bufio.NewScanner(resp.Body)
			require.True(t, lines.Scan())
			require.Equal(t, "data: token", lines.Text())

			second := req.Clone(t.Context())
			second.Header.Set("X-Second", "yes")
			refusal, err := s.Client().Do(second)
			require.NoError(t, err)
			defer refusal.Body.Close()
			require.Equal(t, 429, refusal.StatusCode)
			require.Equal(t, "1", refusal.Header.Get("Retry-After"))
			doc, err := io.ReadAll(refusal.Body)
			require.NoError(t, err)
			require.Contains(t, string(doc), `["streams"]`)

			next <- struct{}{}
			next <- struct{}{}
			leave()
			<-ended
			require.Equal(t, []int64{1000 - 3*7, 1}, left(t, l, "ada", tokenPolicy, streamPolicy),
				"three events were used; neither none nor all that was reserved")
		})
	}
}

// TestPatternIsHandedBack says that a middleware further out still learns which
// pattern matched.
func TestPatternIsHandedBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/{id}", ok)
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{streamPolicy}}).Handler(mux)
	r := httptest.NewRequest("GET", "/v1/7", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "GET /v1/{id}", r.Pattern)
}

// TestTwoMiddlewares has one limit by address before another one by user.
func TestTwoMiddlewares(t *testing.T) {
	outer := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{perHour("address", 3)}})
	tokens := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{tokenPolicy}, Key: byUser})
	inner := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{streamPolicy}, Key: byUser})
	h := outer.Handler(tokens.Handler(inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, _ := ratelimit.FromContext(r.Context())
		require.NoError(t, q.Reserve(r.Context(), 100), "the reservation with tokens is found through the other one")
		w.WriteHeader(200)
	}))))
	for i := range 3 {
		w := get(h, "/", "ada").Result()
		require.Equal(t, 200, w.StatusCode)
		require.Equal(t, []string{
			fmt.Sprintf(`"address";r=%d;t=1200`, 2-i), fmt.Sprintf(`"tokens";r=%d;t=4`, 900-100*i), `"streams";r=0`,
		}, w.Header.Values("RateLimit"))
		require.Len(t, w.Header.Values("RateLimit-Policy"), 3)
	}
	w := get(h, "/", "ada")
	require.Equal(t, 429, w.Code)
	require.Equal(t, []string{`"address";r=0;t=1200`}, w.Header().Values("RateLimit"))
}

// TestServedTwice lets a request through the same middleware again, as somebody
// who dispatches anew does: what it says replaces what it said.
func TestServedTwice(t *testing.T) {
	h := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{perHour("p", 3)}}).Handler(ok)
	w := httptest.NewRecorder()
	for range 2 {
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
	require.Equal(t, []string{`"p";r=1;t=1200`}, w.Header().Values("RateLimit"))
	require.Equal(t, []string{`"p";q=3;w=3600`}, w.Header().Values("RateLimit-Policy"))
}

func TestErrorIsShownThroughWrapping(t *testing.T) {
	e := &ratelimit.Error{Policies: []string{"p"}, RetryAfter: 3, Err: errors.New("redis: secret")}
	d := problem.Of(fmt.Errorf("x: %w", e))
	require.Equal(t, 503, d.Status)
	require.NotContains(t, fmt.Sprint(d), "secret")
	require.ErrorContains(t, e, "redis: secret")
	h := make(http.Header)
	e.SetHeader(h)
	require.Equal(t, "3", h.Get("Retry-After"))
}
