// Package metrics shows rate, errors, durations, tokens and cost of a service
// that calls AI providers, to Prometheus and to people.
//
// [Metrics.Handler] measures HTTP requests by the names of the OpenTelemetry
// conventions: http_server_request_duration_seconds and its siblings, by
// method, route, status and kind of error. What counts is how a response ended,
// not how it began: a panic is a 500, a client that went away a 499, a stream
// that was cut has error_type="truncated" though its status was 200.
// [Metrics.Begin] measures calls of providers by the conventions for generative
// AI. [Metrics.Counter], [Metrics.Gauge], [Metrics.Histogram] and their like
// take the events of anything else in one line.
//
// Nothing that a client sends can blow it up: routes are patterns, never
// paths; methods, providers and models are those listed; and every metric has
// a cap of label combinations, beyond which it counts under "other" and says
// how often that happened.
//
// It does not push, sample or aggregate over replicas: what it shows is of this
// process alone. It does not decide who may read it either: put
// [Metrics.Endpoint] behind authentication or on a listener of its own.
//
//	m, err := metrics.New(metrics.Config{})
//	if err != nil {
//		return err
//	}
//	refused := m.Counter("app_refused_total", "Requests refused, by reason.", metrics.By("reason", "rate", "size"))
//	mux.Handle("GET /api/metrics", onlyOperators(m.Endpoint()))
//	server.Handler = m.Handler(mux)
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// DefaultBuckets returns the bounds of the classic duration buckets, in seconds:
// those of the OpenTelemetry HTTP conventions, and on to ten minutes, which is
// how long a generation may take.
func DefaultBuckets() []float64 {
	return []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300, 600}
}

// Config says what is measured. Its zero value is ready to use.
type Config struct {
	// Registerer is where the metrics are registered. Nil means a registry of
	// their own, which has the metrics of the Go runtime and of the process too.
	Registerer prometheus.Registerer

	// Gatherer is what [Metrics.Endpoint] shows. Nil means the Registerer; one
	// that is no Gatherer as well, as a wrapped one, needs this field.
	Gatherer prometheus.Gatherer

	// Route returns the route of a request, after it has been served. Nil or ""
	// means the pattern that an [http.ServeMux] matched, without its method;
	// where there is none, "unmatched". A router that keeps its pattern
	// elsewhere, or middleware that copies the request before the mux sees it,
	// needs this field. It must return one of a fixed set of patterns, never a
	// path: it is called by the request's goroutine when nothing of the response
	// is left to be sent.
	Route func(*http.Request) string

	// Buckets are the upper bounds, in seconds, of the classic buckets of
	// durations. Nil means [DefaultBuckets]. Native histograms are always kept
	// beside them.
	Buckets []float64

	// MaxSeries is how many combinations of label values each metric may have,
	// "other" included. 0 means 1000; the least is 16. The HTTP histograms
	// take 5 KiB for each, 9 KiB for streams.
	MaxSeries int

	// Providers are the AI providers and models that calls are counted by, and
	// what they cost. Any other is counted as "other", and as unpriced.
	Providers []Provider

	// Logger is told when metrics can't be gathered, and when Route panics. Nil
	// means [slog.Default].
	Logger *slog.Logger
}

// Metrics measures. Its methods may be used by many goroutines.
type Metrics struct {
	cfg     Config
	reg     prometheus.Registerer
	gather  prometheus.Gatherer
	log     *slog.Logger
	seconds *layout
	started time.Time

	http    *requests
	genai   *generations
	dropped *prometheus.CounterVec
	broken  prometheus.Counter

	mu  sync.Mutex
	err error
}

// New returns Metrics that are registered. It fails if cfg makes no sense, or if
// a metric of one of the names is registered already; nothing stays registered
// then.
func New(cfg Config) (*Metrics, error) {
	if cfg.MaxSeries == 0 {
		cfg.MaxSeries = 1000
	}
	if cfg.MaxSeries < 16 {
		return nil, fmt.Errorf("metrics: MaxSeries is %d, want at least 16", cfg.MaxSeries)
	}
	m := &Metrics{cfg: cfg, reg: cfg.Registerer, gather: cfg.Gatherer, log: cfg.Logger, started: time.Now()}
	if m.log == nil {
		m.log = slog.Default()
	}
	if err := m.registry(); err != nil {
		return nil, err
	}
	if cfg.Buckets == nil {
		cfg.Buckets = DefaultBuckets()
	}
	var err error
	if m.seconds, err = durations(cfg.Buckets); err != nil {
		return nil, fmt.Errorf("metrics: Buckets: %w", err)
	}
	m.dropped = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "spark_metrics_dropped_total",
		Help: "Observations counted under other because their metric has as many series as it may have.",
	}, []string{"metric"})
	m.broken = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "spark_metrics_gather_errors_total",
		Help: "Times that metrics could not all be gathered.",
	})
	if m.http, err = newRequests(m); err != nil {
		return nil, err
	}
	undo := &undoable{Registerer: m.reg}
	m.reg = undo
	m.genai, err = newGenerations(m)
	for _, c := range []prometheus.Collector{m.dropped, m.broken, m.http} {
		if failed := m.reg.Register(c); failed != nil {
			err = errors.Join(err, fmt.Errorf("metrics: %w", failed))
		}
	}
	if err = errors.Join(err, m.err); err != nil {
		undo.all()
		return nil, err
	}
	m.reg = undo.Registerer
	return m, nil
}

// undoable is a Registerer that can take back what was registered.
type undoable struct {
	prometheus.Registerer
	done []prometheus.Collector
}

// Register implements [prometheus.Registerer].
func (u *undoable) Register(c prometheus.Collector) error {
	err := u.Registerer.Register(c)
	if err == nil {
		u.done = append(u.done, c)
	}
	return err
}

func (u *undoable) all() {
	for _, c := range u.done {
		u.Unregister(c)
	}
}

// registry completes where to register and what to show.
func (m *Metrics) registry() error {
	if m.reg == nil {
		own := prometheus.NewRegistry()
		m.reg = own
		for _, c := range []prometheus.Collector{
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		} {
			if err := own.Register(c); err != nil {
				return fmt.Errorf("metrics: %w", err)
			}
		}
	}
	if m.gather == nil {
		g, ok := m.reg.(prometheus.Gatherer)
		if !ok {
			return errors.New("metrics: Gatherer is missing: the Registerer is none")
		}
		m.gather = g
	}
	return nil
}

// Err returns what was wrong with the metrics declared so far, with [Metrics.Counter]
// and its like: a name that is taken or no name, a help text that is missing.
// Such a metric can be used, but is not shown. Check it once, after the last
// declaration. It is nil if all is well.
func (m *Metrics) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// fail notes what is wrong with the metric name.
func (m *Metrics) fail(name string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = errors.Join(m.err, fmt.Errorf("metrics: %s: %w", name, err))
}

// Check gathers all metrics and returns what was wrong with that, or else
// [Metrics.Err]. It is meant for readiness.
func (m *Metrics) Check(context.Context) error {
	if _, err := m.gather.Gather(); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return m.Err()
}

// known are the methods that have a name in metrics: those of RFC 9110 and
// PATCH (RFC 5789), as the OpenTelemetry conventions have it, and what stands
// for all others.
var known = [...]string{
	http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect, "_OTHER",
}

// methodIndex returns the place of method in known. The two that nearly all
// requests have come first.
func methodIndex(method string) int {
	if method == "" {
		method = http.MethodGet
	}
	for i := range len(known) - 1 {
		if known[i] == method {
			return i
		}
	}
	return len(known) - 1
}
