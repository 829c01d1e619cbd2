package health_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sparkhttp/spark/health"
)

func BenchmarkProbe(b *testing.B) {
	h := newHealth(b, health.Config{
		CacheFor: time.Hour,
		Checks:   []health.Check{health.Memory(0.9), health.Goroutines(10_000), result("a", health.Result{Status: health.Pass})},
	})
	for name, handler := range map[string]http.Handler{
		"bare": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "live": h.Live(), "ready": h.Ready(),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
