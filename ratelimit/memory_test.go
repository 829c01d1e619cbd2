package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/sparkhttp/spark/ratelimit"
)

// take charges a key by policies, cost of each.
func take(t testing.TB, l ratelimit.Limiter, key string, charges ...ratelimit.Charge) (bool, *ratelimit.Hold) {
	t.Helper()
	h := &ratelimit.Hold{Key: key, ID: rand.Uint64() | 1, Lease: time.Minute, Charges: charges}
	granted, err := l.Take(t.Context(), h)
	require.NoError(t, err)
	return granted, h
}

func charge(p *ratelimit.Policy, cost int64) ratelimit.Charge {
	return ratelimit.Charge{Policy: p, Cost: cost, Actual: cost}
}

// TestMemoryIsARateLimiter lets the same random calls decide by Memory and by a
// rate.Limiter, in the time of a bubble.
func TestMemoryIsARateLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		m := ratelimit.NewMemory(1000)
		p := &ratelimit.Policy{Name: "p", Limit: 8, Window: time.Second, Burst: 20}
		limiters := make([]*rate.Limiter, 20)
		for i := range limiters {
			limiters[i] = rate.NewLimiter(8, 20)
		}
		for range 5000 {
			time.Sleep(time.Duration(rng.Int64N(8)) * time.Second / 512)
			k, n := rng.IntN(len(limiters)), rng.Int64N(6)
			granted, h := take(t, m, fmt.Sprint("key ", k), charge(p, n))
			require.Equal(t, limiters[k].AllowN(time.Now(), int(n)), granted)
			require.Equal(t, int64(math.Floor(limiters[k].Tokens())), h.Charges[0].Remaining)
		}
	})
}

func TestTakeIsAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		burst := &ratelimit.Policy{Name: "burst", Limit: 10, Window: time.Minute}
		tokens := &ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 100, Window: time.Minute}
		streams := &ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 2}

		granted, h := take(t, m, "k", charge(burst, 1), charge(tokens, 90), charge(streams, 1))
		require.True(t, granted)
		require.Equal(t, []int64{9, 10, 1}, remaining(h))

		granted, h = take(t, m, "k", charge(burst, 1), charge(tokens, 11), charge(streams, 1))
		require.False(t, granted)
		require.Equal(t, []bool{false, true, false}, refused(h))
		require.Equal(t, []int64{9, 10, 1}, remaining(h), "nothing was consumed")
		require.Equal(t, 600*time.Millisecond, h.Charges[1].Wait, "one token comes back in 600 ms")

		granted, h = take(t, m, "k", charge(burst, 11), charge(tokens, 1), charge(streams, 1))
		require.False(t, granted)
		require.Equal(t, ratelimit.Never, h.Charges[0].Wait, "more than the bucket holds")
		require.Equal(t, []int64{9, 10, 1}, remaining(h))

		granted, _ = take(t, m, "k", charge(streams, 1))
		require.True(t, granted)
		granted, h = take(t, m, "k", charge(burst, 1), charge(tokens, 5), charge(streams, 1))
		require.False(t, granted)
		require.Equal(t, []bool{false, false, true}, refused(h))
		require.Equal(t, []int64{9, 10, 0}, remaining(h))
	})
}

func remaining(h *ratelimit.Hold) (list []int64) {
	for _, c := range h.Charges {
		list = append(list, c.Remaining)
	}
	return list
}

func refused(h *ratelimit.Hold) (list []bool) {
	for _, c := range h.Charges {
		list = append(list, c.Refused)
	}
	return list
}

func TestShadowAndOffInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		real := &ratelimit.Policy{Name: "real", Limit: 5, Window: time.Hour}
		shadow := &ratelimit.Policy{Name: "shadow", Limit: 2, Window: time.Hour, Mode: ratelimit.Shadow}
		off := &ratelimit.Policy{Name: "off", Limit: 1, Window: time.Hour, Mode: ratelimit.Off}
		var would []bool
		for range 5 {
			granted, h := take(t, m, "k", charge(real, 1), charge(shadow, 1), charge(off, 1))
			require.True(t, granted)
			would = append(would, h.Charges[1].Refused)
			require.False(t, h.Charges[2].Refused)
		}
		require.Equal(t, []bool{false, false, true, true, true}, would)
		granted, _ := take(t, m, "k", charge(real, 1), charge(shadow, 1))
		require.False(t, granted)
	})
}

func TestSettle(t *testing.T) {
	p := &ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 600, Window: time.Minute}
	for _, tt := range []struct {
		name   string
		cost   int64
		actual int64
		left   int64
		wait   time.Duration // for one token
	}{
		{"less", 500, 100, 500, 0},
		{"nothing", 500, 0, 600, 0},
		{"as estimated", 500, 500, 100, 0},
		{"more", 500, 550, 50, 0},
		{"all", 500, 600, 0, 100 * time.Millisecond},
		{"a debt", 500, 700, 0, 10*time.Second + 100*time.Millisecond},
		{"nothing estimated", 0, 700, 0, 10*time.Second + 100*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := ratelimit.NewMemory(0)
				granted, h := take(t, m, "k", charge(p, tt.cost))
				require.True(t, granted)
				h.Charges[0].Actual = tt.actual
				for range 3 { // the second and third time change nothing
					require.NoError(t, m.Settle(t.Context(), h))
					_, now := take(t, m, "k", charge(p, 0))
					require.Equal(t, tt.left, now.Charges[0].Remaining)
				}
				time.Sleep(max(0, tt.wait-1))
				granted, _ = take(t, m, "k", charge(p, 1))
				require.Equal(t, tt.wait == 0, granted)
				time.Sleep(time.Nanosecond)
				granted, _ = take(t, m, "k", charge(p, 1))
				require.True(t, granted)
			})
		})
	}
}

func TestZeroCostAsksWhetherThereIsADebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		p := &ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 60, Window: time.Minute}
		_, h := take(t, m, "k", charge(p, 60))
		granted, _ := take(t, m, "k", charge(p, 0))
		require.True(t, granted, "empty is no debt")
		h.Charges[0].Actual = 70
		require.NoError(t, m.Settle(t.Context(), h))
		granted, h = take(t, m, "k", charge(p, 0))
		require.False(t, granted)
		require.Equal(t, 10*time.Second, h.Charges[0].Wait)
		time.Sleep(10 * time.Second)
		granted, _ = take(t, m, "k", charge(p, 0))
		require.True(t, granted)
	})
}

func TestMaxWaitTakesFromTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		p := &ratelimit.Policy{Name: "p", Limit: 1, Window: time.Second}
		h := &ratelimit.Hold{Key: "k", MaxWait: 2 * time.Second, Charges: []ratelimit.Charge{charge(p, 1)}}
		for i := range 4 {
			granted, err := m.Take(t.Context(), h)
			require.NoError(t, err)
			require.Equal(t, i < 3, granted)
			require.Equal(t, time.Duration(i)*time.Second, h.Charges[0].Wait)
		}
	})
}

func TestPermitsAndTheirLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		p := &ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 2}
		_, first := take(t, m, "k", charge(p, 1))
		time.Sleep(30 * time.Second)
		granted, _ := take(t, m, "k", charge(p, 1))
		require.True(t, granted)
		granted, h := take(t, m, "k", charge(p, 1))
		require.False(t, granted)
		require.Zero(t, h.Charges[0].Wait, "nobody knows")
		granted, _ = take(t, m, "other", charge(p, 1))
		require.True(t, granted)

		first.Charges[0].Actual = 0
		require.NoError(t, m.Settle(t.Context(), first))
		require.NoError(t, m.Settle(t.Context(), first), "giving back twice frees one")
		granted, _ = take(t, m, "k", charge(p, 1))
		require.True(t, granted)
		granted, _ = take(t, m, "k", charge(p, 1))
		require.False(t, granted)

		time.Sleep(time.Minute) // the leases run out
		granted, _ = take(t, m, "k", charge(p, 1))
		require.True(t, granted)
		for _, tooMany := range []int64{3, math.MaxInt64} {
			// Beside a policy that refuses too: nobody should wait for so many to be
			// counted out.
			granted, h = take(t, m, "k", charge(p, tooMany), charge(&ratelimit.Policy{Name: "one", Limit: 1, Window: time.Hour}, 2))
			require.False(t, granted)
			require.True(t, h.Charges[0].Refused)
			require.Equal(t, ratelimit.Never, h.Charges[0].Wait)
		}
	})
}

