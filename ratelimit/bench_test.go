package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

// discard is a ResponseWriter that costs as little as one can.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// requests returns requests of n users, with RemoteAddr and a header to tell them
// apart.
func requests(n int) []*http.Request {
	list := make([]*http.Request, n)
	for i := range list {
		r := httptest.NewRequest("GET", "/v1/things", nil)
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", i>>16&255, i>>8&255, i&255)
		r.Header = http.Header{"X-User": {fmt.Sprintf("user-%d", i)}}
		list[i] = r
	}
	return list
}

var empty = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func BenchmarkHandler(b *testing.B) {
	many := ratelimit.Policy{Name: "burst", Limit: 1_000_000_000, Window: time.Minute}
	never := ratelimit.Policy{Name: "burst", Limit: 1, Window: 24 * time.Hour}
	daily := ratelimit.Policy{Name: "daily", Limit: 1_000_000_000_000, Window: 24 * time.Hour}
	for _, bm := range []struct {
		name     string
		keys     int
		key      func(*http.Request) string
		policies []ratelimit.Policy
	}{
		{"baseline", 1, nil, nil},
		{"1 key", 1, byUser, []ratelimit.Policy{many}},
		{"100k keys", 100_000, byUser, []ratelimit.Policy{many}},
		{"100k keys, 2 policies", 100_000, byUser, []ratelimit.Policy{many, daily}},
		{"100k addresses", 100_000, nil, []ratelimit.Policy{many}},
		{"refused", 1, byUser, []ratelimit.Policy{never}},
		{"refused, 100k keys", 100_000, byUser, []ratelimit.Policy{never}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			h := http.Handler(empty)
			if bm.policies != nil {
				h = newMiddleware(b, ratelimit.Config{Policies: bm.policies, Key: bm.key}).Handler(empty)
			}
			list := requests(bm.keys)
			w := &discard{make(http.Header)}
			for _, r := range list {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, list[i])
				if i++; i == len(list) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkHandlerParallel(b *testing.B) {
	h := newMiddleware(b, ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "burst", Limit: 1_000_000_000, Window: time.Minute}},
		Key:      byUser,
	}).Handler(empty)
	list := requests(100_000)
	for _, r := range list {
		h.ServeHTTP(&discard{make(http.Header)}, r)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var start atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		w := &discard{make(http.Header)}
		for i := int(start.Add(37_000)); pb.Next(); i++ {
			clear(w.h)
			h.ServeHTTP(w, list[i%len(list)])
		}
	})
}

// BenchmarkMemory reports what a million keys take.
func BenchmarkMemory(b *testing.B) {
	keys := make([]string, 1_000_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user-%d", i)
	}
	p := &ratelimit.Policy{Name: "daily", Limit: 1000, Window: 24 * time.Hour}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := ratelimit.NewMemory(1 << 21)
		h := &ratelimit.Hold{Charges: []ratelimit.Charge{{Policy: p, Cost: 1}}}
		start := time.Now()
		for _, k := range keys {
			h.Key = k
			granted, err := m.Take(b.Context(), h)
			require.True(b, granted && err == nil)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(len(keys)), "ns/key")
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.Equal(b, len(keys), m.Len())
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(keys)), "B/key")
		runtime.KeepAlive(m)
	}
}
