package metrics_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

// newMetrics returns Metrics with a registry of their own that has nothing else.
func newMetrics(t testing.TB, cfg metrics.Config) *metrics.Metrics {
	t.Helper()
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := metrics.New(cfg)
	require.NoError(t, err)
	return m
}

// scrape returns what m shows to a client that accepts that.
func scrape(t testing.TB, m *metrics.Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/api/metrics", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	rec := httptest.NewRecorder()
	m.Endpoint().ServeHTTP(rec, r)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	return rec.Body.String()
}

// values returns the series that m shows, by name and labels, the buckets of
// histograms left out.
func values(t testing.TB, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	lines := bufio.NewScanner(strings.NewReader(scrape(t, m, "")))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || strings.Contains(line, `le="`) {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		require.NoError(t, err, line)
		out[line[:i]] = v
	}
	require.NoError(t, lines.Err())
	return out
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  metrics.Config
		want string
	}{
		{"too few series", metrics.Config{MaxSeries: 15}, "MaxSeries is 15, want at least 16"},
		{"negative series", metrics.Config{MaxSeries: -1}, "MaxSeries is -1"},
		{"buckets that do not increase", metrics.Config{Buckets: []float64{1, 1}}, "Buckets: bucket 1 is 1"},
		{"a bucket that is infinite", metrics.Config{Buckets: []float64{1, inf}}, "Buckets: bucket 1 is +Inf"},
		{"nothing to gather from", metrics.Config{
			Registerer: prometheus.WrapRegistererWithPrefix("x_", prometheus.NewRegistry()),
		}, "Gatherer is missing"},
		{"a provider without a name", metrics.Config{Providers: []metrics.Provider{{}}}, `Provider.Name is ""`},
		{"a provider twice", metrics.Config{Providers: []metrics.Provider{{Name: "a"}, {Name: "a"}}}, `Provider.Name is "a"`},
		{"a model without a name", metrics.Config{
			Providers: []metrics.Provider{{Name: "a", Models: []metrics.Model{{}}}},
		}, `provider a: Model.Name is ""`},
		{"a model twice", metrics.Config{
			Providers: []metrics.Provider{{Name: "a", Models: []metrics.Model{{Name: "m"}, {Name: "m"}}}},
		}, "provider a: model m is listed twice"},
		{"a negative price", metrics.Config{
			Providers: []metrics.Provider{{Name: "a", Models: []metrics.Model{{Name: "m", Input: -1}}}},
		}, "model m costs -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := metrics.New(tt.cfg)
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, m)
		})
	}
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	first := newMetrics(t, metrics.Config{Registerer: reg})
	_, err := metrics.New(metrics.Config{Registerer: reg})
	require.ErrorAs(t, err, new(prometheus.AlreadyRegisteredError))
	require.NoError(t, first.Check(t.Context()), "the first goes on")
}

func TestNewThatFailsLeavesNothingRegistered(t *testing.T) {
	reg := prometheus.NewRegistry()
	// What is registered last is in the way.
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: "spark_metrics_gather_errors_total", Help: "Times that metrics could not all be gathered."})
	reg.MustRegister(taken)
	_, err := metrics.New(metrics.Config{Registerer: reg})
	require.Error(t, err)

	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	reg.Unregister(taken)
	newMetrics(t, metrics.Config{Registerer: reg})
}

func TestOwnRegistryHasRuntimeMetrics(t *testing.T) {
	m, err := metrics.New(metrics.Config{})
	require.NoError(t, err)
	text := scrape(t, m, "")
	require.Contains(t, text, "\ngo_goroutines ")
	require.Contains(t, text, "\nprocess_start_time_seconds ")
}

func TestPrefixedRegisterer(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: prometheus.WrapRegistererWithPrefix("x_", reg), Gatherer: reg})
	require.Contains(t, scrape(t, m, ""), "\nx_http_server_open_streams 0\n")
}

func TestCheck(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: reg})
	require.NoError(t, m.Check(t.Context()))

	m.Counter("misnamed", "A counter.")
	require.ErrorContains(t, m.Check(t.Context()), "metrics: misnamed: ")

	reg.MustRegister(broken{})
	require.ErrorIs(t, m.Check(t.Context()), errBroken)
}

var errBroken = errors.New("secret of the collector")

// broken is a collector that fails.
type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "Fails.", nil, nil), errBroken)
}

// drain reads a body to its end.
func drain(t testing.TB, body io.ReadCloser) string {
	t.Helper()
	b, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return string(b)
}
