package auth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// counting is a KeyStore that counts what it is asked.
type counting struct {
	auth.KeyStore
	lookups int
}

func (c *counting) Lookup(ctx context.Context, id string) (*auth.Record, error) {
	c.lookups++
	return c.KeyStore.Lookup(ctx, id)
}

// Time tells nothing about a key, since what is done is the same whatever is
// wrong with it: as many lookups, as many hashes, as many allocations, and the
// same reply to the byte. (A test that takes the time proves less, and fails on
// a busy machine.)
func TestSamePath(t *testing.T) {
	second := auth.Pepper{Version: 2, Secret: []byte("the second pepper, long enough")}
	first := auth.Pepper{Version: 1, Secret: []byte("the first pepper, long enough")}
	tests := []struct {
		name    string
		stored  []auth.Pepper
		current []auth.Pepper
		hashes  int // per request
	}{
		{"plain", nil, nil, 1},
		{"pepper", []auth.Pepper{first}, []auth.Pepper{first}, 1},
		{"stored under an older pepper", []auth.Pepper{first}, []auth.Pepper{second, first}, 2},
		{"stored without pepper", nil, []auth.Pepper{second, {Version: 0}}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, tt.stored...)
			type path struct {
				lookups int
				hashes  [3]int
				allocs  float64
				status  int
				header  http.Header
				body    string
			}
			var paths []path
			names := []string{"unknown", "wrong secret", "revoked", "disabled", "expired"}
			for _, name := range names {
				store := &counting{KeyStore: s.store}
				gate, err := auth.New(auth.Config{Store: store, Peppers: tt.current, FailedAttempts: -1})
				require.NoError(t, err)
				hashes := gate.CountHashes()
				var p path
				r := requestWithText(s.keys[name])
				_, err = gate.Authenticate(r) // what is made once is made now
				require.Error(t, err)
				store.lookups, *hashes = 0, [3]int{}
				_, err = gate.Authenticate(r)
				require.Error(t, err)
				seen := *hashes
				p.lookups, p.hashes = store.lookups, seen
				got := ask(t, gate.Handler, "X-API-Key: "+s.keys[name])
				p.status, p.header, p.body = got.StatusCode, got.Header, got.body
				p.hashes[0], p.hashes[1] = 0, 0
				if allocsCounted {
					p.hashes = seen
					p.allocs = testing.AllocsPerRun(100, func() { _, _ = gate.Authenticate(r) })
				}
				paths = append(paths, p)
			}
			require.Equal(t, 1, paths[0].lookups)
			require.GreaterOrEqual(t, paths[0].hashes[2], tt.hashes)
			for i, p := range paths {
				require.Equal(t, paths[0], p, names[i])
			}
		})
	}
}

// A key that could never be valid costs neither the store nor a hash of it.
func TestOffline(t *testing.T) {
	s := newService(t)
	store := &counting{KeyStore: s.store}
	gate, err := auth.New(auth.Config{Store: store, MasterKeys: func() []string { return []string{masterKey} }})
	require.NoError(t, err)
	hashes := gate.CountHashes()
	for _, name := range []string{"mistyped", "other prefix", "master"} {
		_, err := gate.Authenticate(requestWithText(s.keys[name]))
		if name != "master" {
			e, ok := errors.AsType[*auth.Error](err)
			require.True(t, ok)
			require.Equal(t, auth.Malformed, e.Reason)
		}
	}
	require.Zero(t, store.lookups)
	require.Zero(t, *hashes)
}
