package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/cache/cachetest"
)

func memory(t testing.TB, cfg cache.MemoryConfig) *cache.Memory {
	t.Helper()
	m, err := cache.NewMemory(cfg)
	require.NoError(t, err)
	return m
}

func TestMemoryIsAStore(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cache.Store { return memory(t, cache.MemoryConfig{}) })
}

func TestNewMemoryRefuses(t *testing.T) {
	_, err := cache.NewMemory(cache.MemoryConfig{MaxEntries: -1})
	require.EqualError(t, err, "cache: MaxEntries is -1, want at least 1, or 0 for the default")
	_, err = cache.NewMemory(cache.MemoryConfig{MaxBytes: -1})
	require.EqualError(t, err, "cache: MaxBytes is -1, want at least 1, or 0 for the default")
}

func set(t testing.TB, m *cache.Memory, key, value string, ttl time.Duration) {
	t.Helper()
	require.NoError(t, m.Set(t.Context(), key, []byte(value), ttl))
}

func get(t testing.TB, m *cache.Memory, key string) string {
	t.Helper()
	v, err := m.Get(t.Context(), key)
	require.NoError(t, err)
	return string(v)
}

func TestMemoryEvictsTheLeastRecentlyUsed(t *testing.T) {
	for name, cfg := range map[string]cache.MemoryConfig{
		"by entries": {MaxEntries: 3},
		"by bytes":   {MaxBytes: 4 * 1000}, // three of about a thousand
	} {
		t.Run(name, func(t *testing.T) {
			var count int
			var size int64
			m := memory(t, cache.MemoryConfig{MaxEntries: cfg.MaxEntries, MaxBytes: cfg.MaxBytes, OnEvict: func(_ context.Context, n int, b int64) {
				count += n
				size += b
			}})
			value := strings.Repeat("x", 900)
			for _, key := range []string{"a", "b", "c"} {
				set(t, m, key, value, time.Hour)
			}
			require.Equal(t, value, get(t, m, "a"))
			set(t, m, "c", value, time.Hour) // replaces: nothing has to go
			_, before, _ := m.Usage()
			set(t, m, "d", value, time.Hour)
			require.Empty(t, get(t, m, "b"))
			require.Equal(t, value, get(t, m, "a"))
			entries, bytes, evicted := m.Usage()
			require.Equal(t, 3, entries)
			require.Equal(t, before, bytes)
			require.EqualValues(t, 1, evicted)
			require.Equal(t, 1, count)
			require.Equal(t, before/3, size)
		})
	}
}

func TestMemoryRefusesWhatIsTooLarge(t *testing.T) {
	m := memory(t, cache.MemoryConfig{MaxBytes: 1000})
	set(t, m, "a", "x", time.Hour)
	require.ErrorContains(t, m.Set(t.Context(), "b", make([]byte, 1000), time.Hour), "more than MaxBytes 1000")
	require.Equal(t, "x", get(t, m, "a"), "nothing had to go for it")
}

func TestMemoryReadingDoesNotProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{})
		set(t, m, "a", "x", time.Minute)
		for range 59 {
			time.Sleep(time.Second)
			require.Equal(t, "x", get(t, m, "a"))
		}
		time.Sleep(2 * time.Second)
		require.Empty(t, get(t, m, "a"))
	})
}

func TestMemoryRunRemovesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var count int
		var size int64
		m := memory(t, cache.MemoryConfig{OnEvict: func(_ context.Context, n int, b int64) {
			mu.Lock()
			defer mu.Unlock()
			count += n
			size += b
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for i := range 10 {
			set(t, m, fmt.Sprint(i), "x", time.Duration(i+1)*time.Minute)
		}
		_, all, _ := m.Usage()
		time.Sleep(5*time.Minute + 2*time.Second)
		entries, bytes, evicted := m.Usage()
		require.Equal(t, 5, entries)
		require.Equal(t, all/2, bytes)
		require.EqualValues(t, 5, evicted)
		time.Sleep(time.Hour)
		entries, bytes, _ = m.Usage()
		require.Zero(t, entries)
		require.Zero(t, bytes)
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, 10, count)
		require.Equal(t, all, size)
	})
}

