package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/auth/sqlstore"
)

// place is where the keys are.
type place struct{ file, sqlite, postgres string }

func (p place) check() error {
	given := 0
	for _, s := range []string{p.file, p.sqlite, p.postgres} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("want one of -file, -sqlite and -postgres")
	}
	return nil
}

// open returns the store, and what closes it.
func (p place) open(ctx context.Context, create bool) (auth.Store, func() error, error) {
	if p.file != "" {
		store, err := auth.OpenFile(auth.FileConfig{Path: p.file, Create: create})
		return store, func() error { return nil }, err
	}
	driver, source, dialect := "pgx", p.postgres, sqlstore.Postgres
	if p.sqlite != "" {
		query := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}}
		if !create {
			query.Set("mode", "rw") // a mistyped path makes no database
		}
		source = (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: p.sqlite}).EscapedPath(), RawQuery: query.Encode()}).String()
		driver, dialect = "sqlite", sqlstore.SQLite
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: dialect})
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return store, db.Close, nil
}
