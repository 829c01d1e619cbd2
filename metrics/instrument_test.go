package metrics_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

// canceled returns the context of a request whose client left.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCounter(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	c := m.Counter("app_refused_total", "Refused.", metrics.By("reason", "rate", "size"), metrics.By("user"))
	plain := m.Counter("app_events_total", "Events.")
	c.Inc("rate", "ann")
	c.Add(2.5, "rate", "ann")
	c.Add(-1, "rate", "ann")
	c.Add(math.NaN(), "rate", "ann")
	c.Add(inf, "rate", "ann")
	c.Inc("made up", "ann")
	c.Inc("size", "\xff")
	c.Inc("size", strings.Repeat("x", 129))
	c.Inc("size")
	c.Inc("size", "ann", "too many")
	plain.Inc()
	require.NoError(t, m.Err())
	v := values(t, m)
	require.InDelta(t, 3.5, v[`app_refused_total{reason="rate",user="ann"}`], 0)
	require.InDelta(t, 1, v[`app_refused_total{reason="other",user="ann"}`], 0)
	require.InDelta(t, 2, v[`app_refused_total{reason="size",user="other"}`], 0)
	require.InDelta(t, 1, v[`app_refused_total{reason="size",user=""}`], 0)
	require.InDelta(t, 1, v[`app_refused_total{reason="size",user="ann"}`], 0)
	require.InDelta(t, 1, v["app_events_total"], 0)
}

func TestGauge(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	g := m.Gauge("app_state", "State.", metrics.By("provider"))
	g.Set(2, "openai")
	g.Add(-.5, "openai")
	require.NoError(t, m.Err())
	require.InDelta(t, 1.5, values(t, m)[`app_state{provider="openai"}`], 0)
}

func TestFuncs(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	n := 41.0
	m.GaugeFunc("app_entries", "Entries.", func() float64 { return n })
	m.CounterFunc("app_hits_total", "Hits.", func() float64 { return n + 1 })
	for _, p := range []string{"claude", "openai"} {
		m.GaugeFunc("app_open", "Open.", func() float64 { return float64(len(p)) }, metrics.By("provider", p))
	}
	require.NoError(t, m.Err())
	v := values(t, m)
	require.InDelta(t, 41, v["app_entries"], 0)
	require.InDelta(t, 42, v["app_hits_total"], 0)
	require.InDelta(t, 6, v[`app_open{provider="claude"}`], 0)
	require.Contains(t, v, `app_open{provider="openai"}`)
	n = 43
	require.InDelta(t, 43, values(t, m)["app_entries"], 0)
}

func TestKnownSeriesExistFromTheStart(t *testing.T) {
	m := newMetrics(t, metrics.Config{Providers: anthropic})
	m.Counter("app_refused_total", "Refused.", metrics.By("reason", "rate", "size"), metrics.By("plan", "a", "b", "c"))
	m.Counter("app_events_total", "Events.")
	m.Gauge("app_state", "State.", metrics.By("provider", "claude"))
	v := values(t, m)
	for _, series := range []string{
		`app_refused_total{plan="a",reason="rate"}`, `app_refused_total{plan="b",reason="size"}`, `app_refused_total{plan="c",reason="size"}`,
		"app_events_total", `app_state{provider="claude"}`, "http_server_open_streams",
		`http_server_active_requests{http_request_method="DELETE"}`,
		`spark_gen_ai_cost_usd_total{gen_ai_provider_name="anthropic",gen_ai_response_model="claude"}`,
		`spark_gen_ai_unpriced_calls_total{gen_ai_provider_name="other",gen_ai_response_model="other"}`,
		`spark_metrics_dropped_total{metric="app_refused_total"}`, "spark_metrics_gather_errors_total",
	} {
		require.Contains(t, v, series)
		require.Zero(t, v[series])
	}
}

func TestCapOfValues(t *testing.T) {
	const limit = 20
	m := newMetrics(t, metrics.Config{MaxSeries: limit})
	counter := m.Counter("app_events_total", "Events.", metrics.By("user"), metrics.By("kind", "a", "b"))
	gauge := m.Gauge("app_state", "State.", metrics.By("user"))
	histogram := m.Histogram("app_wait_seconds", "Waiting.", nil, metrics.By("user"))
	for i := range 500 {
		user := fmt.Sprint("user", i)
		counter.Inc(user, "a")
		gauge.Set(1, user)
		histogram.Observe(1, user)
	}
	counter.Inc("user0", "a")
	v := values(t, m)
	count := func(prefix string) (n int) {
		for series := range v {
			if strings.HasPrefix(series, prefix) {
				n++
			}
		}
		return n
	}
	require.Equal(t, limit, count("app_events_total"))
	require.Equal(t, limit, count("app_state"))
	require.Equal(t, limit, count("app_wait_seconds_count"))
	require.InDelta(t, 500-(limit-1), v[`app_events_total{kind="other",user="other"}`], 0)
	require.InDelta(t, 500-(limit-1), v[`spark_metrics_dropped_total{metric="app_events_total"}`], 0)
	require.InDelta(t, 500-(limit-1), v[`app_wait_seconds_count{user="other"}`], 0)
	require.InDelta(t, 2, v[`app_events_total{kind="a",user="user0"}`], 0)
}

func TestTooManyKnownSeriesAreNotMadeInAdvance(t *testing.T) {
	m := newMetrics(t, metrics.Config{MaxSeries: 16})
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	m.Counter("app_events_total", "Events.", metrics.By("kind", many...))
	require.NotContains(t, scrape(t, m, ""), "app_events_total{")
}

