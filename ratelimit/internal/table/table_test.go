package table_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit/internal/table"
)

// byTime says that a bucket takes 1000 to be full, whatever its policy.
func byTime(_ int, left int64) float64 { return float64(left) / 1000 }

// put stores as a limiter does.
func put(tab *table.Table, id uint64, full, now int64) bool {
	if tab.Get(id) == 0 && full > now && !tab.Reserve(1, id>>table.PolicyBits, now, byTime) {
		return false
	}
	tab.Set(id, full, now)
	return true
}

// FuzzTable compares with a map that forgets nothing: for a table that is large
// enough, whatever is not full must be there.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), uint16(2000), uint8(255))
	f.Add(uint64(2), uint16(500), uint8(3))
	f.Add(uint64(3), uint16(3000), uint8(40))
	f.Add(uint64(241), uint16(479), uint8(4)) // a bucket that has a place gets no other one
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16, keys uint8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		tab := &table.Table{Max: 4 * (int(keys) + 1)}
		model := make(map[uint64]int64)
		ids := make([]uint64, 4*(int(keys)+1))
		for i := range ids {
			// Many keys with the same home, and several policies of one key.
			ids[i] = table.ID(rng.Uint64()>>rng.IntN(20), 1+i%4)
		}
		now := int64(1)
		for range steps {
			now += rng.Int64N(20)
			id := ids[rng.IntN(len(ids))]
			full := now + rng.Int64N(900)
			require.True(t, put(tab, id, full, now), "there is room for all")
			model[id] = full
			check := ids[rng.IntN(len(ids))]
			if want := model[check]; want > now {
				require.Equal(t, want, tab.Get(check))
			} else {
				require.LessOrEqual(t, tab.Get(check), now)
			}
			require.LessOrEqual(t, tab.Len(), tab.Max)
		}
		for id, want := range model {
			if want > now {
				require.Equal(t, want, tab.Get(id))
			}
		}
	})
}

func TestNeverMoreThanMax(t *testing.T) {
	for _, most := range []int{1, 2, 7, 64, 300} {
		rng := rand.New(rand.NewPCG(11, uint64(most)))
		tab := &table.Table{Max: most}
		now := int64(1)
		for range 5 * most {
			id := table.ID(rng.Uint64(), 1)
			put(tab, id, now+1+rng.Int64N(1000), now)
			require.LessOrEqual(t, tab.Len(), most)
		}
	}
}

// TestFloodForgetsNobodyWhoIsLimited lets ten times as many new keys come as there
// is room for, while some are limited.
func TestFloodForgetsNobodyWhoIsLimited(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	tab := &table.Table{Max: 1000}
	limited := make(map[uint64]int64)
	now := int64(1)
	for range 300 {
		id := table.ID(rng.Uint64(), 1)
		limited[id] = now + 501 + rng.Int64N(499)
		require.True(t, put(tab, id, limited[id], now))
	}
	for range 10_000 {
		require.True(t, put(tab, table.ID(rng.Uint64(), 1), now+10, now), "newcomers replace each other")
	}
	for id, full := range limited {
		require.Equal(t, full, tab.Get(id))
	}
}

func TestFullOfLimitedKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 15))
	tab := &table.Table{Max: 100}
	now := int64(1)
	ids := make([]uint64, 100)
	for i := range ids {
		ids[i] = table.ID(rng.Uint64(), 1)
		require.True(t, put(tab, ids[i], now+900, now))
	}
	require.False(t, put(tab, table.ID(rng.Uint64(), 1), now+10, now), "nobody is forgotten for a newcomer")
	for _, id := range ids {
		require.Equal(t, now+900, tab.Get(id))
	}
	now += 500 // now they are less than half used
	require.True(t, put(tab, table.ID(rng.Uint64(), 1), now+10, now))
	now += 500 // now they are full
	for range 100 {
		require.True(t, put(tab, table.ID(rng.Uint64(), 1), now+900, now))
	}
}

// TestReserveSparesTheKeyItself takes room for a second policy of a key whose
// first one would be the best to forget.
func TestReserveSparesTheKeyItself(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 17))
	tab := &table.Table{Max: 8}
	now := int64(1)
	key := rng.Uint64()
	require.True(t, put(tab, table.ID(key, 1), now+1, now))
	for range 7 {
		require.True(t, put(tab, table.ID(rng.Uint64(), 1), now+400, now))
	}
	require.True(t, tab.Reserve(1, key, now, byTime))
	require.Equal(t, now+1, tab.Get(table.ID(key, 1)))
	tab.Set(table.ID(key, 2), now+5, now)
	require.Equal(t, now+5, tab.Get(table.ID(key, 2)))
}

// TestShrinks says that the memory of a crowd is given back when it has gone.
func TestShrinks(t *testing.T) {
	rng := rand.New(rand.NewPCG(18, 19))
	tab := &table.Table{Max: 1 << 16}
	now := int64(1)
	for range 3_000 {
		put(tab, table.ID(rng.Uint64(), 1), now+900, now)
	}
	now += 1000
	for range 5_000 {
		now++
		put(tab, table.ID(rng.Uint64(), 1), now+10, now)
	}
	require.Less(t, tab.Len(), 200)
}

func TestEmpty(t *testing.T) {
	tab := &table.Table{Max: 10}
	require.Zero(t, tab.Get(table.ID(math.MaxUint64, 1)))
	require.Zero(t, tab.Len())
}

func BenchmarkSet(b *testing.B) {
	tab := &table.Table{Max: 1 << 12}
	rng := rand.New(rand.NewPCG(20, 21))
	b.Run("flood", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			put(tab, table.ID(rng.Uint64(), 1), 100, 1)
		}
	})
}
