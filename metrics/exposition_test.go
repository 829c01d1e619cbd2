package metrics_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

func TestNegotiation(t *testing.T) {
	const (
		text     = "text/plain; version=0.0.4"
		openText = "application/openmetrics-text; version=1.0.0"
		protobuf = "application/vnd.google.protobuf"
		people   = "application/json"
	)
	tests := []struct {
		name   string
		accept []string
		want   string
	}{
		{"absent", nil, text},
		{"empty", []string{""}, text},
		{"curl", []string{"*/*"}, text},
		{"a browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, text},
		{"unknown", []string{"image/png"}, text},
		{"any application", []string{"application/*"}, text},
		{"nonsense", []string{";;;,=,q=1"}, text},
		{"JSON", []string{"application/json"}, people},
		{"JSON in capitals", []string{"Application/JSON; charset=utf-8"}, people},
		{"what fetch libraries send", []string{"application/json, text/plain, */*"}, people},
		{"JSON in a second header", []string{"image/png", "application/json;q=0.5"}, people},
		{"rather text than JSON", []string{"application/json;q=0.5, text/plain"}, text},
		{"text before JSON", []string{"text/plain, application/json"}, text},
		{"anything but JSON", []string{"application/json;q=0, */*"}, text},
		{"a weight out of range", []string{"application/json;q=2"}, text},
		{"OpenMetrics", []string{"application/openmetrics-text;version=1.0.0"}, openText},
		{"Prometheus", []string{"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"}, openText},
		{"Prometheus with native histograms", []string{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.2"}, protobuf},
	}
	m := newMetrics(t, metrics.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/api/metrics", nil)
			r.Header["Accept"] = tt.accept
			rec := httptest.NewRecorder()
			m.Endpoint().ServeHTTP(rec, r)
			require.Equal(t, http.StatusOK, rec.Code)
			require.Contains(t, rec.Header().Get("Content-Type"), tt.want)
			require.Contains(t, rec.Header().Values("Vary"), "Accept")
			require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			require.NotZero(t, rec.Body.Len())
		})
	}
}

func TestEndpointMethods(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	tests := []struct {
		method, accept string
		status         int
		empty          bool
	}{
		{http.MethodGet, "", http.StatusOK, false},
		{http.MethodHead, "application/json", http.StatusOK, true},
		{http.MethodPost, "", http.StatusMethodNotAllowed, false},
		{http.MethodDelete, "application/json", http.StatusMethodNotAllowed, false},
	}
	for _, tt := range tests {
		t.Run(tt.method, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "/api/metrics", nil)
			r.Header.Set("Accept", tt.accept)
			rec := httptest.NewRecorder()
			m.Endpoint().ServeHTTP(rec, r)
			require.Equal(t, tt.status, rec.Code)
			require.Equal(t, tt.empty, rec.Body.Len() == 0)
			if tt.status == http.StatusMethodNotAllowed {
				require.Equal(t, "GET, HEAD", rec.Header().Get("Allow"))
				require.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
			}
		})
	}
}

// What a collector says when it fails is for the log, and the others are shown.
func TestEndpointShowsWhatCanBeGathered(t *testing.T) {
	reg := prometheus.NewRegistry()
	var log bytes.Buffer
	m := newMetrics(t, metrics.Config{Registerer: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	reg.MustRegister(broken{})
	text := scrape(t, m, "")
	require.Contains(t, text, "http_server_open_streams 0")
	require.NotContains(t, text, errBroken.Error())
	require.Contains(t, log.String(), errBroken.Error())
	require.InDelta(t, 2, values(t, m)["spark_metrics_gather_errors_total"], 1)
}

func TestEndpointThatHasNothing(t *testing.T) {
	nothing := prometheus.NewRegistry()
	nothing.MustRegister(broken{})
	m := newMetrics(t, metrics.Config{Gatherer: nothing})
	rec := httptest.NewRecorder()
	m.Endpoint().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.NotContains(t, rec.Body.String(), errBroken.Error())
}

// slow is a client that takes nothing until it is told to.
type slow struct {
	*httptest.ResponseRecorder
	reached, goOn chan struct{}
	once          sync.Once
}

func (s *slow) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.reached) })
	<-s.goOn
	return s.ResponseRecorder.Write(p)
}

