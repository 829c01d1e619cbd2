package headers_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sparkhttp/spark/headers"
)

// writer is a ResponseWriter whose header is used again.
type writer struct{ h http.Header }

func (w writer) Header() http.Header         { return w.h }
func (w writer) Write(p []byte) (int, error) { return len(p), nil }
func (w writer) WriteHeader(int)             {}

func BenchmarkHandler(b *testing.B) {
	bare := func(http.ResponseWriter, *http.Request) {}
	for _, bb := range []struct {
		name string
		h    http.Handler
	}{
		{"bare", http.HandlerFunc(bare)},
		{"API", handler(b, headers.Config{}, bare)},
		{"API and strip", handler(b, headers.Config{Strip: headers.Leaking()}, bare)},
		{"HTML", handler(b, headers.Config{Preset: headers.HTML}, bare)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			w, r := writer{http.Header{}}, httptest.NewRequest(http.MethodGet, "/", nil)
			overTLS(r)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				bb.h.ServeHTTP(w, r)
			}
		})
	}
}
