package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

// entries is how many answers are stored while a hit is measured.
const entries = 100_000

// answer1K is an answer of 1 KiB.
var answer1K = `{"text":"` + strings.Repeat("x", 1024-11) + `"}`

// rewound is a request body that can be sent again and again.
type rewound struct {
	*strings.Reader
	text string
}

func (r *rewound) Close() error {
	r.Reset(r.text)
	return nil
}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }

// filled returns a handler with entries answers in its cache, and requests for
// some of them.
func filled(t testing.TB, n int) (http.Handler, []*http.Request) {
	c := build(t, cache.Config{})
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer1K)
	}))
	var requests []*http.Request
	for i := range n {
		r := post("tenant", prompt(i))
		do(h, r)
		if i%(n/min(n, 512)) == 0 {
			r := post("tenant", "")
			r.Body = &rewound{strings.NewReader(prompt(i)), prompt(i)}
			r.ContentLength = int64(len(prompt(i)))
			requests = append(requests, r)
		}
	}
	w := do(h, post("tenant", prompt(0)))
	require.Contains(t, w.Header().Get("Cache-Status"), "hit")
	require.Len(t, w.Body.String(), 1024)
	return h, requests
}

func prompt(i int) string {
	return fmt.Sprintf(`{"model":"claude-sonnet","max_tokens":1024,"temperature":0,"messages":[{"role":"user","content":"What is %d times two? Answer in one word."}]}`, i)
}

func serve(h http.Handler, w *sink, r *http.Request) {
	clear(w.header)
	w.bytes = 0
	h.ServeHTTP(w, r)
	_ = r.Body.Close()
}

// BenchmarkHandler compares a hit with a bare handler that reads the same
// request and writes the same answer.
func BenchmarkHandler(b *testing.B) {
	cached, requests := filled(b, entries)
	body := []byte(answer1K)
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	for _, bm := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"hit", cached}} {
		b.Run(bm.name, func(b *testing.B) {
			w := &sink{header: make(http.Header, 16)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				serve(bm.h, w, requests[i%len(requests)])
			}
			require.Equal(b, 1024, w.bytes)
		})
	}
}

func BenchmarkHandlerParallel(b *testing.B) {
	cached, requests := filled(b, entries)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := &sink{header: make(http.Header, 16)}
		r := requests[0].Clone(b.Context())
		r.Body = &rewound{strings.NewReader(prompt(0)), prompt(0)}
		for pb.Next() {
			serve(cached, w, r)
		}
	})
}

func BenchmarkNewKey(b *testing.B) {
	params := []byte(prompt(1))
	b.SetBytes(int64(len(params)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cache.NewKey(cache.Tenant("a"), cache.Call{Model: "m", Params: params}); err != nil {
			b.Fatal(err)
		}
	}
}

// A hit costs little enough to stand in front of anything.
func TestHitAllocations(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	h, requests := filled(t, 512)
	w := &sink{header: make(http.Header, 16)}
	n := testing.AllocsPerRun(1000, func() { serve(h, w, requests[7]) })
	require.LessOrEqual(t, n, 4.0)
}
