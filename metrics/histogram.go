package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// maxOctaves bounds the range of a histogram, from its first to its last
// bucket, in powers of two, and so its memory.
const maxOctaves = 64

// layout says where the buckets of a histogram are. Its cells are cut at the
// bounds of both the classic and the native buckets, so that each cell belongs
// to exactly one of either, and one addition counts an observation in both.
type layout struct {
	upper   []float64 // inclusive upper bound of each cell; the last is +Inf
	start   []uint16  // for the first bits of a value: the first cell it may be in
	first   uint64    // the bits that start[0] is for
	native  []int     // native bucket of each cell
	classic []int     // classic bucket of each cell; len(bounds) is +Inf
	bounds  []float64 // upper bounds of the classic buckets
	schema  int32     // 2^schema native buckets for each power of two
	zero    float64   // up to here a value counts as zero, natively
}

const zeroBucket = math.MinInt

// newLayout makes a layout with native buckets from 2^low to 2^high. Values
// above are counted in one native bucket beyond.
func newLayout(schema int32, low, high int, bounds []float64) (*layout, error) {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
			return nil, fmt.Errorf("bucket %d is %v, want finite and increasing bounds", i, b)
		}
	}
	l := &layout{bounds: slices.Clone(bounds), schema: schema, zero: math.Exp2(float64(low))}
	per := 1 << schema
	bound := func(i int) float64 { return math.Exp2(float64(i) / float64(per)) }
	for i := low * per; i <= high*per; i++ {
		l.upper = append(l.upper, bound(i))
	}
	l.upper = append(l.upper, bounds...)
	l.upper = append(l.upper, math.Inf(1))
	slices.Sort(l.upper)
	l.upper = slices.Compact(l.upper)

	i := low * per
	for _, u := range l.upper {
		for i <= high*per && bound(i) < u {
			i++
		}
		if u <= l.zero {
			l.native = append(l.native, zeroBucket)
		} else {
			l.native = append(l.native, i)
		}
		c, _ := slices.BinarySearch(bounds, u)
		l.classic = append(l.classic, c)
	}
	l.index(math.Exp2(float64(high)))
	return l, nil
}

// keyBits is how much of a float64 is cut off to find where to start: what is
// left are the exponent and four bits of the mantissa.
const keyBits = 48

func (l *layout) index(top float64) {
	l.first = math.Float64bits(l.zero) >> keyBits
	last := math.Float64bits(top) >> keyBits
	cell := 0
	for key := l.first; key <= last; key++ {
		from := math.Float64frombits(key << keyBits)
		for l.upper[cell] < from {
			cell++
		}
		l.start = append(l.start, uint16(cell)) // #nosec G115 -- a layout has a few thousand cells at most
	}
}

// cell returns the cell that v, which is not NaN, belongs to.
func (l *layout) cell(v float64) int {
	c := 0
	if v > l.zero {
		key := min(math.Float64bits(v)>>keyBits-l.first, uint64(len(l.start)-1)) // #nosec G115 -- never empty
		c = int(l.start[key])
	}
	for v > l.upper[c] {
		c++
	}
	return c
}

// durations is the layout for seconds: 61 µs to four and a half hours, 16
// buckets for each power of two.
func durations(bounds []float64) (*layout, error) { return newLayout(4, -14, 14, bounds) }

// histogram counts observations in classic and native buckets at once. It does
// what a prometheus.Histogram does at a fraction of the time, in fixed memory:
// no search, no map. Its methods may be used by many goroutines, but for those
// that want the lock held.
type histogram struct {
	*layout
	desc      *prometheus.Desc
	values    []string
	created   time.Time
	exemplars []atomic.Pointer[exemplar] // one for each classic bucket

	mu     *sync.Mutex // guards what follows; histograms that are counted in batches share one
	sum    float64
	whole  uint64 // the part of the sum that addIntLocked added
	counts []uint64
}

// exemplar is a trace that an observation was part of.
type exemplar struct {
	trace string
	value float64
	at    time.Time
}

// exemplarAge is how old an exemplar gets before it is replaced. It keeps
// tracing every request from costing an allocation for every request.
const exemplarAge = time.Second

// newHistogram returns a histogram that mu guards; nil means a lock of its own.
func newHistogram(l *layout, desc *prometheus.Desc, values []string, mu *sync.Mutex) *histogram {
	if mu == nil {
		mu = new(sync.Mutex)
	}
	return &histogram{
		layout:    l,
		desc:      desc,
		values:    slices.Clone(values),
		created:   time.Now(),
		exemplars: make([]atomic.Pointer[exemplar], len(l.bounds)+1),
		mu:        mu,
		counts:    make([]uint64, len(l.upper)),
	}
}

// observe counts v, unless it is not finite.
func (h *histogram) observe(v float64) {
	if v-v != 0 {
		return
	}
	h.mu.Lock()
	h.addLocked(v)
	h.mu.Unlock()
}

