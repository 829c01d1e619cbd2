package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stream asks for a stream and returns the open response.
func (c *service) stream(ctx context.Context, prompt string) *http.Response {
	c.t.Helper()
	resp, err := c.client.Do(c.request(ctx, http.MethodPost, "/api/spark/generate", map[string]any{"prompt": prompt, "stream": true}))
	require.NoError(c.t, err)
	return resp
}

func TestStream(t *testing.T) {
	c := start(t, nil)
	resp := c.stream(t.Context(), "say hi to me")
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	var text strings.Builder
	var names []string
	var last generateResponse
	require.NoError(t, events(resp.Body, func(e event) {
		names = append(names, e.name)
		if e.name == "done" {
			require.NoError(t, json.Unmarshal([]byte(e.data), &last))
			return
		}
		var delta struct{ Text string }
		require.NoError(t, json.Unmarshal([]byte(e.data), &delta))
		text.WriteString(delta.Text)
	}))
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "You said: say hi to me", text.String())
	require.Equal(t, []string{"delta", "delta", "delta", "delta", "delta", "delta", "done"}, names)
	require.Equal(t, "local", last.Provider)
	require.Equal(t, "stop", last.FinishReason)
	require.Equal(t, 6, last.Usage.Output)
}

// The first event is there while the provider is still busy with the others.
func TestFirstEventArrivesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-gap", "10s")
		defer c.stop()
		began := time.Now()
		resp := c.stream(t.Context(), "one two")
		var arrived []time.Duration
		require.NoError(t, events(resp.Body, func(event) { arrived = append(arrived, time.Since(began)) }))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second}, arrived)
	})
}

// A stream may take longer than any timeout of the server for a request.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-gap", "10m", "-provider-timeout", "10h")
		defer c.stop()
		resp := c.stream(t.Context(), "a b c d e f g h i")
		n := 0
		require.NoError(t, events(resp.Body, func(event) { n++ }))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 12, n)
	})
}

// A connection is as good as new after a stream, however long it was idle, and an
// answer may take longer to begin than a client has to accept it.
func TestConnectionsOutliveDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-latency", "100s", "-local-gap", "40s", "-provider-timeout", "1h")
		defer c.stop()
		resp := c.stream(t.Context(), "one two")
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Contains(t, string(text), "event: done")
		time.Sleep(100 * time.Second)
		require.Equal(t, "You said: another", c.prompt("another").json["text"])
		time.Sleep(100 * time.Second)
		require.Equal(t, http.StatusOK, c.get("/livez").StatusCode)
	})
}

// A client that accepts nothing is given up on, and is not the provider's fault.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-gap", "1s")
		defer c.stop()
		resp := c.stream(t.Context(), strings.Repeat("word ", 1900))
		time.Sleep(time.Hour)
		require.NoError(t, resp.Body.Close())
		synctest.Wait()
		require.EqualValues(t, 1, c.metric("http_server_request_duration_seconds_count", `http_route="/api/spark/generate"`))
		require.EqualValues(t, 1, c.metric("spark_breaker_outcomes_total", `verdict="ignored"`))
		require.Less(t, c.metric("http_server_request_duration_seconds_sum"), 1800.0, "it was given up on, not waited for")
	})
}

// A client that sends its request drop by drop is told that it took too long.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t)
		defer c.stop()
		body, drops := io.Pipe()
		defer time.Sleep(2 * time.Second) // the last drop
		defer func() { _ = body.Close() }()
		go func() {
			for err := error(nil); err == nil; time.Sleep(time.Second) {
				_, err = io.WriteString(drops, " ")
			}
		}()
		began := time.Now()
		r := c.do(c.request(t.Context(), http.MethodPost, "/api/spark/generate", body))
		r.problem(t, http.StatusRequestTimeout)
		require.Equal(t, time.Minute, time.Since(began))
	})
}

// SIGTERM lets a running stream end, while probes and new connections are told
// that the server is going.
func TestShutdownWaitsForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-gap", "5s")
		resp := c.stream(t.Context(), "one two three")
		first, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "event: delta\n", first)
		stopped := make(chan struct{})
		go func() {
			c.stop()
			close(stopped)
		}()
		synctest.Wait()
		_, err = c.client.Do(c.request(t.Context(), http.MethodGet, "/readyz", nil))
		require.Error(t, err, "no new connections")
		rest, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Contains(t, string(rest), "event: done")
		require.NoError(t, resp.Body.Close())
		<-stopped
	})
}

// What does not end in time is cut off, and looks so.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-local-gap", "1h", "-provider-timeout", "9h", "-shutdown-timeout", "30s")
		resp := c.stream(t.Context(), "one two three")
		go c.stop()
		began := time.Now()
		text, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 30*time.Second, time.Since(began))
		require.Contains(t, string(text), `event: error
data: {"detail":"The server is shutting down. Try again.","status":503`)
		require.NoError(t, resp.Body.Close())
		c.stop()
		require.EqualValues(t, 1, c.metric("http_server_request_duration_seconds_count", `error_type="shutdown"`))
	})
}
