package cache_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

func TestRequestControl(t *testing.T) {
	tests := []struct {
		name    string
		control string
		body    string
		cfg     cache.Config
		status  string // of a request after one that was stored
		next    string // of a plain one after that, two minutes later
		code    int
	}{
		{name: "nothing", status: "spark; hit; ttl=3480", next: "spark; hit; ttl=3360"},
		{name: "no-store", control: "no-store", status: "spark; fwd=request", next: "spark; hit; ttl=3360"},
		{name: "no-cache", control: "foo, No-Cache", status: "spark; fwd=request", next: "spark; hit; ttl=3480"},
		{name: "old enough", control: "max-age=120", status: "spark; hit; ttl=3480", next: "spark; hit; ttl=3360"},
		{name: "too old", control: "max-age=119", status: "spark; fwd=request", next: "spark; hit; ttl=3480"},
		{name: "the smaller max-age", control: "max-age=119, max-age=500", status: "spark; fwd=request", next: "spark; hit; ttl=3480"},
		{name: "max-age without sense", control: "max-age=", status: "spark; fwd=request", next: "spark; hit; ttl=3480"},
		{name: "max-age for ever", control: "max-age=99999999999999999999", status: "spark; hit; ttl=3480", next: "spark; hit; ttl=3360"},
		{name: "only if cached", control: "only-if-cached", status: "spark; hit; ttl=3480", next: "spark; hit; ttl=3360"},
		{name: "only if cached, but it is not", control: "only-if-cached", body: `{"other":1}`, code: 504, status: "spark", next: "spark; fwd=miss"},
		{name: "temperature", body: `{"temperature":0.1}`, status: "spark; fwd=bypass", next: "spark; fwd=bypass"},
		{name: "temperature further down", body: `{"options":{"temperature":1}}`, status: "spark; fwd=bypass", next: "spark; fwd=bypass"},
		{name: "no temperature", body: `{"temperature":0.0}`, status: "spark; fwd=miss", next: "spark; hit; ttl=3480"},
		{name: "temperature by choice", cfg: cache.Config{Sampled: true}, body: `{"temperature":1}`, status: "spark; fwd=miss", next: "spark; hit; ttl=3480"},
		{name: "no JSON", body: `{"a":1,}`, status: "spark; fwd=bypass", next: "spark; fwd=bypass"},
		{name: "a member twice", body: `{"a":1,"\u0061":2}`, status: "spark; fwd=bypass", next: "spark; fwd=bypass"},
		{name: "too large", cfg: cache.Config{MaxRequest: 8}, body: `{"a":123}`, status: "spark; fwd=bypass", next: "spark; fwd=bypass"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Jitter = -1
				b := &backend{body: `{}`}
				h := build(t, tt.cfg).Handler(b)
				do(h, post("a", `{}`))
				time.Sleep(2 * time.Minute)
				body := tt.body
				if body == "" {
					body = `{}`
				}
				r := post("a", body)
				if tt.control != "" {
					r.Header.Set("Cache-Control", tt.control)
				}
				w := do(h, r)
				require.Equal(t, tt.status, w.Header().Get("Cache-Status"))
				if tt.code == 0 {
					require.Equal(t, 200, w.Code)
					require.Equal(t, "{}", w.Body.String())
				} else {
					require.Equal(t, tt.code, w.Code)
				}
				if strings.Contains(tt.status, "fwd") {
					require.Equal(t, body, b.got)
				}
				time.Sleep(2 * time.Minute)
				require.Equal(t, tt.next, do(h, post("a", body)).Header().Get("Cache-Status"))
			})
		})
	}
}

// Without a grace an answer that the request finds too old does not serve, also
// if there will be no other; with one it does.
func TestMaxAgeAndNoGrace(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		t.Run(grace.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{body: `{"n":1}`}
				h := build(t, cache.Config{Jitter: -1, StaleIfError: grace}).Handler(b)
				do(h, post("a", `{}`))
				time.Sleep(2 * time.Minute)
				b.status = 503
				r := post("a", `{}`)
				r.Header.Set("Cache-Control", "max-age=60")
				w := do(h, r)
				if grace == 0 {
					require.Equal(t, 503, w.Code)
					require.Equal(t, "spark; fwd=request", w.Header().Get("Cache-Status"))
					return
				}
				require.Equal(t, 200, w.Code)
				require.Equal(t, "spark; hit; ttl=3480; detail=stale-if-error", w.Header().Get("Cache-Status"))
			})
		})
	}
}

// How a request was forwarded is said also if nothing came of it. A handler that
// returns as its time is over has not answered, whoever is the first to notice.
func TestStatusOfAFailure(t *testing.T) {
	tests := []struct{ name, control, body, status string }{
		{"miss", "", `{}`, "spark; fwd=miss"},
		{"request", "no-cache", `{}`, "spark; fwd=request"},
		{"bypass", "", `{"temperature":1}`, "spark; fwd=bypass"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := build(t, cache.Config{Timeout: time.Second}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
				}))
				for range 100 {
					r := post("a", tt.body)
					r.Header.Set("Cache-Control", tt.control)
					w := do(h, r)
					require.Equal(t, 504, w.Code)
					require.Equal(t, tt.status, w.Header().Get("Cache-Status"))
				}
			})
		})
	}
}
