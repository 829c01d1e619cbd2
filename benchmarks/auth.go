package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/benchmarks/internal/harness"
)

// keyring is a store with keys, and some of the keys.
type keyring struct {
	keys   int
	pepper bool
	store  *auth.Memory
	texts  []string
}

// authKeys is the keyring that was used last: a million keys take a while to
// make, and more memory than other areas should be measured with.
var authKeys keyring

func authPeppers(pepper bool) []auth.Pepper {
	if !pepper {
		return nil
	}
	return []auth.Pepper{{Version: 1, Secret: []byte("a pepper for the benchmark, 32 b")}}
}

func keysOf(n int, pepper bool) keyring {
	if authKeys.keys == n && authKeys.pepper == pepper {
		return authKeys
	}
	authKeys = keyring{keys: n, pepper: pepper, store: auth.NewMemory()}
	m := authMust(auth.NewManager(auth.ManagerConfig{Store: authKeys.store, Peppers: authPeppers(pepper)}))
	for i := range n {
		key, _, err := m.Create(context.Background(), auth.KeyInfo{Owner: "somebody"})
		authMust(key, err)
		if i%max(1, n/100_000) == 0 {
			authKeys.texts = append(authKeys.texts, key.Reveal())
		}
	}
	return authKeys
}

func authMust[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// authGroups compares with what is written by hand where no library is used:
// Go has no middleware for API keys with stored hashes that could be measured
// beside it.
func authGroups() []harness.Group {
	const note = "Keys in turn, in one request that is used again. “by hand” is a map from the SHA-256 of the key to its user: no id, no expiry, no second hash, no limit of failures."
	var groups []harness.Group
	for _, size := range []struct {
		name string
		keys int
	}{{"1 key", 1}, {"10,000 keys", 10_000}, {"1,000,000 keys", 1_000_000}} {
		groups = append(groups, harness.Group{
			Name: "auth: a valid key of " + size.name, Note: note, Base: "by hand: sha256 + map",
			Cases: []harness.Case{
				{Name: "by hand: sha256 + map", New: byHand(size.keys)},
				{Name: "Authenticate", Ours: true, New: authenticate(size.keys, false, false)},
				{Name: "Authenticate, while somebody guesses", Ours: true, New: authenticate(size.keys, true, false)},
			},
		})
	}
	groups[0].Cases = append(groups[0].Cases, harness.Case{Name: "Authenticate, with a pepper", Ours: true, New: authenticate(1, false, true)})
	groups[1].Cases = append(groups[1].Cases, harness.Case{Name: "by hand: compare with each, constant time", New: byScan(10_000)})
	return append(groups, harness.Group{
		Name: "auth: middleware, 10,000 keys", Base: "bare handler",
		Cases: []harness.Case{
			{Name: "bare handler", New: served(func(*auth.Authenticator) http.Handler { return http.HandlerFunc(authEmpty) })},
			{Name: "Handler", Ours: true, New: served(func(a *auth.Authenticator) http.Handler { return a.Handler(http.HandlerFunc(authEmpty)) })},
		},
	})
}

func authEmpty(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// asked returns an operation that puts each key in turn into one request.
func asked(texts []string, ask func(*http.Request)) func(int) {
	fields := make([]string, len(texts))
	for i, text := range texts {
		fields[i] = "Bearer " + text
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	field := []string{""}
	r.Header["Authorization"] = field
	return func(i int) {
		field[0] = fields[i%len(fields)]
		ask(r)
	}
}

func authenticate(keys int, attack, pepper bool) func() (func(int), func()) {
	return func() (func(int), func()) {
		k := keysOf(keys, pepper)
		gate := authMust(auth.New(auth.Config{Store: k.store, Peppers: authPeppers(pepper)}))
		if attack {
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
			r.RemoteAddr = "198.51.100.7:4711"
			r.Header.Set("X-Api-Key", "guess")
			_, _ = gate.Authenticate(r)
		}
		return asked(k.texts, func(r *http.Request) { authMust(gate.Authenticate(r)) }), nil
	}
}

func byHand(keys int) func() (func(int), func()) {
	return func() (func(int), func()) {
		k := keysOf(keys, false)
		users := make(map[[sha256.Size]byte]string, keys)
		for _, text := range k.texts {
			users[sha256.Sum256([]byte(text))] = "somebody"
		}
		for i := len(users); i < keys; i++ { // those whose keys aren't kept
			users[sha256.Sum256(binary.AppendVarint(nil, int64(i)))] = "somebody"
		}
		var mu sync.RWMutex
		return asked(k.texts, func(r *http.Request) {
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			sum := sha256.Sum256([]byte(token))
			mu.RLock()
			user := users[sum]
			mu.RUnlock()
			if user == "" {
				panic("no such key")
			}
		}), nil
	}
}

func byScan(keys int) func() (func(int), func()) {
	return func() (func(int), func()) {
		k := keysOf(keys, false)
		return asked(k.texts, func(r *http.Request) {
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			found := 0
			for _, text := range k.texts {
				found |= subtle.ConstantTimeCompare([]byte(text), []byte(token))
			}
			if found == 0 {
				panic("no such key")
			}
		}), nil
	}
}

func served(handler func(*auth.Authenticator) http.Handler) func() (func(int), func()) {
	return func() (func(int), func()) {
		k := keysOf(10_000, false)
		h := handler(authMust(auth.New(auth.Config{Store: k.store})))
		requests := make([]*http.Request, 64)
		for i := range requests {
			requests[i] = httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
			requests[i].Header.Set("Authorization", "Bearer "+k.texts[i])
		}
		return harness.Serve(h, requests...), nil
	}
}