// Without Run, the expired make room before anything that is fresh.
func TestMemoryExpiredGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{MaxEntries: 3})
		set(t, m, "fresh", "x", time.Hour)
		set(t, m, "b", "x", time.Minute)
		set(t, m, "c", "x", time.Minute)
		time.Sleep(2 * time.Minute)
		set(t, m, "d", "x", time.Hour)
		set(t, m, "e", "x", time.Hour)
		for _, key := range []string{"fresh", "d", "e"} {
			require.Equal(t, "x", get(t, m, key), key)
		}
		time.Sleep(2 * time.Hour)
		set(t, m, "b", "y", time.Hour) // over an expired one of the same name
		entries, bytes, _ := m.Usage()
		require.Equal(t, 1, entries)
		require.Less(t, bytes, int64(400))
	})
}

// What expired within this very second is not held against what comes.
func TestMemoryRoomOfTheJustExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{MaxBytes: 1500})
		for i := range 5 {
			set(t, m, fmt.Sprint(i), strings.Repeat("x", 1000), 10*time.Millisecond)
			_, bytes, _ := m.Usage()
			require.LessOrEqual(t, bytes, int64(1500))
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// Deletion on demand is complete, also of what has expired and was not removed.
func TestMemoryDeleteLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{})
		for i := range 1000 {
			set(t, m, fmt.Sprintf("t%d.m.%d", i%2, i), "x", time.Duration(1+i%3)*time.Minute)
		}
		time.Sleep(90 * time.Second)
		n, err := m.Delete(t.Context(), "t0.*")
		require.NoError(t, err)
		require.Equal(t, 333, n)
		entries, _, evicted := m.Usage()
		require.Equal(t, 333, entries)
		require.EqualValues(t, 334, evicted)
	})
}

// The books agree with the store whatever happens at once.
func TestMemoryHammer(t *testing.T) {
	const maxEntries, maxBytes = 50, 30_000
	m := memory(t, cache.MemoryConfig{MaxEntries: maxEntries, MaxBytes: maxBytes})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 2))
			for range 800 {
				key := fmt.Sprint(rnd.IntN(100))
				switch rnd.IntN(8) {
				case 0:
					_, err := m.Delete(t.Context(), key)
					require.NoError(t, err)
				case 1, 2, 3:
					ttl := time.Duration(1+rnd.IntN(1000)) * time.Microsecond
					require.NoError(t, m.Set(t.Context(), key, []byte(strings.Repeat(key, rnd.IntN(500))), ttl))
				default:
					v, err := m.Get(t.Context(), key)
					require.NoError(t, err)
					require.Empty(t, strings.ReplaceAll(string(v), key, ""))
				}
				entries, bytes, _ := m.Usage()
				require.LessOrEqual(t, entries, maxEntries)
				require.LessOrEqual(t, bytes, int64(maxBytes))
			}
		})
	}
	wg.Wait()
	_, err := m.Delete(t.Context(), "*")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := m.Delete(t.Context(), "*")
		entries, bytes, _ := m.Usage()
		return err == nil && entries == 0 && bytes == 0
	}, 5*time.Second, 100*time.Millisecond)
}

// What Usage says is what the heap grows by.
func TestMemoryBytesAreReal(t *testing.T) {
	if raceEnabled {
		return // the race detector changes the sizes
	}
	for _, size := range []int{100, 1024, 10_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const n = 20_000
			m := memory(t, cache.MemoryConfig{MaxBytes: 1 << 40})
			before := heap()
			for i := range n {
				// A key as long as those of the cache.
				require.NoError(t, m.Set(t.Context(), fmt.Sprintf("%078d", i), make([]byte, size), time.Hour))
			}
			grown := heap() - before
			_, bytes, _ := m.Usage()
			t.Logf("%d bytes an entry beside the value, of which %d are the key", grown/n-int64(size), 78)
			require.InEpsilon(t, grown, bytes, 0.1)
			runtime.KeepAlive(m)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
