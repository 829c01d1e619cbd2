package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// fake is a database that knows the statements of the package and no others. It
// can be told to fail, as real ones can't.
type fake struct {
	mu         sync.Mutex
	keys       map[string][]driver.Value
	migrations map[string]bool
	log        []string // the statements, without what comes after the table
	fail       string   // what a statement that fails begins with
	also       string   // and another one
	broken     bool     // breaks the connection in the middle of a result
}

var errFake = errors.New("connection lost")

func newFake() (*fake, *sql.DB) {
	f := &fake{keys: make(map[string][]driver.Value), migrations: make(map[string]bool)}
	return f, sql.OpenDB(f)
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return &fakeConn{f}, nil }
func (f *fake) Driver() driver.Driver                        { return nil }

type fakeConn struct{ f *fake }

func (*fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (*fakeConn) Close() error                        { return nil }
func (*fakeConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }

// begin notes a statement and fails if it should.
func (f *fake) begin(ctx context.Context, query string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.log = append(f.log, strings.TrimSpace(query))
	if f.fail != "" && strings.HasPrefix(query, f.fail) || f.also != "" && strings.HasPrefix(query, f.also) {
		return errFake
	}
	return nil
}

func (c *fakeConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx, query); err != nil {
		return nil, err
	}
	values := make([]driver.Value, len(args))
	for i, a := range args {
		values[i] = a.Value
	}
	changed := int64(0)
	switch n := len(values); {
	case strings.HasPrefix(query, "INSERT INTO spark_migrations"):
		f.migrations[values[0].(string)] = true
	case strings.HasPrefix(query, "INSERT INTO spark_keys"):
		if id := values[0].(string); f.keys[id] == nil {
			f.keys[id], changed = values, 1
		}
	case strings.HasPrefix(query, "UPDATE spark_keys"), strings.HasPrefix(query, "DELETE FROM spark_keys"):
		id := values[n-2].(string)
		if row := f.keys[id]; row != nil && row[1] == values[n-1] {
			delete(f.keys, id)
			if changed = 1; n > 2 {
				f.keys[id] = values[:n-2]
			}
		}
	}
	return driver.RowsAffected(changed), nil
}

func (c *fakeConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin(ctx, query); err != nil {
		return nil, err
	}
	first := args[0].Value.(string)
	if strings.HasPrefix(query, "SELECT count(*)") {
		n := int64(0)
		if f.migrations[first] {
			n = 1
		}
		return &fakeRows{width: 1, rows: [][]driver.Value{{n}}}, nil
	}
	var rows [][]driver.Value
	for id, row := range f.keys {
		if id == first || len(args) == 2 && id > first {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b []driver.Value) int { return strings.Compare(a[0].(string), b[0].(string)) })
	if len(args) == 2 {
		rows = rows[:min(len(rows), int(args[1].Value.(int64)))]
	}
	return &fakeRows{width: 19, rows: rows, broken: f.broken}, nil
}

type fakeRows struct {
	width  int
	rows   [][]driver.Value
	broken bool
}

func (r *fakeRows) Columns() []string { return make([]string, r.width) }
func (r *fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(dest []driver.Value) error {
	if r.broken {
		return errFake
	}
	if len(r.rows) == 0 {
		return io.EOF
	}
	copy(dest, r.rows[0])
	r.rows = r.rows[1:]
	return nil
}
