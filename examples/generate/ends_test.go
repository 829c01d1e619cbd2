package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/examples/generate/provider"
)

// unknown is what can't be told from outside: time has passed, or the server.
const unknown = -1

// However a response ends, all that has to do with it comes to the same verdict.
func TestEnds(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		leave  time.Duration // when the client leaves, if it does
		stop   time.Duration // when the server is stopped, if it is
		stream bool

		status    int    // in metrics
		errorType string // in metrics
		events    uint64 // in error tracking
		verdict   string // of the breaker
		stored    float64
		used      int64 // tokens that the user has paid
		broken    bool  // the client sees that the response is not complete
	}{
		{name: "complete", status: 200, verdict: "success", stored: 1, used: 5 + 5},
		{name: "complete stream", stream: true, status: 200, verdict: "success", stored: 1, used: 5 + 5},
		{name: "failed", args: []string{"-local-status", "500"}, status: 502, errorType: "502", events: 1, verdict: "failure"},
		{name: "failed stream", args: []string{"-local-status", "500"}, stream: true, status: 502, errorType: "502", events: 1, verdict: "failure"},
		{name: "overloaded", args: []string{"-local-overload"}, status: 503, errorType: "503", events: 1, verdict: "failure"},
		{name: "cut", args: []string{"-local-cut", "2"}, status: 502, errorType: "502", events: 1, verdict: "failure", used: unknown},
		{name: "cut stream", args: []string{"-local-cut", "2"}, stream: true, status: 200, errorType: "truncated", events: 1, verdict: "failure", used: 5 + 4, broken: true},
		{name: "hanging provider", args: []string{"-local-hang", "-provider-timeout", "20ms"}, status: 504, errorType: "504", events: 1, verdict: "failure"},
		{name: "client gone", args: []string{"-local-gap", "5ms"}, leave: 7 * time.Millisecond, status: 499, errorType: "client_gone", verdict: "ignored", used: 5 + 4},
		{name: "client of a stream gone", args: []string{"-local-gap", "5ms"}, leave: 7 * time.Millisecond, stream: true, status: 499, errorType: "client_gone", verdict: "ignored", used: 5 + 4},
		{name: "shutdown", args: []string{"-local-gap", "5ms", "-shutdown-timeout", "2ms"}, stop: 6 * time.Millisecond, status: 503, errorType: "shutdown", verdict: "ignored", used: unknown},
		{name: "shutdown of a stream", args: []string{"-local-gap", "5ms", "-shutdown-timeout", "2ms"}, stop: 6 * time.Millisecond, stream: true, status: 200, errorType: "shutdown", verdict: "ignored", used: unknown, broken: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// It is over in milliseconds, in which no token comes back: what is left tells what was paid.
				c := startPiped(t, append(tt.args, "-tokens-per-minute", "2000")...)
				defer c.stop()
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				if tt.leave > 0 {
					time.AfterFunc(tt.leave, leave)
				}
				if tt.stop > 0 {
					time.AfterFunc(tt.stop, c.stop)
				}
				resp, err := c.client.Do(c.request(ctx, http.MethodPost, "/api/spark/generate", map[string]any{"prompt": "one two three", "stream": tt.stream}))
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					require.NoError(t, resp.Body.Close())
				}
				if tt.broken {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				} else if tt.leave == 0 {
					require.NoError(t, err)
				}
				synctest.Wait()
				checkEnd(t, c, tt.status, tt.errorType, tt.events, tt.verdict, tt.stored)
				if tt.used != unknown {
					// A request that is refused for its prompt costs nothing, and shows what is left.
					r := c.prompt("")
					require.Equal(t, 2000-tt.used, member(t, r.Header, "RateLimit", "tokens", "r"), "tokens paid")
				}
			})
		})
	}
}

func checkEnd(t *testing.T, c *service, status int, errorType string, events uint64, verdict string, stored float64) {
	t.Helper()
	route := `http_route="/api/spark/generate"`
	require.EqualValues(t, 1, c.metric("http_server_request_duration_seconds_count", route), "one request")
	require.EqualValues(t, 1, c.metric("http_server_request_duration_seconds_count", route,
		`error_type="`+errorType+`"`, `http_response_status_code="`+strconv.Itoa(status)+`"`), "metrics: %s", c.series("http_server_request_duration_seconds_count"))
	require.EqualValues(t, 0, c.metric("http_server_active_requests"))
	require.EqualValues(t, 0, c.metric("http_server_open_streams"))

	tracked := uint64(0)
	for _, n := range c.s.errors.Stats().BySeverity {
		tracked += n
	}
	require.Equal(t, events, tracked, "error tracking: %v", c.s.errors.Groups(errtrack.Query{}))

	for _, v := range []string{"success", "failure", "ignored", "cooldown"} {
		got := c.metric("spark_breaker_outcomes_total", `verdict="`+v+`"`)
		if v == verdict {
			require.Positive(t, got, "breaker: %s", v)
		} else {
			require.Zero(t, got, "breaker: %s", v)
		}
	}
	counts := c.s.breakers.Status()[0]
	require.Equal(t, breaker.Closed, counts.State)
	require.EqualValues(t, stored, c.metric("spark_cache_events_total", `kind="stored"`), "cache")
	require.Equal(t, int(stored), c.s.cache.Stats().Entries)
}

// broken is a provider with a defect.
type broken struct{ provider.Provider }

func (broken) Generate(context.Context, provider.Ask, func(string) error) (provider.Answer, error) {
	panic("secret of the broken provider")
}

// A panic, wherever it happens, is one 500 in metrics, one event in error
// tracking and one problem document, which says nothing of it.
func TestPanic(t *testing.T) {
	c := start(t, nil)
	c.s.providers["local"] = broken{provider.NewLocal(provider.Faults{})}
	r := c.prompt("hello")
	r.problem(t, http.StatusInternalServerError)
	require.NotContains(t, r.text, "secret")
	require.EqualValues(t, 1, c.metric("http_server_request_duration_seconds_count",
		`http_route="/api/spark/generate"`, `http_response_status_code="500"`))
	groups := c.s.errors.Groups(errtrack.Query{})
	require.Len(t, groups, 1)
	require.EqualValues(t, 1, groups[0].Count)
	require.Equal(t, errtrack.High, groups[0].Severity)
	require.Zero(t, c.s.cache.Stats().Entries)
	c.s.providers["local"] = provider.NewLocal(provider.Faults{})
	require.Equal(t, http.StatusOK, c.prompt("hello").StatusCode, "the server lives on")
}
