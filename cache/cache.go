// Package cache keeps the answers of AI providers, so that the same question is
// not paid for twice, and is never answered with what belongs to somebody else.
//
// What an answer depends on is a [Key], which can't be made without a [Scope]:
// the tenant whose answers are looked at. Only complete answers are stored.
// Identical calls at the same time share one that is being produced, follow it
// live, and survive the caller that came first. When producing fails before it
// began, an answer that is too old can serve for a while.
//
// [Cache.Do] is the heart, for programs that know their provider; a fill
// writes the answer in chunks of any kind. [Cache.Handler] does the same for
// HTTP handlers that answer JSON requests with JSON or server-sent events. It
// belongs behind authentication, never in front of it: a hit does not reach
// what is further in.
//
//	c, err := cache.New(cache.Config{Scope: func(r *http.Request) (cache.Scope, error) {
//		return cache.Tenant(userOf(r)), nil // an unknown user is the zero Scope, which is refused
//	}})
//	…
//	go c.Run(ctx)
//	mux.Handle("POST /v1/messages", c.Handler(proxy))
//
// It does not look for answers to similar questions, unless the program has a
// [Matcher] for that, and it does not defend against somebody who can write to
// the [Store].
package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// Config configures a [Cache]. Only Scope is required.
type Config struct {
	// Scope returns whose answers a request may see. Required. The zero Scope,
	// and an error, refuse the request; nothing is looked up or produced then.
	Scope func(*http.Request) (Scope, error)
	// Store keeps the entries. Nil means a [Memory] with its defaults.
	Store Store
	// TTL is how long an answer is fresh. 0 means an hour.
	TTL time.Duration
	// Jitter is the share of the TTL, up to 1, that is taken off at random so
	// that answers stored together don't expire together. 0 means a tenth,
	// negative means none.
	Jitter float64
	// StaleIfError is for how long after its TTL an answer may serve in place
	// of one that can't be produced (RFC 5861, section 4): whose fill failed
	// before it began, with an error that is none of the client's (see
	// [problem.Of]: a status of 500 or above). 0 means never.
	StaleIfError time.Duration
	// Timeout bounds the time to produce an answer, whoever waits for it. 0
	// means 5 minutes.
	Timeout time.Duration
	// FinishAbandoned lets an answer that nobody reads any more be produced to
	// its end, to be stored. By default it is cancelled.
	FinishAbandoned bool
	// Sampled has answers stored and shared though the call asks for a
	// temperature above zero, which asks for a different answer each time. A
	// call that names no temperature is not taken as one that does.
	Sampled bool
	// MaxAnswer is the size in bytes above which an answer is not stored. An
	// answer that is being produced takes no more memory than that either. 0
	// means 1 MiB.
	MaxAnswer int
	// Matcher finds answers to similar calls. Nil means that there is none.
	Matcher Matcher
	// Name is this cache in the Cache-Status header, a token of RFC 9651. Empty
	// means "spark".
	Name string
	// OnEvent is told what happened, on the goroutine where it did, with no
	// lock held. Optional.
	OnEvent func(ctx context.Context, e Event)

	// What follows is for Handler only.

	// MaxRequest is the size in bytes of a request body above which the cache
	// lets the request pass. 0 means 1 MiB.
	MaxRequest int
	// Resolve returns the provider and the model behind the name that a request
	// gives as "model". Nil means that the name is the model.
	Resolve func(r *http.Request, name string) (provider, model string)
	// KeyHeaders are the request headers on which answers depend. Nil means
	// Accept, Content-Type, Anthropic-Version, Anthropic-Beta, OpenAI-Beta,
	// OpenAI-Organization and OpenAI-Project. An answer whose Vary names
	// another header is not stored.
	KeyHeaders []string
	// Headers are the response headers that are stored, and shared with those
	// who wait for the same answer, beside Content-Type, Location and
	// Retry-After. Nil means Content-Language and Content-Disposition.
	// Set-Cookie is refused.
	Headers []string
	// IgnoreDirectives has answers stored and shared though the handler sent
	// them with Expires or Cache-Control: no-store, no-cache, private or a
	// max-age, as some providers and many handlers of event streams do always. Set-Cookie
	// still keeps an answer out.
	IgnoreDirectives bool
	// Pace is the time between two chunks of a stream that is replayed. 0 means
	// all at once.
	Pace time.Duration
	// ErrorHandler answers requests that fail before an answer has begun. Nil
	// means [problem.Write].
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
}

