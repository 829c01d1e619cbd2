package metrics_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

// counted returns the labels that requests were counted under.
func counted(t testing.TB, m *metrics.Metrics) []string {
	t.Helper()
	var out []string
	for series, n := range values(t, m) {
		if labels, ok := strings.CutPrefix(series, "http_server_request_duration_seconds_count"); ok {
			out = append(out, fmt.Sprintf("%s %v", labels, n))
		}
	}
	slices.Sort(out)
	return out
}

func line(method, route, status, why string, n int) string {
	return fmt.Sprintf(`{error_type=%q,http_request_method=%q,http_response_status_code=%q,http_route=%q} %d`,
		why, method, status, route, n)
}

func TestEnds(t *testing.T) {
	stream := func(w http.ResponseWriter, events string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, events)
	}
	tests := []struct {
		name        string
		handler     func(w http.ResponseWriter, r *http.Request, cancel context.CancelCauseFunc)
		status, why string
		panics      any
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request, context.CancelCauseFunc) {}, "200", "", nil},
		{"created", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		}, "201", "", nil},
		{"a client's fault", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			w.WriteHeader(http.StatusTooManyRequests)
		}, "429", "", nil},
		{"unavailable", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "503", "503", nil},
		{"a panic", func(http.ResponseWriter, *http.Request, context.CancelCauseFunc) { panic("boom") }, "500", "panic", "boom"},
		{"a panic in the middle", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			_, _ = io.WriteString(w, "half")
			panic("boom")
		}, "500", "panic", "boom"},
		{"an abort in the middle", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, "200", "truncated", http.ErrAbortHandler},
		{"an abort at once", func(http.ResponseWriter, *http.Request, context.CancelCauseFunc) {
			panic(http.ErrAbortHandler)
		}, "500", "truncated", http.ErrAbortHandler},
		{"shorter than promised", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		}, "200", "truncated", nil},
		{"a whole stream", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			stream(w, "event: message_start\ndata: {}\n\nevent: message_stop\ndata: {}\n\n")
		}, "200", "", nil},
		{"a stream that was cut", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			stream(w, "event: message_start\ndata: {}\n\n")
		}, "200", "truncated", nil},
		{"a stream that ends with an error", func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
			stream(w, "event: message_start\ndata: {}\n\nevent: error\ndata: {}\n\n")
		}, "200", "stream_error", nil},
		{"a client that left", func(w http.ResponseWriter, _ *http.Request, cancel context.CancelCauseFunc) {
			stream(w, "event: message_start\ndata: {}\n\n")
			cancel(nil)
		}, "499", "client_gone", nil},
		{"a client that left before the answer", func(_ http.ResponseWriter, _ *http.Request, cancel context.CancelCauseFunc) {
			cancel(nil)
		}, "499", "client_gone", nil},
		{"a server that stopped", func(w http.ResponseWriter, _ *http.Request, cancel context.CancelCauseFunc) {
			stream(w, "event: message_start\ndata: {}\n\n")
			cancel(http.ErrServerClosed)
		}, "200", "shutdown", nil},
		{"a server that stopped before the answer", func(_ http.ResponseWriter, _ *http.Request, cancel context.CancelCauseFunc) {
			cancel(http.ErrServerClosed)
		}, "503", "shutdown", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			mux := http.NewServeMux()
			mux.HandleFunc("POST /v1/answer/{id}", func(w http.ResponseWriter, r *http.Request) { tt.handler(w, r, cancel) })
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/answer/7", nil)
			serve := func() { m.Handler(mux).ServeHTTP(httptest.NewRecorder(), r) }
			if tt.panics != nil {
				require.PanicsWithValue(t, tt.panics, serve)
			} else {
				serve()
			}
			require.Equal(t, []string{line("POST", "/v1/answer/{id}", tt.status, tt.why, 1)}, counted(t, m))
			v := values(t, m)
			require.Zero(t, v[`http_server_active_requests{http_request_method="POST"}`])
			require.Zero(t, v["http_server_open_streams"])
		})
	}
}

func TestHijackedConnection(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	done := make(chan struct{})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
			_ = rw.Flush()
			_ = conn.Close()
		}
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "test")
	res, err := srv.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	<-done
	require.Equal(t, []string{line("GET", "unmatched", "101", "", 1)}, counted(t, m))
}

