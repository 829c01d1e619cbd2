package response_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/response"
)

// watcher notes the ends it is told.
type watcher struct {
	ends   chan response.End
	status int
	bytes  int64
}

func newWatcher() *watcher { return &watcher{ends: make(chan response.End, 8)} }

func (w *watcher) ResponseEnded(rec *response.Writer, end response.End) {
	w.status, w.bytes = rec.Status(), rec.Bytes()
	w.ends <- end
}

// serve runs handler on a real server, over HTTP/1.1 or HTTP/2.
func serve(t *testing.T, http2 bool, handler http.HandlerFunc) (*httptest.Server, *watcher) {
	t.Helper()
	seen := newWatcher()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response.Serve(w, r, handler, seen)
	}))
	srv.EnableHTTP2 = http2
	if http2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, seen
}

func each(t *testing.T, test func(t *testing.T, http2 bool)) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/%d", map[bool]int{false: 1, true: 2}[http2]), func(t *testing.T) { test(t, http2) })
	}
}

var errProvider = errors.New("provider said no")

func TestEnds(t *testing.T) {
	stream := func(w http.ResponseWriter, events string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, events)
		_ = http.NewResponseController(w).Flush()
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		kind    response.Kind
		status  int
		err     error
	}{
		{name: "nothing written", kind: response.Complete, status: 200, handler: func(http.ResponseWriter, *http.Request) {}},
		{name: "body", kind: response.Complete, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }},
		{name: "client error", kind: response.Complete, status: 404, handler: http.NotFound},
		{name: "server error", kind: response.Failed, status: 503, err: response.Status(503), handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }},
		{name: "server error with a reason", kind: response.Failed, status: 502, err: errProvider, handler: func(w http.ResponseWriter, _ *http.Request) {
			response.Of(w).Fail(errProvider)
			w.WriteHeader(502)
		}},
		{name: "panic", kind: response.Failed, status: 500, handler: func(http.ResponseWriter, *http.Request) { panic("boom") }},
		{name: "panic with an error", kind: response.Failed, status: 500, err: errProvider, handler: func(http.ResponseWriter, *http.Request) { panic(errProvider) }},
		{name: "abort", kind: response.Truncated, status: 200, handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "abort with a reason", kind: response.Truncated, status: 200, err: errProvider, handler: func(w http.ResponseWriter, _ *http.Request) {
			response.Of(w).Fail(errProvider)
			panic(http.ErrAbortHandler)
		}},
		{name: "goexit", kind: response.Truncated, status: 200, handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }},
		{name: "shorter than promised", kind: response.Truncated, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "short")
		}},
		{name: "longer than promised", kind: response.Truncated, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "long")
		}},
		{name: "copied source fails", kind: response.Truncated, status: 200, err: io.ErrUnexpectedEOF, handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.MultiReader(strings.NewReader("half"), errReader{}))
		}},
		{name: "copied source fails, length promised", kind: response.Truncated, status: 200, err: io.ErrUnexpectedEOF, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2000000")
			_, _ = io.Copy(w, io.MultiReader(bytes.NewReader(make([]byte, 1_000_000)), errReader{}))
		}},
		{name: "copied source is a connection that fails", kind: response.Truncated, status: 200, err: syscall.ECONNRESET, handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.MultiReader(strings.NewReader("half"), errReader{&net.OpError{Op: "read", Err: syscall.ECONNRESET}}))
		}},
		{name: "copied stream fails", kind: response.Truncated, status: 200, err: io.ErrUnexpectedEOF, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.Copy(w, io.MultiReader(strings.NewReader("data: tick\n\n"), errReader{}))
		}},
		{name: "copied where there is no body", kind: response.Complete, status: 304, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotModified)
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("what nobody wants"))
		}},
		{name: "file", kind: response.Complete, status: 200, handler: func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, "response.go")
		}},
		{name: "status that is none", kind: response.Failed, status: 500, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) }},
		{name: "stream whole", kind: response.Complete, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			stream(w, "event: delta\ndata: 1\n\nevent: done\ndata: 2\n\n")
		}},
		{name: "stream of an unknown protocol", kind: response.Complete, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			stream(w, "data: tick\n\n")
		}},
		{name: "stream with an error event", kind: response.Failed, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			stream(w, "event: delta\ndata: 1\n\nevent: error\ndata: {}\n\n")
		}},
		{name: "stream without its last event", kind: response.Truncated, status: 200, handler: func(w http.ResponseWriter, _ *http.Request) {
			stream(w, "event: delta\ndata: 1\n\n")
		}},
	}
	each(t, func(t *testing.T, http2 bool) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				srv, seen := serve(t, http2, tt.handler)
				srv.Config.ErrorLog = quiet()
				resp, err := srv.Client().Get(srv.URL)
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					require.NoError(t, resp.Body.Close())
				}
				end := <-seen.ends
				require.Equal(t, tt.kind, end.Kind, "%v", end.Err)
				require.Equal(t, tt.status, seen.status)
				if tt.err != nil {
					require.ErrorIs(t, end.Err, tt.err)
				}
				require.Equal(t, tt.kind == response.Complete, end.Err == nil)
				require.Empty(t, seen.ends, "told once")
			})
		}
	})
}

