package breaker_test

import (
	"context"
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

// guard returns a client whose requests a breaker guards.
func guard(t testing.TB, cfg breaker.Config, tc breaker.TransportConfig) (*http.Client, *breaker.Breaker) {
	t.Helper()
	b := newBreaker(t, cfg)
	tc.Breaker = b
	rt, err := breaker.NewTransport(tc)
	require.NoError(t, err)
	return &http.Client{Transport: rt}, b
}

func note(seen chan breaker.Event) func(context.Context, breaker.Event) {
	return func(_ context.Context, e breaker.Event) { seen <- e }
}

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
		defer stop()
		p.serve(req.Context(), w)
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
	readAll := func(resp *http.Response) { _, _ = io.ReadAll(resp.Body) }
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
		{"all of a known length", pipe{status: 200, length: 4, serve: func(_ context.Context, w *io.PipeWriter) { _, _ = io.WriteString(w, "text") }},
			func(r *http.Response) { _, _ = io.ReadFull(r.Body, make([]byte, 4)) }, time.Hour, ""},
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

func TestTransportErrors(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refusing.Close())
	gone, leave := context.WithCancel(t.Context())
	leave()
	short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	}))
	defer short.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	impatient := http.DefaultTransport.(*http.Transport).Clone()
	impatient.ResponseHeaderTimeout = 20 * time.Millisecond
	tests := []struct {
		name string
		ctx  context.Context
		url  string
		base http.RoundTripper
		want breaker.Outcome
	}{
		{"nobody listens", t.Context(), "http://" + refusing.Addr().String(), nil, because(retriable, "connection")},
		{"client gone", gone, short.URL, nil, breaker.Outcome{Verdict: breaker.Ignored, Reason: "client_gone"}},
		{"no header in time", t.Context(), slow.URL, impatient, because(retriable, "timeout")},
		{"shorter than promised", t.Context(), short.URL, nil, because(retriable, "truncated")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan breaker.Event, 9)
			client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Base: tt.base})
			req, err := http.NewRequestWithContext(tt.ctx, http.MethodGet, tt.url, nil)
			require.NoError(t, err)
			resp, err := client.Do(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
			}
			require.Error(t, err)
			e := <-seen
			require.Equal(t, tt.want, e.Outcome)
			require.Error(t, e.Err)
		})
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestTransportRefuses(t *testing.T) {
	b := opened(t, breaker.Config{Name: "openai"})
	rt, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b})
	require.NoError(t, err)
	body := &closer{Reader: strings.NewReader("{}")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://provider.invalid", body)
	require.NoError(t, err)
	_, err = (&http.Client{Transport: rt}).Do(req)
	require.Equal(t, "openai", refused(t, err).Breaker)
	require.True(t, body.closed)

	_, err = breaker.NewTransport(breaker.TransportConfig{})
	require.EqualError(t, err, "breaker: Breaker is missing")
}

func TestTransportSelect(t *testing.T) {
	group, err := breaker.NewGroup(breaker.GroupConfig{Names: []string{"a", "b"}})
	require.NoError(t, err)
	rt, err := breaker.NewTransport(breaker.TransportConfig{
		Select: func(r *http.Request) (*breaker.Breaker, error) { return group.Get(r.URL.Host) },
		Base:   pipe{status: 200, length: 0, serve: func(_ context.Context, w *io.PipeWriter) { _ = w.Close() }},
	})
	require.NoError(t, err)
	client := &http.Client{Transport: rt}
	resp, err := client.Get("http://b/")
	require.NoError(t, err)
	_, _ = io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	require.Len(t, group.Status(), 1)
	require.Equal(t, "b", group.Status()[0].Name)
	_, err = client.Get("http://c/")
	require.ErrorIs(t, err, breaker.ErrUnknown)
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("boom") }

type bodiless struct{ status int }

func (b bodiless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: b.status, Header: http.Header{}, Body: http.NoBody}, nil
}

