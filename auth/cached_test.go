package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// slow is a Store that takes its time, counts and fails on request.
type slow struct {
	*auth.Memory
	delay   time.Duration
	lookups atomic.Int64
	err     atomic.Pointer[error]
}

func (s *slow) Lookup(ctx context.Context, id string) (*auth.Record, error) {
	s.lookups.Add(1)
	rec, err := s.Memory.Lookup(ctx, id) // what it says is from the beginning
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if e := s.err.Load(); e != nil {
		return nil, *e
	}
	return rec, err
}

func newCached(t *testing.T, cfg auth.CachedConfig) (*auth.Cached, *slow, *auth.Manager) {
	t.Helper()
	behind := &slow{Memory: auth.NewMemory()}
	cfg.Store = behind
	c, err := auth.NewCached(cfg)
	require.NoError(t, err)
	m, err := auth.NewManager(auth.ManagerConfig{Store: behind.Memory}) // another process
	require.NoError(t, err)
	return c, behind, m
}

func TestNewCachedRefuses(t *testing.T) {
	store := auth.NewMemory()
	tests := []struct {
		name string
		cfg  auth.CachedConfig
		want string
	}{
		{"no store", auth.CachedConfig{}, "auth: Store is required"},
		{"delay", auth.CachedConfig{Store: store, MaxRevocationDelay: -1}, "auth: MaxRevocationDelay is -1ns, want more than 0"},
		{"unknown delay", auth.CachedConfig{Store: store, MaxUnknownDelay: time.Minute}, "auth: MaxUnknownDelay is 1m0s, want at most the MaxRevocationDelay of 10s"},
		{"size", auth.CachedConfig{Store: store, MaxKeys: 1}, "auth: MaxKeys is 1, want at least 1024"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := auth.NewCached(tt.cfg)
			require.EqualError(t, err, tt.want)
		})
	}
}

// The declared delay is kept to the nanosecond, counted from before the store
// was asked, also if it is asked all the time.
func TestRevocationDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 7 * time.Second
		c, behind, m := newCached(t, auth.CachedConfig{MaxRevocationDelay: delay})
		behind.delay = 100 * time.Millisecond
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		revoked := func() bool {
			rec, err := c.Lookup(t.Context(), info.ID)
			require.NoError(t, err)
			return !rec.Revoked.IsZero()
		}
		began := time.Now()
		require.False(t, revoked())
		_, err = m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		for time.Since(began) < delay-10*time.Millisecond {
			require.False(t, revoked(), "remembered")
			time.Sleep(10 * time.Millisecond) // being asked prolongs nothing
		}
		require.Equal(t, int64(1), behind.lookups.Load())
		time.Sleep(time.Until(began.Add(delay)))
		require.True(t, revoked())
	})
}

// When the store fails, what is remembered holds to the end of its time, and not
// beyond.
func TestCachedStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{})
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		_, err = c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		behind.err.Store(new(errors.New("down")))
		time.Sleep(10*time.Second - 1)
		_, err = c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		time.Sleep(time.Nanosecond)
		for range 2 {
			_, err = c.Lookup(t.Context(), info.ID)
			require.EqualError(t, err, "down")
		}
		require.Equal(t, int64(3), behind.lookups.Load(), "errors are not remembered")
		behind.err.Store(nil)
		_, err = c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
	})
}

func TestCachedUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{})
		key, err := auth.NewKey("")
		require.NoError(t, err)
		ask := func(want int64) {
			_, err := c.Lookup(t.Context(), key.ID())
			require.ErrorIs(t, err, auth.ErrNotFound)
			require.Equal(t, want, behind.lookups.Load())
		}
		ask(1)
		time.Sleep(time.Second - 1)
		ask(1)
		time.Sleep(time.Nanosecond)
		ask(2)
		c.Invalidate(key.ID())
		ask(3)
		c.Invalidate()
		ask(4)
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		_, err = c.Lookup(t.Context(), info.ID)
		require.NoError(t, err, "unknown ids don't stand in the way of others")
		never, behind, _ := newCached(t, auth.CachedConfig{MaxUnknownDelay: -1})
		for range 2 {
			_, err := never.Lookup(t.Context(), key.ID())
			require.ErrorIs(t, err, auth.ErrNotFound)
		}
		require.Equal(t, int64(2), behind.lookups.Load())
	})
}

// Invalidate takes effect at once, also on a lookup that is under way.
func TestInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{MaxRevocationDelay: time.Hour})
		behind.delay = time.Second
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		go func() { _, _ = c.Lookup(t.Context(), info.ID) }()
		synctest.Wait() // it has read the record, but not returned
		_, err = m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		c.Invalidate(info.ID)
		for range 2 {
			rec, err := c.Lookup(t.Context(), info.ID)
			require.NoError(t, err)
			require.False(t, rec.Revoked.IsZero())
			time.Sleep(time.Second)
		}
		require.Equal(t, int64(2), behind.lookups.Load())
		own, err := auth.NewManager(auth.ManagerConfig{Store: c})
		require.NoError(t, err)
		_, err = own.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error { k.Plan = "pro"; return nil })
		require.NoError(t, err)
		rec, err := c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, "pro", rec.Plan, "changes through the cache are seen at once")
	})
}