// errReader fails, with io.ErrUnexpectedEOF unless it has an error.
type errReader struct{ error }

func (r errReader) Read([]byte) (int, error) { return 0, cmp.Or(r.error, io.ErrUnexpectedEOF) }

func TestClientGone(t *testing.T) {
	each(t, func(t *testing.T, http2 bool) {
		srv, seen := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: first\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done() // what most handlers of streams do
		})
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		require.NoError(t, err)
		resp, err := srv.Client().Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		_, err = resp.Body.Read(make([]byte, 5)) // the first event comes while the handler runs
		require.NoError(t, err)
		leave()
		end := <-seen.ends
		require.Equal(t, response.ClientGone, end.Kind)
		require.ErrorIs(t, end.Err, context.Canceled)
	})
}

// A server that cuts a response because it took too long is not a client that
// left, though the context of the request ends the same way.
func TestWriteDeadline(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"body", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}},
		{"copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) }},
		{"stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for {
				_, err := io.WriteString(w, "event: delta\ndata: 1\n\n")
				if err = errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
					return
				}
			}
		}},
	}
	each(t, func(t *testing.T, http2 bool) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				srv, seen := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
					_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
					tt.handler(w, r)
				})
				resp, err := srv.Client().Get(srv.URL)
				end := <-seen.ends // before anything is read
				if err == nil {
					_ = resp.Body.Close()
				}
				require.Equal(t, response.Truncated, end.Kind, "%v", end.Err)
				require.ErrorIs(t, end.Err, os.ErrDeadlineExceeded)
			})
		}
	})
}

// A handler may learn of that by the context alone.
func TestWriteDeadlineThatNoWriteMet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	seen := newWatcher()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.ProtoMajor = 2
	response.Serve(late{httptest.NewRecorder()}, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		cancel()
	}), seen)
	require.Equal(t, response.End{Kind: response.Truncated, Err: os.ErrDeadlineExceeded}, <-seen.ends)
}

// late is a ResponseWriter whose time is over.
type late struct{ http.ResponseWriter }

func (late) FlushError() error { return os.ErrDeadlineExceeded }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// What is on a connection that was taken over is not watched; nor is what a
// handler, as many do, says afterwards to who can't hear it.
func TestHijack(t *testing.T) {
	h := &headerWatcher{watcher: *newWatcher()}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response.Serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			require.True(t, response.Of(w).Hijacked())
			http.Error(w, "too late", http.StatusInternalServerError)
		}), h)
	}))
	srv.Config.ErrorLog = quiet() // net/http complains of what is too late
	srv.Start()
	defer srv.Close()
	_, err := srv.Client().Get(srv.URL)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, response.End{Kind: response.Complete}, <-h.ends)
	require.Empty(t, h.statuses)
}

// A request whose context has ended is judged by whether the response got to
// its end before.
func TestContextEnded(t *testing.T) {
	stream := "event: delta\ndata: 1\n\n"
	tests := []struct {
		name  string
		cause error
		write func(http.ResponseWriter)
		kind  response.Kind
	}{
		{"client, nothing written", context.Canceled, func(http.ResponseWriter) {}, response.ClientGone},
		{"client, some written", context.Canceled, write("", "text", ""), response.ClientGone},
		{"client, all that was promised written", context.Canceled, write("4", "text", ""), response.Complete},
		{"client, stream to its last event", context.Canceled, write("", stream+"event: done\ndata: 1\n\n", "text/event-stream"), response.Complete},
		{"client, stream in the middle", context.Canceled, write("", stream, "text/event-stream"), response.ClientGone},
		{"client, handler gave up and says so", context.Canceled, gaveUp(context.Canceled), response.ClientGone},
		{"client, handler failed before", context.Canceled, gaveUp(errProvider), response.Failed},
		{"server, handler gave up and says so", http.ErrServerClosed, gaveUp(http.ErrServerClosed), response.Shutdown},
		{"server, nothing written", http.ErrServerClosed, func(http.ResponseWriter) {}, response.Shutdown},
		{"server, handler finished all the same", http.ErrServerClosed, write("", "text", ""), response.Complete},
		{"server, stream in the middle", http.ErrServerClosed, write("", stream, "text/event-stream"), response.Shutdown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			seen := newWatcher()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			response.Serve(httptest.NewRecorder(), r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				tt.write(w)
				cancel(tt.cause)
			}), seen)
			require.Equal(t, tt.kind, (<-seen.ends).Kind)
		})
	}
}

