package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"time"

	"github.com/didip/tollbooth/v7"
	tollboothlimiter "github.com/didip/tollbooth/v7/limiter"
	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	throttledstore "github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululehttp "github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	ululestore "github.com/ulule/limiter/v3/drivers/store/memory"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/ratelimit"
)

// limiterMaker makes a middleware that allows limit requests in window for each
// value of the header X-User, or of the address where a peer knows no other key.
// stop frees what it holds.
type limiterMaker func(limit int, window time.Duration) (wrap func(http.Handler) http.Handler, stop func())

var limiters = []struct {
	name string
	ours bool
	make limiterMaker
}{
	{"spark/ratelimit", true, sparkLimiter},
	{"go-chi/httprate", false, httprateLimiter},
	{"ulule/limiter", false, ululeLimiter},
	{"sethvargo/go-limiter", false, goLimiter},
	{"throttled", false, throttledLimiter},
	{"didip/tollbooth", false, tollboothLimiter},
}

// ratelimitGroups measures decisions with all the response headers that each
// limiter writes. The windows are long: with a short one the buckets of keys that
// come seldom would be full again, and ours keeps none that are.
func ratelimitGroups() []harness.Group {
	const (
		day     = 24 * time.Hour
		many    = 100_000
		plenty  = 1_000_000_000 // for one key
		thrifty = 100_000       // for each of many: one unit comes back in 0.9 s
	)
	group := func(name, note string, keys, limit int, parallel bool) harness.Group {
		g := harness.Group{Name: name, Note: note, Parallel: parallel}
		requests := limitedRequests(keys)
		for _, l := range limiters {
			g.Cases = append(g.Cases, harness.Case{Name: l.name, Ours: l.ours, New: warmLimiter(l.make, nothing, limit, day, requests)})
		}
		return g
	}
	return []harness.Group{
		group("allowed, 1 key", "", 1, plenty, false),
		group("allowed, 100,000 keys", "The figure that decides: a key is seldom in the cache of the processor.", many, thrifty, false),
		group("allowed, 100,000 keys, parallel", "", many, thrifty, true),
		group("refused, 1 key", "With the body that each writes by default; ours is a problem document.", 1, 1, false),
		group("refused, 100,000 keys", "", many, 1, false),
		refusalGroup("a refusal beside an answer, 1 key", 1, plenty, day),
		refusalGroup("a refusal beside an answer, 100,000 keys", many, thrifty, day),
		memoryGroup(),
	}
}

// warmLimiter makes operations for keys that are known already, each of which has
// used one unit.
func warmLimiter(maker limiterMaker, next http.Handler, limit int, window time.Duration, requests []*http.Request) func() (func(int), func()) {
	return func() (func(int), func()) {
		wrap, stop := maker(limit, window)
		op := harness.Serve(wrap(next), requests...)
		for i := range requests {
			op(i)
		}
		return op, stop
	}
}

// refusalGroup compares what is refused with what is allowed, where both send a
// small JSON document.
func refusalGroup(name string, keys, plenty int, window time.Duration) harness.Group {
	requests := limitedRequests(keys)
	type status struct {
		Status string `json:"status"`
	}
	answer := []byte(`{"status":"ok"}` + "\n")
	fixed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	encoded := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status{"ok"})
	})
	const allowed = "allowed, json.Encoder"
	return harness.Group{
		Name: name,
		Note: "What is allowed reaches a handler that sets Content-Type and sends {\"status\":\"ok\"}, from a slice or by a json.Encoder. What is refused is sent the whole problem document, with five header fields more.",
		Base: allowed,
		Cases: []harness.Case{
			{Name: allowed, Ours: true, New: warmLimiter(sparkLimiter, encoded, plenty, window, requests)},
			{Name: "allowed, the same bytes each time", Ours: true, New: warmLimiter(sparkLimiter, fixed, plenty, window, requests)},
			{Name: "refused", Ours: true, New: warmLimiter(sparkLimiter, nothing, 1, window, requests)},
		},
	}
}

