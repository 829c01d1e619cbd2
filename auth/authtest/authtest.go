// Package authtest tests implementations of [auth.KeyStore] and [auth.Store].
//
// Call it from a test of the implementation:
//
//	func TestStore(t *testing.T) {
//		if err := authtest.TestStore(t.Context(), newStore(t)); err != nil {
//			t.Fatal(err)
//		}
//	}
//
// It tests what the packages that use a store rely on: that answers are right
// and errors are told apart, that records come back as they went in, and that
// updates are atomic, also when many come at once. It doesn't test that a store
// keeps anything when the program ends.
package authtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/sparkhttp/spark/auth"
)

// limit is when a store is said to hang.
const limit = time.Minute

// TestKeyStore tests how a store answers. It must hold the known record. The
// error lists what is wrong, one line each.
func TestKeyStore(ctx context.Context, store auth.KeyStore, known *auth.Record) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := &test{ctx: ctx, store: store}
	t.has("the known record", known)
	t.lookups(known.ID) //nolint:contextcheck // t carries ctx
	return errors.Join(t.errs...)
}

// TestStore tests how a store answers and how it is written to. The store may
// hold records already; what TestStore adds to it, it removes in the end. The
// error lists what is wrong, one line each.
func TestStore(ctx context.Context, store auth.Store) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := &test{ctx: ctx, store: store, writer: store}
	for _, check := range []func(){t.create, t.change, t.refuse, t.remove, t.several, t.list, t.cancelled, t.atomic, t.race} {
		check()
	}
	t.cleanUp()
	return errors.Join(t.errs...)
}

// test is one run.
type test struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the run
	store  auth.KeyStore
	writer auth.Store
	ids    []string // to be removed
	errs   []error
}

var errChange = errors.New("authtest: change fails")

func (t *test) errorf(format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf(format, args...))
}

// record returns a new record in which every field is set.
func (t *test) record() *auth.Record {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)
	r := &auth.Record{
		KeyInfo: auth.KeyInfo{
			ID: t.id(), Prefix: "spark_test", Name: "naïve 名前 \"quoted\" 'single'", Owner: "ada@example.com", Plan: "pro",
			Scopes: []string{"read", "things:write"}, Metadata: map[string]string{"a b": "c=d", "": "empty"}, Disabled: true,
			Created: at, Expires: at.Add(time.Hour), Rotated: at.Add(2 * time.Hour), PreviousExpires: at.Add(3 * time.Hour),
			Revoked: at.Add(4 * time.Hour), LastUsed: at.Add(5 * time.Hour),
		},
		Current:  auth.Hash{Version: 2147483647},
		Previous: auth.Hash{Version: 1},
	}
	_, _ = rand.Read(r.Current.Sum[:]) // it never fails
	_, _ = rand.Read(r.Previous.Sum[:])
	return r
}

// id returns the id of a key that nobody has.
func (t *test) id() string {
	key, err := auth.NewKey("spark_test")
	if err != nil {
		panic(err) // the prefix is right
	}
	t.ids = append(t.ids, key.ID())
	return key.ID()
}

// put stores a record and reports whether that went well.
func (t *test) put(r *auth.Record) bool {
	err := t.writer.Update(t.ctx, func(*auth.Record) (*auth.Record, error) { return r.Clone(), nil }, r.ID)
	if err != nil {
		t.errorf("Update of a valid record: %w", err)
	}
	return err == nil
}

// update changes a record that is there.
func (t *test) update(id string, change func(*auth.Record) (*auth.Record, error)) error {
	return t.writer.Update(t.ctx, func(old *auth.Record) (*auth.Record, error) {
		if old == nil {
			return nil, errors.New("authtest: Update gives no record for an id that has one")
		}
		if old.Metadata == nil {
			old.Metadata = make(map[string]string) // told elsewhere
		}
		return change(old)
	}, id)
}

// has checks that the store has a record as it is.
func (t *test) has(what string, want *auth.Record) {
	got, err := t.store.Lookup(t.ctx, want.ID)
	switch {
	case err != nil:
		t.errorf("%s: Lookup: %w", what, err)
	case got == nil:
		t.errorf("%s: Lookup returns neither record nor error", what)
	default:
		t.same(what, want, got)
	}
}

