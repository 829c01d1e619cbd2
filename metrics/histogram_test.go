package metrics_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

var inf = math.Inf(1)

// samples returns durations in seconds, all from 1 ms to 600 s.
func samples(name string, n int) []float64 {
	random := rand.New(rand.NewPCG(1, 2))
	out := make([]float64, n)
	for i := range out {
		switch u := random.Float64(); name {
		case "even on a logarithmic scale":
			out[i] = math.Exp(math.Log(.001) + u*math.Log(600/.001))
		case "even":
			out[i] = .001 + u*599.999
		case "log-normal around 2 s":
			out[i] = 2 * math.Exp(random.NormFloat64())
		case "two kinds":
			if out[i] = .002 * (1 + u); i%10 == 0 {
				out[i] = 30 * (1 + u)
			}
		case "on the bounds of buckets":
			bounds := metrics.DefaultBuckets()
			out[i] = bounds[random.IntN(len(bounds))]
		case "at the ends":
			if out[i] = .001; u < .5 {
				out[i] = 600
			}
		}
		out[i] = min(max(out[i], .001), 600)
	}
	return out
}

var distributions = []string{
	"even on a logarithmic scale", "even", "log-normal around 2 s", "two kinds", "on the bounds of buckets", "at the ends",
}

// exact returns the quantile by nearest rank.
func exact(sorted []float64, q float64) float64 {
	return sorted[int(math.Ceil(q*float64(len(sorted))))-1]
}

func TestPercentilesForPeople(t *testing.T) {
	for _, name := range distributions {
		t.Run(name, func(t *testing.T) { percentilesForPeople(t, samples(name, 2000)) })
	}
}

// percentilesForPeople has requests take as long as they say, in the time of a
// bubble.
func percentilesForPeople(t *testing.T, took []float64) {
	var got struct {
		Scope           string
		PercentileError struct{ Relative float64 } `json:"percentile_error"`
		Routes          []struct {
			Count uint64
			P50   float64 `json:"p50_seconds"`
			P95   float64 `json:"p95_seconds"`
			P99   float64 `json:"p99_seconds"`
		}
	}
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{})
		i := 0
		h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(time.Duration(took[i] * float64(time.Second)))
			i++
		}))
		for range took {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		require.NoError(t, json.Unmarshal([]byte(scrape(t, m, "application/json")), &got))
	})
	require.Contains(t, got.Scope, "this process only")
	require.Len(t, got.Routes, 1)
	route := got.Routes[0]
	require.EqualValues(t, len(took), route.Count)
	slices.Sort(took)
	require.LessOrEqual(t, got.PercentileError.Relative, 0.05)
	require.InEpsilon(t, exact(took, .50), route.P50, got.PercentileError.Relative)
	require.InEpsilon(t, exact(took, .95), route.P95, got.PercentileError.Relative)
	require.InEpsilon(t, exact(took, .99), route.P99, got.PercentileError.Relative)
}

// gathered returns the only histogram of that name in reg.
func gathered(t testing.TB, reg prometheus.Gatherer, name string) *dto.Histogram {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			require.Len(t, f.GetMetric(), 1)
			return f.GetMetric()[0].GetHistogram()
		}
	}
	require.Fail(t, "no metric "+name)
	return nil
}

// nativeQuantile is what a Prometheus server makes of a native histogram: the
// middle of the bucket, on a logarithmic scale.
func nativeQuantile(h *dto.Histogram, q float64) float64 {
	rank := uint64(math.Ceil(q * float64(h.GetSampleCount())))
	seen := h.GetZeroCount()
	var index int32
	var count int64
	deltas := h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		index += span.GetOffset()
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if seen += uint64(count); seen >= rank {
				return math.Exp2((float64(index) - .5) / math.Exp2(float64(h.GetSchema())))
			}
			index++
		}
	}
	return inf
}

