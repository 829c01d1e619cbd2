package metrics

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Counter counts events by the values of its labels. See [Metrics.Counter].
type Counter struct{ table *table[prometheus.Counter] }

// Counter declares a counter. Its name ends in _total, after the unit if what
// is counted has one; help is a sentence for operators. What is wrong with them
// is found in [Metrics.Err], and what is declared can be used in any case.
//
// Main wires the events of another package with it in one line:
//
//	refused := m.Counter("app_rate_limited_total", "Requests refused, by policy.", metrics.By("policy"))
//	…
//	OnRefuse: func(_ context.Context, e ratelimit.Event) { refused.Inc(e.Policy) },
func (m *Metrics) Counter(name, help string, by ...Dimension) *Counter {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, names(by))
	create := func(values []string) prometheus.Counter {
		if c, err := vec.GetMetricWithLabelValues(values...); err == nil {
			return c
		}
		return prometheus.NewCounter(prometheus.CounterOpts{}) // what was wrong is in Err
	}
	err := valid(name, help, by)
	if err == nil && !strings.HasSuffix(name, "_total") {
		err = errors.New("want a name that ends in _total")
	}
	return &Counter{declare(m, name, by, err, vec, create)}
}

// Inc adds one. values are those of the labels, in the order they were declared in.
func (c *Counter) Inc(values ...string) { c.table.get(values).Inc() }

// Add adds n. What is negative or not finite can't be counted and is ignored.
func (c *Counter) Add(n float64, values ...string) {
	if n >= 0 && n <= math.MaxFloat64 {
		c.table.get(values).Add(n)
	}
}

// Gauge is a value that goes up and down, by the values of its labels. See
// [Metrics.Gauge].
type Gauge struct{ table *table[prometheus.Gauge] }

// Gauge declares a gauge, like [Metrics.Counter].
func (m *Metrics) Gauge(name, help string, by ...Dimension) *Gauge {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, names(by))
	create := func(values []string) prometheus.Gauge {
		if g, err := vec.GetMetricWithLabelValues(values...); err == nil {
			return g
		}
		return prometheus.NewGauge(prometheus.GaugeOpts{})
	}
	return &Gauge{declare(m, name, by, notCounter(name, help, by), vec, create)}
}

// Set sets the gauge to v.
func (g *Gauge) Set(v float64, values ...string) { g.table.get(values).Set(v) }

// Add adds v, which may be negative.
func (g *Gauge) Add(v float64, values ...string) { g.table.get(values).Add(v) }

// Histogram counts observations in buckets, by the values of its labels. See
// [Metrics.Histogram].
type Histogram struct{ table *table[*histogram] }

// Histogram declares a histogram, like [Metrics.Counter]. buckets are the upper
// bounds of its classic buckets; nil means those of durations in seconds
// ([Config].Buckets). It has native buckets as well.
func (m *Metrics) Histogram(name, help string, buckets []float64, by ...Dimension) *Histogram {
	l, err := m.seconds, notCounter(name, help, by)
	if buckets != nil {
		var badBuckets error
		if l, badBuckets = around(buckets); badBuckets != nil {
			l, err = m.seconds, errors.Join(err, badBuckets)
		}
	}
	h := &histograms{desc: prometheus.NewDesc(name, help, names(by), nil)}
	h.table = declare(m, name, by, err, h, func(values []string) *histogram {
		return newHistogram(l, h.desc, values, nil)
	})
	return &Histogram{h.table}
}

// around returns a layout whose native buckets reach from a sixteenth of the
// first positive bound to sixteen times the last.
func around(bounds []float64) (*layout, error) {
	low := 0.0
	for _, b := range bounds {
		if b > 0 {
			low = b
			break
		}
	}
	if low == 0 || len(bounds) > 500 {
		return nil, errors.New("want up to 500 buckets, one of them positive")
	}
	from := max(-1000, math.Ilogb(low)-4)
	to := min(1000, math.Ilogb(bounds[len(bounds)-1])+5)
	if to-from > maxOctaves {
		return nil, fmt.Errorf("buckets reach from %v to %v, want less than 55 powers of two", low, bounds[len(bounds)-1])
	}
	return newLayout(3, from, to, bounds)
}

// Observe counts v. What is not finite is ignored: the sum would never be right
// again.
func (h *Histogram) Observe(v float64, values ...string) { h.table.get(values).observe(v) }

