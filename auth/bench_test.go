package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

// nothing is a ResponseWriter that can be used again.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header         { return n.header }
func (n nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n nothing) WriteHeader(int)             {}

// keyring returns a store with n keys, and the Authorization fields of some.
func keyring(tb testing.TB, n int, peppers ...auth.Pepper) (*auth.Memory, []string) {
	tb.Helper()
	store := auth.NewMemory()
	manager, err := auth.NewManager(auth.ManagerConfig{Store: store, Peppers: peppers})
	require.NoError(tb, err)
	var fields []string
	for i := range n {
		key, _, err := manager.Create(context.Background(), auth.KeyInfo{Owner: fmt.Sprint("user-", i)})
		require.NoError(tb, err)
		if i%max(1, n/100_000) == 0 {
			fields = append(fields, "Bearer "+key.Reveal())
		}
	}
	// Side by side, as a request's header is at hand when its key is looked up.
	all, size := strings.Join(fields, ""), len(fields[0])
	for i := range fields {
		fields[i] = all[i*size : (i+1)*size]
	}
	return store, fields
}

func requestWith(key auth.Key) *http.Request { return requestWithText(key.Reveal()) }

func requestWithText(key string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}

func requestWithField(authorization string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", authorization)
	return r
}

// A valid key costs no allocation; in the middleware two: one for the context
// with the identity, one for the request that carries it.
func TestAllocations(t *testing.T) {
	if !allocsCounted {
		return
	}
	store, fields := keyring(t, 1)
	r := requestWithField(fields[0])
	gate, err := auth.New(auth.Config{Store: store})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = gate.Authenticate(r) }))
	h, w := gate.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), nothing{make(http.Header)}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), 2.0)
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
			store, fields := keyring(b, bb.keys, bb.peppers...)
			gate, err := auth.New(auth.Config{Store: store, Peppers: bb.peppers})
			require.NoError(b, err)
			// One request, whose key changes: what is measured is how the keys are
			// found, not how the requests of the benchmark are.
			r := requestWithText("")
			field := r.Header["Authorization"]
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i == len(fields) {
					i = 0
				}
				field[0] = fields[i]
				if _, err := gate.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHandler(b *testing.B) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	store, fields := keyring(b, 1)
	r := requestWithField(fields[0])
	gate, err := auth.New(auth.Config{Store: store})
	require.NoError(b, err)
	wrong := r.Clone(b.Context())
	wrong.Header.Set("Authorization", "Bearer nonsense")
	wrong.RemoteAddr = "" // no budget: it is the refusal that is measured
	w := nothing{make(http.Header)}
	for _, bb := range []struct {
		name string
		h    http.Handler
		r    *http.Request
	}{{"bare", bare, r}, {"key", gate.Handler(bare), r}, {"malformed key", gate.Handler(bare), wrong}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				bb.h.ServeHTTP(w, bb.r)
			}
		})
	}
}
