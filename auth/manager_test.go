package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

func TestNewManagerRefuses(t *testing.T) {
	_, err := auth.NewManager(auth.ManagerConfig{})
	require.EqualError(t, err, "auth: Store is required")
	_, err = auth.NewManager(auth.ManagerConfig{Store: auth.NewMemory(), Prefix: "-"})
	require.ErrorContains(t, err, `auth: Prefix is "-"`)
	_, err = auth.NewManager(auth.ManagerConfig{Store: auth.NewMemory(), Peppers: []auth.Pepper{{Version: -1}}})
	require.ErrorContains(t, err, "auth: Peppers[0] has version -1")
}

func TestCreateRefuses(t *testing.T) {
	m, err := auth.NewManager(auth.ManagerConfig{Store: auth.NewMemory()})
	require.NoError(t, err)
	many := make(map[string]string)
	for i := range 65 {
		many[strings.Repeat("x", i+1)] = ""
	}
	for name, info := range map[string]auth.KeyInfo{
		"no owner": {}, "reserved owner": {Owner: "master"}, "long owner": {Owner: strings.Repeat("a", 257)}, "control": {Owner: "a\nb"},
		"not UTF-8": {Owner: "a\xff"}, "long name": {Owner: "a", Name: strings.Repeat("a", 257)}, "control in plan": {Owner: "a", Plan: "\x1b[31m"},
		"empty scope": {Owner: "a", Scopes: []string{""}}, "scope with space": {Owner: "a", Scopes: []string{"a b"}}, "scope with quote": {Owner: "a", Scopes: []string{`a"`}},
		"scope with backslash": {Owner: "a", Scopes: []string{`a\b`}}, "scope twice": {Owner: "a", Scopes: []string{"a", "b", "a"}}, "long scope": {Owner: "a", Scopes: []string{strings.Repeat("a", 129)}},
		"many scopes": {Owner: "a", Scopes: make([]string, 65)}, "much metadata": {Owner: "a", Metadata: many}, "long metadata": {Owner: "a", Metadata: map[string]string{"a": strings.Repeat("a", 1025)}},
		"metadata name": {Owner: "a", Metadata: map[string]string{"\x00": ""}},
	} {
		_, _, err := m.Create(t.Context(), info)
		require.Error(t, err, name)
	}
	for range m.List(t.Context()) {
		t.Fatal("something was stored")
	}
}

// What is said of a key in a template can't make it look older, used or revoked.
func TestCreate(t *testing.T) {
	store := auth.NewMemory()
	m, err := auth.NewManager(auth.ManagerConfig{Store: store, Prefix: "acme"})
	require.NoError(t, err)
	at := time.Date(2020, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	template := auth.KeyInfo{
		ID: "0123456789AB", Prefix: "other", Name: "ci", Owner: "ada", Plan: "pro", Scopes: []string{"a"}, Metadata: map[string]string{"k": "v"},
		Disabled: true, Created: at, Expires: at, Rotated: at, PreviousExpires: at, Revoked: at, LastUsed: at,
	}
	before := time.Now().Add(-time.Microsecond)
	key, info, err := m.Create(t.Context(), template)
	require.NoError(t, err)
	require.WithinRange(t, info.Created, before, time.Now())
	require.Equal(t, auth.KeyInfo{
		ID: key.ID(), Prefix: "acme", Name: "ci", Owner: "ada", Plan: "pro", Scopes: []string{"a"}, Metadata: map[string]string{"k": "v"},
		Disabled: true, Created: info.Created, Expires: at.UTC().Truncate(time.Microsecond),
	}, info)
	require.Equal(t, "acme", key.Prefix())
	template.Scopes[0], template.Metadata["k"] = "changed", "changed"
	info.Scopes[0], info.Metadata["k"] = "changed", "changed"
	got, err := m.Get(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, got.Scopes)
	require.Equal(t, map[string]string{"k": "v"}, got.Metadata)
	got.Metadata["k"] = "changed"
	for listed, err := range m.List(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, "v", listed.Metadata["k"])
		listed.Metadata["k"] = "changed"
	}
	rec, err := store.Lookup(t.Context(), info.ID)
	require.NoError(t, err)
	require.Equal(t, "v", rec.Metadata["k"])
}

