package breaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

const (
	messages = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}\n\n"
	messagesEnd = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	chat        = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n"
	chatStop    = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}]}\n\n"
	chatEnd     = "data: [DONE]\n\n"
)

// How a stream ends decides, not that it began with a 200.
func TestStreams(t *testing.T) {
	abort := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	tests := []struct {
		name   string
		stream string
		then   func(http.ResponseWriter)
		want   breaker.Outcome
		err    error
	}{
		{"messages whole", messages + messagesEnd, nil, breaker.Outcome{}, nil},
		{"messages without the last event", messages, nil, because(retriable, "truncated"), io.ErrUnexpectedEOF},
		{"messages aborted", messages, abort, because(retriable, "truncated"), io.ErrUnexpectedEOF},
		{"messages aborted after the last event", messages + messagesEnd, abort, breaker.Outcome{}, io.ErrUnexpectedEOF},
		{"messages with an error event", messages + "event: error\ndata: " + anthropicError("overloaded_error", "Overloaded", "") + "\n\n", nil, because(retriable, "error_event"), nil},
		{"chat whole", chat + chatStop + chatEnd, nil, breaker.Outcome{}, nil},
		{"chat with a finish reason only", chat + chatStop, nil, breaker.Outcome{}, nil},
		{"chat cut", chat, nil, because(retriable, "truncated"), io.ErrUnexpectedEOF},
		{"chat that speaks of a finish reason", chat + strings.Replace(chat, "hi", `\"finish_reason\":\"stop\"`, 1), nil, because(retriable, "truncated"), io.ErrUnexpectedEOF},
		{"chat with an error", chat + "data: " + `{"error":{"message":"x"}}` + "\n\n", nil, because(retriable, "error_event"), nil},
		{"empty", "", nil, because(retriable, "empty_stream"), io.ErrUnexpectedEOF},
		{"only comments", ": keep alive\n\n", nil, because(retriable, "empty_stream"), io.ErrUnexpectedEOF},
		{"protocol without an end", "data: tick\n\n", nil, breaker.Outcome{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				_, _ = io.WriteString(w, tt.stream)
				_ = http.NewResponseController(w).Flush()
				if tt.then != nil {
					tt.then(w)
				}
			}))
			defer srv.Close()
			seen := make(chan breaker.Event, 9)
			client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Provider: breaker.Anthropic})
			resp, err := client.Get(srv.URL)
			require.NoError(t, err)
			require.Empty(t, seen, "nothing is known at the first byte")
			body, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.stream, string(body))
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.want, (<-seen).Outcome)
			require.Empty(t, seen)
			_, err = resp.Body.Read(make([]byte, 1))
			require.Error(t, err, "reading goes on failing")
		})
	}
}

func TestStreamsOverHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, messages)
		_ = http.NewResponseController(w).Flush()
		switch r.URL.Path {
		case "/whole":
			_, _ = io.WriteString(w, messagesEnd)
		case "/aborted":
			panic(http.ErrAbortHandler)
		case "/left":
			<-r.Context().Done()
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	tests := []struct {
		path    string
		want    breaker.Verdict
		readAll bool
	}{
		{"/whole", breaker.Success, true},
		{"/cut", breaker.Failure, true},
		{"/aborted", breaker.Failure, true},
		{"/left", breaker.Ignored, false},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			seen := make(chan breaker.Event, 9)
			client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Base: srv.Client().Transport})
			resp, err := client.Get(srv.URL + tt.path)
			require.NoError(t, err)
			require.Equal(t, 2, resp.ProtoMajor)
			if tt.readAll {
				body, err := io.ReadAll(resp.Body)
				require.Equal(t, tt.want != breaker.Success, err != nil)
				require.Contains(t, string(body), messages)
			}
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.want, (<-seen).Outcome.Verdict)
			require.Empty(t, seen)
		})
	}
}

// pipe is a transport whose response is written by the test.
type pipe struct {
	status int
	kind   string
	length int64
	serve  func(ctx context.Context, w *io.PipeWriter)
}

func (p pipe) RoundTrip(req *http.Request) (*http.Response, error) {
	r, w := io.Pipe()
	stop := context.AfterFunc(req.Context(), func() { _ = w.CloseWithError(req.Context().Err()) })
	go func() {
		p.serve(req.Context(), w)
		stop()
		if err := req.Context().Err(); err != nil { // then serve may have known before what is stopped here
			_ = w.CloseWithError(err)
		}
	}()
	return &http.Response{StatusCode: p.status, Request: req, Body: r, ContentLength: p.length, Header: http.Header{"Content-Type": {p.kind}}}, nil
}