// A client that reads slowly has what it asked for; others get what is.
func TestSlowScrapeHoldsNobodyUp(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	c := m.Counter("app_events_total", "Events.")
	endpoint := m.Endpoint()
	w := &slow{ResponseRecorder: httptest.NewRecorder(), reached: make(chan struct{}), goOn: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { endpoint.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil)) })
	<-w.reached
	c.Inc()
	rec := httptest.NewRecorder()
	endpoint.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Contains(t, rec.Body.String(), "\napp_events_total 1\n")
	close(w.goOn)
	wg.Wait()
	require.Contains(t, w.Body.String(), "\napp_events_total 0\n")
}

// fill has m measure something of each kind.
func fill(t testing.TB, m *metrics.Metrics) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/answer", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("do") {
		case "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte("data: [DONE]\n\n"))
		case "fail":
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	h := m.Handler(mux)
	for _, do := range []string{"", "stream", "fail", ""} {
		r := httptest.NewRequest(http.MethodPost, "/v1/answer?do="+do, strings.NewReader("{}"))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	call := m.Begin(metrics.Call{Provider: "anthropic", Model: "claude"})
	call.Chunk()
	call.Chunk()
	call.End(metrics.Outcome{Usage: metrics.Usage{Input: 1000, Output: 200}})
	m.Begin(metrics.Call{Provider: "anthropic", Model: "claude"}).End(metrics.Outcome{Err: http.ErrServerClosed})
}

var anthropic = []metrics.Provider{
	{Name: "anthropic", Models: []metrics.Model{{Name: "claude", Input: 3, Output: 15, CacheRead: .3, CacheWrite: 3.75}}},
	{Name: "openai", Models: []metrics.Model{{Name: "gpt"}}},
}

// The linter is the one that promtool check metrics runs.
func TestNamesPassTheLinter(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: reg, Providers: anthropic})
	fill(t, m)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 14, "not all metrics were linted")
}

func TestSummary(t *testing.T) {
	var s map[string]any
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{Providers: anthropic})
		fill(t, m)
		time.Sleep(time.Minute)
		h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			require.NoError(t, json.Unmarshal([]byte(scrape(t, m, "application/json")), &s))
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	})
	require.Equal(t, "this process only, since it started", s["scope"])
	require.InDelta(t, 60, s["uptime_seconds"], 0)
	require.Equal(t, "2000-01-01T00:00:00Z", s["since"])
	require.Equal(t, map[string]any{"relative": .022, "from_seconds": 1. / 16384, "to_seconds": 16384.}, s["percentile_error"])
	require.InDelta(t, 1, s["active_requests"], 0)
	routes := s["routes"].([]any)
	require.Len(t, routes, 1)
	route := routes[0].(map[string]any)
	require.Equal(t, "POST", route["method"])
	require.Equal(t, "/v1/answer", route["route"])
	require.InDelta(t, 4, route["count"], 0)
	require.InDelta(t, 1, route["errors"], 0)
	require.InDelta(t, .25, route["error_rate"], 0)
	providers := s["providers"].([]any)
	require.Len(t, providers, 2)
	provider := providers[0].(map[string]any)
	require.Equal(t, "anthropic", provider["provider"])
	require.InDelta(t, 2, provider["count"], 0)
	require.InDelta(t, .5, provider["error_rate"], 0)
	require.InDelta(t, 1000, provider["input_tokens"], 0)
	require.InDelta(t, 200, provider["output_tokens"], 0)
	require.InDelta(t, .006, provider["cost_usd"], 1e-9)
	require.Equal(t, "openai", providers[1].(map[string]any)["provider"])
}

func TestClientsThatLeftAreNoErrors(t *testing.T) {
	m := newMetrics(t, metrics.Config{Providers: anthropic})
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(canceled())
	m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), r)
	m.Begin(metrics.Call{Provider: "openai"}).End(metrics.Outcome{Err: r.Context().Err()})
	text := scrape(t, m, "application/json")
	require.Equal(t, 2, strings.Count(text, `"client_gone": 1,`), text)
	require.NotContains(t, text, `"errors": 1`)
}