// Cache answers calls from what it has stored, or has them answered once. It is
// safe for concurrent use.
type Cache struct {
	cfg   Config
	store Store
	rules headerRules
	count counters
	saved atomic.Uint64 // entries stored so far

	lastHead atomic.Pointer[head]

	mu      sync.Mutex
	flights map[string]*flight   // those that others may join
	flying  map[*flight]struct{} // all
}

// A failure is an error that is shown to clients.
type failure struct {
	text string
	is   []error
	doc  problem.Document
}

func (e *failure) Error() string              { return e.text }
func (e *failure) Unwrap() []error            { return e.is }
func (e *failure) Problem() *problem.Document { return &e.doc }

// Errors of [Cache.Do] beside those of the fill.
var (
	// ErrTimeout is the error of an answer that was not produced within
	// [Config].Timeout. It is a [context.DeadlineExceeded] and an
	// [os.ErrDeadlineExceeded], and shows itself as a 504.
	ErrTimeout error = &failure{
		"cache: fill took longer than Timeout",
		[]error{context.DeadlineExceeded, os.ErrDeadlineExceeded},
		problem.Document{Status: http.StatusGatewayTimeout, Detail: "The answer took too long. Try again later."},
	}
	// ErrNotCached is returned where the request says only-if-cached and there
	// is nothing. It shows itself as a 504 (RFC 9111, section 5.2.1.7).
	ErrNotCached error = &failure{
		"cache: only-if-cached, and it is not", nil,
		problem.Document{Status: http.StatusGatewayTimeout, Detail: "There is no stored answer."},
	}
)

// New checks cfg and returns a Cache.
func New(cfg Config) (*Cache, error) {
	if cfg.Scope == nil {
		return nil, errors.New("cache: Scope is missing: say whose answers a request may see")
	}
	for _, f := range [...]struct {
		name  string
		value int64
	}{
		{"TTL", int64(cfg.TTL)},
		{"StaleIfError", int64(cfg.StaleIfError)},
		{"Timeout", int64(cfg.Timeout)},
		{"MaxAnswer", int64(cfg.MaxAnswer)},
		{"MaxRequest", int64(cfg.MaxRequest)},
		{"Pace", int64(cfg.Pace)},
	} {
		if f.value < 0 {
			return nil, fmt.Errorf("cache: %s is %d, want more, or 0 for the default", f.name, f.value)
		}
	}
	if !(cfg.Jitter <= 1) { // NaN too
		return nil, fmt.Errorf("cache: Jitter is %v, want at most 1", cfg.Jitter)
	}
	setDefault(&cfg.TTL, time.Hour)
	setDefault(&cfg.Timeout, 5*time.Minute)
	setDefault(&cfg.Jitter, 0.1)
	setDefault(&cfg.MaxAnswer, 1<<20)
	setDefault(&cfg.MaxRequest, 1<<20)
	setDefault(&cfg.Name, "spark")
	if !isToken(cfg.Name) {
		return nil, fmt.Errorf("cache: Name is %q, want a token", cfg.Name)
	}
	if cfg.ErrorHandler == nil {
		cfg.ErrorHandler = problem.Write
	}
	rules, err := newHeaderRules(cfg.KeyHeaders, cfg.Headers)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		cfg: cfg, store: cfg.Store, rules: rules,
		flights: make(map[string]*flight), flying: make(map[*flight]struct{}),
	}
	if c.store == nil {
		c.store, err = NewMemory(MemoryConfig{OnEvict: c.evicted})
	}
	return c, err
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// isToken reports whether s is an sf-token (RFC 9651, section 3.3.4).
func isToken(s string) bool {
	const more = "!#$%&'*+-.^_`|~:/"
	for i, b := range []byte(s) {
		letter := b|0x20 >= 'a' && b|0x20 <= 'z' || b == '*'
		if !letter && (i == 0 || b < '0' || b > '9') && (i == 0 || !strings.Contains(more, string(b))) {
			return false
		}
	}
	return s != ""
}

// Do returns the answer to the call that key names: a stored one, one that is
// being produced for an identical call, or one that fill is called for. It
// returns when the answer has begun, so that [Answer.Kind] and [Answer.Meta]
// are settled, and what fails before that is an error of Do: that of the fill,
// [ErrNoScope] for the zero Key, [ErrNotCached], or the cause of ctx.
//
// The values of ctx reach the fill; its end is the end for this caller only.
// A *[PanicError] says that the fill panicked.
func (c *Cache) Do(ctx context.Context, key Key, fill Fill) (*Answer, error) {
	if key.keyed == nil {
		return nil, ErrNoScope
	}
	saw := c.look(ctx, key)
	if saw.fresh {
		a := &Answer{c: c, ctx: ctx, key: key}
		a.serve(Hit, &saw.entry, "", nil)
		return a, nil
	}
	return c.produce(ctx, key, saw, func() Fill { return fill })
}

