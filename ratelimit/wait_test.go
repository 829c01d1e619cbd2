package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

func TestWaitPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{
			{Name: "requests", Limit: 10, Window: time.Second, Burst: 2},
			{Name: "tokens", Unit: ratelimit.Tokens, Limit: 100, Window: time.Second},
		}})
		start := time.Now()
		var at []time.Duration
		for range 5 {
			q, err := m.Wait(t.Context(), "", "openai", 20)
			require.NoError(t, err)
			q.Settle(t.Context(), 20)
			at = append(at, time.Since(start))
		}
		// 2 requests at once, then one each 100 ms; 5 times 20 tokens is what there is.
		ms := time.Millisecond
		require.Equal(t, []time.Duration{0, 0, 100 * ms, 200 * ms, 300 * ms}, at)
	})
}

// TestWaitServesInOrder starts many at once: each gets its turn, the first first.
func TestWaitServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{{Name: "p", Limit: 1, Window: time.Second}}})
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				_, err := m.Wait(t.Context(), "", "k", 0)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		start := time.Now()
		wg.Wait()
		require.Equal(t, 19*time.Second, time.Since(start))
		require.IsIncreasing(t, order)
	})
}

func TestWaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{
			{Name: "p", Limit: 1, Window: time.Minute},
			{Name: "tokens", Unit: ratelimit.Tokens, Limit: 100, Window: time.Minute},
		}})
		_, err := m.Wait(t.Context(), "", "k", 1)
		require.NoError(t, err)

		start := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err = m.Wait(short, "", "k", 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var e *ratelimit.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []string{"p"}, e.Policies)
		require.Zero(t, time.Since(start), "at once: it would be in vain")

		leaving, leave := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, leave)
		_, err = m.Wait(leaving, "", "k", 1)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 10*time.Second, time.Since(start))
		_, err = m.Wait(leaving, "", "k", 1)
		require.ErrorIs(t, err, context.Canceled)

		_, err = m.Wait(t.Context(), "", "k", 1)
		require.NoError(t, err)
		require.Equal(t, time.Minute, time.Since(start), "who left took nobody's turn")

		_, err = m.Wait(t.Context(), "", "k", 101)
		require.ErrorAs(t, err, &e, "that much never is there")
		_, err = m.Wait(t.Context(), "nope", "k", 1)
		require.ErrorContains(t, err, "no plan")
	})
}

func TestWaitForAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{streamPolicy, perHour("p", 100)}})
		first, err := m.Wait(t.Context(), "", "k", 0)
		require.NoError(t, err)
		time.AfterFunc(3*time.Second, func() { first.Settle(context.Background(), 0) })
		start := time.Now()
		q, err := m.Wait(t.Context(), "", "k", 0)
		require.NoError(t, err)
		require.InDelta(t, 3, time.Since(start).Seconds(), 0.26)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = m.Wait(ctx, "", "k", 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		q.Settle(t.Context(), 0)
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// closer notes whether it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

func TestRoundTripper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory(0)
		m := newMiddleware(t, ratelimit.Config{
			Policies:  []ratelimit.Policy{tokenPolicy, streamPolicy},
			Endpoints: map[string][]ratelimit.Policy{"GET /models": {}},
			Estimate:  func(*http.Request) int64 { return 500 },
			Exempt:    func(r *http.Request, key string) bool { return key == "free.example" },
			Limiter:   l,
		})
		inner := &closer{Reader: strings.NewReader("answer")}
		client := &http.Client{Transport: m.RoundTripper(transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: inner, Request: r}, nil
		}))}
		resp, err := client.Get("http://api.example/v1")
		require.NoError(t, err)
		require.Equal(t, []int64{500, 0}, left(t, l, "api.example", tokenPolicy, streamPolicy))
		q, found := ratelimit.FromContext(resp.Request.Context())
		require.True(t, found)
		q.Settle(t.Context(), 200)
		require.Equal(t, []int64{800, 0}, left(t, l, "api.example", tokenPolicy, streamPolicy), "the body is not read yet")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := &closer{Reader: strings.NewReader("question")}
		req, err := http.NewRequestWithContext(ctx, "POST", "http://api.example/v1", body)
		require.NoError(t, err)
		_, err = m.RoundTripper(nil).RoundTrip(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, body.closed)

		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "answer", string(answer))
		require.Equal(t, []int64{1}, left(t, l, "api.example", streamPolicy), "at its end")
		require.NoError(t, resp.Body.Close())
		require.True(t, inner.closed)

		for _, free := range []string{"http://api.example/models", "http://free.example/v1"} {
			for range 3 {
				resp, err := client.Get(free)
				require.NoError(t, err)
				_, found := ratelimit.FromContext(resp.Request.Context())
				require.False(t, found)
			}
		}
	})
}

func TestRoundTripperFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.NewMemory(0)
		m := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{streamPolicy}, Limiter: l,
			PlanOf: func(r *http.Request) string { return r.Header.Get("X-User") },
		})
		empty := m.RoundTripper(transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 204, Request: r}, nil
		}))
		resp, err := empty.RoundTrip(httptest.NewRequest("GET", "http://api.example/", nil))
		require.NoError(t, err)
		require.Nil(t, resp.Body)
		require.Equal(t, []int64{1}, left(t, l, "api.example", streamPolicy), "no body to wait for the end of")

		down := errors.New("down")
		rt := m.RoundTripper(transport(func(*http.Request) (*http.Response, error) { return nil, down }))
		_, err = rt.RoundTrip(httptest.NewRequest("GET", "http://api.example/", nil))
		require.ErrorIs(t, err, down)
		require.Equal(t, []int64{1}, left(t, l, "api.example", streamPolicy))
		r := httptest.NewRequest("GET", "http://api.example/", nil)
		r.Header.Set("X-User", "typo")
		_, err = rt.RoundTrip(r)
		require.ErrorContains(t, err, "no plan")
	})
}

// TestRoundTripperUpgrade keeps the body of an upgraded connection writable.
func TestRoundTripperUpgrade(t *testing.T) {
	m := newMiddleware(t, ratelimit.Config{Policies: []ratelimit.Policy{streamPolicy}})
	var sent strings.Builder
	rt := m.RoundTripper(transport(func(r *http.Request) (*http.Response, error) {
		conn := struct {
			io.ReadCloser
			io.Writer
		}{io.NopCloser(strings.NewReader("")), &sent}
		return &http.Response{StatusCode: 101, Body: conn, Request: r}, nil
	}))
	resp, err := rt.RoundTrip(httptest.NewRequest("GET", "http://api.example/", nil))
	require.NoError(t, err)
	_, err = io.WriteString(resp.Body.(io.Writer), "frame")
	require.NoError(t, err)
	require.Equal(t, "frame", sent.String())
	require.NoError(t, resp.Body.Close())
}