// addLocked counts v, which is finite.
func (h *histogram) addLocked(v float64) {
	h.counts[h.cell(v)]++
	h.sum += v
}

// addIntLocked counts n, which is not negative.
func (h *histogram) addIntLocked(n int64) {
	h.counts[h.cell(float64(n))]++
	h.whole += uint64(n) // #nosec G115 -- see above
}

func (h *histogram) total() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.totalLocked()
}

func (h *histogram) totalLocked() float64 { return h.sum + float64(h.whole) }

// exemplify keeps trace as an exemplar of v, unless there is one of late.
func (h *histogram) exemplify(v float64, trace string) {
	slot := &h.exemplars[h.classic[h.cell(v)]]
	if old := slot.Load(); old == nil || time.Since(old.at) >= exemplarAge {
		// Not the caller's string: it is part of a header.
		slot.CompareAndSwap(old, &exemplar{trace: strings.Clone(trace), value: v, at: time.Now()})
	}
}

// snapshot returns the counts of h and their sum, of one moment.
func (h *histogram) snapshot() (counts []uint64, sum float64) {
	counts = make([]uint64, len(h.upper))
	h.mu.Lock()
	defer h.mu.Unlock()
	copy(counts, h.counts)
	return counts, h.totalLocked()
}

// metric returns h as it is now.
func (h *histogram) metric() (prometheus.Metric, error) {
	var total, zero uint64
	native := make(map[int]int64)
	classic := make([]uint64, len(h.bounds)+1)
	counts, sum := h.snapshot()
	for c, n := range counts {
		if n == 0 {
			continue
		}
		total += n
		classic[h.classic[c]] += n
		if h.native[c] == zeroBucket {
			zero += n
		} else {
			native[h.native[c]] += int64(n) // #nosec G115 -- no counter gets there in a human life
		}
	}
	inner, err := prometheus.NewConstNativeHistogram(h.desc, total, sum, native, nil, zero,
		h.schema, h.zero, h.created, h.values...)
	if err != nil {
		return nil, err
	}
	m := prometheus.Metric(&histogramMetric{Metric: inner, bounds: h.bounds, classic: classic})
	if exemplars := h.traces(); len(exemplars) > 0 {
		return prometheus.NewMetricWithExemplars(m, exemplars...)
	}
	return m, nil
}

func (h *histogram) traces() []prometheus.Exemplar {
	var out []prometheus.Exemplar
	for i := range h.exemplars {
		if e := h.exemplars[i].Load(); e != nil {
			out = append(out, prometheus.Exemplar{
				Value: e.value, Timestamp: e.at, Labels: prometheus.Labels{"trace_id": e.trace},
			})
		}
	}
	return out
}

// send sends h to a registry that collects.
func (h *histogram) send(ch chan<- prometheus.Metric) {
	m, err := h.metric()
	if err != nil {
		m = prometheus.NewInvalidMetric(h.desc, err)
	}
	ch <- m
}

// histogramMetric is a native histogram that has classic buckets as well.
type histogramMetric struct {
	prometheus.Metric
	bounds  []float64
	classic []uint64
}

// Write implements [prometheus.Metric].
func (m *histogramMetric) Write(out *dto.Metric) error {
	if err := m.Metric.Write(out); err != nil {
		return err
	}
	buckets := make([]*dto.Bucket, len(m.bounds)) // that of +Inf is implied
	var cumulative uint64
	for i, bound := range m.bounds {
		cumulative += m.classic[i]
		buckets[i] = &dto.Bucket{UpperBound: new(bound), CumulativeCount: new(cumulative)}
	}
	out.Histogram.Bucket = buckets
	return nil
}

// quantile estimates the q-quantile of counts by the middle, on a logarithmic
// scale, of the cell that the observation of that rank is in. ok is false if
// there is none.
func (l *layout) quantile(q float64, counts []uint64) (v float64, ok bool) {
	var total uint64
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	rank := max(1, uint64(math.Ceil(q*float64(total))))
	var seen uint64
	c := 0
	for i, n := range counts {
		if seen += n; seen >= rank {
			c = i
			break
		}
	}
	switch {
	case l.upper[c] <= l.zero:
		return l.upper[c] / 2, true
	case math.IsInf(l.upper[c], 1):
		return l.upper[c-1], true
	default:
		return math.Sqrt(l.upper[c-1] * l.upper[c]), true
	}
}

// top is the last finite bound: beyond, quantiles are too low.
func (l *layout) top() float64 { return l.upper[len(l.upper)-2] }

// quantileError is the largest relative error of a quantile between the zero
// bucket and the last bound.
func (l *layout) quantileError() float64 {
	return math.Exp2(1/float64(int(2)<<l.schema)) - 1
}