func limitedRequests(keys int) []*http.Request {
	list := make([]*http.Request, keys)
	template := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/things", nil)
	for i := range list {
		r := *template
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", i>>16&255, i>>8&255, i&255)
		r.Header = http.Header{"X-User": {fmt.Sprintf("user-%07d", i)}}
		list[i] = &r
	}
	return list
}

// memoryGroup lets each operation bring a million new keys, and shows what is
// live after them as the name says; the time is that of all of them.
func memoryGroup() harness.Group {
	const keys = 1_000_000
	requests := limitedRequests(keys)
	g := harness.Group{
		Name: "1,000,000 new keys in one operation",
		Note: "Live bytes per key after a collection, the bytes of the keys (12) not counted where they are kept by the request:\n",
	}
	for _, l := range limiters {
		g.Note += fmt.Sprintf("%s %.1f;\n", l.name, bytesPerKey(l.make, requests))
		g.Cases = append(g.Cases, harness.Case{Name: l.name, Ours: l.ours, New: func() (func(int), func()) {
			wrap, stop := l.make(1000, 24*time.Hour)
			op := harness.Serve(wrap(nothing), requests...)
			return func(int) {
				for i := range keys {
					op(i)
				}
			}, stop
		}})
	}
	return g
}

func bytesPerKey(maker limiterMaker, requests []*http.Request) float64 {
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := live()
	wrap, stop := maker(1000, 24*time.Hour)
	op := harness.Serve(wrap(nothing), requests...)
	for i := range requests {
		op(i)
	}
	after := live()
	runtime.KeepAlive(op)
	if stop != nil {
		stop()
	}
	return (after - before) / float64(len(requests))
}

func byHeader(r *http.Request) string { return r.Header.Get("X-User") }

func byHeaderOK(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil }

func sparkLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	m, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "default", Limit: int64(limit), Window: window}},
		Key:      byHeader,
		Limiter:  ratelimit.NewMemory(1 << 21),
	})
	if err != nil {
		panic(err)
	}
	return m.Handler, nil
}

func httprateLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	return httprate.LimitBy(limit, window, byHeaderOK), nil
}

func ululeLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	l := ulule.New(ululestore.NewStore(), ulule.Rate{Period: window, Limit: int64(limit)})
	return ululehttp.NewMiddleware(l, ululehttp.WithKeyGetter(byHeader)).Handler, nil
}

func goLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(limit), Interval: window}) // #nosec G115 -- a positive constant
	if err != nil {
		panic(err)
	}
	m, err := httplimit.NewMiddleware(store, byHeaderOK)
	if err != nil {
		panic(err)
	}
	return m.Handle, func() { _ = store.Close(context.Background()) }
}

// byUser is the key of throttled.
type byUser struct{}

func (byUser) Key(r *http.Request) string { return r.Header.Get("X-User") }

func throttledLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	store, err := throttledstore.NewCtx(0)
	if err != nil {
		panic(err)
	}
	quota := throttled.RateQuota{MaxRate: throttled.PerDuration(limit, window), MaxBurst: limit - 1}
	l, err := throttled.NewGCRARateLimiterCtx(store, quota)
	if err != nil {
		panic(err)
	}
	h := throttled.HTTPRateLimiterCtx{RateLimiter: l, VaryBy: byUser{}}
	return h.RateLimit, nil
}

func tollboothLimiter(limit int, window time.Duration) (func(http.Handler) http.Handler, func()) {
	l := tollbooth.NewLimiter(float64(limit)/window.Seconds(), &tollboothlimiter.ExpirableOptions{DefaultExpirationTTL: time.Hour})
	l.SetBurst(limit).SetIPLookups([]string{"RemoteAddr"})
	return func(next http.Handler) http.Handler { return tollbooth.LimitHandler(l, next) }, nil
}
