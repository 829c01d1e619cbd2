package sqlstore_test

import (
	"database/sql"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth/sqlstore"
)

// What talks to databases is tested in internal/drivers, a module of its own.

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
