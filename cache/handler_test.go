package cache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

// post is a request of a tenant.
func post(tenant, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/messages", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User", tenant)
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// backend answers always the same, and counts.
type backend struct {
	calls  atomic.Int64
	status int
	header http.Header
	body   string
	seen   *http.Request
	got    string
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.calls.Add(1)
	body, _ := io.ReadAll(r.Body)
	b.seen, b.got = r, string(body)
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), b.header)
	if b.status != 0 {
		w.WriteHeader(b.status)
	}
	_, _ = io.WriteString(w, b.body)
}

func TestHandlerHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{Jitter: -1})
		b := &backend{body: `{"text":"hi","usage":{"input_tokens":3,"output_tokens":4}}`, header: http.Header{"X-Backend": {"b7"}, "Content-Language": {"en", "de"}}}
		h := c.Handler(b)
		miss := do(h, post("a", `{"model":"m","prompt":"x"}`))
		require.Equal(t, "spark; fwd=miss", miss.Header().Get("Cache-Status"))
		require.Equal(t, "b7", miss.Header().Get("X-Backend"))
		require.Equal(t, fmt.Sprint(len(b.body)), miss.Header().Get("Content-Length"))
		require.Empty(t, miss.Header().Get("Age"))
		require.Equal(t, `{"model":"m","prompt":"x"}`, b.got)
		time.Sleep(90 * time.Second)

		hit := do(h, post("a", ` { "prompt":"\u0078", "model":"m"}`))
		require.Equal(t, 200, hit.Code)
		require.Equal(t, b.body, hit.Body.String())
		require.Equal(t, http.Header{
			"Content-Type": {"application/json"}, "Content-Language": {"en", "de"}, "Content-Length": {fmt.Sprint(len(b.body))},
			"Age": {"90"}, "Cache-Status": {"spark; hit; ttl=3510"}, "Cache-Control": {"private"},
		}, hit.Header())
		require.EqualValues(t, 1, b.calls.Load())
		require.EqualValues(t, 7, c.Stats().SavedTokens)

		require.Equal(t, "spark; fwd=miss", do(h, post("b", `{"model":"m","prompt":"x"}`)).Header().Get("Cache-Status"))
		require.EqualValues(t, 2, b.calls.Load(), "another tenant")
	})
}

// What one response does to its header, others don't see.
func TestHitsDoNotShareHeaders(t *testing.T) {
	c := build(t, cache.Config{})
	of := func(language string) http.Handler {
		return c.Handler(&backend{body: `{}`, header: http.Header{"Content-Language": {language, "x"}}})
	}
	settled := func(h http.Handler, body string) http.Header {
		w := do(h, post("a", body))
		require.Eventually(t, func() bool { return c.Stats().InFlight == 0 }, 5*time.Second, time.Millisecond)
		return w.Header()
	}
	settled(of("en"), `{"n":1}`)
	settled(of("de"), `{"n":2}`)
	for range 3 {
		for language, body := range map[string]string{"en": `{"n":1}`, "de": `{"n":2}`} {
			h := settled(of("not asked"), body)
			require.Contains(t, h.Get("Cache-Status"), "hit")
			require.Equal(t, []string{language, "x"}, h["Content-Language"])
			require.Equal(t, []string{"application/json"}, h["Content-Type"])
			for name := range h {
				h.Add(name, "more")
				h.Set(name, "other")
			}
		}
	}
}

func TestHandlerRefusesWithoutScope(t *testing.T) {
	denied := errors.New("who are you")
	for name, scope := range map[string]func(*http.Request) (cache.Scope, error){
		"zero":  func(*http.Request) (cache.Scope, error) { return cache.Scope{}, nil },
		"error": func(*http.Request) (cache.Scope, error) { return cache.Public(), denied },
	} {
		t.Run(name, func(t *testing.T) {
			b := &backend{body: `{}`}
			w := do(build(t, cache.Config{Scope: scope}).Handler(b), post("a", `{}`))
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.NotContains(t, w.Body.String(), "who")
			require.Zero(t, b.calls.Load())
		})
	}
}

const (
	anthropicEnd = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	openAIChunk  = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":%s}]}\n\n"
)