func TestRoute(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	type key struct{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", ok)
	mux.HandleFunc("POST /v1/things/{id}", ok)
	mux.HandleFunc("/any", ok)
	mux.HandleFunc("GET example.com/hosted", ok)
	// Copies the request, as most middleware that adds to its context does.
	copies := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "v")))
		})
	}
	byHeader := func(r *http.Request) string { return r.Header.Get("Route") }
	tests := []struct {
		name, method, target, header string
		route                        func(*http.Request) string
		wrap                         func(http.Handler) http.Handler
		want                         string
	}{
		{name: "pattern", method: "GET", target: "/v1/things/7", want: "/v1/things/{id}"},
		{name: "pattern of another method", method: "POST", target: "/v1/things/7", want: "/v1/things/{id}"},
		{name: "pattern without a method", method: "PUT", target: "/any", want: "/any"},
		{name: "pattern with a host", method: "GET", target: "http://example.com/hosted", want: "example.com/hosted"},
		{name: "no such path", method: "GET", target: "/nothing", want: "unmatched"},
		{name: "no such method", method: "DELETE", target: "/v1/things/7", want: "unmatched"},
		{name: "the request was copied", method: "GET", target: "/any", wrap: copies, want: "unmatched"},
		{name: "a func", method: "GET", target: "/any", route: byHeader, header: "/mine", want: "/mine"},
		{name: "a func that does not know", method: "GET", target: "/any", route: byHeader, want: "/any"},
		{name: "a func that is too long", method: "GET", target: "/any", route: byHeader, header: strings.Repeat("x", 129), want: "other"},
		{name: "a func that is not UTF-8", method: "GET", target: "/any", route: byHeader, header: "\xff", want: "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{Route: tt.route})
			h := http.Handler(mux)
			if tt.wrap != nil {
				h = tt.wrap(h)
			}
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Header.Set("Route", tt.header)
			m.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
			require.Contains(t, strings.Join(counted(t, m), "\n"), fmt.Sprintf("http_route=%q", tt.want))
		})
	}
}

func TestRouteThatPanics(t *testing.T) {
	var log bytes.Buffer
	m := newMetrics(t, metrics.Config{
		Route:  func(*http.Request) string { panic("no router saw this") },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NotPanics(t, func() {
		m.Handler(http.HandlerFunc(answer)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	})
	require.Equal(t, []string{line("GET", "unmatched", "200", "", 1)}, counted(t, m))
	require.Zero(t, values(t, m)[`http_server_active_requests{http_request_method="GET"}`])
	require.Contains(t, log.String(), "no router saw this")
}

func TestTwoPatternsOfOneRouteShareItsSeries(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", func(http.ResponseWriter, *http.Request) {})
	h := m.Handler(mux)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/x", nil))
	}
	require.Equal(t, []string{line("GET", "/x", "200", "", 2), line("HEAD", "/x", "200", "", 1)}, counted(t, m))
}

func TestWhatClientsMakeUpAddsNoSeries(t *testing.T) {
	m := newMetrics(t, metrics.Config{Providers: []metrics.Provider{{Name: "anthropic", Models: []metrics.Model{{Name: "m"}}}}})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/answer", func(http.ResponseWriter, *http.Request) {})
	h := m.Handler(mux)
	attack := func(from, to int) {
		for i := from; i < to; i++ {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprintf("/path%d", i), nil))
			m.Begin(metrics.Call{Operation: fmt.Sprint(i), Provider: fmt.Sprint(i), Model: fmt.Sprint(i)}).
				End(metrics.Outcome{Model: fmt.Sprint(i), Usage: metrics.Usage{Input: 1, Output: 1}})
			if i%10 == 0 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(fmt.Sprintf("METHOD%d", i), "/v1/answer", nil))
			}
		}
	}
	attack(0, 20)
	before := slices.Sorted(maps.Keys(values(t, m)))
	attack(20, 520)
	require.Equal(t, before, slices.Sorted(maps.Keys(values(t, m))))
	require.Equal(t, []string{
		line("GET", "unmatched", "404", "", 520), line("_OTHER", "unmatched", "405", "", 52),
	}, counted(t, m))
}

func TestCapOfRoutes(t *testing.T) {
	const limit = 40
	m := newMetrics(t, metrics.Config{MaxSeries: limit, Route: func(r *http.Request) string { return r.URL.Path }})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "fail":
			w.WriteHeader(http.StatusBadGateway)
		case "panic":
			panic("boom")
		case "refuse":
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	serve := func(target string) {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil))
	}
	for i := range 300 {
		serve(fmt.Sprintf("/ok%d", i))
		serve(fmt.Sprintf("/failing%d?do=fail", i))
		serve(fmt.Sprintf("/panicking%d?do=panic", i))
		serve(fmt.Sprintf("/refusing%d?do=refuse", i))
	}
	series := counted(t, m)
	require.LessOrEqual(t, len(series), limit)
	require.Len(t, series, limit-5+3)
	// What came too late still tells success, refusal and failure apart.
	kept := limit - 5
	late := 1200 - kept
	require.Contains(t, series, line("_OTHER", "other", "200", "", 300-9))
	require.Contains(t, series, line("_OTHER", "other", "400", "", 300-8))
	require.Contains(t, series, line("_OTHER", "other", "500", "500", 600-18))
	require.InDelta(t, late, values(t, m)[`spark_metrics_dropped_total{metric="http_server_request_duration_seconds"}`], 0)
	// What was there before goes on as it was.
	serve("/ok0")
	require.Contains(t, counted(t, m), line("GET", "/ok0", "200", "", 2))
}