// TestAbandonedPermitsAreForgotten takes permits for ever new keys that nobody
// gives back.
func TestAbandonedPermitsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(100)
		p := &ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 1}
		for i := range 100 {
			granted, _ := take(t, m, fmt.Sprint(i), charge(p, 1))
			require.True(t, granted)
		}
		granted, _ := take(t, m, "one more", charge(p, 1))
		require.False(t, granted, "memory is bounded")
		require.Equal(t, 100, m.Len())
		time.Sleep(time.Minute)
		for i := range 90 {
			granted, _ = take(t, m, fmt.Sprint("later ", i), charge(p, 1))
			require.True(t, granted)
		}
		require.LessOrEqual(t, m.Len(), 100)
	})
}

// TestAbandonedPermitsGoWithoutNeed says that they don't stay until there is no
// place left: other requests find them in passing.
func TestAbandonedPermitsGoWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(100) // a single shard
		p := &ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 1}
		for i := range 50 {
			take(t, m, fmt.Sprint(i), charge(p, 1))
		}
		time.Sleep(time.Minute)
		for range 1000 {
			granted, h := take(t, m, "somebody", charge(p, 1))
			require.True(t, granted)
			h.Charges[0].Actual = 0
			require.NoError(t, m.Settle(t.Context(), h))
		}
		require.Zero(t, m.Len())
	})
}

func TestMemoryIsBounded(t *testing.T) {
	most, keys := 200_000, 1_000_000
	if raceEnabled {
		most, keys = 20_000, 100_000 // enough to show it, and ten times as slow
	}
	m := ratelimit.NewMemory(most)
	p := &ratelimit.Policy{Name: "p", Limit: 1000, Window: 24 * time.Hour}
	h := &ratelimit.Hold{Charges: []ratelimit.Charge{charge(p, 1)}}
	for i := range keys {
		h.Key = fmt.Sprint(i)
		granted, err := m.Take(t.Context(), h)
		require.True(t, granted && err == nil)
	}
	require.LessOrEqual(t, m.Len(), most)
	require.Greater(t, m.Len(), most*9/10)
}

// TestPlaceOfAFullBucketIsUsedAgain lets one key come back again and again to a Memory
// that has no place left: it needs none, and so nobody is forgotten for it.
func TestPlaceOfAFullBucketIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(64)
		slow := ratelimit.Policy{Name: "slow", Limit: 100, Window: 1000 * time.Hour}
		fast := ratelimit.Policy{Name: "fast", Limit: 1000, Window: time.Second}
		for i := range 63 {
			take(t, m, strconv.Itoa(i), charge(&slow, 1))
		}
		for range 50 {
			take(t, m, "x", charge(&fast, 1))
			require.Equal(t, 64, m.Len())
			time.Sleep(time.Second)
		}
		for i := range 63 {
			require.Equal(t, []int64{99}, left(t, m, strconv.Itoa(i), slow))
		}
	})
}