func TestWhatIsStored(t *testing.T) {
	events := http.Header{"Content-Type": {"text/event-stream"}}
	chunk := func(finish string) string { return fmt.Sprintf(openAIChunk, finish) }
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		stored bool
		detail string
	}{
		{"json", 200, nil, `{"text":"a"}`, true, ""},
		{"created", 201, nil, `{"text":"a"}`, true, ""},
		{"natural end", 200, nil, `{"choices":[{"finish_reason":"stop","message":{"content":"a","tool_calls":null,"refusal":null}}],"error":null}`, true, ""},
		{"quoted words don't count", 200, nil, `{"stop_reason":"end_turn","content":[{"type":"text","text":"\"finish_reason\":\"length\", \"type\":\"tool_use\""}]}`, true, ""},
		{"anything else", 200, http.Header{"Content-Type": {"text/plain"}}, "plain", true, ""},
		{"stream of messages", 200, events, "event: message_start\ndata: {\"type\":\"message_start\"}\n\n" + anthropicEnd, true, ""},
		{"stream of chunks", 200, events, chunk("null") + chunk(`"stop"`) + "data: [DONE]\n\n", true, ""},
		{"max-age", 200, http.Header{"Cache-Control": {"max-age=60"}}, `{}`, true, ""},
		{"vary by what is in the key", 200, http.Header{"Vary": {"accept"}}, `{}`, true, ""},

		{"not found", 404, nil, `{}`, false, "status"},
		{"server error", 502, nil, `{}`, false, "status"},
		{"partial", 206, nil, `{}`, false, "status"},
		{"redirect", 303, nil, ``, false, "status"},
		{"forbidden", 403, nil, `{}`, false, "status"},
		{"openai length", 200, nil, `{"choices":[{"finish_reason":"length"}]}`, false, "length"},
		{"anthropic length", 200, nil, `{"stop_reason":"max_tokens"}`, false, "length"},
		{"responses incomplete", 200, nil, `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}`, false, "length"},
		{"openai tools", 200, nil, `{"choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"1"}]}}]}`, false, "tool_calls"},
		{"anthropic tools", 200, nil, `{"content":[{"type":"tool_use"}]}`, false, "tool_calls"},
		{"responses tools", 200, nil, `{"output":[{"type":"function_call"}]}`, false, "tool_calls"},
		{"responses whole", 200, nil, `{"object":"response","status":"completed","error":null,"output":[{"type":"message","status":"completed"}]}`, true, ""},
		{"responses in the background", 200, nil, `{"object":"response","status":"queued","error":null,"output":[]}`, false, "unfinished"},
		{"responses cut", 200, nil, `{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}`, false, "length"},
		{"refusal", 200, nil, `{"stop_reason":"refusal"}`, false, "refusal"},
		{"filter", 200, nil, `{"choices":[{"finish_reason":"content_filter"}]}`, false, "refusal"},
		{"unknown end", 200, nil, `{"stop_reason":"pause_turn"}`, false, "finish_reason"},
		{"error in a 200", 200, nil, `{"error":{"message":"overloaded"}}`, false, "error"},
		{"error type in a 200", 200, nil, `{"type":"error"}`, false, "error"},
		{"error in a 200 of another type", 200, http.Header{"Content-Type": {"text/plain"}}, `{"error":{"message":"overloaded"}}`, false, "error"},
		{"half a document", 200, nil, `{"text":"a`, false, "malformed"},
		{"stream without end", 200, events, "data: hello\n\n", false, "truncated"},
		{"stream with error", 200, events, "event: error\ndata: {\"type\":\"error\"}\n\n", false, "error"},
		{"stream cut by length", 200, events, chunk(`"length"`) + "data: [DONE]\n\n", false, "length"},
		{"stream of a tool call", 200, events, "event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\"}}\n\n" + anthropicEnd, false, "tool_calls"},
		{"stream with an error inside", 200, events, chunk("null") + "data: {\"x\":1,\"error\":{\"message\":\"m\"}}\n\ndata: [DONE]\n\n", false, "error"},
		{"list with an error in a 200", 200, nil, `[{"candidates":[]},{"error":{"code":503}}]`, false, "error"},
		{"gemini tools", 200, nil, `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`, false, "tool_calls"},
		{"ollama length", 200, nil, `{"done":true,"done_reason":"length"}`, false, "length"},
		{"stream with space before the data", 200, events, "data:   {\"choices\":[{\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n", false, "length"},
		{"stream whose first event has a byte order mark", 200, events, "\ufeffdata: {\"choices\":[{\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n", false, "length"},
		{"stream whose end is not followed by an empty line", 200, events, "data: [DONE]\n\ndata: {\"choices\":[{\"finish_reason\":\"length\"}]}\n", false, "length"},
		{"stream in CR lines", 200, events, strings.ReplaceAll(chunk(`"length"`)+"data: [DONE]\n\n", "\n", "\r"), false, "length"},
		{"set-cookie", 200, http.Header{"Set-Cookie": {"s=1"}}, `{}`, false, "set-cookie"},
		{"no-store", 200, http.Header{"Cache-Control": {"No-Store"}}, `{}`, false, "no-store"},
		{"no-cache", 200, http.Header{"Cache-Control": {"max-age=5, no-cache"}}, `{}`, false, "no-cache"},
		{"private", 200, http.Header{"Cache-Control": {`private="a, b"`}}, `{}`, false, "private"},
		{"max-age of zero", 200, http.Header{"Cache-Control": {"max-age=0"}}, `{}`, false, "max-age"},
		{"s-maxage before max-age", 200, http.Header{"Cache-Control": {"s-maxage=0, max-age=60"}}, `{}`, false, "max-age"},
		{"max-age that is used up", 200, http.Header{"Cache-Control": {"max-age=60"}, "Age": {"60"}}, `{}`, false, "max-age"},
		{"max-age that is no number", 200, http.Header{"Cache-Control": {"max-age=soon"}}, `{}`, false, "max-age"},
		{"the smaller max-age", 200, http.Header{"Cache-Control": {"max-age=0, max-age=60"}}, `{}`, false, "max-age"},
		{"the smaller max-age in another line", 200, http.Header{"Cache-Control": {"max-age=60", "max-age=0"}}, `{}`, false, "max-age"},
		{"expired", 200, http.Header{"Expires": {"0"}}, `{}`, false, "max-age"},
		{"expired long ago", 200, http.Header{"Expires": {"Thu, 01 Jan 1970 00:00:00 GMT"}}, `{}`, false, "max-age"},
		{"expired but for a max-age", 200, http.Header{"Expires": {"0"}, "Cache-Control": {"max-age=60"}}, `{}`, true, ""},
		{"not expired", 200, http.Header{"Expires": {"Sat, 01 Jan 2000 00:10:00 GMT"}}, `{}`, true, ""},
		{"expired by its own clock", 200, http.Header{"Expires": {"Sat, 01 Jan 2000 00:10:00 GMT"}, "Date": {"Sat, 01 Jan 2000 00:10:00 GMT"}}, `{}`, false, "max-age"},
		{"vary", 200, http.Header{"Vary": {"Accept, Cookie"}}, `{}`, false, "vary"},
		{"vary by all", 200, http.Header{"Vary": {"*"}}, `{}`, false, "vary"},
		{"encoded", 200, http.Header{"Content-Encoding": {"gzip"}}, `{}`, false, "encoding"},
		{"too large", 200, nil, `"` + strings.Repeat("x", 9000) + `"`, false, "size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var skipped []string
				c := build(t, cache.Config{MaxAnswer: 8 << 10, OnEvent: func(_ context.Context, e cache.Event) {
					if e.Kind == cache.Skipped {
						skipped = append(skipped, e.Detail)
					}
				}})
				b := &backend{status: tt.status, header: tt.header, body: tt.body}
				h := c.Handler(b)
				first := do(h, post("a", `{"x":1}`))
				synctest.Wait()
				second := do(h, post("a", `{"x":1}`))
				synctest.Wait()
				for _, w := range []*httptest.ResponseRecorder{first, second} {
					require.Equal(t, tt.status, w.Code)
					require.Equal(t, tt.body, w.Body.String())
				}
				if tt.stored {
					require.EqualValues(t, 1, b.calls.Load())
					require.Contains(t, second.Header().Get("Cache-Status"), "spark; hit; ttl=")
					require.Empty(t, skipped)
					return
				}
				require.EqualValues(t, 2, b.calls.Load())
				require.Equal(t, "spark; fwd=miss", second.Header().Get("Cache-Status"))
				require.Equal(t, []string{tt.detail, tt.detail}, skipped)
				require.Zero(t, c.Stats().Entries)
			})
		})
	}
}