func (t *test) same(what string, want, got *auth.Record) {
	if w, g := encode(want), encode(got); w != g {
		t.errorf("%s: the record is\n%s\nwant\n%s", what, g, w)
	}
}

func encode(r *auth.Record) string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// absent checks that the store says that it has no record of an id.
func (t *test) absent(what, id string) {
	if rec, err := t.store.Lookup(t.ctx, id); !errors.Is(err, auth.ErrNotFound) {
		t.errorf("%s: Lookup returns %v and the error %v, want ErrNotFound", what, rec != nil, err)
	}
}

// lookups checks ids that nobody has, and a context that has ended.
func (t *test) lookups(known string) {
	unknown := t.id()
	for what, id := range map[string]string{
		"an unknown id": unknown, "an empty id": "", "a long id": strings.Repeat("a", 10_000), "part of an id": known[:len(known)-1],
		"an id with a wildcard": known[:len(known)-1] + "%", "an id with a quote": known[:len(known)-1] + "'", "an id with a NUL": known[:len(known)-1] + "\x00",
		"an id that is not UTF-8": known[:len(known)-1] + "\xff", "an id with a space": known + " ",
	} {
		t.absent(what, id)
	}
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	if _, err := t.store.Lookup(ended, known); errors.Is(err, auth.ErrNotFound) {
		t.errorf("Lookup with a context that has ended says ErrNotFound of a record that is there")
	}
}

func (t *test) create() {
	r := t.record()
	t.absent("a record that was not created yet", r.ID)
	called := 0
	given := r.Clone()
	err := t.writer.Update(t.ctx, func(old *auth.Record) (*auth.Record, error) {
		if called++; old != nil {
			t.errorf("Update gives a record for an id that has none")
		}
		return given, nil
	}, r.ID)
	if err != nil {
		t.errorf("Update of a new record: %w", err)
		return
	}
	if called == 0 {
		t.errorf("Update doesn't call change")
	}
	t.has("a new record", r)
	given.Scopes[0], given.Metadata["a b"], given.Owner = "changed", "changed", "changed"
	t.has("a record whose fields were changed after Update", r)
	t.lookups(r.ID)
	small := t.record()
	small.KeyInfo = auth.KeyInfo{ID: small.ID, Prefix: "p", Owner: "o", Created: small.Created}
	small.Previous = auth.Hash{}
	if t.put(small) {
		t.has("a record with only what is required", small)
	}
}

func (t *test) change() {
	r := t.record()
	if !t.put(r) {
		return
	}
	next := r.Clone()
	next.Owner, next.Scopes, next.Metadata, next.Disabled = "bob", nil, nil, false
	next.Expires, next.Rotated, next.PreviousExpires, next.Revoked, next.LastUsed = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	next.Previous, next.Current = auth.Hash{}, r.Previous
	err := t.writer.Update(t.ctx, func(old *auth.Record) (*auth.Record, error) {
		if old == nil {
			t.errorf("Update gives no record for an id that has one")
			return nil, errChange
		}
		t.same("what Update gives", r, old)
		*old = *next.Clone()
		return old, nil
	}, r.ID)
	if err != nil {
		t.errorf("Update of a record: %w", err)
		return
	}
	t.has("a changed record", next)
	found, err := t.store.Lookup(t.ctx, r.ID)
	err = errors.Join(err, t.update(r.ID, func(old *auth.Record) (*auth.Record, error) {
		old.Owner, old.Scopes = "carol", []string{"x"}
		return old, nil
	}))
	if err != nil {
		t.errorf("Update of a record that is in use: %w", err)
		return
	}
	t.same("a record that was looked up before an Update", next, found)
}

