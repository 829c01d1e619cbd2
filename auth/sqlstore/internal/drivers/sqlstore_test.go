package drivers_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/auth/authtest"
	"github.com/sparkhttp/spark/auth/sqlstore"
)

// sqlite returns what opens an empty database in a file.
func sqlite(t *testing.T) func() *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.db")
	return func() *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}
}

// each runs a test on both databases. open opens the same database each time,
// as another process would.
func each(t *testing.T, test func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB)) {
	for d, empty := range map[sqlstore.Dialect]func(*testing.T) func() *sql.DB{sqlstore.SQLite: sqlite, sqlstore.Postgres: postgres} {
		t.Run(string(d), func(t *testing.T) { test(t, d, empty(t)) })
	}
}

func newStore(t *testing.T, d sqlstore.Dialect, db *sql.DB) *sqlstore.Store {
	t.Helper()
	// Long enough for a machine that is busy with other tests.
	store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d, Timeout: 30 * time.Second})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	return store
}

func newManager(t *testing.T, store auth.Store) *auth.Manager {
	t.Helper()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(t, err)
	return m
}

func TestConformance(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		require.NoError(t, authtest.TestStore(t.Context(), newStore(t, d, open())))
	})
}

// Processes that start at once may all migrate, and again later.
func TestMigrateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			store, err := sqlstore.New(sqlstore.Config{DB: open(), Dialect: d})
			require.NoError(t, err)
			wg.Go(func() { errs[i] = store.Migrate(t.Context()) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.NoError(t, newStore(t, d, open()).Migrate(t.Context()))
	})
}

// A migration that fails leaves nothing behind, and the connection usable.
func TestMigrateFails(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		db := open()
		db.SetMaxOpenConns(1)
		_, err := db.ExecContext(t.Context(), "CREATE TABLE spark_keys (id TEXT)") // in the way
		require.NoError(t, err)
		store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d})
		require.NoError(t, err)
		require.ErrorContains(t, store.Migrate(t.Context()), "migration 0001_keys.sql")
		_, err = db.ExecContext(t.Context(), "SELECT name FROM spark_migrations")
		require.Error(t, err)
		_, err = db.ExecContext(t.Context(), "DROP TABLE spark_keys")
		require.NoError(t, err)
		require.NoError(t, store.Migrate(t.Context()))
	})
}

// Two processes change the same records.
func TestTwoProcesses(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		a, b := newStore(t, d, open()), newStore(t, d, open())
		_, info, err := newManager(t, a).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			store := []*sqlstore.Store{a, b}[i%2]
			wg.Go(func() {
				for range 20 {
					errs[i] = errors.Join(errs[i], store.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
						old.Plan += "x"
						return old, nil
					}, info.ID))
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		rec, err := b.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.Len(t, rec.Plan, 80)
	})
}

// The life of a key, seen through the middleware: what one process does, the
// other sees after the delay that it has declared, or when it is told.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		there := newManager(t, newStore(t, d, open()))
		cached, err := auth.NewCached(auth.CachedConfig{Store: newStore(t, d, open()), MaxRevocationDelay: time.Hour})
		require.NoError(t, err)
		gate, err := auth.New(auth.Config{Store: cached})
		require.NoError(t, err)
		status := func(key auth.Key) int {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+key.Reveal())
			gate.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			return w.Code
		}
		old, info, err := there.Create(t.Context(), auth.KeyInfo{Owner: "ada", Scopes: []string{"read"}})
		require.NoError(t, err)
		require.Equal(t, 200, status(old))
		current, _, err := there.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		require.Equal(t, 401, status(current), "not seen yet")
		cached.Invalidate(info.ID)
		require.Equal(t, 200, status(current))
		require.Equal(t, 200, status(old))
		_, err = there.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, 200, status(current), "not seen yet")
		cached.Invalidate(info.ID)
		require.Equal(t, 401, status(current))
		require.Equal(t, 401, status(old))
	})
}

