package cache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/sparkhttp/spark/cache"
)

// userOf stands for authentication.
func userOf(r *http.Request) (cache.Scope, error) {
	return cache.Tenant(r.Header.Get("X-User")), nil
}

func ExampleCache_Do() {
	c, err := cache.New(cache.Config{Scope: userOf})
	if err != nil {
		panic(err)
	}
	ask := func(tenant, params string) {
		key, err := cache.NewKey(cache.Tenant(tenant), cache.Call{Model: "claude-sonnet", Params: []byte(params)})
		if err != nil {
			panic(err)
		}
		answer, err := c.Do(context.Background(), key, func(_ context.Context, out *cache.Recorder) error {
			for _, word := range []string{"It ", "is ", "four."} { // as they come from a provider
				if _, err := io.WriteString(out, word); err != nil {
					return err
				}
			}
			out.SetTokens(12)
			return nil
		})
		if err != nil {
			panic(err)
		}
		defer answer.Close()
		fmt.Printf("%s: %s: ", tenant, answer.Kind())
		for chunk, err := range answer.Chunks() {
			if err != nil {
				panic(err)
			}
			fmt.Printf("%s", chunk)
		}
		fmt.Println()
	}
	ask("alice", `{"prompt": "2+2?", "temperature": 0}`)
	ask("alice", `{"temperature": 0.0, "prompt": "2+2?"}`)
	ask("bob", `{"prompt": "2+2?", "temperature": 0}`)
	fmt.Println("tokens saved:", c.Stats().SavedTokens)
	// Output:
	// alice: miss: It is four.
	// alice: hit: It is four.
	// bob: miss: It is four.
	// tokens saved: 12
}

func ExampleCache_Handler() {
	c, err := cache.New(cache.Config{Scope: userOf, Jitter: -1})
	if err != nil {
		panic(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("the provider is asked")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"text":"four"}`)
	}))
	for _, user := range []string{"alice", "alice", "bob", ""} {
		r := httptest.NewRequest(http.MethodPost, "/v1/answers", strings.NewReader(`{"prompt":"2+2?"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%d, age %q\n", w.Code, w.Header().Get("Age"))
	}
	// Output:
	// the provider is asked
	// 200, age ""
	// 200, age "0"
	// the provider is asked
	// 200, age ""
	// 500, age ""
}

func ExampleNewKey() {
	key := func(scope cache.Scope, params string) string {
		k, err := cache.NewKey(scope, cache.Call{Model: "gpt", Params: []byte(params)})
		if err != nil {
			return err.Error()
		}
		return k.String()
	}
	a := key(cache.Tenant("alice"), `{"top_p": 1, "prompt": "caf\u00e9"}`)
	b := key(cache.Tenant("alice"), `{"prompt":"café","top_p":1.0}`)
	c := key(cache.Public(), `{"prompt":"café","top_p":1.0}`)
	fmt.Println(a == b, b == c)
	fmt.Println(key(cache.Tenant(""), `{}`))
	fmt.Println(key(cache.Public(), `{"seed":1,"seed":2}`))
	// Output:
	// true false
	// cache: no scope: use Tenant with an id that is not empty, or Public
	// cache: parameters have no canonical form: a member named twice in the object that ends at byte 19
}

func ExampleCache_Purge() {
	c, err := cache.New(cache.Config{Scope: userOf, OnEvent: func(_ context.Context, e cache.Event) {
		if e.Kind == cache.Purged {
			fmt.Println("purged", e.Scope, e.Count)
		}
	}})
	if err != nil {
		panic(err)
	}
	n, err := c.Purge(context.Background(), cache.Tenant("alice"))
	fmt.Println(n, err)
	// Output:
	// purged alice 0
	// 0 <nil>
}

func ExampleMemory() {
	m, err := cache.NewMemory(cache.MemoryConfig{MaxEntries: 2})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for _, key := range []string{"a", "b", "c"} {
		if err := m.Set(ctx, key, []byte("value of "+key), time.Hour); err != nil {
			panic(err)
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		value, err := m.Get(ctx, key)
		fmt.Printf("%s: %q %v\n", key, value, err)
	}
	entries, _, evicted := m.Usage()
	fmt.Println(entries, "entries,", evicted, "evicted")
	// Output:
	// a: "" <nil>
	// b: "value of b" <nil>
	// c: "value of c" <nil>
	// 2 entries, 1 evicted
}

// nearby is a Matcher that takes questions for the same if they differ only in
// case. A real one compares embeddings, in an index of its own for each scope.
type nearby struct {
	known map[cache.Scope]map[string]string
}

func (n nearby) Match(_ context.Context, q cache.Query) (string, error) {
	return n.known[q.Scope][strings.ToLower(string(q.Call.Params))], nil
}

func (n nearby) Learn(_ context.Context, q cache.Query) error {
	if n.known[q.Scope] == nil {
		n.known[q.Scope] = map[string]string{}
	}
	n.known[q.Scope][strings.ToLower(string(q.Call.Params))] = q.Key
	return nil
}

func ExampleMatcher() {
	c, err := cache.New(cache.Config{Scope: userOf, Jitter: -1, Matcher: nearby{map[cache.Scope]map[string]string{}}})
	if err != nil {
		panic(err)
	}
	for _, prompt := range []string{`"what is HTTP?"`, `"What is http?"`} {
		key, err := cache.NewKey(cache.Tenant("alice"), cache.Call{Params: []byte(prompt)})
		if err != nil {
			panic(err)
		}
		answer, err := c.Do(context.Background(), key, func(_ context.Context, out *cache.Recorder) error {
			_, err := io.WriteString(out, "A protocol.")
			return err
		})
		if err != nil {
			panic(err)
		}
		for range answer.Chunks() {
		}
		answer.Close()
		fmt.Println(answer.CacheStatus())
		for c.Stats().InFlight > 0 { // until it is stored
			time.Sleep(time.Millisecond)
		}
	}
	// Output:
	// spark; fwd=miss
	// spark; hit; ttl=3599; detail=semantic
}
