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

func TestTransportErrors(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, refusing.Close())
	gone, leave := context.WithCancel(t.Context())
	leave()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(http.ErrServerClosed)
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
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
		{"own shutdown", stopped, slow.URL, nil, breaker.Outcome{Verdict: breaker.Ignored, Reason: "shutdown"}},
		{"own deadline", late, slow.URL, nil, because(retriable, "timeout")},
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

// failing shows the context that it was called with.
type failing struct {
	sent   *context.Context
	err    error
	panics bool
}

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	*f.sent = r.Context()
	if f.panics {
		panic("boom")
	}
	return nil, f.err
}

type compressed struct{}

func (compressed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, ContentLength: -1, Body: io.NopCloser(strings.NewReader("\x1f\x8b…")),
		Header: http.Header{"Content-Type": {"text/event-stream"}, "Content-Encoding": {"gzip"}},
	}, nil
}

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
	t.Run("contexts of requests that fail end as well", func(t *testing.T) {
		for _, how := range []failing{{err: io.ErrUnexpectedEOF}, {panics: true}} {
			how.sent = new(context.Context)
			client, _ := guard(t, breaker.Config{}, breaker.TransportConfig{Base: how})
			func() {
				defer func() { require.Equal(t, how.panics, recover() != nil) }()
				_, err := client.Transport.RoundTrip(req)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}()
			require.Error(t, (*how.sent).Err(), "or that of the service would keep each of them")
		}
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
	t.Run("compressed stream", func(t *testing.T) {
		client, b := guard(t, breaker.Config{}, breaker.TransportConfig{Base: compressed{}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err, "its events can't be read")
		require.Equal(t, 1, b.Counts().Successes)
	})
	t.Run("context", func(t *testing.T) {
		var sent context.Context
		client, _ := guard(t, breaker.Config{}, breaker.TransportConfig{Base: pipe{status: 200, length: -1, serve: func(ctx context.Context, w *io.PipeWriter) {
			sent = ctx
			_ = w.Close()
		}}})
		resp, err := client.Transport.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Error(t, sent.Err(), "it ends with the response")
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
	told := 0
	group, err := breaker.NewGroup(breaker.GroupConfig{
		Names:   []string{"claude"},
		Breaker: breaker.Config{OnOutcome: func(context.Context, breaker.Event) { told++ }},
	})
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
	for i, tt := range tests {
		res, _ := ask(tt.path)
		require.Equal(t, i+1, told, "once for each call")
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
		{"closed early", func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} }, "failed"},
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
					_, err := io.CopyN(io.Discard, resp.Body, int64(len(messages)))
					require.NoError(t, err)
					if tt.name != "closed early" {
						_, err = io.ReadAll(resp.Body)
						require.Error(t, err)
					}
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

// A sign of life is as good as a token: who leaves soon after it was not hung.
func TestSignsOfLife(t *testing.T) {
	tests := []struct {
		name   string
		header time.Duration // when the header comes
		pings  int           // 20 s apart
		leave  time.Duration
		reason string
	}{
		{"header", 20 * time.Second, 0, 40 * time.Second, "client_gone"},
		{"header, then nothing", 20 * time.Second, 0, 60 * time.Second, "hang"},
		{"pings", 0, 3, 80 * time.Second, "client_gone"},
		{"pings, then nothing", 0, 3, 100 * time.Second, "hang"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				group := newGroup(t, breaker.GroupConfig{})
				b, err := group.Get("claude")
				require.NoError(t, err)
				base := stream(func(ctx context.Context, w *io.PipeWriter) {
					for range tt.pings {
						time.Sleep(20 * time.Second)
						_, _ = io.WriteString(w, ": ping\n\n")
					}
					<-ctx.Done()
				})
				rt, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b, IdleTimeout: -1, Base: late{base, tt.header}})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(tt.leave, cancel)
				res, err := newFailover(t, breaker.FailoverConfig{Group: group}).Do(ctx, func(ctx context.Context, _ string) error {
					resp := get(t, ctx, &http.Client{Transport: rt})
					defer func() { _ = resp.Body.Close() }()
					_, err := io.ReadAll(resp.Body)
					return err
				})
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, tt.reason, res.Attempts[0].Outcome.Reason)
			})
		})
	}
}

// late sends its header after some time.
type late struct {
	http.RoundTripper
	after time.Duration
}

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(l.after)
	return l.RoundTripper.RoundTrip(r)
}
