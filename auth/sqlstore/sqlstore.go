// Package sqlstore keeps the records of API keys in a SQL database: PostgreSQL
// or SQLite, with any driver for database/sql.
//
//	db, err := sql.Open("pgx", "postgres://…")
//	store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
//	err = store.Migrate(ctx)
//	cached, err := auth.NewCached(auth.CachedConfig{Store: store})
//	gate, err := auth.New(auth.Config{Store: cached})
//
// A lookup is one query by primary key. Each record has a revision: an update
// takes effect only on the revision that it was made from, and is made again if
// another came first, so that none is lost, whatever isolation the database is
// set to, and no lock is held meanwhile.
//
// The package opens no database, imports no driver and starts no goroutine.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/sparkhttp/spark/auth"
)

// Dialect is the kind of a database.
type Dialect string

// The kinds of databases that a [Store] can talk to.
const (
	// Postgres is PostgreSQL 12 or later.
	Postgres Dialect = "postgres"
	// SQLite is SQLite 3.37 or later. For several processes, or more than one
	// connection, set a busy timeout and the write-ahead log where the database
	// is opened.
	SQLite Dialect = "sqlite"
)

const (
	page     = 500 // records that List reads at once
	attempts = 100 // at one record, by Update, before it gives up
)

// ErrContended is what Update says if others change a record all the time.
var ErrContended = errors.New("sqlstore: others change the record all the time")

// Config says where the records are.
type Config struct {
	// DB is the database. Required; New doesn't connect to it, and the Store
	// never closes it.
	DB *sql.DB
	// Dialect is the kind of the database. Required.
	Dialect Dialect
	// Timeout bounds each query. A database that hangs is one that fails:
	// better to answer 503 than never. Default: 2 seconds. Negative: none but
	// that of the context.
	Timeout time.Duration
}

// Store is an [auth.Store] in a SQL database. It is safe for use by several
// goroutines and processes.
type Store struct {
	cfg Config
	sql queries
}

var _ auth.Store = (*Store)(nil)

// New returns a Store, or an error that names the field that is wrong. The
// tables must be there: see [Store.Migrate].
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("sqlstore: DB is required")
	}
	if cfg.Dialect != Postgres && cfg.Dialect != SQLite {
		return nil, fmt.Errorf("sqlstore: Dialect is %q, want %q or %q", cfg.Dialect, Postgres, SQLite)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	return &Store{cfg, newQueries(cfg.Dialect)}, nil
}

// Lookup implements [auth.KeyStore].
func (s *Store) Lookup(ctx context.Context, id string) (*auth.Record, error) {
	rec, _, err := s.find(ctx, id)
	if err == nil && rec == nil {
		return nil, auth.ErrNotFound
	}
	return rec, err
}

// find returns the record of an id and its revision, or nil.
func (s *Store) find(ctx context.Context, id string) (*auth.Record, int64, error) {
	if !auth.ValidID(id) {
		return nil, 0, nil // PostgreSQL would take offence at some of these
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	var r row
	err := r.scan(s.cfg.DB.QueryRowContext(ctx, s.sql.find, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("sqlstore: %w", err)
	}
	rec, err := r.record()
	return rec, r.revision, err
}

// Update implements [auth.Store]. Each record is updated on its own, in the
// order of the ids. change is called again if another update came first.
func (s *Store) Update(ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
	for _, id := range ids {
		if err := s.update(ctx, change, id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Store) update(ctx context.Context, change func(*auth.Record) (*auth.Record, error), id string) error {
	if !auth.ValidID(id) {
		return fmt.Errorf("sqlstore: %q is not the id of a key", id)
	}
	for range attempts {
		old, revision, err := s.find(ctx, id)
		if err != nil {
			return err
		}
		created := old == nil
		rec, err := change(old)
		if err != nil {
			return err
		}
		done, err := s.write(ctx, id, rec, revision, created)
		if err != nil || done {
			return err
		}
	}
	return fmt.Errorf("%w: %s", ErrContended, id)
}

// write stores what became of a revision of a record, unless that is no longer
// the current one.
func (s *Store) write(ctx context.Context, id string, rec *auth.Record, revision int64, created bool) (done bool, err error) {
	if rec == nil && created {
		return true, nil
	}
	query, args := s.sql.remove, []any{id, revision}
	if rec != nil {
		if rec.ID != id {
			return false, fmt.Errorf("sqlstore: the record for %s has the id %q", id, rec.ID)
		}
		if err := rec.Validate(); err != nil {
			return false, err
		}
		next := revision + 1
		if created {
			next = time.Now().UnixMicro() // not that of a record that was removed before
		}
		r, err := newRow(rec, next)
		if err != nil {
			return false, err
		}
		if query, args = s.sql.insert, r.values(); !created {
			query, args = s.sql.update, append(args, id, revision)
		}
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	result, err := s.cfg.DB.ExecContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("sqlstore: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("sqlstore: %w", err)
	}
	return n == 1, nil
}

// List implements [auth.Store]. It reads a page at a time, and holds no
// connection while the caller is at work.
func (s *Store) List(ctx context.Context) iter.Seq2[*auth.Record, error] {
	return func(yield func(*auth.Record, error) bool) {
		after := ""
		for {
			records, err := s.page(ctx, after)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, rec := range records {
				if !yield(rec, nil) {
					return
				}
				after = rec.ID
			}
			if len(records) < page {
				return
			}
		}
	}
}

func (s *Store) page(ctx context.Context, after string) (records []*auth.Record, err error) {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	rows, err := s.cfg.DB.QueryContext(ctx, s.sql.list, after, page)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r row
		if err := r.scan(rows); err != nil {
			return nil, fmt.Errorf("sqlstore: %w", err)
		}
		rec, err := r.record()
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	return records, nil
}

func (s *Store) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.cfg.Timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.cfg.Timeout)
}