// What a lookup in progress has read is not remembered if all is forgotten
// meanwhile.
func TestInvalidateAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{MaxRevocationDelay: time.Hour})
		behind.delay = time.Second
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		go func() { _, _ = c.Lookup(t.Context(), info.ID) }()
		synctest.Wait()
		_, err = m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		c.Invalidate()
		time.Sleep(time.Minute)
		rec, err := c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.False(t, rec.Revoked.IsZero())
	})
}

// Many who need one record ask once, and are not harmed by one who leaves.
func TestCachedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{})
		behind.delay = time.Second
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		first, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Lookup(first, info.ID)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wg.Go(func() {
			_, err := c.Lookup(impatient, info.ID)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		for range 50 {
			wg.Go(func() {
				rec, err := c.Lookup(t.Context(), info.ID)
				require.NoError(t, err)
				require.Equal(t, info.ID, rec.ID)
			})
		}
		time.Sleep(time.Second / 2)
		leave()
		wg.Wait()
		require.Equal(t, int64(2), behind.lookups.Load())
	})
}

// Who comes when a lookup hangs for longer than the delay doesn't wait for what
// it will say: that would be too old.
func TestCachedStuckLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, behind, m := newCached(t, auth.CachedConfig{MaxRevocationDelay: time.Second})
		_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		behind.delay = time.Minute
		go func() { _, _ = c.Lookup(t.Context(), info.ID) }()
		synctest.Wait()
		_, err = m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		time.Sleep(time.Second)
		behind.delay = 0
		rec, err := c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.False(t, rec.Revoked.IsZero())
		time.Sleep(time.Hour) // the stuck one ends, and is not remembered
		rec, err = c.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.False(t, rec.Revoked.IsZero())
	})
}

type panicking struct{ auth.KeyStore }

func (panicking) Lookup(context.Context, string) (*auth.Record, error) { panic("store") }

// A store that panics leaves nobody waiting.
func TestCachedPanic(t *testing.T) {
	c, err := auth.NewCached(auth.CachedConfig{Store: panicking{}})
	require.NoError(t, err)
	for range 2 {
		require.PanicsWithValue(t, "store", func() { _, _ = c.Lookup(t.Context(), "0123456789AB") })
	}
}

// However many ids are tried, what is remembered is bounded, and unknown ids
// drive out no record.
func TestCachedBounds(t *testing.T) {
	c, behind, m := newCached(t, auth.CachedConfig{MaxKeys: 1600, MaxRevocationDelay: time.Hour})
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(t, err)
	_, err = c.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	for i := range 20_000 {
		_, err := c.Lookup(t.Context(), fmt.Sprintf("%012d", i))
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	known, unknown := c.Remembered()
	require.Equal(t, 1, known)
	require.LessOrEqual(t, unknown, 160)
	before := behind.lookups.Load()
	_, err = c.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, before, behind.lookups.Load())
	for i := range 5000 {
		_, made, err := m.Create(t.Context(), auth.KeyInfo{Owner: strconv.Itoa(i)})
		require.NoError(t, err)
		for _, id := range []string{made.ID, info.ID} {
			_, err = c.Lookup(t.Context(), id)
			require.NoError(t, err)
		}
	}
	known, _ = c.Remembered()
	require.LessOrEqual(t, known, 1600)
	require.Greater(t, known, 400)
	require.Equal(t, before+5000, behind.lookups.Load(), "what is asked for all the time stays")
}

// A store that can only be read from can be cached; it isn't written to.
func TestCachedReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		rec, err := s.store.Lookup(t.Context(), s.ids["good"])
		require.NoError(t, err)
		c, err := auth.NewCached(auth.CachedConfig{Store: one{rec}})
		require.NoError(t, err)
		require.EqualError(t, c.Update(t.Context(), nil, rec.ID), "auth: the store behind Cached can't be written to")
		for _, err := range c.List(t.Context()) {
			require.EqualError(t, err, "auth: the store behind Cached can't be written to")
		}
		gate, err := auth.New(auth.Config{Store: c})
		require.NoError(t, err)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		done := make(chan error)
		go func() { done <- gate.Run(ctx) }()
		synctest.Wait()
		_, err = gate.Authenticate(requestWithText(s.keys["good"]))
		require.NoError(t, err)
		require.Zero(t, gate.Pending())
		require.NoError(t, <-done)
	})
}

// While keys are changed through the cache, no lookup that begins after a
// change sees what was before.
func TestCachedHammer(t *testing.T) {
	c, _, _ := newCached(t, auth.CachedConfig{MaxRevocationDelay: time.Hour})
	m, err := auth.NewManager(auth.ManagerConfig{Store: c})
	require.NoError(t, err)
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada", Plan: "0"})
	require.NoError(t, err)
	var latest atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				want := latest.Load()
				rec, err := c.Lookup(t.Context(), info.ID)
				if err != nil {
					t.Error(err)
					return
				}
				if got, _ := strconv.ParseInt(rec.Plan, 10, 64); got < want {
					t.Errorf("saw %d after %d was written", got, want)
					return
				}
			}
		})
	}
	for i := range int64(2000) {
		_, err := m.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error { k.Plan = strconv.FormatInt(i, 10); return nil })
		require.NoError(t, err)
		latest.Store(i)
	}
	stop.Store(true)
	wg.Wait()
}
