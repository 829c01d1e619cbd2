package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ManagerConfig says how a [Manager] makes keys.
type ManagerConfig struct {
	// Store keeps the records. Required.
	Store Store
	// Prefix is what new keys begin with. Default: [DefaultPrefix].
	Prefix string
	// Peppers are those of the [Config]; new hashes are made with the first.
	// Default: plain SHA-256, see [Pepper].
	Peppers []Pepper
	// OnChange is told of each change after it was made: what an audit trail
	// wants, and what other processes need to forget what they have cached
	// (see [Cached.Invalidate]). Optional.
	OnChange func(context.Context, Change)
}

// Change is what a Manager has done to a key.
type Change struct {
	Verb string // "create", "update", "rotate", "revoke" or "delete"
	Key  KeyInfo
}

// Manager issues keys and looks after them. It is safe for use by several
// goroutines and, as far as its Store is, processes.
type Manager struct {
	cfg  ManagerConfig
	seal *sealer
}

// errTaken says that a new id is the id of a key.
var errTaken = errors.New("auth: id is taken")

// NewManager returns a Manager, or an error that names the field that is wrong.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	cfg.Prefix = cmp.Or(cfg.Prefix, DefaultPrefix)
	if cfg.Store == nil {
		return nil, errors.New("auth: Store is required")
	}
	if err := checkPrefix(cfg.Prefix); err != nil {
		return nil, err
	}
	seal, err := newSealer(cfg.Peppers)
	if err != nil {
		return nil, err
	}
	return &Manager{cfg, seal}, nil
}

// Create issues a key. Of the template it takes Owner, which is required, and
// Name, Plan, Scopes, Metadata, Expires and Disabled. The key is returned this
// once: the store has only its hash.
func (m *Manager) Create(ctx context.Context, template KeyInfo) (Key, KeyInfo, error) {
	if err := template.validate(); err != nil {
		return Key{}, KeyInfo{}, err
	}
	key, err := NewKey(m.cfg.Prefix)
	if err != nil {
		return Key{}, KeyInfo{}, err
	}
	rec := (&Record{KeyInfo: template, Current: m.seal.seal(key)}).Clone()
	rec.ID, rec.Prefix = strings.Clone(key.ID()), m.cfg.Prefix // else the store would hold the key itself, as what the id is a part of
	rec.Created, rec.Expires = now(), micros(template.Expires)
	rec.Rotated, rec.PreviousExpires, rec.Revoked, rec.LastUsed = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	info, err := m.change(ctx, "create", rec.ID, func(old *Record) (*Record, error) {
		if old != nil {
			return nil, errTaken
		}
		return rec, nil
	})
	if err != nil {
		return Key{}, KeyInfo{}, err
	}
	return key, info, nil
}

// Get returns what is known of a key. The error is [ErrNotFound] if there is no
// such key.
func (m *Manager) Get(ctx context.Context, id string) (KeyInfo, error) {
	rec, err := m.cfg.Store.Lookup(ctx, id)
	if err != nil {
		return KeyInfo{}, err
	}
	return rec.Clone().KeyInfo, nil
}

// List returns what is known of all keys, by ascending id. After an error it
// ends.
func (m *Manager) List(ctx context.Context) iter.Seq2[KeyInfo, error] {
	return func(yield func(KeyInfo, error) bool) {
		for rec, err := range m.cfg.Store.List(ctx) {
			if err != nil {
				yield(KeyInfo{}, err)
				return
			}
			if !yield(rec.Clone().KeyInfo, nil) {
				return
			}
		}
	}
}

// Update changes what may be changed of a key: Name, Owner, Plan, Scopes,
// Metadata, Disabled and Expires. What change does to the other fields is
// ignored. change may be called more than once. The error is [ErrNotFound] if
// there is no such key.
//
// To end a key at a time, set Expires; to suspend it, set Disabled.
func (m *Manager) Update(ctx context.Context, id string, change func(*KeyInfo) error) (KeyInfo, error) {
	return m.change(ctx, "update", id, func(old *Record) (*Record, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		k := old.Clone().KeyInfo
		if err := change(&k); err != nil {
			return nil, err
		}
		old.Name, old.Owner, old.Plan, old.Disabled = k.Name, k.Owner, k.Plan, k.Disabled
		old.Scopes, old.Metadata, old.Expires = k.Scopes, k.Metadata, micros(k.Expires)
		return old, old.validate()
	})
}

// Rotate replaces a key by one with the same id and a new secret. The key from
// before stays good for the overlap, so that its holders can change over; each
// request with it is marked in [Attempt.Superseded]. There is one such key at
// most: rotating again within the overlap ends the one from before that.
//
// The error is [ErrNotFound] if there is no such key; a revoked one can't be
// rotated.
func (m *Manager) Rotate(ctx context.Context, id string, overlap time.Duration) (Key, KeyInfo, error) {
	if overlap < 0 {
		return Key{}, KeyInfo{}, fmt.Errorf("auth: overlap is %v, want at least 0", overlap)
	}
	if !ValidID(id) {
		return Key{}, KeyInfo{}, ErrNotFound
	}
	key, err := newKey(m.cfg.Prefix, id)
	if err != nil {
		return Key{}, KeyInfo{}, err
	}
	sum := m.seal.seal(key)
	info, err := m.change(ctx, "rotate", id, func(old *Record) (*Record, error) {
		switch {
		case old == nil:
			return nil, ErrNotFound
		case !old.Revoked.IsZero():
			return nil, fmt.Errorf("auth: key %s is revoked", id)
		}
		old.Previous, old.PreviousExpires = old.Current, now().Add(overlap)
		if overlap == 0 {
			old.Previous, old.PreviousExpires = Hash{}, time.Time{}
		}
		old.Current, old.Rotated, old.Prefix = sum, now(), m.cfg.Prefix
		return old, nil
	})
	if err != nil {
		return Key{}, KeyInfo{}, err
	}
	return key, info, nil
}

// Revoke ends a key for good, both of its secrets if it was rotated. Its record
// stays, for the record; see Delete. To revoke it again changes nothing. The
// error is [ErrNotFound] if there is no such key.
//
// It takes effect with the next request, or after [Cached] forgets it.
func (m *Manager) Revoke(ctx context.Context, id string) (KeyInfo, error) {
	return m.change(ctx, "revoke", id, func(old *Record) (*Record, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		if old.Revoked.IsZero() {
			old.Revoked = now()
		}
		return old, nil
	})
}

// Delete removes the record of a key. The error is [ErrNotFound] if there is no
// such key.
func (m *Manager) Delete(ctx context.Context, id string) error {
	_, err := m.change(ctx, "delete", id, func(old *Record) (*Record, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		return nil, nil
	})
	return err
}

// change updates one record and tells what became of it; of one that was
// removed, what it was.
func (m *Manager) change(ctx context.Context, verb, id string, change func(*Record) (*Record, error)) (KeyInfo, error) {
	if !ValidID(id) {
		return KeyInfo{}, ErrNotFound
	}
	var info KeyInfo
	err := m.cfg.Store.Update(ctx, func(old *Record) (*Record, error) {
		rec, err := change(old)
		if last := cmp.Or(rec, old); err == nil && last != nil {
			info = last.Clone().KeyInfo
		}
		return rec, err
	}, id)
	if err != nil {
		return KeyInfo{}, err
	}
	if m.cfg.OnChange != nil {
		m.cfg.OnChange(ctx, Change{verb, info})
	}
	return info, nil
}

// now is the time as every store can keep it.
func now() time.Time { return micros(time.Now()) }

func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
