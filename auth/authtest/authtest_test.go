package authtest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/auth/authtest"
)

func Example() {
	store := auth.NewMemory()
	fmt.Println(authtest.TestStore(context.Background(), store))
	// Output: <nil>
}

// broken is a store with one thing wrong.
type broken struct {
	*auth.Memory
	lookup func(b *broken, ctx context.Context, id string) (*auth.Record, error)
	update func(b *broken, ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error
	list   func(records []*auth.Record) []*auth.Record
}

func (b *broken) Lookup(ctx context.Context, id string) (*auth.Record, error) {
	if b.lookup != nil {
		return b.lookup(b, ctx, id)
	}
	return b.Memory.Lookup(ctx, id)
}

func (b *broken) Update(ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
	if b.update != nil {
		return b.update(b, ctx, change, ids...)
	}
	return b.Memory.Update(ctx, change, ids...)
}

func (b *broken) List(ctx context.Context) iter.Seq2[*auth.Record, error] {
	if b.list == nil {
		return b.Memory.List(ctx)
	}
	return func(yield func(*auth.Record, error) bool) {
		var records []*auth.Record
		for r := range b.Memory.List(ctx) {
			records = append(records, r)
		}
		for _, r := range b.list(records) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// losing returns an update that loses something of each record.
func losing(lose func(*auth.Record)) func(*broken, context.Context, func(*auth.Record) (*auth.Record, error), ...string) error {
	return func(b *broken, ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
		return b.Memory.Update(ctx, func(old *auth.Record) (*auth.Record, error) {
			r, err := change(old)
			if r != nil {
				r = r.Clone()
				lose(r)
			}
			return r, err
		}, ids...)
	}
}

// A test that finds nothing wrong with a broken store is worth nothing.
func TestFinds(t *testing.T) {
	errOther := errors.New("no rows")
	tests := []struct {
		name  string
		store broken
		want  string
	}{
		{"another error than ErrNotFound", broken{lookup: func(b *broken, ctx context.Context, id string) (*auth.Record, error) {
			r, err := b.Memory.Lookup(ctx, id)
			if err != nil {
				return nil, errOther
			}
			return r, nil
		}}, "want ErrNotFound"},
		{"nil without an error", broken{lookup: func(b *broken, ctx context.Context, id string) (*auth.Record, error) {
			r, _ := b.Memory.Lookup(ctx, id)
			return r, nil
		}}, "want ErrNotFound"},
		{"trims ids", broken{lookup: func(b *broken, ctx context.Context, id string) (*auth.Record, error) {
			return b.Memory.Lookup(ctx, id[:min(len(id), 12)])
		}}, "an id with a space: Lookup returns true"},
		{"ErrNotFound when cancelled", broken{lookup: func(b *broken, ctx context.Context, id string) (*auth.Record, error) {
			if ctx.Err() != nil {
				return nil, auth.ErrNotFound
			}
			return b.Memory.Lookup(ctx, id)
		}}, "says ErrNotFound of a record that is there"},
		{"loses microseconds", broken{update: losing(func(r *auth.Record) { r.LastUsed = r.LastUsed.Truncate(1e6) })}, "a new record: the record is"},
		{"loses the hash from before", broken{update: losing(func(r *auth.Record) { r.Previous = auth.Hash{} })}, "a new record: the record is"},
		{"loses metadata", broken{update: losing(func(r *auth.Record) { r.Metadata = nil })}, "a new record: the record is"},
		{"never clears", broken{update: losing(func(r *auth.Record) {
			if r.Expires.IsZero() {
				r.Expires = r.Created
			}
		})}, "a changed record: the record is"},
		{"ignores errors of change", broken{update: func(b *broken, ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
			return b.Memory.Update(ctx, func(old *auth.Record) (*auth.Record, error) {
				r, _ := change(old)
				return r, nil
			}, ids...)
		}}, "want its error"},
		{"ignores the context", broken{update: func(b *broken, _ context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
			return b.Memory.Update(context.Background(), change, ids...)
		}}, "Update with a context that has ended returns no error"},
		{"changes the first id only", broken{update: func(b *broken, ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
			return b.Memory.Update(ctx, change, ids[:min(1, len(ids))]...)
		}}, "Update of three ids"},
		{"reads, then writes", broken{update: func(b *broken, ctx context.Context, change func(*auth.Record) (*auth.Record, error), ids ...string) error {
			for _, id := range ids {
				old, err := b.Memory.Lookup(ctx, id)
				if err == nil {
					old = old.Clone()
				}
				time.Sleep(50 * time.Microsecond) // others read the same
				made, err := change(old)
				if err == nil {
					err = b.Memory.Update(ctx, func(*auth.Record) (*auth.Record, error) { return made, nil }, id)
				}
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		}}, "by many at once"},
		{"lists in any order", broken{list: func(r []*auth.Record) []*auth.Record { slices.Reverse(r); return r }}, "List: "},
		{"lists not all", broken{list: func(r []*auth.Record) []*auth.Record { return r[:1] }}, "records are missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.store.Memory = auth.NewMemory()
			require.ErrorContains(t, authtest.TestStore(t.Context(), &tt.store), tt.want)
		})
	}
}

func TestKeyStore(t *testing.T) {
	store := auth.NewMemory()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store})
	require.NoError(t, err)
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(t, err)
	known, err := store.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	require.NoError(t, authtest.TestKeyStore(t.Context(), store, known))
	other := known.Clone()
	other.Owner = "bob"
	require.ErrorContains(t, authtest.TestKeyStore(t.Context(), store, other), "the known record: the record is")
}

// TestStore leaves nothing behind.
func TestCleansUp(t *testing.T) {
	store := auth.NewMemory()
	require.NoError(t, authtest.TestStore(t.Context(), store))
	for r := range store.List(t.Context()) {
		t.Fatalf("left %s", r.ID)
	}
}
