package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed migrations
var migrations embed.FS

// lockID is what processes that migrate at once agree on: "spark" in ASCII.
const lockID int64 = 0x737061726b

// Migrations returns the migrations of a dialect: files whose names sort in the
// order in which they are to be applied. It is for those who have a tool of
// their own for it; others use [Store.Migrate].
func Migrations(d Dialect) (fs.FS, error) {
	if d != Postgres && d != SQLite {
		return nil, fmt.Errorf("sqlstore: Dialect is %q, want %q or %q", d, Postgres, SQLite)
	}
	return fs.Sub(migrations, "migrations/"+string(d))
}

// Migrate makes the tables, or brings them up to date: it applies, in one
// transaction, the migrations that the table spark_migrations doesn't name yet.
// Several processes may call it at once. Timeout doesn't apply.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := Migrations(s.cfg.Dialect)
	if err != nil {
		return err
	}
	conn, err := s.cfg.DB.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	defer func() { _ = conn.Close() }() // gives it back, or says that it is gone
	begin, lock := "BEGIN IMMEDIATE", ""
	if s.cfg.Dialect == Postgres {
		begin, lock = "BEGIN", fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", lockID)
	}
	// By hand, since BeginTx can't say IMMEDIATE: without it, SQLite finds out
	// about another writer when it is too late to wait for it.
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	if err = s.apply(ctx, conn, lock, files); err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("sqlstore: %w", err)
	}
	if _, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil {
		// The pool must not hand out a connection in the middle of a transaction.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is what it returns
	}
	return err
}

func (s *Store) apply(ctx context.Context, conn *sql.Conn, lock string, files fs.FS) error {
	for _, query := range []string{lock, "CREATE TABLE IF NOT EXISTS spark_migrations (name TEXT NOT NULL PRIMARY KEY)"} {
		if query == "" {
			continue
		}
		if _, err := conn.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("sqlstore: %w", err)
		}
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		var there int
		err := conn.QueryRowContext(ctx, s.cfg.Dialect.mark("SELECT count(*) FROM spark_migrations WHERE name = ?"), name).Scan(&there)
		if err != nil {
			return fmt.Errorf("sqlstore: %w", err)
		}
		if there > 0 {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("sqlstore: migration %s: %w", name, err)
		}
		if _, err := conn.ExecContext(ctx, s.cfg.Dialect.mark("INSERT INTO spark_migrations (name) VALUES (?)"), name); err != nil {
			return fmt.Errorf("sqlstore: %w", err)
		}
	}
	return nil
}
