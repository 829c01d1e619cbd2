package auth_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// A lookup takes no lock: it finds what is there, while others come and go and the
// store grows, and nothing that was removed before it began.
func TestMemoryIsReadWhileItChanges(t *testing.T) {
	ctx := t.Context()
	store := auth.NewMemory()
	put := func(id string, there bool) {
		require.NoError(t, store.Update(ctx, func(*auth.Record) (*auth.Record, error) {
			if !there {
				return nil, nil
			}
			return &auth.Record{KeyInfo: auth.KeyInfo{ID: id, Prefix: "a", Owner: id, Created: time.Unix(1, 0)}, Current: auth.Hash{Sum: [32]byte{1}}}, nil
		}, id))
	}
	const stays, goes = "00000000000A", "00000000000B"
	put(stays, true)
	var phase atomic.Int64 // odd as long as it is gone
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				rec, err := store.Lookup(ctx, stays)
				assert.NoError(t, err)
				assert.Equal(t, stays, rec.Owner)
				before := phase.Load()
				rec, err = store.Lookup(ctx, goes)
				assert.False(t, before%2 == 1 && err == nil && phase.Load() == before, "found after it was removed")
				assert.True(t, err != nil || rec.ID == goes)
			}
		})
	}
	for n := range 3000 {
		put(fmt.Sprintf("%012d", n), true)
		put(goes, true)
		put(goes, false)
		phase.Add(1)
		put(fmt.Sprintf("%012d", n/2), false)
		phase.Add(1)
	}
	close(done)
	wg.Wait()
}

// However keys come and go, Memory holds what a map would.
func TestMemoryIsAMap(t *testing.T) {
	ctx := t.Context()
	store, want := auth.NewMemory(), map[string]string{}
	sum := auth.Hash{Sum: [32]byte{1}}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	id := func(n int) string { return fmt.Sprintf("%012d", n) }
	for round := range 40 {
		most, remove := 1+rng.IntN(400), rng.IntN(10) // grows, shrinks, and is emptied
		for range 300 {
			key, owner := id(rng.IntN(most)), fmt.Sprint("user-", round)
			if rng.IntN(10) < remove {
				owner = ""
			}
			require.NoError(t, store.Update(ctx, func(old *auth.Record) (*auth.Record, error) {
				require.Equal(t, want[key] != "", old != nil)
				if owner == "" {
					return nil, nil
				}
				return &auth.Record{KeyInfo: auth.KeyInfo{ID: key, Prefix: "a", Owner: owner, Created: time.Unix(1, 0)}, Current: sum}, nil
			}, key))
			if want[key] = owner; owner == "" {
				delete(want, key)
			}
		}
		for n := range 400 {
			rec, err := store.Lookup(ctx, id(n))
			if want[id(n)] == "" {
				require.ErrorIs(t, err, auth.ErrNotFound)
			} else {
				require.NoError(t, err)
				require.Equal(t, id(n), rec.ID)
				require.Equal(t, want[id(n)], rec.Owner)
			}
		}
		var listed []string
		for rec, err := range store.List(ctx) {
			require.NoError(t, err)
			listed = append(listed, rec.ID)
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), listed)
	}
	churned := auth.NewMemory()
	for n := range 10_000 { // room that is no longer needed is used again
		for _, rec := range []*auth.Record{{KeyInfo: auth.KeyInfo{ID: id(n), Prefix: "a", Owner: "ada", Created: time.Unix(1, 0)}, Current: sum}, nil} {
			require.NoError(t, churned.Update(ctx, func(*auth.Record) (*auth.Record, error) { return rec, nil }, id(n)))
		}
	}
	require.Equal(t, 12, churned.Slots())
	for _, odd := range []string{"", "short", string(make([]byte, 12)), id(1) + "0"} {
		_, err := store.Lookup(ctx, odd)
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
}
