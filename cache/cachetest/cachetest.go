// Package cachetest tests implementations of [cache.Store].
//
//	func TestStore(t *testing.T) {
//		cachetest.Run(t, func(t *testing.T) cache.Store { return NewStore(…) })
//	}
package cachetest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparkhttp/spark/cache"
)

// Run tests what every [cache.Store] has to do. open returns an empty store; it
// is called for each test, and may register clean-up with t.Cleanup.
//
// The tests take real time: a few seconds, since a store over a network counts
// time by itself. Times are whole seconds, the finest that some stores have.
func Run(t *testing.T, open func(t *testing.T) cache.Store) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, s cache.Store)
	}{
		{"missing", missing},
		{"set and get", setAndGet},
		{"replace", replace},
		{"any bytes", anyBytes},
		{"delete one", deleteOne},
		{"delete by pattern", deleteByPattern},
		{"expire", expire},
		{"reading does not prolong", readingDoesNotProlong},
		{"at once", atOnce},
		{"behind a cache", behindACache},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, open(t))
		})
	}
}

const long = time.Hour

func set(t *testing.T, s cache.Store, key string, value []byte, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, ttl); err != nil {
		t.Fatalf("Set(%q) failed: %v", key, err)
	}
}

// want fails the test unless key has this value; nil means none.
func want(t *testing.T, s cache.Store, key string, value []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	switch {
	case err != nil:
		t.Fatalf("Get(%q) failed: %v", key, err)
	case value == nil && got != nil:
		t.Fatalf("Get(%q) = %q, want nil", key, got)
	case value != nil && !bytes.Equal(got, value):
		t.Fatalf("Get(%q) = %q, want %q", key, got, value)
	}
}

func remove(t *testing.T, s cache.Store, pattern string, count int) {
	t.Helper()
	n, err := s.Delete(t.Context(), pattern)
	if err != nil {
		t.Fatalf("Delete(%q) failed: %v", pattern, err)
	}
	if n != count {
		t.Fatalf("Delete(%q) = %d, want %d", pattern, n, count)
	}
}

func missing(t *testing.T, s cache.Store) {
	want(t, s, "a.b.c", nil)
	remove(t, s, "a.b.c", 0)
	remove(t, s, "a.*", 0)
}

func setAndGet(t *testing.T, s cache.Store) {
	set(t, s, "a.b.c", []byte("1"), long)
	set(t, s, "a.b.d", []byte("2"), long)
	want(t, s, "a.b.c", []byte("1"))
	want(t, s, "a.b.d", []byte("2"))
	want(t, s, "a.b", nil)
	want(t, s, "A.b.c", nil)
}

func replace(t *testing.T, s cache.Store) {
	set(t, s, "a.b.c", []byte("a longer one"), long)
	set(t, s, "a.b.c", []byte("2"), long)
	want(t, s, "a.b.c", []byte("2"))
	remove(t, s, "a.b.c", 1)
}

func anyBytes(t *testing.T, s cache.Store) {
	value := make([]byte, 100_000)
	for i := range value {
		value[i] = byte(i * i) // #nosec G115 -- any byte will do
	}
	set(t, s, "a.b.c", value, long)
	want(t, s, "a.b.c", value)
}

func deleteOne(t *testing.T, s cache.Store) {
	set(t, s, "a.b.c", []byte("1"), long)
	set(t, s, "a.b.cc", []byte("2"), long)
	remove(t, s, "a.b.c", 1)
	want(t, s, "a.b.c", nil)
	want(t, s, "a.b.cc", []byte("2"))
}

// deleteByPattern has characters in its keys that mean something in the
// patterns of other systems.
func deleteByPattern(t *testing.T, s cache.Store) {
	keys := []string{"a_b.m.1", "axb.m.1", "a_b.n-1.2", "a_bc.m.3", "a-b.m.1", "c.a_b.m"}
	for _, k := range keys {
		set(t, s, k, []byte(k), long)
	}
	remove(t, s, "a_b.*", 2)
	want(t, s, "a_b.m.1", nil)
	want(t, s, "a_b.n-1.2", nil)
	for _, k := range []string{"axb.m.1", "a_bc.m.3", "a-b.m.1", "c.a_b.m"} {
		want(t, s, k, []byte(k))
	}
	remove(t, s, "*.m.*", 3)
	want(t, s, "c.a_b.m", []byte("c.a_b.m"))
	remove(t, s, "*", 1)
	want(t, s, "c.a_b.m", nil)
}