// When keys were used last is written while Run runs.
func TestLastUsed(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		store := newStore(t, d, open())
		key, info, err := newManager(t, store).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		gate, err := auth.New(auth.Config{Store: store})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- gate.Run(ctx) }()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Api-Key", key.Reveal())
		before := time.Now().Add(-time.Millisecond)
		for rec := new(auth.Record); rec.LastUsed.IsZero(); { // until Run has begun
			_, err = gate.Authenticate(r)
			require.NoError(t, err)
			stop()
			require.NoError(t, <-done)
			rec, err = store.Lookup(t.Context(), info.ID)
			require.NoError(t, err)
			if !rec.LastUsed.IsZero() {
				require.WithinRange(t, rec.LastUsed, before, time.Now())
			}
			ctx, stop = context.WithCancel(t.Context())
			go func() { done <- gate.Run(ctx) }()
		}
		stop()
		require.NoError(t, <-done)
	})
}

// More records than a page.
func TestList(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		m := newManager(t, newStore(t, d, open()))
		want := make(map[string]bool)
		for i := range 1001 {
			_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: fmt.Sprint(i)})
			require.NoError(t, err)
			want[info.ID] = true
		}
		var got []string
		for info, err := range m.List(t.Context()) {
			require.NoError(t, err)
			got = append(got, info.ID)
		}
		require.Equal(t, slices.Sorted(maps.Keys(want)), got)
	})
}

// A row that nobody of us has written is an error, not an unknown key.
func TestNonsense(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		db := open()
		store := newStore(t, d, db)
		_, info, err := newManager(t, store).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), "UPDATE spark_keys SET metadata = 'nonsense'")
		require.NoError(t, err)
		_, err = store.Lookup(t.Context(), info.ID)
		require.ErrorContains(t, err, "metadata of "+info.ID)
		require.NotErrorIs(t, err, auth.ErrNotFound)
		for _, err := range store.List(t.Context()) {
			require.Error(t, err)
		}
		_, err = db.ExecContext(t.Context(), "DROP TABLE spark_keys")
		require.NoError(t, err)
		_, err = store.Lookup(t.Context(), info.ID)
		require.Error(t, err)
		require.NotErrorIs(t, err, auth.ErrNotFound)
	})
}

// A database that hangs is one that fails.
func TestTimeout(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		db := open()
		_, info, err := newManager(t, newStore(t, d, db)).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		db.SetMaxOpenConns(1)
		conn, err := db.Conn(t.Context()) // the only one
		require.NoError(t, err)
		store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d, Timeout: time.Millisecond})
		require.NoError(t, err)
		_, err = store.Lookup(t.Context(), info.ID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, auth.ErrNotFound)
		require.NoError(t, conn.Close())
	})
}

// An update that always comes too late gives up, and loses nothing of what
// others have written.
func TestContended(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		store := newStore(t, d, open())
		_, info, err := newManager(t, store).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		other, n := newStore(t, d, open()), 0
		err = store.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
			n++
			old.Plan = "lost"
			return old, other.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
				old.Plan = fmt.Sprint(n)
				return old, nil
			}, info.ID)
		}, info.ID)
		require.ErrorIs(t, err, sqlstore.ErrContended)
		rec, err := store.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), rec.Plan)
	})
}

// A record that is removed and made anew isn't mistaken for the one from before.
func TestRemovedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, d sqlstore.Dialect, open func() *sql.DB) {
		store := newStore(t, d, open())
		_, info, err := newManager(t, store).Create(t.Context(), auth.KeyInfo{Owner: "ada"})
		require.NoError(t, err)
		var seen []string
		err = store.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
			if seen = append(seen, old.Owner); len(seen) == 1 {
				again := old.Clone()
				again.Owner = "bob"
				for _, rec := range []*auth.Record{nil, again} {
					if err := store.Update(t.Context(), func(*auth.Record) (*auth.Record, error) { return rec, nil }, info.ID); err != nil {
						return nil, err
					}
				}
			}
			old.Plan = "pro"
			return old, nil
		}, info.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"ada", "bob"}, seen)
		rec, err := store.Lookup(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, "bob", rec.Owner)
	})
}
