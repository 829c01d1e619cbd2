package metrics_test

import (
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sparkhttp/spark/metrics"
)

// discard is a ResponseWriter that keeps nothing and can be used again.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

var hello = []byte("hello")

func answer(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(hello)
}

func benchmarkHandler(b *testing.B, h http.Handler) {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, "/v1/answer", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Pattern = "POST /v1/answer"
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func BenchmarkBare(b *testing.B) { benchmarkHandler(b, http.HandlerFunc(answer)) }

func BenchmarkHandler(b *testing.B) {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	benchmarkHandler(b, m.Handler(http.HandlerFunc(answer)))
}