func stream(serve func(context.Context, *io.PipeWriter)) pipe {
	return pipe{status: 200, kind: "text/event-stream", length: -1, serve: serve}
}

func get(t testing.TB, ctx context.Context, client *http.Client) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://provider/v1", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	return resp
}

func TestIdleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan breaker.Event, 9)
		client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{
			IdleTimeout: 10 * time.Second,
			Base: stream(func(ctx context.Context, w *io.PipeWriter) {
				for range 5 { // slow, but alive
					time.Sleep(9 * time.Second)
					_, _ = io.WriteString(w, messages)
				}
				<-ctx.Done() // and now it hangs
			}),
		})
		resp := get(t, t.Context(), client)
		body, err := io.ReadAll(resp.Body)
		require.Equal(t, strings.Repeat(messages, 5), string(body))
		require.EqualError(t, err, "breaker: provider sent nothing for 10s")
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())
		require.Equal(t, because(retriable, "idle"), breaker.Classify(t.Context(), fmt.Errorf("sdk: %w", err)))
		e := <-seen
		require.Equal(t, because(retriable, "idle"), e.Outcome)
		require.Equal(t, 55*time.Second, e.Duration)
		require.Equal(t, 9*time.Second, e.FirstToken)
		require.Equal(t, 10*time.Second, e.LongestGap)
	})
}

// A reader that takes its time does not make the provider idle.
func TestSlowReaderIsNotAnIdleProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan breaker.Event, 9)
		client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{
			IdleTimeout: time.Second,
			Base: stream(func(_ context.Context, w *io.PipeWriter) {
				_, _ = io.WriteString(w, messages+messagesEnd)
				_ = w.Close()
			}),
		})
		resp := get(t, t.Context(), client)
		for err := error(nil); err == nil; {
			time.Sleep(time.Minute)
			_, err = resp.Body.Read(make([]byte, 50))
		}
		require.NoError(t, resp.Body.Close())
		require.Equal(t, breaker.Outcome{}, (<-seen).Outcome)
	})
}

func TestGivenUp(t *testing.T) {
	hang := func(ctx context.Context, w *io.PipeWriter) {
		_, _ = io.WriteString(w, messages)
		<-ctx.Done()
	}
	whole := func(ctx context.Context, w *io.PipeWriter) {
		_, _ = io.WriteString(w, messages+messagesEnd)
		<-ctx.Done()
	}
	const errorEvent = "event: error\ndata: {}\n\n"
	broken := func(ctx context.Context, w *io.PipeWriter) {
		_, _ = io.WriteString(w, errorEvent)
		<-ctx.Done()
	}
	readAll := func(resp *http.Response) { _, _ = io.ReadAll(resp.Body) }
	decode := func(resp *http.Response) { _ = json.NewDecoder(resp.Body).Decode(new(any)) }
	document := func(kind, text string) pipe {
		return pipe{status: 200, kind: kind, length: -1, serve: func(ctx context.Context, w *io.PipeWriter) {
			_, _ = io.WriteString(w, text)
			<-ctx.Done() // its end is not there yet
		}}
	}
	tests := []struct {
		name   string
		base   pipe
		before func(*http.Response)
		pause  time.Duration // then the client leaves
		reason string
	}{
		{"at once", stream(hang), func(*http.Response) {}, 0, "client_gone"},
		{"while waiting", stream(hang), func(r *http.Response) { go readAll(r) }, 29 * time.Second, "client_gone"},
		{"having waited long", stream(hang), func(r *http.Response) { go readAll(r) }, 31 * time.Second, "hang"},
		{"without having waited", stream(hang), func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 9)) }, time.Hour, "client_gone"},
		{"after the last event", stream(whole), func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, len(messages+messagesEnd))) }, time.Hour, ""},
		{
			"all of a known length",
			pipe{status: 200, length: 4, serve: func(_ context.Context, w *io.PipeWriter) { _, _ = io.WriteString(w, "text") }},
			func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 4)) }, time.Hour, "",
		},
		{"after an error event", stream(broken), func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, len(errorEvent))) }, time.Second, "error_event"},
		{"decoded", document("application/json; charset=utf-8", `{"a":[{"b":"}\"]}"}]}`), decode, time.Hour, ""},
		{"decoded problem", document("application/problem+json", `[1,{}]`), decode, time.Hour, ""},
		{"half of JSON", document("application/json", `{"a":["}",{}]`), func(r *http.Response) { go decode(r) }, time.Second, "client_gone"},
		{"one of several values", document("application/json", `{} {"a":`), func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 8)) }, time.Second, "client_gone"},
		{"text that looks like JSON", document("text/plain", `{}`), decode, time.Second, "client_gone"},
	}
	for _, tt := range tests {
		for _, how := range []string{"close", "cancel"} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					seen := make(chan breaker.Event, 9)
					client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Base: tt.base, IdleTimeout: -1})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					resp := get(t, ctx, client)
					tt.before(resp)
					time.Sleep(tt.pause)
					if how == "cancel" {
						cancel()
						synctest.Wait()
					}
					require.NoError(t, resp.Body.Close())
					require.Equal(t, tt.reason, (<-seen).Reason)
				})
			})
		}
	}
}

