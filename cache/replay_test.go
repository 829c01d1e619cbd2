package cache_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

// stamped notes when each write comes.
type stamped struct {
	*httptest.ResponseRecorder
	at    []time.Duration
	start time.Time
}

func (s *stamped) Write(p []byte) (int, error) {
	s.at = append(s.at, time.Since(s.start))
	return s.ResponseRecorder.Write(p)
}

func streaming(events ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, e := range events {
			_, _ = io.WriteString(w, e)
			w.(http.Flusher).Flush()
		}
	})
}

func TestReplayIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, cache.Config{Pace: 100 * time.Millisecond}).Handler(streaming("data: a\n\n", "data: b\n\n", "data: [DONE]\n\n"))
		for i, want := range [][]time.Duration{{0, 0, 0}, {0, 100 * time.Millisecond, 200 * time.Millisecond}} {
			w := &stamped{ResponseRecorder: httptest.NewRecorder(), start: time.Now()}
			h.ServeHTTP(w, post("a", `{}`))
			require.Equal(t, "data: a\n\ndata: b\n\ndata: [DONE]\n\n", w.Body.String())
			require.Equal(t, want, w.at, "%d", i)
			require.True(t, w.Flushed || i == 0)
			require.Empty(t, w.Header().Get("Content-Length"))
			synctest.Wait()
		}

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(150*time.Millisecond, cancel)
		w := httptest.NewRecorder()
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(w, post("a", `{}`).WithContext(ctx)) })
		require.Equal(t, "data: a\n\ndata: b\n\n", w.Body.String())
	})
}

// ended is told how a response ended.
type ended struct{ end response.End }

func (e *ended) ResponseEnded(_ *response.Writer, end response.End) { e.end = end }

// What is further out and what is further in each learn the truth about their
// side of the cache.
func TestEndsOnBothSides(t *testing.T) {
	tests := []struct {
		name           string
		handler        http.HandlerFunc
		outer, inner   response.Kind
		leave, timeout bool
	}{
		{"complete", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, response.Complete, response.Complete, false, false},
		{"failed", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, io.ErrNoProgress) }, response.Failed, response.Failed, false, false},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}, response.Truncated, response.Truncated, false, false},
		{"client gone", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, response.ClientGone, response.ClientGone, true, false},
		{"client gone in the middle", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, response.ClientGone, response.ClientGone, true, false},
		{"timeout", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			problem.Write(w, r, context.Cause(r.Context()))
		}, response.Failed, response.Failed, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var inner, outer ended
				c := build(t, cache.Config{Timeout: time.Minute})
				h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					response.Serve(w, r, tt.handler, &inner)
				}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.leave {
					time.AfterFunc(time.Second, cancel)
				}
				w := httptest.NewRecorder()
				func() {
					defer func() { _ = recover() }()
					response.Serve(w, post("a", `{}`).WithContext(ctx), h, &outer)
				}()
				synctest.Wait()
				require.Equal(t, tt.outer, outer.end.Kind)
				require.Equal(t, tt.inner, inner.end.Kind)
				if tt.timeout {
					require.Equal(t, http.StatusGatewayTimeout, w.Code)
				}
			})
		})
	}
}

func TestHeadersOfTheAnswer(t *testing.T) {
	for said, want := range map[string]string{
		"":                                    "private",
		"max-age=60":                          "max-age=60, private",
		"public, max-age=60, s-maxage=5":      "max-age=60, private",
		"Private, max-age=60":                 "Private, max-age=60",
		`no-cache="Set-Cookie, X", max-age=1`: `no-cache="Set-Cookie, X", max-age=1, private`,
		"no-store":                            "no-store",
	} {
		t.Run(said, func(t *testing.T) {
			b := &backend{body: `{}`, header: http.Header{"Cache-Status": {"origin; hit"}}}
			if said != "" {
				b.header.Set("Cache-Control", said)
			}
			w := do(build(t, cache.Config{}).Handler(b), post("a", `{}`))
			require.Equal(t, []string{want}, w.Header()["Cache-Control"])
			require.Equal(t, []string{"origin; hit", "spark; fwd=miss"}, w.Header()["Cache-Status"])
		})
	}
}

func TestHeadersSetTooLateDontCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Set-Cookie", "late=1")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "x")
		}))
		for range 2 {
			w := do(h, post("a", `{}`))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "text/plain", w.Header().Get("Content-Type"))
			require.Empty(t, w.Header().Get("Set-Cookie"))
			synctest.Wait()
		}
	})
}

func TestHandlerSeesAWholeAndPlainRequest(t *testing.T) {
	b := &backend{body: `{}`}
	r := post("a", `{"a": 1}`)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("Range", "bytes=0-1")
	r.Header.Set("If-None-Match", "x")
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "r1")
	build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "r1", w.Header().Get("X-Request-Id"), "what was set further out is there")
		w.Header().Del("X-Request-Id")
		b.ServeHTTP(w, r)
	})).ServeHTTP(w, r)
	require.Equal(t, `{"a": 1}`, b.got)
	require.EqualValues(t, 8, b.seen.ContentLength)
	require.Equal(t, "Bearer x", b.seen.Header.Get("Authorization"))
	for _, name := range []string{"Accept-Encoding", "Range", "If-None-Match"} {
		require.Empty(t, b.seen.Header.Get(name))
		require.NotEmpty(t, r.Header.Get(name), "the caller's request stays as it was")
	}
	require.Empty(t, w.Header().Get("X-Request-Id"), "and what was deleted is not")
}

func TestPatternIsHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("POST /v1/{what}", &backend{body: `{}`})
		h := build(t, cache.Config{}).Handler(mux)
		for range 2 {
			r := post("a", `{}`)
			do(h, r)
			require.Equal(t, "POST /v1/{what}", r.Pattern, "also of a hit, which no mux has seen")
			synctest.Wait()
		}
	})
}

func TestKeyOfARequest(t *testing.T) {
	change := func(f func(r *http.Request)) func() *http.Request {
		return func() *http.Request {
			r := post("a", `{"model":"al\u0022ias","x":1}`)
			f(r)
			return r
		}
	}
	tests := []struct {
		name    string
		request func() *http.Request
		hit     bool
	}{
		{"same", change(func(*http.Request) {}), true},
		{"header that does not count", change(func(r *http.Request) { r.Header.Set("X-Trace", "1") }), true},
		{"host", change(func(r *http.Request) { r.Host = "other.example" }), false},
		{"path", change(func(r *http.Request) { r.URL.Path = "/v1/other" }), false},
		{"raw path", change(func(r *http.Request) { r.URL.RawPath = "/v1%2Fmessages" }), false},
		{"query", change(func(r *http.Request) { r.URL.RawQuery = "beta=true" }), false},
		{"version", change(func(r *http.Request) { r.Header.Set("Anthropic-Version", "2023-06-01") }), false},
		{"beta", change(func(r *http.Request) { r.Header.Add("OpenAI-Beta", "x"); r.Header.Add("OpenAI-Beta", "y") }), false},
		{"accept", change(func(r *http.Request) { r.Header.Set("Accept", "text/event-stream") }), false},
		{"user", change(func(r *http.Request) { r.Header.Set("User", "b") }), false},
		{"resolved model", change(func(r *http.Request) { r.Header.Set("X-Canary", "1") }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events eventLog
				c := build(t, cache.Config{OnEvent: events.add, Resolve: func(r *http.Request, name string) (provider, model string) {
					require.Equal(t, "al\"ias", name)
					return "claude", "claude-5" + r.Header.Get("X-Canary")
				}})
				b := &backend{body: `{}`}
				h := c.Handler(b)
				do(h, change(func(*http.Request) {})())
				synctest.Wait()
				w := do(h, tt.request())
				require.Equal(t, tt.hit, strings.Contains(w.Header().Get("Cache-Status"), "hit"), w.Header())
				require.Equal(t, "claude", events.of(cache.Stored)[0].Provider)
				require.Equal(t, "claude-5", events.of(cache.Stored)[0].Model)
			})
		})
	}
}

func TestIgnoreDirectives(t *testing.T) {
	for control, header := range map[string]http.Header{
		"no-cache": {"Cache-Control": {"no-cache, must-revalidate"}}, "private": {"Cache-Control": {"private, max-age=0"}}, "no-store": {"Cache-Control": {"no-store"}},
	} {
		t.Run(control, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{body: `{}`, header: header}
				h := build(t, cache.Config{IgnoreDirectives: true}).Handler(b)
				do(h, post("a", `{}`))
				synctest.Wait()
				require.Contains(t, do(h, post("a", `{}`)).Header().Get("Cache-Status"), "hit")
			})
		})
	}
	b := &backend{body: `{}`, header: http.Header{"Set-Cookie": {"a=b"}}}
	h := build(t, cache.Config{IgnoreDirectives: true}).Handler(b)
	do(h, post("a", `{}`))
	require.NotContains(t, do(h, post("a", `{}`)).Header().Get("Cache-Status"), "hit")
}

func TestErrorHandler(t *testing.T) {
	var got error
	h := build(t, cache.Config{
		Scope:        func(*http.Request) (cache.Scope, error) { return cache.Scope{}, nil },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { got = err; w.WriteHeader(418) },
	}).Handler(nil)
	require.Equal(t, 418, do(h, post("a", `{}`)).Code)
	require.ErrorIs(t, got, cache.ErrNoScope)
}

// The cache does not swallow what it can't store, however it is written.
func TestLargeBodiesPassWhole(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	var calls atomic.Int64
	url, client := server(t, build(t, cache.Config{MaxAnswer: 5000}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		for i := 0; i < len(body); i += 777 {
			_, _ = io.WriteString(w, body[i:min(i+777, len(body))])
		}
	})))
	for range 2 {
		resp := send(t, client, url, `{}`)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, body, string(got))
	}
	require.EqualValues(t, 2, calls.Load())
}

// stuck is a client that takes its time.
type stuck struct {
	*httptest.ResponseRecorder
	wait chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.wait
	return s.ResponseRecorder.Write(p)
}

// A large answer takes no more memory than MaxAnswer and a little, also if its
// handler writes it all at once.
func TestLargeWriteIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := bytes.Repeat([]byte("x"), 16<<20)
		c := build(t, cache.Config{MaxAnswer: 1 << 20})
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
		w := &stuck{httptest.NewRecorder(), make(chan struct{})}
		before := heap()
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(w, post("a", `{}`))
		}()
		synctest.Wait()
		require.Less(t, heap()-before, int64(2<<20))
		close(w.wait)
		<-done
		require.True(t, bytes.Equal(body, w.Body.Bytes()))
	})
}
