//go:build !race

package metrics_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

// The one allocation of a request is the ResponseWriter that watches it. The race
// detector makes allocations of its own.
func TestAllocations(t *testing.T) {
	m := newMetrics(t, metrics.Config{Providers: anthropic})
	h := m.Handler(http.HandlerFunc(answer))
	w := discard{http.Header{}}
	request := func(trace string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/answer", strings.NewReader("{}"))
		require.NoError(t, err)
		r.Pattern = "POST /v1/answer"
		if trace != "" {
			r.Header.Set("Traceparent", trace)
		}
		return r
	}
	plain := request("")
	traced := request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	c := m.Counter("app_events_total", "Events.", metrics.By("kind", "a", "b"), metrics.By("user"))
	g := m.Gauge("app_state", "State.")
	s := m.Histogram("app_wait_seconds", "Waiting.", nil, metrics.By("user"))
	tests := []struct {
		name string
		do   func()
		want float64
	}{
		{"request", func() { h.ServeHTTP(w, plain) }, 1},
		{"traced request", func() { h.ServeHTTP(w, traced) }, 1},
		{"counter", func() { c.Inc("a", "ann") }, 0},
		{"gauge", func() { g.Set(1) }, 0},
		{"histogram", func() { s.Observe(1, "ann") }, 0},
		{"call of a provider", func() {
			call := m.Begin(metrics.Call{Provider: "anthropic", Model: "claude", Traceparent: traced.Header.Get("Traceparent")})
			call.Chunk()
			call.End(metrics.Outcome{Usage: metrics.Usage{Input: 1, Output: 1}})
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.LessOrEqual(t, testing.AllocsPerRun(1000, tt.do), tt.want)
		})
	}
}