func TestTransportOddities(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "http://provider/", nil)
	t.Run("panic", func(t *testing.T) {
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: panicking{}})
		require.PanicsWithValue(t, "boom", func() { _, _ = client.Transport.RoundTrip(req) })
		require.Equal(t, 1, b.Counts().Failures)
	})
	t.Run("no body", func(t *testing.T) {
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: bodiless{204}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, 1, b.Counts().Successes, "there is no end to wait for")
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 1, b.Counts().Successes)
	})
	t.Run("switching protocols", func(t *testing.T) {
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: bodiless{101}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, http.NoBody, resp.Body, "the body is left as it is: it can be written to")
		require.Equal(t, 1, b.Counts().Successes)
	})
	t.Run("body of an error that is cut", func(t *testing.T) {
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: pipe{status: 400, length: -1, serve: func(_ context.Context, w *io.PipeWriter) {
			_, _ = io.WriteString(w, `{"err`)
			_ = w.CloseWithError(io.ErrUnexpectedEOF)
		}}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.Equal(t, `{"err`, string(body))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, 1, b.Counts().Failures)
	})
	t.Run("body of an error that is large", func(t *testing.T) {
		large := strings.Repeat("x", 200<<10)
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: pipe{status: 500, length: -1, serve: func(_ context.Context, w *io.PipeWriter) {
			_, _ = io.WriteString(w, large)
			_ = w.Close()
		}}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, 1, b.Counts().Failures)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, large, string(body))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 1, b.Counts().Failures)
	})
}

// Within a call to the same breaker the Transport does not count again, but says
// what the call's error means.
func TestTransportWithinFailover(t *testing.T) {
	group, err := breaker.NewGroup(breaker.GroupConfig{Names: []string{"claude"}})
	require.NoError(t, err)
	f, err := breaker.NewFailover(breaker.FailoverConfig{Group: group, Order: []string{"claude"}, Retries: -1})
	require.NoError(t, err)
	b, err := group.Get("claude")
	require.NoError(t, err)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			_, _ = io.WriteString(w, "{}")
		case "/caller":
			w.WriteHeader(400)
		case "/auth":
			w.WriteHeader(401)
		case "/cut":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, messages)
		}
	}))
	defer srv.Close()
	rt, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b, Provider: breaker.Anthropic})
	require.NoError(t, err)
	client := &http.Client{Transport: rt}
	ask := func(path string) (breaker.Result, error) {
		return f.Do(t.Context(), func(ctx context.Context, _ string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+path, nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer func() { _ = resp.Body.Close() }()
			if _, err := io.ReadAll(resp.Body); err != nil {
				return fmt.Errorf("sdk: reading failed") //nolint:err113 // an SDK that loses what went wrong
			}
			if resp.StatusCode >= 400 {
				return fmt.Errorf("sdk: status %d", resp.StatusCode)
			}
			return nil
		})
	}
	tests := []struct {
		path, reason string
		counts       breaker.Counts
	}{
		{"/ok", "", breaker.Counts{Successes: 1}},
		{"/caller", "caller", breaker.Counts{Successes: 2}},
		{"/auth", "auth", breaker.Counts{Successes: 2, Ignored: 1}},
		{"/cut", "truncated", breaker.Counts{Successes: 2, Ignored: 1, Failures: 1, Consecutive: 1}},
	}
	for _, tt := range tests {
		res, _ := ask(tt.path)
		require.Equal(t, tt.reason, res.Attempts[0].Outcome.Reason)
		require.Equal(t, tt.counts, b.Counts(), tt.path)
	}
}

// An attempt that ran out of its own time is followed by another provider; one
// that was given up for a reason of the caller's own means what the caller says.
func TestTransportKnowsTheCallersContext(t *testing.T) {
	errOwn := errors.New("own reason")
	tests := []struct {
		name   string
		end    func(context.Context) (context.Context, context.CancelFunc)
		reason string
	}{
		{"timeout", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, "timeout"},
		{"own reason", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, "failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				group := newGroup(t, breaker.GroupConfig{})
				b, err := group.Get("claude")
				require.NoError(t, err)
				rt, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b, Base: stream(func(ctx context.Context, w *io.PipeWriter) {
					_, _ = io.WriteString(w, messages)
					<-ctx.Done()
				})})
				require.NoError(t, err)
				f := newFailover(t, breaker.FailoverConfig{Group: group, Retries: -1})
				res, err := f.Do(t.Context(), func(ctx context.Context, provider string) error {
					if provider == "openai" {
						return nil
					}
					ctx, cancel := tt.end(ctx)
					defer cancel()
					resp := get(t, ctx, &http.Client{Transport: rt})
					_, err := io.ReadAll(resp.Body)
					require.Error(t, err)
					require.NoError(t, resp.Body.Close())
					if tt.name == "timeout" {
						return err
					}
					return errOwn
				})
				require.NoError(t, err)
				require.Equal(t, "openai", res.Provider)
				require.Equal(t, tt.reason, res.Attempts[0].Outcome.Reason)
			})
		})
	}
}