// saw is what a look into the store has come to.
type saw struct {
	entry      entry
	has, fresh bool
	saved      uint64 // Cache.saved right before
}

// look looks for a stored answer to a call that may be answered by one.
func (c *Cache) look(ctx context.Context, key Key) saw {
	s := saw{saved: c.saved.Load()}
	if !c.solo(key) {
		s.entry, s.has, s.fresh = c.lookup(ctx, key, key.id)
	}
	return s
}

// produce is the rest of Do, when there was no fresh answer. prepare is called
// on this goroutine, and only if a fill is needed.
func (c *Cache) produce(ctx context.Context, key Key, saw saw, prepare func() Fill) (*Answer, error) {
	if key.ask.onlyIfCached {
		return nil, ErrNotCached
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	a := &Answer{c: c, ctx: ctx, key: key, entry: saw.entry, has: saw.has}
	if solo := c.solo(key); solo || !c.join(a) {
		// What was stored since the look would be produced a second time.
		c.lead(a, solo, func() bool { return c.saved.Load() != saw.saved }, prepare)
	}
	err := c.settle(a)
	if errors.Is(err, errAlone) {
		a.told = false
		c.lead(a, true, nil, prepare)
		err = c.settle(a)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// solo reports whether a call gets an answer of its own.
func (c *Cache) solo(key Key) bool {
	return key.ask.noStore || key.ask.noCache || key.sampled && !c.cfg.Sampled
}

// Run removes what has expired, until ctx is done; then it returns nil. It does
// so for a store that has a method Run(context.Context) error, as [Memory] has;
// other stores clean up by themselves.
func (c *Cache) Run(ctx context.Context) error {
	if s, ok := c.store.(interface{ Run(context.Context) error }); ok {
		return s.Run(ctx)
	}
	<-ctx.Done()
	return nil
}

// Purge deletes everything that is stored in a scope, and keeps what is being
// produced in it from being stored. It waits for what the store is being given
// right now. It returns how many entries were deleted.
func (c *Cache) Purge(ctx context.Context, scope Scope) (int, error) {
	if scope.IsZero() {
		return 0, ErrNoScope
	}
	return c.purge(ctx, scopePattern(scope), Event{Scope: scope})
}

// PurgeModel is Purge for the answers of a model, in all scopes.
func (c *Cache) PurgeModel(ctx context.Context, model string) (int, error) {
	return c.purge(ctx, modelPattern(model), Event{Model: model})
}

func (c *Cache) purge(ctx context.Context, pattern string, e Event) (int, error) {
	ended := true
	for _, saving := range c.forbid(pattern) {
		select {
		case <-saving:
		case <-ctx.Done():
			ended = false
		}
	}
	n, err := c.store.Delete(ctx, pattern)
	if err == nil && !ended {
		err = context.Cause(ctx) // it will be deleted when it has been stored
	}
	e.Kind, e.Count, e.Err = Purged, n, err
	c.report(ctx, e)
	return n, err
}

// forbid keeps flights from being stored. It returns what is closed when those
// are through that the store is being given.
func (c *Cache) forbid(pattern string) (saving []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flying {
		if !matches(pattern, f.key.id) {
			continue
		}
		c.unlistLocked(f)
		(&Recorder{f: f}).NoStore("purged")
		f.mu.Lock()
		if f.saving != nil {
			saving = append(saving, f.saving)
		}
		f.mu.Unlock()
	}
	return saving
}

func (c *Cache) evicted(ctx context.Context, entries int, bytes int64) {
	c.report(ctx, Event{Kind: Evicted, Count: entries, Bytes: bytes})
}

func (c *Cache) broken(ctx context.Context, k Key, err error) {
	e := k.event(Broken)
	e.Err = err
	c.report(ctx, e)
}

// jitter takes a random share off a TTL.
func (c *Cache) jitter(ttl time.Duration) time.Duration {
	if c.cfg.Jitter <= 0 {
		return ttl
	}
	return ttl - time.Duration(float64(ttl)*c.cfg.Jitter*rand.Float64()) // #nosec G404 -- no secret
}
