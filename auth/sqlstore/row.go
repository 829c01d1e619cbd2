package sqlstore

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/auth"
)

// columns are those of the table, in the order of row.values.
const columns = "id, revision, prefix, name, owner, plan, scopes, metadata, disabled, " +
	"created, expires, rotated, previous_expires, revoked, last_used, " +
	"current_version, current_sum, previous_version, previous_sum"

// queries are the statements of a dialect.
type queries struct {
	find, list, insert, update, remove string
}

func newQueries(d Dialect) queries {
	names := strings.Split(columns, ", ")
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(names)), ", ")
	return queries{
		find:   d.mark("SELECT " + columns + " FROM spark_keys WHERE id = ?"),
		list:   d.mark("SELECT " + columns + " FROM spark_keys WHERE id > ? ORDER BY id LIMIT ?"),
		insert: d.mark("INSERT INTO spark_keys (" + columns + ") VALUES (" + marks + ") ON CONFLICT (id) DO NOTHING"),
		update: d.mark("UPDATE spark_keys SET " + strings.Join(names, " = ?, ") + " = ? WHERE id = ? AND revision = ?"),
		remove: d.mark("DELETE FROM spark_keys WHERE id = ? AND revision = ?"),
	}
}

// mark numbers the parameters of a query as a dialect wants them.
func (d Dialect) mark(query string) string {
	if d != Postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n++; n > 1 {
			b.WriteString("$" + strconv.Itoa(n-1))
		}
		b.WriteString(part)
	}
	return b.String()
}

// row is a record as the table has it.
type row struct {
	id, prefix, name, owner, plan, scopes, metadata string
	revision                                        int64
	disabled                                        bool
	created                                         int64
	expires, rotated, previousExpires               sql.NullInt64
	revoked, lastUsed                               sql.NullInt64
	currentVersion                                  int64
	currentSum                                      []byte
	previousVersion                                 sql.NullInt64
	previousSum                                     []byte
}

func (r *row) scan(from interface{ Scan(dest ...any) error }) error {
	return from.Scan(&r.id, &r.revision, &r.prefix, &r.name, &r.owner, &r.plan, &r.scopes, &r.metadata, &r.disabled,
		&r.created, &r.expires, &r.rotated, &r.previousExpires, &r.revoked, &r.lastUsed,
		&r.currentVersion, &r.currentSum, &r.previousVersion, &r.previousSum)
}

func (r *row) values() []any {
	return []any{
		r.id, r.revision, r.prefix, r.name, r.owner, r.plan, r.scopes, r.metadata, r.disabled,
		r.created, r.expires, r.rotated, r.previousExpires, r.revoked, r.lastUsed,
		r.currentVersion, r.currentSum, r.previousVersion, r.previousSum,
	}
}

func newRow(rec *auth.Record, revision int64) (*row, error) {
	metadata, err := json.Marshal(rec.Metadata)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	if len(rec.Metadata) == 0 {
		metadata = []byte("{}")
	}
	r := &row{
		id: rec.ID, revision: revision, prefix: rec.Prefix, name: rec.Name, owner: rec.Owner, plan: rec.Plan,
		scopes: strings.Join(rec.Scopes, " "), metadata: string(metadata), disabled: rec.Disabled,
		created: rec.Created.UnixMicro(), expires: micros(rec.Expires), rotated: micros(rec.Rotated),
		previousExpires: micros(rec.PreviousExpires), revoked: micros(rec.Revoked), lastUsed: micros(rec.LastUsed),
		currentVersion: int64(rec.Current.Version), currentSum: rec.Current.Sum[:],
	}
	if rec.Previous != (auth.Hash{}) {
		r.previousVersion = sql.NullInt64{Int64: int64(rec.Previous.Version), Valid: true}
		r.previousSum = rec.Previous.Sum[:]
	}
	return r, nil
}

// record returns the record. What is wrong with a row is an error: a store that
// holds nonsense is one that fails.
func (r *row) record() (*auth.Record, error) {
	rec := &auth.Record{KeyInfo: auth.KeyInfo{
		ID: r.id, Prefix: r.prefix, Name: r.name, Owner: r.owner, Plan: r.plan,
		Scopes: strings.Fields(r.scopes), Disabled: r.disabled,
		Created: time.UnixMicro(r.created).UTC(), Expires: instant(r.expires), Rotated: instant(r.rotated),
		PreviousExpires: instant(r.previousExpires), Revoked: instant(r.revoked), LastUsed: instant(r.lastUsed),
	}}
	if err := json.Unmarshal([]byte(r.metadata), &rec.Metadata); err != nil {
		return nil, fmt.Errorf("sqlstore: metadata of %s: %w", r.id, err)
	}
	var err error
	if rec.Current, err = hash(r.currentVersion, r.currentSum); err != nil {
		return nil, fmt.Errorf("sqlstore: current hash of %s: %w", r.id, err)
	}
	if r.previousVersion.Valid {
		if rec.Previous, err = hash(r.previousVersion.Int64, r.previousSum); err != nil {
			return nil, fmt.Errorf("sqlstore: previous hash of %s: %w", r.id, err)
		}
	}
	// A record that could not be written again would hold up those that are written
	// with it.
	if err := rec.Validate(); err != nil {
		return nil, fmt.Errorf("sqlstore: record %s: %w", r.id, err)
	}
	return rec, nil
}

func hash(version int64, sum []byte) (auth.Hash, error) {
	if len(sum) != sha256.Size {
		return auth.Hash{}, fmt.Errorf("%d bytes, want %d", len(sum), sha256.Size)
	}
	return auth.Hash{Version: int(version), Sum: [sha256.Size]byte(sum)}, nil
}

func micros(t time.Time) sql.NullInt64 {
	if t.IsZero() {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

func instant(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}