func TestWrongDeclarations(t *testing.T) {
	one := func() float64 { return 1 }
	tests := []struct {
		name    string
		declare func(m *metrics.Metrics)
		want    string
	}{
		{"counter without its ending", func(m *metrics.Metrics) { m.Counter("app_events", "E.").Inc() }, "want a name that ends in _total"},
		{"counter func without its ending", func(m *metrics.Metrics) { m.CounterFunc("app_events", "E.", one) }, "want a name that ends in _total"},
		{"gauge like a counter", func(m *metrics.Metrics) { m.Gauge("app_total", "E.").Set(1) }, "is for counters"},
		{"histogram like a counter", func(m *metrics.Metrics) { m.Histogram("app_total", "E.", nil).Observe(1) }, "is for counters"},
		{"no name", func(m *metrics.Metrics) { m.Gauge("", "E.").Set(1) }, `"" is no name for a metric`},
		{"a dot in the name", func(m *metrics.Metrics) { m.Gauge("app.state", "E.").Set(1) }, "is no name for a metric"},
		{"a digit first", func(m *metrics.Metrics) { m.Gauge("1app", "E.").Set(1) }, "is no name for a metric"},
		{"no UTF-8", func(m *metrics.Metrics) { m.Gauge("\xff", "E.").Set(1) }, "is no name for a metric"},
		{"no help", func(m *metrics.Metrics) { m.Gauge("app_state", "").Set(1) }, "help is missing"},
		{"a label that is no name", func(m *metrics.Metrics) { m.Gauge("app_state", "E.", metrics.By("a-b")).Set(1, "x") }, `"a-b" is no name for a label`},
		{"a label of histograms", func(m *metrics.Metrics) { m.Histogram("app_wait", "E.", nil, metrics.By("le")).Observe(1, "x") }, `"le" is no name for a label`},
		{"a label of Prometheus", func(m *metrics.Metrics) { m.Gauge("app_state", "E.", metrics.By("__name__")).Set(1, "x") }, "is no name for a label"},
		{"a label twice", func(m *metrics.Metrics) { m.Counter("app_total", "E.", metrics.By("a"), metrics.By("a")).Inc("x", "y") }, "label a is declared twice"},
		{"a value that is none", func(m *metrics.Metrics) { m.Counter("app_total", "E.", metrics.By("a", "\xff")).Inc("x") }, "is no value for label a"},
		{"too many labels", func(m *metrics.Metrics) {
			m.Counter("app_total", "E.", metrics.By("a"), metrics.By("b"), metrics.By("c"), metrics.By("d"),
				metrics.By("e"), metrics.By("f"), metrics.By("g")).Inc("1", "2", "3", "4", "5", "6", "7")
		}, "7 labels, want at most 6"},
		{"buckets that do not increase", func(m *metrics.Metrics) { m.Histogram("app_wait", "E.", []float64{2, 1}).Observe(1) }, "want finite and increasing bounds"},
		{"buckets without end", func(m *metrics.Metrics) { m.Histogram("app_wait", "E.", []float64{1e-9, 1e20}).Observe(1) }, "powers of two"},
		{"no positive bucket", func(m *metrics.Metrics) { m.Histogram("app_wait", "E.", []float64{-1, 0}).Observe(1) }, "one of them positive"},
		{"a func with an open label", func(m *metrics.Metrics) { m.GaugeFunc("app_state", "E.", one, metrics.By("a")) }, "label a has 0 values, want 1"},
		{"a func with two values", func(m *metrics.Metrics) { m.GaugeFunc("app_state", "E.", one, metrics.By("a", "b", "c")) }, "label a has 2 values, want 1"},
		{"declared twice", func(m *metrics.Metrics) {
			m.Counter("app_total", "E.").Inc()
			m.Counter("app_total", "E.").Inc()
		}, "duplicate metrics collector"},
		{"func declared twice", func(m *metrics.Metrics) {
			m.GaugeFunc("app_state", "E.", one)
			m.GaugeFunc("app_state", "E.", one)
		}, "duplicate metrics collector"},
		{"a name of ours", func(m *metrics.Metrics) { m.Gauge("http_server_open_streams", "E.").Set(1) }, "previously registered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			m := newMetrics(t, metrics.Config{Registerer: reg})
			require.NotPanics(t, func() { tt.declare(m) })
			require.ErrorContains(t, m.Err(), tt.want)
			require.True(t, strings.HasPrefix(m.Err().Error(), "metrics: "), m.Err())
			_, err := reg.Gather()
			require.NoError(t, err)
		})
	}
}

func TestErrJoins(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	require.NoError(t, m.Err())
	m.Counter("first", "E.")
	m.Counter("second", "E.")
	require.ErrorContains(t, m.Err(), "metrics: first: ")
	require.ErrorContains(t, m.Err(), "metrics: second: ")
}

// Label values are whatever a program makes of its input: none may break the
// exposition or get past the cap.
func FuzzLabelValue(f *testing.F) {
	f.Add("plain")
	f.Add("")
	f.Add("\"} 1\napp_events_total{user=\"forged")
	f.Add("\xff\xfe")
	f.Add(strings.Repeat("long", 100))
	reg := prometheus.NewRegistry()
	m := newMetrics(f, metrics.Config{Registerer: reg, MaxSeries: 16})
	c := m.Counter("app_events_total", "Events.", metrics.By("user"))
	n := 0
	f.Fuzz(func(t *testing.T, value string) {
		c.Inc(value)
		n++
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "app_events_total" {
				sum := 0.0
				for _, metric := range family.GetMetric() {
					sum += metric.GetCounter().GetValue()
				}
				require.LessOrEqual(t, len(family.GetMetric()), 16)
				require.InDelta(t, n, sum, 0)
			}
		}
	})
}