func TestExemplars(t *testing.T) {
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	tests := []struct {
		name   string
		header []string
		want   bool
	}{
		{"sampled", []string{"00-" + id + "-" + parent + "-01"}, true},
		{"sampled, other flags too", []string{"00-" + id + "-" + parent + "-0b"}, true},
		{"a later version", []string{"01-" + id + "-" + parent + "-01-more"}, true},
		{"a later version of the same length", []string{"fe-" + id + "-" + parent + "-01"}, true},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"two", []string{"00-" + id + "-" + parent + "-01", "00-" + id + "-" + parent + "-01"}, false},
		{"not sampled", []string{"00-" + id + "-" + parent + "-00"}, false},
		{"capitals", []string{"00-" + strings.ToUpper(id) + "-" + parent + "-01"}, false},
		{"version ff", []string{"ff-" + id + "-" + parent + "-01"}, false},
		{"version 00 with more", []string{"00-" + id + "-" + parent + "-01-more"}, false},
		{"a later version with letters appended", []string{"01-" + id + "-" + parent + "-01more"}, false},
		{"trace of zeros", []string{"00-" + strings.Repeat("0", 32) + "-" + parent + "-01"}, false},
		{"parent of zeros", []string{"00-" + id + "-" + strings.Repeat("0", 16) + "-01"}, false},
		{"too short", []string{"00-" + id + "-" + parent + "-1"}, false},
		{"other separators", []string{"00_" + id + "_" + parent + "_01"}, false},
		{"not hexadecimal", []string{"00-" + strings.Repeat("g", 32) + "-" + parent + "-01"}, false},
		{"not hexadecimal flags", []string{"00-" + id + "-" + parent + "-g1"}, false},
		{"space around", []string{" 00-" + id + "-" + parent + "-01"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Traceparent"] = tt.header
			m.Handler(http.HandlerFunc(answer)).ServeHTTP(httptest.NewRecorder(), r)
			text := scrape(t, m, "application/openmetrics-text;version=1.0.0")
			require.Equal(t, tt.want, strings.Contains(text, ` # {trace_id="`+id+`"} `), text)
			require.NotContains(t, scrape(t, m, ""), id, "exemplars are for OpenMetrics alone")
		})
	}
}

func TestExemplarIsReplacedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{})
		h := m.Handler(http.HandlerFunc(answer))
		trace := func(digit string) string {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Traceparent", "00-"+strings.Repeat(digit, 32)+"-b7ad6b7169203331-01")
			h.ServeHTTP(httptest.NewRecorder(), r)
			return scrape(t, m, "application/openmetrics-text;version=1.0.0")
		}
		require.Contains(t, trace("1"), strings.Repeat("1", 32))
		time.Sleep(999 * time.Millisecond)
		require.NotContains(t, trace("2"), strings.Repeat("2", 32))
		time.Sleep(time.Millisecond)
		require.Contains(t, trace("3"), strings.Repeat("3", 32))
	})
}

// However it is called, a request is served and the header never shown unless it
// is a trace id.
func FuzzTraceparent(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-\"} 1\n")
	f.Add("")
	m := newMetrics(f, metrics.Config{})
	h := m.Handler(http.HandlerFunc(answer))
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Traceparent"] = []string{header}
		h.ServeHTTP(httptest.NewRecorder(), r)
		for line := range strings.Lines(scrape(t, m, "application/openmetrics-text;version=1.0.0")) {
			if _, exemplar, ok := strings.Cut(line, " # "); ok {
				require.Regexp(t, `^\{trace_id="[0-9a-f]{32}"\} \S+ \S+\n$`, exemplar)
			}
		}
	})
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"", "*/*", "application/json;q=0.1", "application/json;q=nan", "text/plain;q=;", ",;,"} {
		f.Add(seed)
	}
	m := newMetrics(f, metrics.Config{})
	f.Fuzz(func(t *testing.T, accept string) {
		text := scrape(t, m, accept)
		if strings.HasPrefix(text, "{") {
			require.Contains(t, strings.ToLower(accept), "application/json")
			require.True(t, json.Valid([]byte(text)))
		}
	})
}