func (t *test) refuse() {
	r := t.record()
	if !t.put(r) {
		return
	}
	err := t.update(r.ID, func(old *auth.Record) (*auth.Record, error) {
		old.Owner, old.Metadata["a b"] = "mallory", "changed"
		clear(old.Scopes)
		return old, errChange
	})
	if !errors.Is(err, errChange) {
		t.errorf("Update returns %v when change fails, want its error", err)
	}
	t.has("a record of which a change failed", r)
	for what, spoil := range map[string]func(*auth.Record){
		"without an owner": func(r *auth.Record) { r.Owner = "" }, "without a hash": func(r *auth.Record) { r.Current = auth.Hash{} },
		"of another id": func(r *auth.Record) { r.ID = t.id() }, "with a bad scope": func(r *auth.Record) { r.Scopes = []string{"a b"} },
	} {
		err := t.update(r.ID, func(old *auth.Record) (*auth.Record, error) {
			spoil(old)
			return old, nil
		})
		if err == nil {
			t.errorf("Update stores a record %s", what)
		}
		t.has("a record that was to become one "+what, r)
	}
	bad := "not an id"
	if err := t.writer.Update(t.ctx, func(*auth.Record) (*auth.Record, error) { r := r.Clone(); r.ID = bad; return r, nil }, bad); err == nil {
		t.errorf("Update stores a record with the id %q", bad)
	}
}

func (t *test) remove() {
	r := t.record()
	if !t.put(r) {
		return
	}
	for _, what := range []string{"removed", "removed twice"} {
		if err := t.writer.Update(t.ctx, func(*auth.Record) (*auth.Record, error) { return nil, nil }, r.ID); err != nil {
			t.errorf("Update of a record that is %s: %w", what, err)
		}
		t.absent("a record that is "+what, r.ID)
	}
	if t.put(r) {
		t.has("a record that was removed and is back", r)
	}
}

func (t *test) several() {
	a, b, gone := t.record(), t.record(), t.id()
	if !t.put(a) || !t.put(b) {
		return
	}
	seen := make(map[string]int)
	err := t.writer.Update(t.ctx, func(old *auth.Record) (*auth.Record, error) {
		if old == nil {
			seen[""]++
			return nil, nil
		}
		seen[old.ID]++
		old.Plan = "several"
		return old, nil
	}, a.ID, b.ID, gone)
	if err != nil || seen[a.ID] == 0 || seen[b.ID] == 0 || seen[""] == 0 {
		t.errorf("Update of three ids calls change for %v, and returns %w", seen, err)
		return
	}
	a.Plan, b.Plan = "several", "several"
	t.has("the first of several", a)
	t.has("the second of several", b)
	t.absent("the third of several", gone)
	if err := t.writer.Update(t.ctx, func(*auth.Record) (*auth.Record, error) { return nil, errChange }); err != nil {
		t.errorf("Update of no ids: %w", err)
	}
}

func (t *test) list() {
	want := make(map[string]*auth.Record)
	for range 5 {
		r := t.record()
		if !t.put(r) {
			return
		}
		want[r.ID] = r
	}
	last, missing := "", maps.Clone(want)
	for rec, err := range t.writer.List(t.ctx) {
		if err != nil || rec == nil {
			t.errorf("List: record %v, error %w", rec != nil, err)
			return
		}
		if rec.ID <= last {
			t.errorf("List: %s comes after %s", rec.ID, last)
		}
		last = rec.ID
		if w := want[rec.ID]; w != nil {
			t.same("a record in List", w, rec)
			delete(missing, rec.ID)
			t.put(w) // the store can be used meanwhile
		}
	}
	if len(missing) > 0 {
		t.errorf("List: %d of %d records are missing", len(missing), len(want))
	}
	for range t.writer.List(t.ctx) { //nolint:errcheck // what it yields does not matter
		break // must not panic, nor hold on to anything
	}
	t.put(t.record())
}

func (t *test) cancelled() {
	r := t.record()
	if !t.put(r) {
		return
	}
	ended, cancel := context.WithCancel(t.ctx)
	cancel()
	err := t.writer.Update(ended, func(*auth.Record) (*auth.Record, error) {
		late := r.Clone()
		late.Owner = "late"
		return late, nil
	}, r.ID)
	if err == nil {
		t.errorf("Update with a context that has ended returns no error")
	}
	t.has("a record of which an Update was cancelled", r)
}

func (t *test) cleanUp() {
	for _, id := range t.ids {
		if err := t.writer.Update(t.ctx, func(*auth.Record) (*auth.Record, error) { return nil, nil }, id); err != nil {
			t.errorf("cleaning up: %w", err)
			return
		}
	}
}
