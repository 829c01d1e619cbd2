package auth

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Memory is a [Store] in memory. It forgets all when the program ends. Its size
// is that of the records that were put into it.
//
// The zero Memory is empty and ready to use, by several goroutines at once.
type Memory struct {
	mu      sync.Mutex // held by those who change records
	records index
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return new(Memory) }

// Lookup implements [KeyStore]. It never fails otherwise than with [ErrNotFound].
func (m *Memory) Lookup(_ context.Context, id string) (*Record, error) {
	if rec := m.records.get(id); rec != nil {
		return rec, nil
	}
	return nil, ErrNotFound
}

// Update implements [Store]. It changes all records or none.
func (m *Memory) Update(ctx context.Context, change func(*Record) (*Record, error), ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	changed, err := changeAll(m.records.get, change, ids)
	if err != nil {
		return err
	}
	for id, rec := range changed {
		m.records.set(id, rec)
	}
	return nil
}

// changeAll returns what change makes of the records of ids, by their ids.
func changeAll(find func(id string) *Record, change func(*Record) (*Record, error), ids []string) (map[string]*Record, error) {
	changed := make(map[string]*Record, len(ids))
	for _, id := range ids {
		if !ValidID(id) {
			return nil, fmt.Errorf("auth: %q is not the id of a key", id)
		}
		old, again := changed[id]
		if !again {
			old = find(id)
		}
		if old != nil {
			old = old.Clone()
		}
		rec, err := change(old)
		if err != nil {
			return nil, err
		}
		if rec != nil {
			if rec.ID != id {
				return nil, fmt.Errorf("auth: the record for %s has the id %q", id, rec.ID)
			}
			if err := rec.Validate(); err != nil {
				return nil, err
			}
			rec = rec.Clone() // what the caller keeps is not what the store holds
		}
		changed[id] = rec
	}
	return changed, nil
}

// List implements [Store].
func (m *Memory) List(ctx context.Context) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		m.mu.Lock()
		records := m.records.all()
		m.mu.Unlock()
		listRecords(ctx, records, yield)
	}
}

// listRecords yields records by ascending id until ctx ends.
func listRecords(ctx context.Context, records []*Record, yield func(*Record, error) bool) {
	slices.SortFunc(records, byID)
	for _, rec := range records {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		if !yield(rec, nil) {
			return
		}
	}
}

func byID(a, b *Record) int { return strings.Compare(a.ID, b.ID) }
