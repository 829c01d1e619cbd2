package breaker_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/problem"
)

func TestHandlerVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		reason  string
		counts  breaker.Counts
	}{
		{"ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, "", breaker.Counts{Successes: 1}},
		{"not found", http.NotFound, "", breaker.Counts{Successes: 1}},
		{"server error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "server_error", breaker.Counts{Failures: 1, Consecutive: 1}},
		{"refused further in", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, &breaker.OpenError{}) }, "refused", breaker.Counts{Ignored: 1}},
		{"says so", func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, breaker.WithOutcome(errDown, breaker.Anthropic(401, nil, nil)))
		}, "auth", breaker.Counts{Ignored: 1}},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("boom") }, "server_error", breaker.Counts{Failures: 1, Consecutive: 1}},
		{"cut stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, messages)
		}, "truncated", breaker.Counts{Failures: 1, Consecutive: 1}},
		{"error event", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, messages+"event: error\ndata: {}\n\n")
		}, "server_error", breaker.Counts{Failures: 1, Consecutive: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan breaker.Event, 9)
			b := newBreaker(t, breaker.Config{OnOutcome: note(seen)})
			func() {
				defer func() { _ = recover() }()
				b.Handler(tt.handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}()
			require.Equal(t, tt.reason, (<-seen).Reason)
			require.Equal(t, tt.counts, b.Counts())
		})
	}
}

func TestHandlerClientGone(t *testing.T) {
	tests := []struct {
		name   string
		wait   time.Duration
		wrote  string
		cause  error
		reason string
	}{
		{"soon", time.Second, "", context.Canceled, "client_gone"},
		{"after a long silence", time.Minute, "", context.Canceled, "hang"},
		{"in the middle", time.Minute, messages, context.Canceled, "client_gone"},
		{"shutdown", time.Minute, "", http.ErrServerClosed, "shutdown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(chan breaker.Event, 9)
				b := newBreaker(t, breaker.Config{OnOutcome: note(seen)})
				ctx, cancel := context.WithCancelCause(t.Context())
				h := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if tt.wrote != "" {
						w.Header().Set("Content-Type", "text/event-stream")
						_, _ = io.WriteString(w, tt.wrote)
					}
					time.Sleep(tt.wait)
					cancel(tt.cause)
				}))
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
				require.Equal(t, tt.reason, (<-seen).Reason)
			})
		})
	}
}

func TestHandlerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{Name: "secret-provider"})
		b.ForceOpen(12500 * time.Millisecond)
		h := b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "13", w.Header().Get("Retry-After"), "rounded up")
		require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
		var doc struct {
			Status       int
			Detail       string
			RetryAfterMS int `json:"retry_after_ms"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
		require.Equal(t, 503, doc.Status)
		require.Equal(t, "The service behind this one is not available at the moment. Try again in 13 s.", doc.Detail)
		require.Equal(t, 12500, doc.RetryAfterMS)
		require.NotContains(t, w.Body.String(), "secret-provider")

		b.ForceOpen(0)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Empty(t, w.Header().Values("Retry-After"), "nobody knows")
	})
}

func TestErrorHandler(t *testing.T) {
	b := newBreaker(t, breaker.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		require.Equal(t, time.Minute, refused(t, err).RetryAfter.Round(time.Second))
		w.WriteHeader(http.StatusTeapot)
	}})
	b.ForceOpen(time.Minute)
	w := httptest.NewRecorder()
	b.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusTeapot, w.Code)
	require.Equal(t, "60", w.Header().Get("Retry-After"), "set for every handler")
}

// The first event arrives while the handler is still running.
func TestHandlerStreams(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			b := newBreaker(t, breaker.Config{})
			goOn := make(chan struct{})
			srv := httptest.NewUnstartedServer(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, messages)
				_ = http.NewResponseController(w).Flush()
				<-goOn
				_, _ = io.WriteString(w, messagesEnd)
			})))
			srv.EnableHTTP2 = http2
			srv.StartTLS()
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, len(messages)))
			require.NoError(t, err)
			close(goOn)
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, messagesEnd, string(rest))
			require.NoError(t, resp.Body.Close())
			require.Eventually(t, func() bool { return b.Counts().Successes == 1 }, 5*time.Second, time.Millisecond)
		})
	}
}
