package cache_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/cache"
)

func TestNewRefuses(t *testing.T) {
	scope := func(*http.Request) (cache.Scope, error) { return cache.Public(), nil }
	for want, cfg := range map[string]cache.Config{
		"cache: Scope is missing":                   {},
		"cache: TTL is -1":                          {Scope: scope, TTL: -1},
		"cache: StaleIfError is -1":                 {Scope: scope, StaleIfError: -1},
		"cache: Timeout is -1":                      {Scope: scope, Timeout: -1},
		"cache: MaxAnswer is -1":                    {Scope: scope, MaxAnswer: -1},
		"cache: MaxRequest is -1":                   {Scope: scope, MaxRequest: -1},
		"cache: Pace is -1":                         {Scope: scope, Pace: -1},
		"cache: Jitter is 1.5":                      {Scope: scope, Jitter: 1.5},
		"cache: Jitter is NaN":                      {Scope: scope, Jitter: math.NaN()},
		`cache: Name is "two words", want a token`:  {Scope: scope, Name: "two words"},
		`cache: Name is "1st", want a token`:        {Scope: scope, Name: "1st"},
		"cache: Headers has Set-Cookie, which is n": {Scope: scope, Headers: []string{"set-cookie"}},
	} {
		_, err := cache.New(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := cache.New(cache.Config{Scope: scope, Name: "Spark/1.0:*"})
	require.NoError(t, err)
}

func TestDoRefusesTheZeroKey(t *testing.T) {
	_, err := build(t, cache.Config{}).Do(t.Context(), cache.Key{}, nil)
	require.ErrorIs(t, err, cache.ErrNoScope)
	_, err = build(t, cache.Config{}).Purge(t.Context(), cache.Scope{})
	require.ErrorIs(t, err, cache.ErrNoScope)
}

// tampered is a store whose reading or writing is changed.
type tampered struct {
	cache.Store
	get func(key string, value []byte) ([]byte, error)
	set func(key string) error
}

func (s *tampered) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.Store.Get(ctx, key)
	if err == nil && s.get != nil {
		return s.get(key, value)
	}
	return value, err
}

func (s *tampered) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if s.set != nil {
		if err := s.set(key); err != nil {
			return err
		}
	}
	return s.Store.Set(ctx, key, value, ttl)
}

func TestPoisonedEntryIsAMissAndDeleted(t *testing.T) {
	other := []byte(nil)
	change := func(f func(v []byte) []byte) func(string, []byte) ([]byte, error) {
		return func(_ string, v []byte) ([]byte, error) {
			if v == nil {
				return nil, nil
			}
			return f(append([]byte(nil), v...)), nil
		}
	}
	tests := []struct {
		name string
		get  func(string, []byte) ([]byte, error)
	}{
		{"empty", change(func([]byte) []byte { return []byte{} })},
		{"short", change(func(v []byte) []byte { return v[:60] })},
		{"cut", change(func(v []byte) []byte { return v[:len(v)-1] })},
		{"longer", change(func(v []byte) []byte { return append(v, 0) })},
		{"other version", change(func(v []byte) []byte { v[0]++; return v })},
		{"flipped", change(func(v []byte) []byte { v[len(v)-1] ^= 1; return v })},
		{"another tenant's", change(func([]byte) []byte { return other })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := memory(t, cache.MemoryConfig{})
			s := &tampered{Store: m}
			var events eventLog
			c := build(t, cache.Config{Store: s, OnEvent: events.add})
			fill := says(new(atomic.Int64), "mine")
			ask(t, c, key(t, "b", `{}`), says(new(atomic.Int64), "not yours"))
			ask(t, c, key(t, "a", `{}`), fill)
			require.Eventually(t, func() bool { return c.Stats().InFlight == 0 }, time.Second, time.Millisecond)
			other, _ = m.Get(t.Context(), key(t, "b", `{}`).String())
			s.get = tt.get
			text, kind := ask(t, c, key(t, "a", `{}`), func(context.Context, *cache.Recorder) error {
				v, err := m.Get(t.Context(), key(t, "a", `{}`).String())
				require.NoError(t, err)
				require.Nil(t, v, "it is gone")
				return nil
			})
			require.Empty(t, text)
			require.Equal(t, cache.Miss, kind)
			require.NotEmpty(t, events.of(cache.Poisoned))
			require.Error(t, events.of(cache.Poisoned)[0].Err)
			require.Equal(t, cache.Tenant("a"), events.of(cache.Poisoned)[0].Scope)
		})
	}
}

