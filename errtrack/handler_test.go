package errtrack_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/problem"
)

// newRequest makes a request of "METHOD /path".
func newRequest(t testing.TB, what string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	method, target, ok := strings.Cut(what, " ")
	require.True(t, ok)
	r := httptest.NewRequestWithContext(t.Context(), method, target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// overHTTP runs a test over HTTP/1.1 and HTTP/2, with h behind a Collector.
func overHTTP(t *testing.T, h http.HandlerFunc, test func(t *testing.T, c *errtrack.Collector, get func() (*http.Response, error))) {
	t.Helper()
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{})
			s := httptest.NewUnstartedServer(c.Handler(h))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.EnableHTTP2 = version == "HTTP/2.0"
			s.StartTLS()
			defer s.Close()
			test(t, c, func() (*http.Response, error) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
				require.NoError(t, err)
				resp, err := s.Client().Do(r)
				if err == nil {
					require.Equal(t, version, resp.Proto)
					t.Cleanup(func() { _ = resp.Body.Close() })
				}
				return resp, err
			})
		})
	}
}

// A panic before the first byte is one problem document and one event.
func TestPanicBeforeTheFirstByte(t *testing.T) {
	overHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusEarlyHints)
		panic("the secret is out")
	}, func(t *testing.T, c *errtrack.Collector, get func() (*http.Response, error)) {
		resp, err := get()
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 500, resp.StatusCode)
		require.Equal(t, problem.ContentType, resp.Header.Get("Content-Type"))
		require.JSONEq(t, `{"status":500,"title":"Internal Server Error","type":"about:blank"}`, string(body))
		require.Equal(t, 1, events(c))
		g := only(t, c)
		require.EqualValues(t, 1, g.Count)
		require.Equal(t, errtrack.High, g.Severity)
		require.Contains(t, g.Title, "panic: the secret is out in errtrack_test.TestPanicBeforeTheFirstByte")
		require.Equal(t, 500, g.Samples[0].Status)
	})
}

// After the first byte, the client sees that the response is not complete.
func TestPanicAfterTheFirstByte(t *testing.T) {
	overHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of the ans")
		_ = http.NewResponseController(w).Flush()
		panic(errors.New("oops"))
	}, func(t *testing.T, c *errtrack.Collector, get func() (*http.Response, error)) {
		resp, err := get()
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.Equal(t, "half of the ans", string(body))
		require.Error(t, err)
		if resp.ProtoMajor == 1 {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
		require.Equal(t, 1, events(c))
		require.Contains(t, only(t, c).Title, "panic: oops in ")
	})
}

// The first event of a stream arrives while the handler runs.
func TestStream(t *testing.T) {
	seen := make(chan struct{}, 1)
	overHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-seen:
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
		case <-r.Context().Done():
		}
	}, func(t *testing.T, c *errtrack.Collector, get func() (*http.Response, error)) {
		resp, err := get()
		require.NoError(t, err)
		lines := bufio.NewReader(resp.Body)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: first\n", line)
		seen <- struct{}{}
		_, err = io.ReadAll(lines)
		require.NoError(t, err)
		require.Zero(t, events(c))
	})
}

// How a response ends, and what is tracked of it.
func TestHandler(t *testing.T) {
	fail := func(err error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, err) }
	}
	for _, tt := range []struct {
		name   string
		h      http.HandlerFunc
		events int
		title  string
		status int
	}{
		{"complete", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }, 0, "", 0},
		{"client's mistake", fail(&problem.Document{Status: 400}), 0, "", 0},
		{"defect", fail(fmt.Errorf("saving: %w", &quotaError{"7"})), 1, "*errtrack_test.quotaError: quota of user <number> is used up", 500},
		{"status alone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1, "Service Unavailable", 503},
		{"unknown status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, 1, "unknown status", 599},
		{"panic with a text", func(http.ResponseWriter, *http.Request) { panic("user 7 is odd") }, 1, "panic: user <number> is odd in ", 500},
		{"panic with nothing in it", func(http.ResponseWriter, *http.Request) { panic("") }, 1, "panic: string in ", 500},
		{"panic with an error", func(http.ResponseWriter, *http.Request) { panic(&quotaError{"7"}) }, 1, "panic: *errtrack_test.quotaError: quota of user <number> is used up in ", 500},
		{"panic with a value", func(http.ResponseWriter, *http.Request) { panic(struct{ secret string }{"x"}) }, 1, "panic: struct { secret string } in ", 500},
		{"panic of the runtime", func(http.ResponseWriter, *http.Request) { _ = []int{}[len(t.Name())] }, 1, "panic: runtime.boundsError: runtime error: index out of range", 500},
		{"panic with a client's error", func(http.ResponseWriter, *http.Request) { panic(context.Canceled) }, 1, "panic: context canceled in ", 500},
		{"problem and a panic", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, io.EOF); panic("later") }, 1, "panic: later in ", 500},
		{"internal cancel", fail(fmt.Errorf("asking: %w", context.Canceled)), 1, "asking: context canceled", 500},
		{"too short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "x")
		}, 1, "response is not as long as it said", 200},
		{"error event in a stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: error\ndata: {}\n\n")
		}, 1, "error event in the stream", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{InApp: func(f string) bool { return strings.Contains(f, "TestHandler") }})
			mux := http.NewServeMux()
			mux.Handle("GET /v1/{id}", tt.h)
			h := c.Handler(mux)
			r := newRequest(t, "GET /v1/7", nil, "X-LogRocket-URL", "https://app.logrocket.com/a/b", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			w := httptest.NewRecorder()
			w.Header().Set("X-Request-Id", "r-1")
			func() {
				defer func() {
					if v := recover(); v != nil {
						require.Equal(t, http.ErrAbortHandler, v)
					}
				}()
				h.ServeHTTP(w, r)
			}()
			require.Equal(t, tt.events, events(c))
			if tt.events == 0 {
				return
			}
			g := only(t, c)
			require.True(t, strings.HasPrefix(g.Title, tt.title), g.Title)
			s := g.Samples[0]
			require.Equal(t, []any{"GET", "GET /v1/{id}", tt.status, "r-1"}, []any{s.Method, s.Route, s.Status, s.RequestID})
			require.Equal(t, []string{"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "https://app.logrocket.com/a/b"}, []string{s.TraceID, s.SpanID, s.SessionURL})
		})
	}
}