// gaveUp answers with an error document, for a reason.
func gaveUp(why error) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		response.Of(w).Fail(why)
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "{}")
	}
}

func write(length, body, contentType string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// All watchers are told the same, through whatever wrappers are in between.
func TestOneVerdict(t *testing.T) {
	outer, inner := newWatcher(), newWatcher()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response.Serve(foreign{w}, r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			panic(http.ErrAbortHandler)
		}), inner)
	})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		response.Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), h, outer)
	})
	require.Equal(t, <-outer.ends, <-inner.ends)
	require.Equal(t, http.StatusTeapot, inner.status)
}

// Middleware between two that watch may give the request a context that ends
// with it. That is no client who left.
func TestContextOfInnerRequest(t *testing.T) {
	outer, inner := newWatcher(), newWatcher()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		response.Serve(w, r.WithContext(ctx), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Pattern = "/x"
			_, _ = io.WriteString(w, "ok")
			require.Equal(t, ctx, response.Of(w).Request().Context())
		}), inner)
		require.Equal(t, "/x", response.Of(w).Request().Pattern)
	})
	response.Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), h, outer)
	require.Equal(t, response.End{Kind: response.Complete}, <-outer.ends)
	require.Equal(t, response.End{Kind: response.Complete}, <-inner.ends)
}

// A watcher that panics keeps no other from what it has to do at the end.
func TestWatcherThatPanics(t *testing.T) {
	seen := newWatcher()
	inner := func(e response.Watcher, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { response.Serve(w, r, next, e) })
	}
	h := inner(broken{}, inner(seen, inner(broken{}, inner(seen, http.NotFoundHandler()))))
	require.PanicsWithValue(t, "broken", func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	})
	require.Len(t, seen.ends, 2)
}

type broken struct{}

func (broken) ResponseEnded(*response.Writer, response.End) { panic("broken") }

// foreign is a wrapper of somebody else's.
type foreign struct{ http.ResponseWriter }

func (f foreign) Unwrap() http.ResponseWriter { return f.ResponseWriter }

type headerWatcher struct {
	watcher
	statuses []int
}

func (h *headerWatcher) BeforeHeader(w *response.Writer, status int) {
	h.statuses = append(h.statuses, status)
	w.Header().Set("X-Late", "yes")
}

func TestBeforeHeader(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
	}{
		{"write", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, 200},
		{"flush", func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, 200},
		{"flusher", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 200},
		{"early hints first", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(201) }, 201},
		{"twice", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); w.WriteHeader(500) }, 202},
		{"copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("x")) }, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &headerWatcher{watcher: *newWatcher()}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				response.Serve(w, r, tt.handler, h)
			}))
			srv.Config.ErrorLog = quiet() // net/http complains of the second WriteHeader
			srv.Start()
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, "yes", resp.Header.Get("X-Late"))
			<-h.ends
			require.Equal(t, []int{tt.status}, h.statuses)
		})
	}
}

func TestServeContextHandsThePatternBack(t *testing.T) {
	type key struct{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(_ http.ResponseWriter, r *http.Request) {
		require.Equal(t, "v", r.Context().Value(key{}))
		panic(http.ErrAbortHandler)
	})
	r := httptest.NewRequest(http.MethodGet, "/things/7", nil)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		response.ServeContext(context.WithValue(t.Context(), key{}, "v"), httptest.NewRecorder(), r, mux)
	})
	require.Equal(t, "GET /things/{id}", r.Pattern)
}

func TestServeAllocatesOnlyTheWriter(t *testing.T) {
	var none nobody
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { response.Serve(w, r, h, none) }), 1.0)
}

type nobody struct{}

func (nobody) ResponseEnded(*response.Writer, response.End) {}

func BenchmarkServe(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	w, r := discard{}, httptest.NewRequest(http.MethodGet, "/", nil)
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, r)
		}
	})
	b.Run("watched", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			response.Serve(w, r, h, nobody{})
		}
	})
}

type discard struct{}

func (discard) Header() http.Header         { return nil }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