// Whatever bytes a store returns, there is an answer or a miss.
func FuzzStoredBytes(f *testing.F) {
	m := memory(f, cache.MemoryConfig{})
	k := key(f, "a", `{}`)
	ask(f, build(f, cache.Config{Store: m}), k, says(new(atomic.Int64), "one", "", "three"))
	for range 1000 {
		if v, _ := m.Get(f.Context(), k.String()); v != nil {
			f.Add(v)
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.Add([]byte(nil))
	f.Add([]byte(strings.Repeat("\x01", 200)))
	f.Fuzz(func(t *testing.T, value []byte) {
		s := &tampered{Store: memory(t, cache.MemoryConfig{}), get: func(string, []byte) ([]byte, error) { return value, nil }}
		text, kind := ask(t, build(t, cache.Config{Store: s}), k, says(new(atomic.Int64), "new"))
		if kind == cache.Hit {
			require.Equal(t, "one||three", text)
		} else {
			require.Equal(t, "new", text)
		}
	})
}

// seal makes an entry of a payload that has the right version, key and checksum,
// so that only what is inside can be wrong.
func seal(key string, payload []byte) []byte {
	b := append([]byte{1}, key[len(key)-43:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, payload...)
}

// An entry that is sound but holds no response is a miss for Handler as well.
func TestEntryWithoutAHeadIsAMissAndDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{})
		s := &tampered{Store: m, get: func(key string, v []byte) ([]byte, error) {
			if len(v) == 3 {
				var payload []byte
				for _, n := range []int64{time.Now().UnixNano(), int64(time.Hour), 0, 0} {
					payload = binary.BigEndian.AppendUint64(payload, uint64(n))
				}
				return seal(key, append(payload, 0)), nil // no meta, no chunks
			}
			return v, nil
		}}
		var stored string
		s.set = func(key string) error { stored = key; return nil }
		c := build(t, cache.Config{Store: s})
		b := &backend{body: `{}`}
		h := c.Handler(b)
		do(h, post("a", `{}`))
		synctest.Wait()
		set(t, m, stored, "bad", time.Hour)
		w := do(h, post("a", `{}`))
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "{}", w.Body.String())
		require.EqualValues(t, 2, b.calls.Load())
		require.EqualValues(t, 1, c.Stats().Poisoned)
		synctest.Wait()
		require.Contains(t, do(h, post("a", `{}`)).Header().Get("Cache-Status"), "hit")
	})
}

// Whatever an entry says inside, reading it ends, with an answer or an error
// that shows nothing of it.
func FuzzSealedEntry(f *testing.F) {
	var stored []byte
	s := &tampered{Store: memory(f, cache.MemoryConfig{}), get: func(_ string, v []byte) ([]byte, error) {
		if v != nil {
			stored = v
		}
		return v, nil
	}}
	h := build(f, cache.Config{Store: s}).Handler(&backend{body: `{}`, header: http.Header{"Content-Language": {"en", "de"}}})
	for range 1000 {
		if do(h, post("a", `{}`)); stored != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.Add(stored[48:])
	f.Add(stored[48:90])
	f.Add(make([]byte, 32))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s := &tampered{Store: memory(t, cache.MemoryConfig{}), get: func(key string, _ []byte) ([]byte, error) { return seal(key, payload), nil }}
		c := build(t, cache.Config{Store: s})
		ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "new"))
		w := do(c.Handler(&backend{body: `{}`}), post("a", `{}`))
		if w.Code == http.StatusInternalServerError && w.Header().Get("Content-Type") == "application/problem+json" {
			require.NotContains(t, w.Body.String(), "entry")
		}
	})
}

func TestStoreThatFailsIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("store is down")
		var events eventLog
		s := &tampered{
			Store: memory(t, cache.MemoryConfig{}),
			get:   func(string, []byte) ([]byte, error) { return nil, down },
			set:   func(string) error { return down },
		}
		c := build(t, cache.Config{Store: s, OnEvent: events.add})
		for range 2 {
			text, kind := ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "x"))
			require.Equal(t, "x", text)
			require.Equal(t, cache.Miss, kind)
			synctest.Wait()
		}
		require.Len(t, events.of(cache.Broken), 4)
		require.ErrorIs(t, events.of(cache.Broken)[0].Err, down)
		require.EqualValues(t, 4, c.Stats().Errors)
		require.Zero(t, c.Stats().Stored)
	})
}