func TestWhatPasses(t *testing.T) {
	change := func(f func(*http.Request)) *http.Request {
		r := post("a", `{}`)
		f(r)
		return r
	}
	tests := []struct {
		name string
		r    *http.Request
	}{
		{"get", httptest.NewRequest(http.MethodGet, "/", nil)},
		{"form", change(func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") })},
		{"packed", change(func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })},
		{"upgrade", change(func(r *http.Request) { r.Header.Set("Upgrade", "websocket") })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got http.ResponseWriter
			h := build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = w }))
			w := do(h, tt.r)
			require.Same(t, w, got, "the handler has the connection itself")
			require.Equal(t, "spark; fwd=method", w.Header().Get("Cache-Status"))
		})
	}
}

// What can't be read reaches the handler as it would without a cache.
func TestBrokenBodyReachesTheHandler(t *testing.T) {
	var got string
	var failed error
	h := build(t, cache.Config{MaxRequest: 8}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got, failed = string(body), err
	}))
	r := post("a", "")
	r.ContentLength = -1
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"a"`), &failing{io.ErrUnexpectedEOF}))
	do(h, r)
	require.Equal(t, `{"a"`, got)
	require.ErrorIs(t, failed, io.ErrUnexpectedEOF)

	r = post("a", "")
	r.ContentLength = -1
	r.Body = io.NopCloser(strings.NewReader(`{"a":"large beyond measure"}`))
	do(h, r)
	require.Equal(t, `{"a":"large beyond measure"}`, got)
	require.NoError(t, failed)
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestHandlerStaleIfError(t *testing.T) {
	tests := []struct {
		name   string
		break_ func(b *backend)
		stale  bool
	}{
		{"server error", func(b *backend) { b.status = 503 }, true},
		{"client error", func(b *backend) { b.status = 400 }, false},
		{"must revalidate", func(b *backend) { b.status = 503 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := build(t, cache.Config{Jitter: -1, TTL: time.Minute, StaleIfError: time.Minute})
				b := &backend{body: `{"n":1}`, header: http.Header{}}
				if tt.name == "must revalidate" {
					b.header.Set("Cache-Control", "must-revalidate")
				}
				h := c.Handler(b)
				do(h, post("a", `{}`))
				time.Sleep(time.Minute + 11500*time.Millisecond)
				tt.break_(b)
				b.body = `{"n":2}`
				w := do(h, post("a", `{}`))
				if !tt.stale {
					require.Equal(t, b.status, w.Code)
					require.Equal(t, `{"n":2}`, w.Body.String())
					return
				}
				require.Equal(t, 200, w.Code)
				require.Equal(t, `{"n":1}`, w.Body.String())
				require.Equal(t, "71", w.Header().Get("Age"))
				require.Equal(t, "spark; hit; ttl=-12; detail=stale-if-error", w.Header().Get("Cache-Status"))
				require.EqualValues(t, 1, c.Stats().Stale)
				time.Sleep(time.Minute)
				require.Equal(t, b.status, do(h, post("a", `{}`)).Code, "the grace is over")
			})
		})
	}
}

// server serves h on a real connection, and posts to it.
func server(t *testing.T, h http.Handler) (url string, client *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = strings.HasSuffix(t.Name(), "h2")
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, s.Client()
}

func send(t *testing.T, client *http.Client, url, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User", "a")
	resp, err := client.Do(r)
	require.NoError(t, err)
	return resp
}

func TestStreamIsFollowedLiveAndReplayed(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			step := make(chan struct{})
			var calls atomic.Int64
			stream := []string{"event: delta\ndata: one\n\n", "event: delta\ndata: two\n\n", "event: done\ndata: {}\n\n"}
			url, client := server(t, build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Content-Type", "text/event-stream")
				for _, event := range stream {
					_, _ = io.WriteString(w, event)
					if err := http.NewResponseController(w).Flush(); err != nil {
						panic(err)
					}
					<-step
				}
			})))
			first := send(t, client, url, `{"stream":true}`)
			lead := bufio.NewReader(first.Body)
			line, err := lead.ReadString('\n')
			require.NoError(t, err, "the first event arrives while the handler is running")
			require.Equal(t, "event: delta\n", line)
			second := send(t, client, url, `{"stream":true}`)
			require.Equal(t, "spark; fwd=miss; collapsed", second.Header.Get("Cache-Status"))
			follow := bufio.NewReader(second.Body)
			line, err = follow.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "event: delta\n", line)
			close(step)
			for _, rest := range []io.Reader{lead, follow} {
				body, err := io.ReadAll(rest)
				require.NoError(t, err)
				require.Equal(t, strings.Join(stream, ""), "event: delta\n"+string(body))
			}
			third := send(t, client, url, `{"stream":true}`)
			require.Contains(t, third.Header.Get("Cache-Status"), "spark; hit")
			require.Equal(t, "text/event-stream", third.Header.Get("Content-Type"))
			body, err := io.ReadAll(third.Body)
			require.NoError(t, err)
			require.Equal(t, strings.Join(stream, ""), string(body))
			plain := send(t, client, url, `{"stream":false}`)
			require.Equal(t, "spark; fwd=miss", plain.Header.Get("Cache-Status"), "a stream is no answer to a plain request")
			_, err = io.Copy(io.Discard, plain.Body)
			require.NoError(t, err)
			require.EqualValues(t, 2, calls.Load())
		})
	}
}

func TestHeaderArrivesBeforeTheFirstChunk(t *testing.T) {
	step := make(chan struct{})
	url, client := server(t, build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-step
	})))
	resp := send(t, client, url, `{}`)
	require.Equal(t, 200, resp.StatusCode)
	close(step)
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
}

// A truncated answer looks truncated to everybody, and is not stored.
func TestTruncatedStaysTruncated(t *testing.T) {
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			var calls atomic.Int64
			c := build(t, cache.Config{})
			url, client := server(t, c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: message_start\ndata: {}\n\n")
				w.(http.Flusher).Flush()
				_, _ = io.WriteString(w, "event: delta\ndata: {}\n\n") // and that is all
			})))
			for range 2 {
				resp := send(t, client, url, `{}`)
				body, err := io.ReadAll(resp.Body)
				require.Error(t, err)
				require.Equal(t, "event: message_start\ndata: {}\n\nevent: delta\ndata: {}\n\n", string(body))
			}
			require.EqualValues(t, 2, calls.Load())
			require.Zero(t, c.Stats().Stored)
		})
	}
}

func TestPanicsGoOn(t *testing.T) {
	tests := []struct {
		name  string
		value any
		begun bool
		check func(t *testing.T, v any)
	}{
		{"abort", http.ErrAbortHandler, false, func(t *testing.T, v any) { require.Equal(t, http.ErrAbortHandler, v) }},
		{"abort in the middle", http.ErrAbortHandler, true, func(t *testing.T, v any) { require.Equal(t, http.ErrAbortHandler, v) }},
		{"bug", "oops", false, isPanicError},
		{"bug in the middle", "oops", true, isPanicError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(time.Second)
					if tt.begun {
						_, _ = io.WriteString(w, "half")
						w.(http.Flusher).Flush()
						time.Sleep(time.Second)
					}
					panic(tt.value)
				}))
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						defer func() { tt.check(t, recover()) }()
						do(h, post("a", `{}`))
						t.Error("the panic was lost")
					})
				}
				wg.Wait()
			})
		})
	}
}

func isPanicError(t *testing.T, v any) {
	p, ok := v.(*cache.PanicError)
	require.True(t, ok)
	require.Equal(t, "oops", p.Value)
	require.Contains(t, string(p.Stack), "handler_test.go")
}

// Those who wait for an answer that fails learn as much as the first.
func TestFollowersOfAFailureAreToldWhenToRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		h := build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			time.Sleep(time.Second)
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"status":503}`)
		}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				w := do(h, post("a", `{}`))
				require.Equal(t, http.StatusServiceUnavailable, w.Code)
				require.Equal(t, "17", w.Header().Get("Retry-After"))
				require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
				require.Equal(t, `{"status":503}`, w.Body.String())
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, calls.Load())
	})
}

func TestWhatIsForOneReaderIsNotShared(t *testing.T) {
	for _, header := range []http.Header{{"Set-Cookie": {"session=1"}}, {"Cache-Control": {"private"}}, {"Vary": {"Cookie"}}} {
		t.Run(fmt.Sprint(header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				h := build(t, cache.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n := calls.Add(1)
					time.Sleep(time.Second)
					maps.Copy(w.Header(), header)
					_, _ = fmt.Fprint(w, n)
				}))
				got := make([]string, 20)
				var wg sync.WaitGroup
				for i := range got {
					wg.Go(func() {
						w := do(h, post("a", `{}`))
						got[i] = w.Body.String()
						for name, values := range header {
							if name != "Cache-Control" {
								require.Equal(t, values, w.Header()[name])
							}
						}
					})
				}
				wg.Wait()
				seen := map[string]bool{}
				for _, body := range got {
					require.False(t, seen[body], "two got %s", body)
					seen[body] = true
				}
			})
		})
	}
}