// observe is Observe for v, which is finite, as a part of a trace if that is not "".
func (h *Histogram) observe(v float64, trace string, values ...string) {
	item := h.table.get(values)
	item.observe(v)
	if trace != "" {
		item.exemplify(v, trace)
	}
}

// GaugeFunc declares a gauge whose value read returns whenever metrics are
// gathered: the length of a queue, the entries of a cache. A label must have
// exactly one value here; the same name may be declared again with another.
// read must be fast and safe for concurrent use.
//
//	m.GaugeFunc("app_cache_entries", "Answers in the cache.", func() float64 { return float64(c.Len()) })
func (m *Metrics) GaugeFunc(name, help string, read func() float64, by ...Dimension) {
	opts := prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: fixed(by)}
	m.declareFunc(name, by, notCounter(name, help, by), prometheus.NewGaugeFunc(opts, read))
}

// CounterFunc declares a counter that somebody else keeps, like
// [Metrics.GaugeFunc]. What read returns must never become less.
func (m *Metrics) CounterFunc(name, help string, read func() float64, by ...Dimension) {
	opts := prometheus.CounterOpts{Name: name, Help: help, ConstLabels: fixed(by)}
	err := valid(name, help, by)
	if err == nil && !strings.HasSuffix(name, "_total") {
		err = errors.New("want a name that ends in _total")
	}
	m.declareFunc(name, by, err, prometheus.NewCounterFunc(opts, read))
}

func (m *Metrics) declareFunc(name string, by []Dimension, err error, c prometheus.Collector) {
	for _, d := range by {
		if len(d.values) != 1 {
			err = errors.Join(err, fmt.Errorf("label %s has %d values, want 1", d.name, len(d.values)))
		}
	}
	if err == nil {
		err = m.reg.Register(c)
	}
	if err != nil {
		m.fail(name, err)
	}
}

func fixed(by []Dimension) prometheus.Labels {
	labels := make(prometheus.Labels, len(by))
	for _, d := range by {
		if len(d.values) > 0 {
			labels[d.name] = d.values[0]
		}
	}
	return labels
}

// declare makes the table of a metric and registers c, which collects it.
func declare[T any](m *Metrics, name string, by []Dimension, err error, c prometheus.Collector, create func([]string) T) *table[T] {
	if err != nil {
		by = by[:min(len(by), maxLabels)]
	}
	t := newTable(by, m.cfg.MaxSeries, m.dropped.WithLabelValues(clean(name)), create)
	if err == nil {
		err = m.reg.Register(c)
	}
	if err != nil {
		m.fail(name, err)
		return t
	}
	t.fill()
	return t
}

// notCounter is valid for what must not be called like a counter.
func notCounter(name, help string, by []Dimension) error {
	if strings.HasSuffix(name, "_total") {
		return errors.New("a name that ends in _total is for counters")
	}
	return valid(name, help, by)
}

// valid returns what is wrong with the declaration of a metric.
func valid(name, help string, by []Dimension) error {
	if !isName(name, true) {
		return fmt.Errorf("%q is no name for a metric", name)
	}
	if help == "" {
		return errors.New("help is missing")
	}
	if len(by) > maxLabels {
		return fmt.Errorf("%d labels, want at most %d", len(by), maxLabels)
	}
	for i, d := range by {
		if !isName(d.name, false) || d.name == "le" || d.name == "quantile" || strings.HasPrefix(d.name, "__") {
			return fmt.Errorf("%q is no name for a label", d.name)
		}
		for _, earlier := range by[:i] {
			if earlier.name == d.name {
				return fmt.Errorf("label %s is declared twice", d.name)
			}
		}
		for _, v := range d.values {
			if clean(v) != v {
				return fmt.Errorf("%q is no value for label %s", v, d.name)
			}
		}
	}
	return nil
}

// isName reports whether s is a name that every version of Prometheus takes.
// Only that of a metric may have colons.
func isName(s string, colon bool) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || colon && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// histograms collects the histograms of one name.
type histograms struct {
	desc  *prometheus.Desc
	table *table[*histogram]
}

// Describe implements [prometheus.Collector].
func (h *histograms) Describe(ch chan<- *prometheus.Desc) { ch <- h.desc }

// Collect implements [prometheus.Collector].
func (h *histograms) Collect(ch chan<- prometheus.Metric) {
	h.table.each(func(_ []string, item *histogram) { item.send(ch) })
}