// An answer is complete for its readers before it is stored, and whoever asks
// in between is served from memory: the provider is asked once.
func TestSlowStoreDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tampered{Store: memory(t, cache.MemoryConfig{}), set: func(string) error { time.Sleep(5 * time.Second); return nil }}
		c := build(t, cache.Config{Store: s})
		start := time.Now()
		ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "x"))
		a, err := c.Do(t.Context(), key(t, "a", `{}`), fails(errProvider))
		require.NoError(t, err)
		require.Equal(t, cache.Hit, a.Kind())
		require.Equal(t, "spark; hit; ttl=3600", a.CacheStatus())
		h := c.Handler(&backend{body: `{}`})
		do(h, post("a", `{}`))
		hit := do(h, post("a", `{}`))
		require.Equal(t, "spark; hit; ttl=3600", hit.Header().Get("Cache-Status"))
		require.Equal(t, "0", hit.Header().Get("Age"))
		require.Equal(t, "2", hit.Header().Get("Content-Length"))
		text, err := read(a)
		require.NoError(t, err)
		require.Equal(t, "x", text)
		require.Zero(t, time.Since(start))
		time.Sleep(time.Minute)
		require.EqualValues(t, 7, c.Stats().SavedTokens)
	})
}

// A caller that has looked into the store just before an answer was stored, and
// comes to ask just after, does not have it produced again.
func TestLookupThatWasTooEarlyIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := false
		s := &tampered{Store: memory(t, cache.MemoryConfig{}), get: func(_ string, v []byte) ([]byte, error) {
			if slow {
				slow = false
				time.Sleep(time.Second)
			}
			return v, nil
		}}
		c := build(t, cache.Config{Store: s})
		slow = true
		var wg sync.WaitGroup
		wg.Go(func() {
			text, kind := ask(t, c, key(t, "a", `{}`), fails(errProvider))
			require.Equal(t, "first", text)
			require.Equal(t, cache.Hit, kind)
		})
		synctest.Wait()
		ask(t, c, key(t, "a", `{}`), says(new(atomic.Int64), "first"))
		wg.Wait()
	})
}

func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		c := build(t, cache.Config{OnEvent: events.add})
		call := func(tenant, model string) cache.Key {
			k, err := cache.NewKey(cache.Tenant(tenant), cache.Call{Model: model})
			require.NoError(t, err)
			return k
		}
		all := func() (left string) {
			for _, tenant := range []string{"a", "b"} {
				for _, model := range []string{"m", "n"} {
					a, err := c.Do(t.Context(), call(tenant, model), fails(errProvider))
					if err == nil {
						require.NoError(t, a.Close())
						left += tenant + model + " "
					}
				}
			}
			return left
		}
		fill := func() {
			for _, tenant := range []string{"a", "b"} {
				for _, model := range []string{"m", "n"} {
					ask(t, c, call(tenant, model), says(new(atomic.Int64), "x"))
				}
			}
			synctest.Wait()
		}
		fill()
		require.Equal(t, "am an bm bn ", all())
		n, err := c.Purge(t.Context(), cache.Tenant("a"))
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, "bm bn ", all())
		fill()
		n, err = c.PurgeModel(t.Context(), "n")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, "am bm ", all())
		require.Equal(t, 2, events.of(cache.Purged)[1].Count)
		require.Equal(t, "n", events.of(cache.Purged)[1].Model)
	})
}

// What is under way when a tenant is purged is not stored afterwards.
func TestPurgeWhileAnAnswerIsProducedOrStored(t *testing.T) {
	for _, control := range []string{"", "no-cache"} {
		for _, moment := range []string{"producing", "storing"} {
			t.Run(control+" "+moment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := memory(t, cache.MemoryConfig{})
					step := make(chan struct{})
					s := &tampered{Store: m}
					if moment == "storing" {
						s.set = func(string) error { <-step; return nil }
					}
					c := build(t, cache.Config{Store: s})
					call := cache.Call{Header: http.Header{}}
					if control != "" {
						call.Header.Set("Cache-Control", control)
					}
					k, err := cache.NewKey(cache.Tenant("a"), call)
					require.NoError(t, err)
					var wg sync.WaitGroup
					wg.Go(func() {
						text, _ := ask(t, c, k, func(_ context.Context, out *cache.Recorder) error {
							if moment == "producing" {
								<-step
							}
							_, err := out.Write([]byte("x"))
							return err
						})
						require.Equal(t, "x", text)
					})
					synctest.Wait()
					purged := make(chan error, 1)
					go func() {
						_, err := c.Purge(t.Context(), cache.Tenant("a"))
						purged <- err
					}()
					synctest.Wait()
					if moment == "storing" {
						require.Empty(t, purged, "what the store is being given would be there afterwards")
					}
					plain, err := cache.NewKey(cache.Tenant("a"), cache.Call{})
					require.NoError(t, err)
					text, kind := ask(t, c, plain, func(_ context.Context, out *cache.Recorder) error {
						out.NoStore("test")
						_, err := out.Write([]byte("y"))
						return err
					})
					require.Equal(t, "y", text, "nobody joins what was purged")
					require.Equal(t, cache.Miss, kind)
					close(step)
					wg.Wait()
					require.NoError(t, <-purged)
					entries, _, _ := m.Usage()
					require.Zero(t, entries)
				})
			})
		}
	}
}

