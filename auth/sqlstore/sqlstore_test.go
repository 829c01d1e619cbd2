package sqlstore_test

import (
	"database/sql"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/auth/authtest"
	"github.com/sparkhttp/spark/auth/sqlstore"
)

// Real databases are in internal/drivers, a module of its own. Here it is a fake
// one, which fails when it is told to.

func newStore(t *testing.T, d sqlstore.Dialect) (*sqlstore.Store, *fake) {
	t.Helper()
	f, db := newFake()
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	return store, f
}

func newKey(t *testing.T, store auth.Store) auth.KeyInfo {
	t.Helper()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(t, err)
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(t, err)
	return info
}

func TestConformance(t *testing.T) {
	for _, d := range []sqlstore.Dialect{sqlstore.Postgres, sqlstore.SQLite} {
		store, f := newStore(t, d)
		require.NoError(t, authtest.TestStore(t.Context(), store))
		for _, query := range f.log {
			if strings.Contains(query, " spark_keys WHERE") {
				require.Equal(t, d == sqlstore.Postgres, strings.Contains(query, "$1"), query)
				require.Equal(t, d == sqlstore.SQLite, strings.Contains(query, "?"), query)
			}
		}
	}
}

// Whatever fails is an error, never an unknown key, and no update is half done.
func TestDatabaseFails(t *testing.T) {
	store, f := newStore(t, sqlstore.SQLite)
	info := newKey(t, store)
	change := func(rec *auth.Record) error {
		return store.Update(t.Context(), func(*auth.Record) (*auth.Record, error) { return rec, nil }, info.ID)
	}
	before, err := store.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	list := func() (err error) {
		for _, e := range store.List(t.Context()) {
			err = e
		}
		return err
	}
	tests := []struct {
		name  string
		spoil func()
		does  map[string]error
	}{
		{"queries fail", func() { f.fail = "SELECT" }, map[string]error{"lookup": errFake, "list": errFake, "update": errFake, "delete": errFake}},
		{"updates fail", func() { f.fail = "UPDATE" }, map[string]error{"lookup": nil, "list": nil, "update": errFake, "delete": nil}},
		{"deletes fail", func() { f.fail = "DELETE" }, map[string]error{"lookup": nil, "list": nil, "update": nil, "delete": errFake}},
		{"connection breaks", func() { f.broken = true }, map[string]error{"lookup": errFake, "list": errFake, "update": errFake, "delete": errFake}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.fail, f.broken = "", false
			require.NoError(t, change(before))
			tt.spoil()
			_, err := store.Lookup(t.Context(), info.ID)
			require.ErrorIs(t, err, tt.does["lookup"])
			require.NotErrorIs(t, err, auth.ErrNotFound)
			require.ErrorIs(t, list(), tt.does["list"])
			require.ErrorIs(t, change(before), tt.does["update"])
			require.ErrorIs(t, change(nil), tt.does["delete"])
		})
	}
}

// What the table holds and could not is told, with the id and nothing else.
func TestNonsense(t *testing.T) {
	tests := []struct {
		name   string
		column int
		value  any
		want   string
	}{
		{"metadata", 7, "secret", "metadata of "},
		{"current hash", 16, []byte("short"), "current hash of "},
		{"previous hash", 17, int64(1), "previous hash of "},
		{"owner", 4, "", "Owner is required"},
		{"scopes", 6, "read read", `scope "read" is there twice`},
		{"type", 9, "yesterday", "sqlstore: sql: Scan error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, f := newStore(t, sqlstore.Postgres)
			info := newKey(t, store)
			f.keys[info.ID][tt.column] = tt.value
			_, err := store.Lookup(t.Context(), info.ID)
			require.ErrorContains(t, err, tt.want)
			require.NotErrorIs(t, err, auth.ErrNotFound)
			require.NotContains(t, err.Error(), "secret")
			for _, err := range store.List(t.Context()) {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

// Whichever step of a migration fails, it is rolled back, and can be made again.
func TestMigrateFails(t *testing.T) {
	for _, d := range []sqlstore.Dialect{sqlstore.Postgres, sqlstore.SQLite} {
		for _, step := range []string{"BEGIN", "SELECT pg_advisory", "CREATE TABLE IF", "SELECT count", "-- API keys", "INSERT INTO spark_migrations", "COMMIT"} {
			if d == sqlstore.SQLite && step == "SELECT pg_advisory" {
				continue
			}
			t.Run(string(d)+" "+step, func(t *testing.T) {
				f, db := newFake()
				defer func() { require.NoError(t, db.Close()) }()
				store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: d})
				require.NoError(t, err)
				f.fail = step
				require.ErrorIs(t, store.Migrate(t.Context()), errFake)
				if step != "BEGIN" {
					require.Equal(t, "ROLLBACK", f.log[len(f.log)-1])
				}
				f.fail, f.log, f.migrations = "", nil, make(map[string]bool)
				require.NoError(t, store.Migrate(t.Context()))
				require.Equal(t, "COMMIT", f.log[len(f.log)-1])
				f.log = nil
				require.NoError(t, store.Migrate(t.Context()))
				for _, query := range f.log {
					require.NotContains(t, query, "CREATE TABLE spark_keys", "once only")
				}
			})
		}
	}
}

// A connection that can't be rolled back isn't used again.
func TestMigrateLosesConnection(t *testing.T) {
	f, db := newFake()
	defer func() { require.NoError(t, db.Close()) }()
	store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	f.fail = "-- API keys"
	require.ErrorIs(t, store.Migrate(t.Context()), errFake)
	require.Equal(t, 1, db.Stats().OpenConnections)
	f.also = "ROLLBACK"
	require.ErrorIs(t, store.Migrate(t.Context()), errFake)
	require.Zero(t, db.Stats().OpenConnections)
}

// An update that always comes too late gives up.
func TestContended(t *testing.T) {
	store, f := newStore(t, sqlstore.SQLite)
	info := newKey(t, store)
	err := store.Update(t.Context(), func(old *auth.Record) (*auth.Record, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keys[info.ID][1] = f.keys[info.ID][1].(int64) + 1
		return old, nil
	}, info.ID)
	require.ErrorIs(t, err, sqlstore.ErrContended)
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  sqlstore.Config
		want string
	}{
		{"no database", sqlstore.Config{Dialect: sqlstore.SQLite}, "sqlstore: DB is required"},
		{"no dialect", sqlstore.Config{DB: new(sql.DB)}, `sqlstore: Dialect is "", want "postgres" or "sqlite"`},
		{"unknown dialect", sqlstore.Config{DB: new(sql.DB), Dialect: "mysql"}, `sqlstore: Dialect is "mysql", want "postgres" or "sqlite"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sqlstore.New(tt.cfg)
			require.EqualError(t, err, tt.want)
		})
	}
}

// Both dialects have the same migrations, and those make the same columns.
func TestMigrations(t *testing.T) {
	_, err := sqlstore.Migrations("mysql")
	require.Error(t, err)
	columns := make(map[sqlstore.Dialect][]string)
	for _, d := range []sqlstore.Dialect{sqlstore.Postgres, sqlstore.SQLite} {
		files, err := sqlstore.Migrations(d)
		require.NoError(t, err)
		names, err := fs.Glob(files, "*")
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			require.NoError(t, err)
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); strings.HasPrefix(line, "    ") && f[0] != "CHECK" {
					columns[d] = append(columns[d], name+" "+f[0])
				}
			}
		}
	}
	require.Len(t, columns[sqlstore.SQLite], 19)
	require.Equal(t, columns[sqlstore.Postgres], columns[sqlstore.SQLite])
}
