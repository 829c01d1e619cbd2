package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// nothing is a ResponseWriter that can be used again.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header         { return n.header }
func (n nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n nothing) WriteHeader(int)             {}

// keyring returns a store with n keys, and requests with some of them.
func keyring(tb testing.TB, n int, peppers ...auth.Pepper) (auth.Store, []*http.Request) {
	tb.Helper()
	store := auth.NewMemory()
	manager, err := auth.NewManager(auth.ManagerConfig{Store: store, Peppers: peppers})
	require.NoError(tb, err)
	var requests []*http.Request
	for i := range n {
		key, _, err := manager.Create(context.Background(), auth.KeyInfo{Owner: fmt.Sprint("user-", i)})
		require.NoError(tb, err)
		if i%max(1, n/20000) == 0 {
			requests = append(requests, requestWith(key))
		}
	}
	return store, requests
}

func requestWith(key auth.Key) *http.Request { return requestWithText(key.Reveal()) }

func requestWithText(key string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}

// A valid key costs no allocation; in the middleware two: one for the context
// with the identity, one for the request that carries it.
func TestAllocations(t *testing.T) {
	if !allocsCounted {
		return
	}
	store, requests := keyring(t, 1)
	gate, err := auth.New(auth.Config{Store: store})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = gate.Authenticate(requests[0]) }))
	h, w := gate.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), nothing{make(http.Header)}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, requests[0]) }), 2.0)
}

func BenchmarkAuthenticate(b *testing.B) {
	pepper := auth.Pepper{Version: 1, Secret: make([]byte, 32)}
	for _, bb := range []struct {
		name    string
		keys    int
		peppers []auth.Pepper
	}{
		{"1 key", 1, nil},
		{"1 key, pepper", 1, []auth.Pepper{pepper}},
		{"10000 keys", 10_000, nil},
		{"1000000 keys", 1_000_000, nil},
		{"1000000 keys, pepper", 1_000_000, []auth.Pepper{pepper}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			store, requests := keyring(b, bb.keys, bb.peppers...)
			gate, err := auth.New(auth.Config{Store: store, Peppers: bb.peppers})
			require.NoError(b, err)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == len(requests) {
					i = 0
				}
				if _, err := gate.Authenticate(requests[i]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHandler(b *testing.B) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	store, requests := keyring(b, 1)
	gate, err := auth.New(auth.Config{Store: store})
	require.NoError(b, err)
	wrong := requests[0].Clone(b.Context())
	wrong.Header.Set("Authorization", "Bearer nonsense")
	wrong.RemoteAddr = "" // no budget: it is the refusal that is measured
	w := nothing{make(http.Header)}
	for _, bb := range []struct {
		name string
		h    http.Handler
		r    *http.Request
	}{{"bare", bare, requests[0]}, {"key", gate.Handler(bare), requests[0]}, {"malformed key", gate.Handler(bare), wrong}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bb.h.ServeHTTP(w, bb.r)
			}
		})
	}
}
