package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// writes is a Store that counts how often it is written to, and fails on
// request.
type writes struct {
	*auth.Memory
	updates, ids atomic.Int64
	fail         atomic.Bool
}

func (w *writes) Update(ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
	if w.fail.Load() {
		return errors.New("disk full")
	}
	w.updates.Add(1)
	w.ids.Add(int64(len(ids)))
	return w.Memory.Update(ctx, change, ids...)
}

// running starts Run and returns what stops it.
func running(t *testing.T, gate *auth.Authenticator) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- gate.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		store := &writes{Memory: s.store}
		var log strings.Builder
		gate, err := auth.New(auth.Config{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		use := func(name string) { _, _ = gate.Authenticate(requestWithText(s.keys[name])) }
		last := func(name string) time.Time {
			info, err := s.manager.Get(t.Context(), s.ids[name])
			require.NoError(t, err)
			return info.LastUsed
		}
		use("good")
		require.Zero(t, gate.Pending(), "nobody would write it")
		stop := running(t, gate)
		time.Sleep(10 * time.Second)
		for range 1000 {
			for _, name := range []string{"good", "rotated", "superseded", "revoked", "expired", "unknown", "wrong secret", "master"} {
				use(name)
			}
		}
		used := time.Now().UTC()
		require.Zero(t, store.updates.Load(), "no request waits for it")
		time.Sleep(50 * time.Second)
		synctest.Wait()
		require.Equal(t, int64(1), store.updates.Load())
		require.Equal(t, int64(2), store.ids.Load())
		require.Equal(t, used, last("good"))
		require.Equal(t, used, last("rotated"))
		for _, name := range []string{"revoked", "expired", "disabled"} {
			require.Zero(t, last(name), name)
		}
		time.Sleep(time.Hour)
		require.Equal(t, int64(1), store.updates.Load(), "nothing to write")

		store.fail.Store(true)
		use("good")
		used = time.Now().UTC()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.NotEqual(t, used, last("good"))
		require.Contains(t, log.String(), "disk full")
		store.fail.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, used, last("good"), "kept until it could be written")

		time.Sleep(time.Hour)
		use("good")
		stop()
		require.Equal(t, time.Now().UTC(), last("good"), "written when it ends")
	})
}

// What is noted of its use doesn't undo what was done to a key meanwhile.
func TestLastUsedUndoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		pepper := auth.Pepper{Version: 1, Secret: []byte("a pepper of some length")}
		gate, err := auth.New(auth.Config{Store: s.store, Peppers: []auth.Pepper{pepper, {}}})
		require.NoError(t, err)
		stop := running(t, gate)
		for _, name := range []string{"good", "rotated"} {
			_, err := gate.Authenticate(requestWithText(s.keys[name]))
			require.NoError(t, err)
		}
		_, err = s.manager.Revoke(t.Context(), s.ids["good"])
		require.NoError(t, err)
		_, _, err = s.manager.Rotate(t.Context(), s.ids["rotated"], 0)
		require.NoError(t, err)
		replaced, err := s.store.Lookup(t.Context(), s.ids["rotated"])
		require.NoError(t, err)
		stop()
		info, err := s.manager.Get(t.Context(), s.ids["good"])
		require.NoError(t, err)
		require.Equal(t, "revoked", info.Status(time.Now()))
		rec, err := s.store.Lookup(t.Context(), s.ids["rotated"])
		require.NoError(t, err)
		require.Equal(t, replaced.Current, rec.Current, "the hash of the key from before is not written over the new one")
		require.NotZero(t, rec.LastUsed)
		_, err = gate.Authenticate(requestWithText(s.keys["rotated"]))
		require.Error(t, err)
		require.NoError(t, s.manager.Delete(t.Context(), s.ids["good"]))
	})
}

// Another server may have noted a later use.
func TestLastUsedNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		gate, err := auth.New(auth.Config{Store: s.store})
		require.NoError(t, err)
		stop := running(t, gate)
		_, err = gate.Authenticate(requestWithText(s.keys["good"]))
		require.NoError(t, err)
		later := time.Now().Add(time.Hour).UTC()
		require.NoError(t, s.store.Update(t.Context(), func(rec *auth.Record) (*auth.Record, error) {
			rec.LastUsed = later
			return rec, nil
		}, s.ids["good"]))
		stop()
		info, err := s.manager.Get(t.Context(), s.ids["good"])
		require.NoError(t, err)
		require.Equal(t, later, info.LastUsed)
	})
}

// What waits for being written is bounded.
func TestLastUsedBounded(t *testing.T) {
	gate := newService(t).gate(t, auth.Config{})
	gate.NoteUses(auth.MaxPending + 100)
	require.Equal(t, auth.MaxPending, gate.Pending())
}

// A key that is deleted meanwhile doesn't come back.
func TestLastUsedOfDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		gate, err := auth.New(auth.Config{Store: s.store})
		require.NoError(t, err)
		stop := running(t, gate)
		_, err = gate.Authenticate(requestWithText(s.keys["good"]))
		require.NoError(t, err)
		require.NoError(t, s.manager.Delete(t.Context(), s.ids["good"]))
		stop()
		_, err = s.manager.Get(t.Context(), s.ids["good"])
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

// Many keys, many goroutines: each use is written, in few steps.
func TestLastUsedHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, fields := keyring(t, 1000)
		store := &writes{Memory: memory}
		gate, err := auth.New(auth.Config{Store: store})
		require.NoError(t, err)
		stop := running(t, gate)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, field := range fields {
					if _, err := gate.Authenticate(requestWithField(field)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1000, gate.Pending())
		stop()
		require.Equal(t, int64(4), store.updates.Load())
		for rec, err := range store.List(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, time.Now().UTC(), rec.LastUsed)
		}
	})
}