func TestSizes(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 2<<20)
	tests := []struct {
		name    string
		body    io.Reader
		claimed int64
		read    bool
		want    float64
	}{
		{"none", http.NoBody, 0, false, 0},
		{"small, not read", strings.NewReader("hello"), 5, false, 5},
		{"chunked", io.MultiReader(strings.NewReader("hello")), -1, true, 5},
		{"chunked, not read", io.MultiReader(strings.NewReader("hello")), -1, false, 0},
		{"large", bytes.NewReader(big), int64(len(big)), true, float64(len(big))},
		{"claimed, never sent", strings.NewReader("hello"), 1 << 62, true, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{})
			h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.read {
					_ = drain(t, r.Body)
				}
				_, _ = io.WriteString(w, "goodbye")
			}))
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.ContentLength = tt.claimed
			h.ServeHTTP(httptest.NewRecorder(), r)
			v := values(t, m)
			labels := `{error_type="",http_request_method="POST",http_response_status_code="200",http_route="unmatched"}`
			require.InDelta(t, tt.want, v["http_server_request_body_size_bytes_sum"+labels], 0)
			require.InDelta(t, 1, v["http_server_request_body_size_bytes_count"+labels], 0)
			require.InDelta(t, 7, v["http_server_response_body_size_bytes_sum"+labels], 0)
		})
	}
}

// Each kind of refusal of what strangers probe with adds few series.
func TestProbesHaveNoSizes(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /known", http.NotFound)
	for _, path := range []string{"/known", "/unknown"} {
		m.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	v := values(t, m)
	labels := `{error_type="",http_request_method="GET",http_response_status_code="404",http_route=`
	require.InDelta(t, 1, v["http_server_request_duration_seconds_count"+labels+`"unmatched"}`], 0)
	require.NotContains(t, v, "http_server_request_body_size_bytes_count"+labels+`"unmatched"}`)
	require.NotContains(t, v, "http_server_response_body_size_bytes_count"+labels+`"unmatched"}`)
	require.Contains(t, v, "http_server_response_body_size_bytes_count"+labels+`"/known"}`)
}

func TestStreamIsCountedWhileItIsOpen(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %v", http2), func(t *testing.T) {
			m := newMetrics(t, metrics.Config{})
			goOn, done := make(chan struct{}), make(chan struct{})
			h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: message_start\ndata: {}\n\n")
				w.(http.Flusher).Flush()
				<-goOn
				_, _ = io.WriteString(w, "event: message_stop\ndata: {}\n\n")
			}))
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				h.ServeHTTP(w, r)
			}))
			srv.EnableHTTP2 = http2
			srv.StartTLS()
			defer srv.Close()

			res, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			first := make([]byte, len("event: message_start"))
			_, err = io.ReadFull(res.Body, first) // arrives though the handler is running
			require.NoError(t, err)
			v := values(t, m)
			require.InDelta(t, 1, v["http_server_open_streams"], 0)
			require.InDelta(t, 1, v[`http_server_active_requests{http_request_method="GET"}`], 0)
			require.Empty(t, counted(t, m))

			close(goOn)
			_ = drain(t, res.Body)
			<-done
			v = values(t, m)
			require.Zero(t, v["http_server_open_streams"])
			require.Zero(t, v[`http_server_active_requests{http_request_method="GET"}`])
			require.InDelta(t, 1, v[`http_server_time_to_first_byte_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="unmatched"}`], 0)
		})
	}
}

func TestTimeToFirstByteIsOfStreams(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	m.Handler(http.HandlerFunc(answer)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	require.NotContains(t, scrape(t, m, ""), "http_server_time_to_first_byte_seconds")
}

// Everything that was served is counted, exactly once, whatever goes on beside.
func TestParallel(t *testing.T) {
	const workers, each = 8, 200
	m := newMetrics(t, metrics.Config{MaxSeries: 32})
	mux := http.NewServeMux()
	for i := range 20 {
		mux.HandleFunc(fmt.Sprintf("/route%d", i), func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 0 {
				w.Header().Set("Content-Type", "text/event-stream")
			}
			w.WriteHeader(200 + int(r.ContentLength)) // up to 3 for each route: more than there is room for
		})
	}
	h := m.Handler(mux)
	counter := m.Counter("app_events_total", "Events.", metrics.By("kind"))
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := range each {
				r := httptest.NewRequest(http.MethodPost, fmt.Sprintf("/route%d", (i+k)%20), strings.NewReader("xx"[:i%3]))
				h.ServeHTTP(httptest.NewRecorder(), r)
				counter.Inc(fmt.Sprint(i))
				if i%100 == 0 {
					_ = scrape(t, m, "")
				}
			}
		})
	}
	wg.Wait()
	var served, events float64
	for series, n := range values(t, m) {
		if strings.HasPrefix(series, "http_server_request_duration_seconds_count") {
			served += n
		}
		if strings.HasPrefix(series, "app_events_total") {
			events += n
		}
	}
	require.InDelta(t, workers*each, served, 0)
	require.InDelta(t, workers*each, events, 0)
	require.LessOrEqual(t, len(counted(t, m)), 32)
	require.Zero(t, values(t, m)["http_server_open_streams"])
	require.Zero(t, values(t, m)[`http_server_active_requests{http_request_method="POST"}`])
}