func TestNativeHistogramForPrometheus(t *testing.T) {
	for _, name := range distributions {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			m := newMetrics(t, metrics.Config{Registerer: reg})
			h := m.Histogram("app_wait_seconds", "Waiting.", nil)
			took := samples(name, 5000)
			sum := 0.0
			for _, v := range took {
				h.Observe(v)
				sum += v
			}
			slices.Sort(took)
			got := gathered(t, reg, "app_wait_seconds")
			require.EqualValues(t, len(took), got.GetSampleCount())
			require.InEpsilon(t, sum, got.GetSampleSum(), 1e-9)
			for _, q := range []float64{.01, .5, .95, .99, .999} {
				require.InEpsilon(t, exact(took, q), nativeQuantile(got, q), .022, "quantile %v", q)
			}
			require.Len(t, got.GetBucket(), len(metrics.DefaultBuckets()))
			for _, b := range got.GetBucket() {
				want, _ := slices.BinarySearchFunc(took, b.GetUpperBound(), func(v, bound float64) int {
					if v <= bound {
						return -1
					}
					return 1
				})
				require.EqualValues(t, want, b.GetCumulativeCount(), "bucket %v", b.GetUpperBound())
			}
		})
	}
}

func TestHistogramOfOddValues(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: reg})
	h := m.Histogram("app_wait_seconds", "Waiting.", nil)
	for _, v := range []float64{math.NaN(), inf, -inf, 0, -3, 5e-324, 1e-9, math.Exp2(-14), 16384, 16385, 1e300} {
		h.Observe(v)
	}
	got := gathered(t, reg, "app_wait_seconds")
	require.EqualValues(t, 8, got.GetSampleCount(), "what is not finite does not count")
	require.EqualValues(t, 5, got.GetZeroCount())
	require.EqualValues(t, 5, got.GetBucket()[0].GetCumulativeCount())
	require.EqualValues(t, 5, got.GetBucket()[len(got.GetBucket())-1].GetCumulativeCount())
}

func TestHistogramWithBucketsOfItsOwn(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: reg})
	h := m.Histogram("app_score", "Scores.", []float64{0, .5, 1, 100})
	for _, v := range []float64{0, .25, .5, .75, 1, 99, 100, 101, 1e9} {
		h.Observe(v)
	}
	require.NoError(t, m.Err())
	got := gathered(t, reg, "app_score")
	var cumulative []uint64
	for _, b := range got.GetBucket() {
		cumulative = append(cumulative, b.GetCumulativeCount())
	}
	require.Equal(t, []uint64{1, 3, 5, 7}, cumulative)
	require.EqualValues(t, 9, got.GetSampleCount())
}

// Whatever is observed, the buckets of both kinds say the same.
func FuzzHistogram(f *testing.F) {
	for _, v := range []float64{0, .005, .0050001, 1, 600, 16384, -1, 1e-300, 1e300, math.Exp2(.25), math.NaN(), inf} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		reg := prometheus.NewRegistry()
		m := newMetrics(t, metrics.Config{Registerer: reg})
		h := m.Histogram("app_wait_seconds", "Waiting.", nil)
		h.Observe(v)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			require.Contains(t, scrape(t, m, ""), "\napp_wait_seconds_count 0\n")
			return
		}
		got := gathered(t, reg, "app_wait_seconds")
		require.EqualValues(t, 1, got.GetSampleCount())
		for _, b := range got.GetBucket() {
			require.Equal(t, v <= b.GetUpperBound(), b.GetCumulativeCount() == 1, "%v in bucket %v", v, b.GetUpperBound())
		}
		if v > math.Exp2(-14) && v <= 16384 {
			require.InEpsilon(t, v, nativeQuantile(got, 1), .022)
		}
	})
}

func TestScrapeIsConsistent(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newMetrics(t, metrics.Config{Registerer: reg})
	h := m.Histogram("app_wait_seconds", "Waiting.", nil)
	stop, done := make(chan struct{}), make(chan struct{})
	h.Observe(1)
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				h.Observe(float64(i%1000) / 7)
			}
		}
	}()
	var last uint64
	for range 200 {
		got := gathered(t, reg, "app_wait_seconds")
		n, count, native := got.GetZeroCount(), int64(0), got.GetSampleCount()
		for _, d := range got.GetPositiveDelta() {
			count += d
			n += uint64(count)
		}
		require.Equal(t, native, n)
		require.GreaterOrEqual(t, native, last)
		require.LessOrEqual(t, got.GetBucket()[18].GetCumulativeCount(), native)
		last = native
	}
	close(stop)
	<-done
	require.NotContains(t, strings.ToLower(scrape(t, m, "")), "nan")
}
