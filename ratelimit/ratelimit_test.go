package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

func newMiddleware(t testing.TB, cfg ratelimit.Config) *ratelimit.Middleware {
	t.Helper()
	m, err := ratelimit.New(cfg)
	require.NoError(t, err)
	return m
}

func byUser(r *http.Request) string { return r.Header.Get("X-User") }

func get(h http.Handler, target, user string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("X-User", user)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerLimitsAndRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMiddleware(t, ratelimit.Config{
			Policies: []ratelimit.Policy{{Name: "burst", Limit: 3, Window: time.Minute}},
			Key:      byUser,
		}).Handler(ok)
		for i, state := range []string{`"burst";r=2;t=20`, `"burst";r=1;t=20`, `"burst";r=0;t=20`} {
			w := get(h, "/", "ada")
			require.Equal(t, 200, w.Code, i)
			require.Equal(t, state, w.Header().Get("RateLimit"))
			require.Equal(t, `"burst";q=3;w=60`, w.Header().Get("RateLimit-Policy"))
			require.Empty(t, w.Header().Get("Retry-After"))
		}
		time.Sleep(500 * time.Millisecond)
		w := get(h, "/", "ada")
		require.Equal(t, 429, w.Code)
		require.Equal(t, "20", w.Header().Get("Retry-After"), "19.5 s, rounded up")
		require.Equal(t, `"burst";r=0;t=20`, w.Header().Get("RateLimit"))
		require.JSONEq(t, `{"type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
			"title": "Request cannot be satisfied as assigned quota has been exceeded",
			"status": 429, "detail": "The quota is used up. Try again after the time that Retry-After gives.", "violated-policies": ["burst"]}`, w.Body.String())

		require.Equal(t, 200, get(h, "/", "bob").Code, "another key")
		time.Sleep(19500 * time.Millisecond)
		require.Equal(t, 200, get(h, "/", "ada").Code, "the time that Retry-After said is over")
		require.Equal(t, 429, get(h, "/", "ada").Code)
	})
}