// The hooks may do with a response what they like, also have it closed.
func TestHookClosesTheBody(t *testing.T) {
	var body io.Closer
	client, b := guard(t, breaker.Config{OnOutcome: func(context.Context, breaker.Event) {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = body.Close()
		}()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Error("Close waits for the hook")
		}
	}}, breaker.TransportConfig{Base: stream(func(_ context.Context, w *io.PipeWriter) {
		_, _ = io.WriteString(w, messages+messagesEnd)
		_ = w.Close()
	})})
	resp := get(t, t.Context(), client)
	body = resp.Body
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 1, b.Counts().Successes)
}

func TestBodiesThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan breaker.Event, 9)
		cfg := breaker.Config{ConsecutiveFailures: 1, OpenTime: time.Minute, ProbeLease: 30 * time.Second, OnOutcome: note(seen)}
		client, b := guard(t, cfg, breaker.TransportConfig{
			Base: stream(func(ctx context.Context, _ *io.PipeWriter) { <-ctx.Done() }),
		})
		require.Error(t, b.Do(t.Context(), fail))
		<-seen
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		resp := get(t, ctx, client) // the probe: its body is never read
		require.Equal(t, breaker.HalfOpen, b.State())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, breaker.Open, b.State())
		e := <-seen
		require.Equal(t, "lease", e.Reason)
		require.True(t, e.Probe && e.Counted)
		cancel()
		require.NoError(t, resp.Body.Close())
		require.Empty(t, seen)
	})
}

// pieces answers with a stream that is read in pieces of a size.
type pieces struct {
	stream string
	size   int
}

func (p pieces) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &chunked{strings.NewReader(p.stream), p.size}
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: -1, Body: io.NopCloser(body),
		Header: http.Header{"Content-Type": {"text/event-stream"}},
	}, nil
}

type chunked struct {
	r    io.Reader
	size int
}

func (c *chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.size)]) }

// However a stream is cut into pieces, the verdict is the same, and what is read
// is what was sent.
func FuzzStreamPieces(f *testing.F) {
	f.Add(messages+messagesEnd, uint8(3))
	f.Add(chat+chatStop, uint8(1))
	f.Add(chat+strings.Replace(chat, "hi", `\"finish_reason\":\"stop\"`, 1), uint8(5))
	f.Add("data: {\"finish_reason\":   \"x\"}\n\n", uint8(20))
	f.Add("data: {\"object\":\"chat.completion.chunk\",\"finish_reason\"}\n\n", uint8(16))
	f.Add(messages+"event: error\ndata: {}\n\n", uint8(7))
	f.Fuzz(func(t *testing.T, stream string, size uint8) {
		verdict := func(size int) (breaker.Event, error) {
			var seen breaker.Event
			client, _ := guard(t, breaker.Config{OnOutcome: func(_ context.Context, e breaker.Event) { seen = e }}, breaker.TransportConfig{Base: pieces{stream, size}})
			resp := get(t, t.Context(), client)
			body, err := io.ReadAll(resp.Body)
			require.Equal(t, stream, string(body))
			require.NoError(t, resp.Body.Close())
			return seen, err
		}
		whole, err := verdict(len(stream) + 1)
		cut, cutErr := verdict(int(size) + 1)
		require.Equal(t, whole.Outcome, cut.Outcome)
		require.Equal(t, err, cutErr)
		require.Equal(t, whole.Verdict == breaker.Failure && whole.Reason != "error_event", err != nil)
	})
}
