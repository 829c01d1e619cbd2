package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	slokprom "github.com/slok/go-http-metrics/metrics/prometheus"
	"github.com/slok/go-http-metrics/middleware"
	"github.com/slok/go-http-metrics/middleware/std"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/metrics"
)

// metricsGroups measures a middleware around a handler that answers at once, so
// that the middleware is what is measured.
func metricsGroups() []harness.Group {
	const note = "ours: duration, request and response size, classic and native, by route, and how the response ended; in flight; " +
		"slok: duration, response size, in flight, classic; promhttp: in flight, duration, counter, request and response size, classic."
	cases := func(slokID string, requests func() []*http.Request) []harness.Case {
		serve := func(name string, ours bool, wrap func(http.Handler) http.Handler) harness.Case {
			return harness.Case{Name: name, Ours: ours, New: func() (func(int), func()) {
				return harness.Serve(wrap(http.HandlerFunc(answerHello)), requests()...), nil
			}}
		}
		return []harness.Case{
			serve("bare handler", false, func(h http.Handler) http.Handler { return h }),
			serve("spark metrics", true, sparkMetrics),
			serve("slok/go-http-metrics", false, slokMetrics(slokID)),
			serve("promhttp chain", false, promhttpChain),
		}
	}
	return []harness.Group{
		{Name: "middleware, one route", Note: note, Base: "slok/go-http-metrics", Cases: cases("/v1/route0", oneRoute)},
		{Name: "middleware, one route, parallel", Parallel: true, Base: "slok/go-http-metrics", Cases: cases("/v1/route0", oneRoute)},
		{Name: "middleware, 50 routes", Base: "slok/go-http-metrics", Cases: cases("", manyRoutes)},
	}
}

func answerHello(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(hello)
}

var hello = []byte(`{"text":"hello"}`)

// oneRoute returns a request as a mux leaves it: with its pattern.
func oneRoute() []*http.Request { return []*http.Request{routed(0)} }

func manyRoutes() []*http.Request {
	requests := make([]*http.Request, 50)
	for i := range requests {
		requests[i] = routed(i)
	}
	return requests
}

func routed(i int) *http.Request {
	path := "/v1/route" + strconv.Itoa(i)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost"+path, strings.NewReader("{}"))
	if err != nil {
		panic(err) // the URL is a constant
	}
	r.Pattern = "POST " + path
	r.Header.Set("User-Agent", "benchmark")
	return r
}

func sparkMetrics(h http.Handler) http.Handler {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		panic(err) // the zero Config is valid
	}
	return m.Handler(h)
}

// slokMetrics names its handler by id, as its documentation does; "" means the
// path of each request.
func slokMetrics(id string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		recorder := slokprom.NewRecorder(slokprom.Config{Registry: prometheus.NewRegistry()})
		return std.Handler(id, middleware.New(middleware.Config{Recorder: recorder}), h)
	}
}

func promhttpChain(h http.Handler) http.Handler {
	by := []string{"method", "code"}
	histogram := func(name string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: "Measured."}, by)
	}
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "in_flight", Help: "Measured."})
	count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Measured."}, by)
	return promhttp.InstrumentHandlerInFlight(inFlight,
		promhttp.InstrumentHandlerDuration(histogram("duration_seconds"),
			promhttp.InstrumentHandlerCounter(count,
				promhttp.InstrumentHandlerRequestSize(histogram("request_size_bytes"),
					promhttp.InstrumentHandlerResponseSize(histogram("response_size_bytes"), h)))))
}