// TestMemoryPerKey measures what the documentation of Memory claims.
func TestMemoryPerKey(t *testing.T) {
	live := func() float64 {
		runtime.GC()
		runtime.GC() // what pools hold is freed by the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const keys = 100_000
	p := &ratelimit.Policy{Name: "p", Limit: 1000, Window: 24 * time.Hour}
	h := &ratelimit.Hold{Charges: []ratelimit.Charge{charge(p, 1)}}
	long := strings.Repeat("x", 200)
	before := live()
	m := ratelimit.NewMemory(0)
	for i := range keys {
		h.Key = long + strconv.Itoa(i)
		granted, err := m.Take(t.Context(), h)
		require.True(t, granted && err == nil)
	}
	perKey := (live() - before) / keys
	require.Equal(t, keys, m.Len())
	require.Less(t, perKey, 33.0)
	require.Greater(t, perKey, 20.0, "all are there")
}

// TestFloodCannotFreeALimitedKey is the attack: who is limited sends a flood from
// made-up keys, so that his own is forgotten.
func TestFloodCannotFreeALimitedKey(t *testing.T) {
	const limited = 200
	m := ratelimit.NewMemory(4000)
	p := &ratelimit.Policy{Name: "p", Limit: 100, Window: 24 * time.Hour}
	for i := range limited {
		granted, _ := take(t, m, fmt.Sprint("limited ", i), charge(p, 100))
		require.True(t, granted)
	}
	h := &ratelimit.Hold{Charges: []ratelimit.Charge{charge(p, 1)}}
	for i := range 50_000 {
		h.Key = fmt.Sprint("flood ", i)
		granted, err := m.Take(t.Context(), h)
		require.True(t, granted && err == nil, "the flood itself is served")
	}
	for i := range limited {
		granted, _ := take(t, m, fmt.Sprint("limited ", i), charge(p, 1))
		require.False(t, granted, "key %d was forgotten", i)
	}
}

// TestNoPlaceForANewKey fills a Memory with limited keys alone.
func TestNoPlaceForANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(10)
		p := &ratelimit.Policy{Name: "p", Limit: 100, Window: time.Hour}
		shadow := &ratelimit.Policy{Name: "shadow", Limit: 100, Window: time.Hour, Mode: ratelimit.Shadow}
		for i := range 10 {
			granted, _ := take(t, m, fmt.Sprint(i), charge(p, 100))
			require.True(t, granted)
		}
		granted, h := take(t, m, "new", charge(p, 1))
		require.False(t, granted)
		require.Equal(t, time.Second, h.Charges[0].Wait)
		require.EqualValues(t, 100, h.Charges[0].Remaining)
		granted, _ = take(t, m, "new", charge(p, 0))
		require.True(t, granted, "what costs nothing needs no place")
		granted, h = take(t, m, "new", charge(shadow, 1))
		require.True(t, granted, "a shadow refuses nothing")
		require.True(t, h.Charges[0].Refused)
		h = &ratelimit.Hold{Key: "new", Charges: []ratelimit.Charge{{Policy: p, Actual: 5}}}
		require.NoError(t, m.Settle(t.Context(), h))
		require.Equal(t, 10, m.Len())
		time.Sleep(time.Hour)
		granted, _ = take(t, m, "new", charge(p, 1))
		require.True(t, granted)
	})
}

func TestMemoryErrors(t *testing.T) {
	m := ratelimit.NewMemory(0)
	p := &ratelimit.Policy{Name: "p", Limit: 1, Window: time.Hour}
	for _, tt := range []struct {
		name string
		hold *ratelimit.Hold
	}{
		{"one name twice", &ratelimit.Hold{Charges: []ratelimit.Charge{charge(p, 1), charge(p, 1)}}},
		{"too many charges", &ratelimit.Hold{Charges: make([]ratelimit.Charge, 9)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := m.Take(t.Context(), tt.hold)
			require.ErrorContains(t, err, "ratelimit: ")
			require.Error(t, m.Settle(t.Context(), tt.hold))
			require.Zero(t, m.Len())
		})
	}
	var err error
	for i := range 5000 {
		h := &ratelimit.Hold{Charges: []ratelimit.Charge{charge(&ratelimit.Policy{Name: fmt.Sprint("p", i), Limit: 1, Window: time.Hour}, 1)}}
		if _, err = m.Take(t.Context(), h); err != nil {
			require.Equal(t, 1022, i, "p was the first")
			break
		}
	}
	require.ErrorContains(t, err, "1023 names")
}