func expire(t *testing.T, s cache.Store) {
	set(t, s, "short", []byte("1"), time.Second)
	set(t, s, "long", []byte("2"), long)
	set(t, s, "replaced", []byte("3"), time.Second)
	set(t, s, "replaced", []byte("4"), long)
	time.Sleep(2100 * time.Millisecond)
	want(t, s, "short", nil)
	want(t, s, "long", []byte("2"))
	want(t, s, "replaced", []byte("4"))
}

func readingDoesNotProlong(t *testing.T, s cache.Store) {
	set(t, s, "a", []byte("1"), 2*time.Second)
	end := time.Now().Add(3100 * time.Millisecond)
	for time.Now().Before(end) {
		if _, err := s.Get(t.Context(), "a"); err != nil {
			t.Fatalf("Get failed: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	want(t, s, "a", nil)
}

// atOnce checks under parallel use that a value is always one that was set.
func atOnce(t *testing.T, s cache.Store) {
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprintf("k.%d.x", i%5)
				value := []byte(strings.Repeat(key, 1+worker))
				if err := s.Set(t.Context(), key, value, long); err != nil {
					t.Errorf("Set failed: %v", err)
				}
				got, err := s.Get(t.Context(), key)
				if err != nil || strings.ReplaceAll(string(got), key, "") != "" {
					t.Errorf("Get(%q) = %q, %v", key, got, err)
				}
				if _, err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("Delete failed: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// behindACache has a cache use the store: hits, tenants and a purge.
func behindACache(t *testing.T, s cache.Store) {
	c, err := cache.New(cache.Config{Store: s, Scope: func(*http.Request) (cache.Scope, error) { return cache.Public(), nil }})
	if err != nil {
		t.Fatalf("New failed: %v", err)
	}
	calls := 0
	ask := func(tenant string) cache.Kind {
		t.Helper()
		k, err := cache.NewKey(cache.Tenant(tenant), cache.Call{Model: "m", Params: []byte(`{"prompt":"x"}`)})
		if err != nil {
			t.Fatalf("NewKey failed: %v", err)
		}
		a, err := c.Do(t.Context(), k, func(_ context.Context, out *cache.Recorder) error {
			calls++
			_, err := out.Write([]byte(tenant))
			return err
		})
		if err != nil {
			t.Fatalf("Do failed: %v", err)
		}
		defer a.Close() //nolint:errcheck // it never fails
		for chunk, err := range a.Chunks() {
			if err != nil || string(chunk) != tenant {
				t.Fatalf("Next() = %q, %v, want %q", chunk, err, tenant)
			}
		}
		return a.Kind()
	}
	for i, step := range []struct {
		tenant string
		kind   cache.Kind
	}{{"a", cache.Miss}, {"a", cache.Hit}, {"b", cache.Miss}, {"b", cache.Hit}, {"a", cache.Hit}} {
		if kind := ask(step.tenant); kind != step.kind {
			t.Fatalf("step %d: %s, want %s", i, kind, step.kind)
		}
	}
	settle(c)
	if n, err := c.Purge(t.Context(), cache.Tenant("a")); n != 1 || err != nil {
		t.Fatalf("Purge = %d, %v, want 1", n, err)
	}
	if kind := ask("a"); kind != cache.Miss {
		t.Fatalf("after the purge: %s, want a miss", kind)
	}
	if kind := ask("b"); kind != cache.Hit {
		t.Fatalf("of another tenant after the purge: %s, want a hit", kind)
	}
	settle(c)
	if calls != 3 {
		t.Fatalf("the provider was called %d times, want 3", calls)
	}
}

// settle waits until all answers are stored.
func settle(c *cache.Cache) {
	for c.Stats().InFlight > 0 {
		time.Sleep(time.Millisecond)
	}
}