// Failures that say nothing are told apart by their route and status.
func TestBareFailuresAreGroupedByRoute(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("GET /b/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "cut" {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "cut")
			return
		}
		w.WriteHeader(502)
	})
	mux.HandleFunc("GET /c", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "9")
		_, _ = io.WriteString(w, "cut")
	})
	for _, path := range []string{"/a/1", "/a/2", "/b/1", "/b/2", "/b/cut", "/c", "/c"} {
		serve(c.Handler(mux), newRequest(t, "GET "+path, nil))
	}
	require.Len(t, c.Groups(errtrack.Query{}), 4)
}

// A panic that is an error with a problem document of its own is a 500 even so.
func TestPanicIsNotShown(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	w := serve(c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(&problem.Document{Status: 404, Detail: "inside"})
	})), newRequest(t, "GET /", nil))
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "inside")
}

func TestErrorHandler(t *testing.T) {
	c := newCollector(t, errtrack.Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}})
	w := serve(c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") })), newRequest(t, "GET /", nil))
	require.Equal(t, "errtrack: handler panicked\n", w.Body.String())
	require.Equal(t, 1, events(c))
}

func TestErrorHandlerIsNotAskedTooLate(t *testing.T) {
	c := newCollector(t, errtrack.Config{ErrorHandler: func(http.ResponseWriter, *http.Request, error) { t.Error("asked") }})
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of the ans")
		panic("oops")
	}))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(httptest.NewRecorder(), newRequest(t, "GET /", nil)) })
	require.Equal(t, 1, events(c))
}

func TestErrAbortHandler(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	h := c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(w, newRequest(t, "GET /", nil)) })
	require.Zero(t, w.Body.Len())
}

// Whoever tells of a request's error first is heard, and what is worse than that.
func TestOneEventPerRequest(t *testing.T) {
	quota := errtrack.Event{Err: io.EOF, Provider: "claude", Class: "quota"}
	for _, tt := range []struct {
		name string
		h    func(c *errtrack.Collector, log *slog.Logger, w http.ResponseWriter, r *http.Request)
		want []string
	}{
		{"tracked, then a status", func(c *errtrack.Collector, _ *slog.Logger, w http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), text("tracked"))
			w.WriteHeader(500)
		}, []string{"tracked"}},
		{"tracked twice", func(c *errtrack.Collector, _ *slog.Logger, w http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), text("tracked"))
			c.Track(r.Context(), text("again"))
			problem.Write(w, r, io.EOF)
		}, []string{"tracked"}},
		{"logged", func(_ *errtrack.Collector, log *slog.Logger, w http.ResponseWriter, r *http.Request) {
			log.ErrorContext(r.Context(), "logged", "error", io.EOF)
			problem.Write(w, r, io.EOF)
		}, []string{"logged: EOF"}},
		{"on another goroutine, without cancel", func(c *errtrack.Collector, _ *slog.Logger, w http.ResponseWriter, r *http.Request) {
			done := make(chan struct{})
			go func() {
				c.Track(context.WithoutCancel(r.Context()), text("tracked"))
				close(done)
			}()
			<-done
			w.WriteHeader(500)
		}, []string{"tracked"}},
		{"critical before", func(c *errtrack.Collector, _ *slog.Logger, _ http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), quota)
			c.Track(r.Context(), text("tracked"))
			c.Track(r.Context(), quota)
		}, []string{"claude: quota"}},
		{"critical after", func(c *errtrack.Collector, _ *slog.Logger, _ http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), text("tracked"))
			c.Track(r.Context(), quota)
		}, []string{"claude: quota", "tracked"}},
		{"panic after", func(c *errtrack.Collector, _ *slog.Logger, _ http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), text("tracked"))
			panic("oops")
		}, []string{"panic: oops", "tracked"}},
		{"critical by its route", func(c *errtrack.Collector, _ *slog.Logger, w http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), text("tracked"))
			w.WriteHeader(507) // which a rule calls critical
		}, []string{"tracked"}},
		{"panic", func(*errtrack.Collector, *slog.Logger, http.ResponseWriter, *http.Request) { panic("oops") }, []string{"panic: oops"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{InApp: func(string) bool { return false }, Rules: []errtrack.Rule{{Severity: errtrack.Critical, MinStatus: 507}}})
			log := slog.New(errtrack.NewSlogHandler(c, slog.DiscardHandler))
			serve(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tt.h(c, log, w, r) })), newRequest(t, "GET /", nil))
			var got []string
			for _, g := range c.Groups(errtrack.Query{}) {
				require.EqualValues(t, 1, g.Count)
				got = append(got, g.Title)
			}
			require.ElementsMatch(t, tt.want, got)
		})
	}
}

func TestTrackAfterTheRequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		want   string
	}{{"that failed", 500, "Internal Server Error"}, {"that did not", 200, "late"}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{})
			var ctx context.Context
			serve(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx = context.WithoutCancel(r.Context())
				w.WriteHeader(tt.status)
			})), newRequest(t, "PUT /", nil))
			c.Track(ctx, text("late"))
			c.Track(ctx, text("later"))
			require.Equal(t, tt.want, only(t, c).Title)
			require.Equal(t, "PUT", only(t, c).Samples[0].Method)
		})
	}
}

// One in the chain twice is one; two are two.
func TestNestedHandlers(t *testing.T) {
	a, b := newCollector(t, errtrack.Config{}), newCollector(t, errtrack.Config{})
	h := a.Handler(a.Handler(b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		a.Track(r.Context(), text("tracked"))
		panic("oops")
	}))))
	require.Equal(t, 500, serve(h, newRequest(t, "GET /", nil)).Code)
	require.Equal(t, 1, events(b), "only the panic")
	require.Equal(t, 1, events(a), "which b has answered, after what a was told")
}

// A client that leaves is no error, be it told by nobody, a problem or Track.
func TestClientGone(t *testing.T) {
	ended := make(chan struct{}, 1)
	for _, tt := range []struct {
		name string
		tell func(c *errtrack.Collector, w http.ResponseWriter, r *http.Request)
	}{
		{"nobody", func(*errtrack.Collector, http.ResponseWriter, *http.Request) {}},
		{"problem", func(_ *errtrack.Collector, w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, r.Context().Err())
		}},
		{"track", func(c *errtrack.Collector, _ http.ResponseWriter, r *http.Request) {
			c.Track(r.Context(), failure(r.Context().Err()))
		}},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", tt.name, http2), func(t *testing.T) {
				c := newCollector(t, errtrack.Config{})
				h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, "data: first\n\n")
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					tt.tell(c, w, r)
				}))
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- struct{}{} }()
					h.ServeHTTP(w, r)
				}))
				s.Config.ErrorLog = log.New(io.Discard, "", 0)
				s.EnableHTTP2 = http2
				s.StartTLS()
				defer s.Close()
				ctx, leave := context.WithCancel(t.Context())
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
				require.NoError(t, err)
				resp, err := s.Client().Do(r)
				require.NoError(t, err)
				leave()
				<-ended
				require.NoError(t, resp.Body.Close())
				require.Zero(t, events(c))
			})
		}
	}
}

// What the context of a request says counts, whatever the handler answers.
func TestEndsThatAreNoErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		cause error
		h     http.HandlerFunc
	}{
		{"client gone", context.Canceled, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"client gone, answered even so", context.Canceled, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			problem.Write(w, r, fmt.Errorf("asking: %w", r.Context().Err()))
		}},
		{"client gone, told by Track", context.Canceled, nil},
		{"shutdown", http.ErrServerClosed, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"shutdown, answered even so", http.ErrServerClosed, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			problem.Write(w, r, context.Cause(r.Context()))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCollector(t, errtrack.Config{})
				h := tt.h
				if h == nil {
					h = func(_ http.ResponseWriter, r *http.Request) {
						<-r.Context().Done()
						c.Track(r.Context(), failure(r.Context().Err()))
					}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(tt.cause) })
				serve(c.Handler(h), newRequest(t, "GET /", nil).WithContext(ctx))
				require.Zero(t, events(c))
			})
		})
	}
}
