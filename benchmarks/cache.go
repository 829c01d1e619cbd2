package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/cache"
)

// cacheEntries is how many answers of a KiB are stored while hits are measured.
const cacheEntries = 100_000

// cacheGroups measures hits through the middleware, and the store beside the
// libraries that one would otherwise take.
func cacheGroups() []harness.Group {
	return []harness.Group{
		{
			Name: "cache: hit through the middleware (1 KiB answer, 100,000 entries)",
			Note: "The plain cache takes the body of the request as it is for its key, for all tenants alike, and answers with bytes from ttlcache: what is usually written by hand.",
			Base: "plain cache by hand",
			Cases: []harness.Case{
				{Name: "bare handler", New: handled(bareAnswer)},
				{Name: "plain cache by hand", New: handled(sync.OnceValue(plainCache))},
				{Name: "spark", Ours: true, New: handled(sync.OnceValue(sparkCache))},
			},
		},
		{
			Name: "cache: key of a request", Base: "SHA-256 of the bytes",
			Cases: []harness.Case{
				{Name: "SHA-256 of the bytes", New: keyed(func(body []byte) {
					sum := sha256.Sum256(body)
					_ = string(sum[:])
				})},
				{Name: "spark", Ours: true, New: keyed(func(body []byte) {
					if _, err := cache.NewKey(cache.Tenant("a"), cache.Call{Model: "m", Params: body}); err != nil {
						panic(err)
					}
				})},
			},
		},
		{Name: "cache: store hit (100,000 entries)", Base: "ttlcache", Cases: stores(false)},
		{Name: "cache: store hit in parallel (100,000 entries)", Parallel: true, Base: "ttlcache", Cases: stores(false)},
		{Name: "cache: store set that evicts (100,000 entries)", Base: "ttlcache", Cases: stores(true)},
	}
}

func cacheBody(i int) []byte {
	return fmt.Appendf(nil, `{"model":"claude-sonnet","max_tokens":1024,"temperature":0,"messages":[{"role":"user","content":"What is %d times two? Answer in one word."}]}`, i)
}

var cacheAnswer = []byte(`{"text":"` + strings.Repeat("x", 1024-11) + `"}`)

// rewound is a request body that is as new after it was read.
type rewound struct{ bytes.Reader }

func (b *rewound) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		_, _ = b.Seek(0, io.SeekStart) // never fails
	}
	return n, err
}

func (*rewound) Close() error { return nil }

// handled measures a handler, with requests that go all over the entries.
func handled(build func() http.Handler) func() (func(int), func()) {
	return func() (func(int), func()) {
		requests := make([]*http.Request, 1024)
		for i := range requests {
			body := cacheBody(i * (cacheEntries / len(requests)))
			r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/messages", nil)
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = int64(len(body))
			r.Body = &rewound{*bytes.NewReader(body)}
			requests[i] = r
		}
		return harness.Serve(build(), requests...), nil
	}
}

func bareAnswer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cacheAnswer)
	})
}

func plainCache() http.Handler {
	c := ttlcache.New(ttlcache.WithTTL[string, []byte](time.Hour), ttlcache.WithDisableTouchOnHit[string, []byte]())
	for i := range cacheEntries {
		sum := sha256.Sum256(cacheBody(i))
		c.Set(string(sum[:]), bytes.Clone(cacheAnswer), ttlcache.DefaultTTL)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		item := c.Get(string(sum[:]))
		if item == nil {
			panic("a miss")
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Cache", "hit")
		h.Set("Age", strconv.Itoa(int(time.Hour-time.Until(item.ExpiresAt()))/int(time.Second)))
		_, _ = w.Write(item.Value())
	})
}

func sparkCache() http.Handler {
	c, err := cache.New(cache.Config{
		Scope: func(*http.Request) (cache.Scope, error) { return cache.Tenant("a"), nil },
	})
	if err != nil {
		panic(err)
	}
	full := false
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if full {
			panic("a miss")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cacheAnswer)
	}))
	for i := range cacheEntries {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/messages", bytes.NewReader(cacheBody(i)))
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for c.Stats().InFlight > 0 {
		time.Sleep(time.Millisecond)
	}
	full = true
	return h
}

// keyed measures what makes a key of a body.
func keyed(key func([]byte)) func() (func(int), func()) {
	return func() (func(int), func()) {
		bodies := make([][]byte, 256)
		for i := range bodies {
			bodies[i] = cacheBody(i)
		}
		return func(i int) { key(bodies[i%len(bodies)]) }, nil
	}
}

// stores are the stores, full, being read or written.
func stores(write bool) []harness.Case {
	ctx := context.Background()
	lookUp := func(set func(string, []byte), get func(string) bool) (func(int), func()) {
		keys := make([]string, 2*cacheEntries)
		for i := range keys {
			keys[i] = fmt.Sprintf("%078d", i) // as long as those of the cache
		}
		for _, k := range keys[:cacheEntries] {
			set(k, cacheAnswer)
		}
		if write {
			return func(i int) { set(keys[(cacheEntries+i)%len(keys)], cacheAnswer) }, nil
		}
		return func(i int) {
			if !get(keys[i*7919%cacheEntries]) {
				panic("a miss")
			}
		}, nil
	}
	return []harness.Case{
		{Name: "ttlcache", New: func() (func(int), func()) {
			c := ttlcache.New(ttlcache.WithTTL[string, []byte](time.Hour),
				ttlcache.WithDisableTouchOnHit[string, []byte](), ttlcache.WithCapacity[string, []byte](cacheEntries))
			return lookUp(func(k string, v []byte) { c.Set(k, v, ttlcache.DefaultTTL) },
				func(k string) bool { return c.Get(k) != nil })
		}},
		{Name: "golang-lru expirable", New: func() (func(int), func()) {
			c := expirable.NewLRU[string, []byte](cacheEntries, nil, time.Hour)
			return lookUp(func(k string, v []byte) { c.Add(k, v) },
				func(k string) bool { _, ok := c.Get(k); return ok })
		}},
		{Name: "otter", New: func() (func(int), func()) {
			// Room for a few more: otter may evict before it is full.
			c := otter.Must(&otter.Options[string, []byte]{MaximumSize: cacheEntries + cacheEntries/10, ExpiryCalculator: otter.ExpiryWriting[string, []byte](time.Hour)})
			return lookUp(func(k string, v []byte) { c.Set(k, v) },
				func(k string) bool { _, ok := c.GetIfPresent(k); return ok })
		}},
		{Name: "spark Memory", Ours: true, New: func() (func(int), func()) {
			m, err := cache.NewMemory(cache.MemoryConfig{MaxEntries: cacheEntries, MaxBytes: 1 << 40})
			if err != nil {
				panic(err)
			}
			return lookUp(func(k string, v []byte) {
				if err := m.Set(ctx, k, v, time.Hour); err != nil {
					panic(err)
				}
			}, func(k string) bool { v, err := m.Get(ctx, k); return err == nil && v != nil })
		}},
	}
}