// TestPoliciesOfOneKeyAreApart would fail if two policies shared a bucket.
func TestPoliciesOfOneKeyAreApart(t *testing.T) {
	m := ratelimit.NewMemory(0)
	for i := range 1000 {
		p := &ratelimit.Policy{Name: fmt.Sprint("p", i), Limit: 1, Window: time.Hour}
		granted, _ := take(t, m, "k", charge(p, 1))
		require.True(t, granted)
		granted, _ = take(t, m, "k", charge(p, 1))
		require.False(t, granted)
	}
}

func TestPlansMayShareABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := ratelimit.NewMemory(0)
		free := &ratelimit.Policy{Name: "requests", Limit: 10, Window: time.Minute}
		pro := &ratelimit.Policy{Name: "requests", Limit: 100, Window: time.Minute}
		granted, _ := take(t, m, "k", charge(free, 10))
		require.True(t, granted)
		time.Sleep(30 * time.Second)
		_, h := take(t, m, "k", charge(pro, 0))
		require.EqualValues(t, 50, h.Charges[0].Remaining, "half of the time until full is half of any bucket")
	})
}

// TestMemoryUnderRace charges few keys from many goroutines, and counts: no more
// may be granted than burst + rate·t, by any of the policies, whatever is settled.
func TestMemoryUnderRace(t *testing.T) {
	m := ratelimit.NewMemory(500)
	const keys, workers, rounds = 5, 8, 2000
	requests := &ratelimit.Policy{Name: "requests", Limit: 3000, Window: time.Second, Burst: 300}
	tokens := &ratelimit.Policy{Name: "tokens", Unit: ratelimit.Tokens, Limit: 20_000, Window: time.Second, Burst: 2000}
	streams := &ratelimit.Policy{Name: "streams", Unit: ratelimit.Concurrency, Limit: 3}
	var count, used, running [keys]atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for range rounds {
				k := rng.IntN(keys)
				estimate := rng.Int64N(30)
				h := &ratelimit.Hold{Key: fmt.Sprint(k), ID: rng.Uint64() | 1, Lease: time.Hour, Charges: []ratelimit.Charge{
					charge(requests, 1), charge(tokens, estimate), charge(streams, 1),
				}}
				granted, err := m.Take(context.Background(), h)
				if err != nil || !granted {
					// Keys come and go meanwhile.
					h.Key, h.Charges = fmt.Sprint("other ", rng.IntN(5000)), h.Charges[:2]
					_, _ = m.Take(context.Background(), h)
					continue
				}
				if n := running[k].Add(1); n > 3 {
					t.Errorf("%d are running", n)
				}
				count[k].Add(1)
				actual := rng.Int64N(estimate + 1)
				used[k].Add(actual)
				h.Charges[1].Actual = actual
				running[k].Add(-1)
				h.Charges[2].Actual = 0
				if err := m.Settle(context.Background(), h); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start).Seconds()
	for k := range keys {
		require.LessOrEqual(t, float64(count[k].Load()), 300+elapsed*3000+1)
		require.LessOrEqual(t, float64(used[k].Load()), 2000+elapsed*20_000+1)
		require.Positive(t, count[k].Load())
		_, h := take(t, m, fmt.Sprint(k), charge(streams, 0))
		require.EqualValues(t, 3, h.Charges[0].Remaining, "all permits are back")
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	m := ratelimit.NewMemory(0)
	p := &ratelimit.Policy{Name: "p", Limit: 1_000_000, Window: time.Minute}
	q := &ratelimit.Policy{Name: "q", Limit: 1_000_000, Window: time.Hour}
	h := &ratelimit.Hold{Key: "k", Charges: []ratelimit.Charge{charge(p, 1), charge(q, 1)}}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(200, func() { _, _ = m.Take(ctx, h) }))
}