// A store that hangs holds up a purge no longer than its caller wants, who is told
// that it is not over yet.
func TestPurgeThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, cache.MemoryConfig{})
		var events eventLog
		c := build(t, cache.Config{Store: &tampered{Store: m, set: func(string) error { time.Sleep(5 * time.Second); return nil }}, OnEvent: events.add})
		ask(t, c, key(t, "a", "1"), says(new(atomic.Int64), "x"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Purge(ctx, cache.Tenant("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Error(t, events.of(cache.Purged)[0].Err)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		entries, _, _ := m.Usage()
		require.Zero(t, entries, "it is deleted as soon as it is stored")
		require.Empty(t, events.of(cache.Stored))
		require.Equal(t, "purged", events.of(cache.Skipped)[0].Detail)
	})
}

func TestRecorderSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		c := build(t, cache.Config{Jitter: -1, OnEvent: events.add})
		var kept *cache.Recorder
		k := key(t, "a", `{}`)
		a, err := c.Do(t.Context(), k, func(_ context.Context, out *cache.Recorder) error {
			kept = out
			out.SetMeta([]byte("meta"))
			out.SetTTL(time.Minute)
			out.SetTTL(time.Hour)
			p := []byte("text")
			_, err := out.Write(p)
			copy(p, "XXXX") // the chunk is a copy
			out.SetMeta([]byte("too late"))
			out.SetTokens(5)
			return err
		})
		require.NoError(t, err)
		require.Equal(t, "meta", string(a.Meta()))
		require.Zero(t, a.Age())
		require.Zero(t, a.TTL())
		require.Equal(t, "spark; fwd=miss", a.CacheStatus())
		text, err := read(a)
		require.NoError(t, err)
		require.Equal(t, "text", text)
		require.EqualValues(t, 5, a.Tokens())
		synctest.Wait()
		_, err = kept.Write([]byte("after the end"))
		require.EqualError(t, err, "cache: answer has ended")
		kept.SetTokens(9)
		kept.SetTTL(0)

		hit, err := c.Do(t.Context(), k, fails(errProvider))
		require.NoError(t, err)
		require.Equal(t, "meta", string(hit.Meta()))
		require.EqualValues(t, 5, hit.Tokens())
		require.Equal(t, time.Minute, hit.TTL())
		for chunk, err := range hit.Chunks() {
			require.NoError(t, err)
			require.Equal(t, "text", string(chunk))
			break
		}
		require.NoError(t, hit.Close())
		require.Equal(t, []cache.Event{{
			Kind: cache.Stored, Scope: cache.Tenant("a"), Provider: "p", Model: "m", Tokens: 5, Bytes: events.of(cache.Stored)[0].Bytes,
		}}, events.of(cache.Stored))
		require.Equal(t, []cache.Event{{Kind: cache.Hit, Scope: cache.Tenant("a"), Provider: "p", Model: "m", Tokens: 5}}, events.of(cache.Hit))
		require.EqualValues(t, 5, c.Stats().SavedTokens)
	})
}

func TestTokensAreChargedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		c := build(t, cache.Config{OnEvent: events.add})
		var wg sync.WaitGroup
		var spent atomic.Int64
		for range 100 {
			wg.Go(func() {
				a, err := c.Do(t.Context(), key(t, "a", `{}`), func(_ context.Context, out *cache.Recorder) error {
					time.Sleep(time.Second)
					out.SetTokens(7)
					return nil
				})
				require.NoError(t, err)
				_, err = read(a)
				require.NoError(t, err)
				if a.Kind() == cache.Miss {
					spent.Add(a.Tokens())
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 7, spent.Load())
		require.EqualValues(t, 99*7, c.Stats().SavedTokens)
		require.Len(t, events.of(cache.Coalesced), 99, "each is told once")
		require.EqualValues(t, 99, c.Stats().Coalesced)
	})
}

func TestJitterOnlyShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{TTL: 1000 * time.Second, Jitter: 0.5})
		seen := map[time.Duration]bool{}
		for i := range 50 {
			k := key(t, "a", fmt.Sprint(i))
			ask(t, c, k, says(new(atomic.Int64), "x"))
			synctest.Wait()
			a, err := c.Do(t.Context(), k, fails(errProvider))
			require.NoError(t, err)
			require.NoError(t, a.Close())
			require.LessOrEqual(t, a.TTL(), 1000*time.Second)
			require.GreaterOrEqual(t, a.TTL(), 500*time.Second)
			seen[a.TTL()] = true
		}
		require.Greater(t, len(seen), 40)
	})
}

func TestRunWithAStoreThatCleansUpByItself(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, build(t, cache.Config{Store: &tampered{}}).Run(ctx))
	require.NoError(t, build(t, cache.Config{}).Run(ctx))
}

// parrot says that every call is like the one it knows. Flights learn side by
// side; key and err change only between them.
type parrot struct {
	key   string
	err   error
	asked atomic.Int64

	mu      sync.Mutex
	learned []cache.Query
}

func (p *parrot) Match(context.Context, cache.Query) (string, error) {
	p.asked.Add(1)
	return p.key, p.err
}

func (p *parrot) Learn(_ context.Context, q cache.Query) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learned = append(p.learned, q)
	return p.err
}

func TestMatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parrot{}
		var events eventLog
		c := build(t, cache.Config{Matcher: p, Jitter: -1, OnEvent: events.add})
		known := key(t, "a", `"What is 2+2?"`)
		ask(t, c, known, says(new(atomic.Int64), "four"))
		synctest.Wait()
		require.Len(t, p.learned, 1)
		require.Equal(t, known.String(), p.learned[0].Key)
		require.Equal(t, cache.Tenant("a"), p.learned[0].Scope)
		require.Equal(t, `"What is 2+2?"`, string(p.learned[0].Call.Params))
		require.EqualValues(t, 1, p.asked.Load())
		ask(t, c, known, fails(errProvider))
		require.EqualValues(t, 1, p.asked.Load(), "the exact key comes first")

		synctest.Wait()
		p.key = known.String()
		a, err := c.Do(t.Context(), key(t, "a", `"2+2=?"`), fails(errProvider))
		require.NoError(t, err)
		require.Equal(t, cache.Hit, a.Kind())
		require.Equal(t, "spark; hit; ttl=3600; detail=semantic", a.CacheStatus())
		text, err := read(a)
		require.NoError(t, err)
		require.Equal(t, "four", text)

		text, kind := ask(t, c, key(t, "b", `"2+2=?"`), says(new(atomic.Int64), "mine"))
		require.Equal(t, "mine", text, "never from another tenant")
		require.Equal(t, cache.Miss, kind)
		other, err := cache.NewKey(cache.Tenant("a"), cache.Call{Model: "other"})
		require.NoError(t, err)
		text, _ = ask(t, c, other, says(new(atomic.Int64), "other"))
		require.Equal(t, "other", text, "never from another model")
		noCache, err := cache.NewKey(cache.Tenant("a"), cache.Call{Model: "m", Header: http.Header{"Cache-Control": {"no-cache"}}})
		require.NoError(t, err)
		text, _ = ask(t, c, noCache, says(new(atomic.Int64), "new"))
		require.Equal(t, "new", text)

		synctest.Wait()
		p.key, p.err = "", errors.New("index is down")
		text, _ = ask(t, c, key(t, "c", `1`), says(new(atomic.Int64), "still"))
		require.Equal(t, "still", text)
		synctest.Wait()
		require.Len(t, events.of(cache.Broken), 2)
	})
}

func TestNoShareInTheCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := build(t, cache.Config{})
		var calls atomic.Int64
		var wg sync.WaitGroup
		var kinds sync.Map
		for range 10 {
			wg.Go(func() {
				a, err := c.Do(t.Context(), key(t, "a", `{}`), func(_ context.Context, out *cache.Recorder) error {
					n := calls.Add(1)
					time.Sleep(time.Second)
					out.NoShare("test")
					_, err := fmt.Fprint(out, n)
					return err
				})
				require.NoError(t, err)
				text, err := read(a)
				require.NoError(t, err)
				_, twice := kinds.LoadOrStore(text, a.Kind())
				require.False(t, twice)
			})
		}
		wg.Wait()
		require.EqualValues(t, 10, calls.Load())
		require.Zero(t, c.Stats().Stored)
		require.EqualValues(t, 1, c.Stats().Misses)
		require.EqualValues(t, 9, c.Stats().Bypassed)
	})
}