// The whole life of a key, as requests see it.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := auth.NewMemory()
		var verbs []string
		m, err := auth.NewManager(auth.ManagerConfig{Store: store, OnChange: func(_ context.Context, c auth.Change) {
			verbs = append(verbs, c.Verb+" "+c.Key.Owner)
			_, _ = store.Lookup(t.Context(), c.Key.ID) // no lock is held
		}})
		require.NoError(t, err)
		var last auth.Attempt
		gate, err := auth.New(auth.Config{Store: store, OnAttempt: func(_ context.Context, at auth.Attempt) { last = at }})
		require.NoError(t, err)
		reason := func(key auth.Key) auth.Reason {
			_, err := gate.Authenticate(requestWith(key))
			require.Equal(t, last.Refused != "", err != nil)
			return last.Refused
		}
		key, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada", Expires: time.Now().Add(24 * time.Hour)})
		require.NoError(t, err)
		require.Empty(t, reason(key))
		require.False(t, last.Superseded)

		second, rotated, err := m.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		require.Equal(t, info.ID, second.ID())
		require.Equal(t, time.Now().UTC(), rotated.Rotated)
		require.Equal(t, time.Now().Add(time.Hour).UTC(), rotated.PreviousExpires)
		require.Empty(t, reason(second))
		require.False(t, last.Superseded)
		require.Empty(t, reason(key))
		require.True(t, last.Superseded)
		require.Equal(t, "ada", last.User)
		time.Sleep(time.Hour - 1)
		require.Empty(t, reason(key))
		time.Sleep(time.Nanosecond)
		require.Equal(t, auth.Expired, reason(key))
		require.Empty(t, reason(second))

		third, _, err := m.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		fourth, _, err := m.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		require.Equal(t, auth.WrongSecret, reason(second), "there is one key from before at most")
		require.Empty(t, reason(third))
		fifth, _, err := m.Rotate(t.Context(), info.ID, 0)
		require.NoError(t, err)
		require.Equal(t, auth.WrongSecret, reason(fourth))
		require.Empty(t, reason(fifth))

		set := func(change func(*auth.KeyInfo)) auth.KeyInfo {
			info, err := m.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error { change(k); return nil })
			require.NoError(t, err)
			return info
		}
		require.Equal(t, "disabled", new(set(func(k *auth.KeyInfo) { k.Disabled = true })).Status(time.Now()))
		require.Equal(t, auth.Disabled, reason(fifth))
		require.Equal(t, "active", new(set(func(k *auth.KeyInfo) { k.Disabled = false })).Status(time.Now()))
		require.Empty(t, reason(fifth))
		require.Equal(t, "expired", new(set(func(k *auth.KeyInfo) { k.Expires = time.Now() })).Status(time.Now()))
		require.Equal(t, auth.Expired, reason(fifth))
		set(func(k *auth.KeyInfo) { k.Expires = time.Time{} })
		require.Empty(t, reason(fifth))

		sixth, _, err := m.Rotate(t.Context(), info.ID, time.Hour)
		require.NoError(t, err)
		revoked, err := m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, "revoked", revoked.Status(time.Now()))
		require.Equal(t, auth.Revoked, reason(sixth))
		require.Equal(t, auth.Revoked, reason(fifth), "both of its secrets")
		time.Sleep(time.Minute)
		again, err := m.Revoke(t.Context(), info.ID)
		require.NoError(t, err)
		require.Equal(t, revoked, again)
		_, _, err = m.Rotate(t.Context(), info.ID, 0)
		require.EqualError(t, err, "auth: key "+info.ID+" is revoked")
		set(func(k *auth.KeyInfo) { k.Revoked = time.Time{} })
		require.Equal(t, auth.Revoked, reason(sixth), "revoking is for good")

		require.NoError(t, m.Delete(t.Context(), info.ID))
		require.Equal(t, auth.UnknownKey, reason(sixth))
		require.Equal(t, "create ada", verbs[0])
		require.Equal(t, "delete ada", verbs[len(verbs)-1])
		require.Len(t, verbs, 14)
	})
}

func TestManagerErrors(t *testing.T) {
	store := auth.NewMemory()
	changes := 0
	m, err := auth.NewManager(auth.ManagerConfig{Store: store, OnChange: func(context.Context, auth.Change) { changes++ }})
	require.NoError(t, err)
	for _, id := range []string{"", "0123456789AB", "not an id"} {
		_, err := m.Get(t.Context(), id)
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, err = m.Update(t.Context(), id, func(*auth.KeyInfo) error { return nil })
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, _, err = m.Rotate(t.Context(), id, 0)
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, err = m.Revoke(t.Context(), id)
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.ErrorIs(t, m.Delete(t.Context(), id), auth.ErrNotFound)
	}
	_, _, err = m.Rotate(t.Context(), "0123456789AB", -1)
	require.EqualError(t, err, "auth: overlap is -1ns, want at least 0")
	require.Zero(t, changes)
	_, info, err := m.Create(t.Context(), auth.KeyInfo{Owner: "ada", Scopes: []string{"a"}})
	require.NoError(t, err)
	errNo := errors.New("no")
	_, err = m.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error { k.Scopes[0] = "x"; return errNo })
	require.ErrorIs(t, err, errNo)
	_, err = m.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error { k.Owner = "master"; return nil })
	require.EqualError(t, err, `auth: Owner is "master", which is reserved`)
	got, err := m.Update(t.Context(), info.ID, func(k *auth.KeyInfo) error {
		*k = auth.KeyInfo{ID: "other", Owner: "bob", LastUsed: time.Now()}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, auth.KeyInfo{ID: info.ID, Prefix: info.Prefix, Owner: "bob", Created: info.Created}, got)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = m.Create(cancelled, auth.KeyInfo{Owner: "ada"})
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range m.List(cancelled) {
		require.ErrorIs(t, err, context.Canceled)
	}
}
