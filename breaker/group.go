package breaker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// GroupConfig says which breakers there may be, and what they are like.
type GroupConfig struct {
	// Names are the names that breakers may have, such as "claude" and
	// "openai:gpt-5": an allow-list, since names that clients can choose would
	// use up the memory. Required.
	Names []string
	// Breaker is what all of them are like. Its Name is set.
	Breaker Config
	// Configure changes the configuration of a single breaker. Optional.
	Configure func(name string, cfg *Config)
	// RetryRatio is how many retries a call earns for all calls of the group:
	// 0.1 allows one retry in ten calls. Above 0, up to 1; default 0.1. A
	// negative value allows none.
	RetryRatio float64
	// RetryBurst is how many retries can be saved up, and are there in the
	// beginning. Default 10.
	RetryBurst int
}

// Group holds breakers by name. They are made when they are first asked for. It
// is safe for concurrent use.
type Group struct {
	cfg      GroupConfig
	budget   budget
	mu       sync.Mutex
	breakers map[string]*Breaker
}

// ErrUnknown says that no breaker of a group may have that name.
var ErrUnknown = errors.New("breaker: name is not in the group")

// NewGroup returns a group without breakers yet. It reports missing names and
// what is wrong with the configuration of any of the breakers.
func NewGroup(cfg GroupConfig) (*Group, error) {
	if len(cfg.Names) == 0 {
		return nil, errors.New("breaker: Names is empty, want at least one")
	}
	if !(cfg.RetryRatio <= 1) {
		return nil, fmt.Errorf("breaker: RetryRatio is %v, want at most 1", cfg.RetryRatio)
	}
	if cfg.RetryBurst < 0 {
		return nil, fmt.Errorf("breaker: RetryBurst is %d, want at least 0", cfg.RetryBurst)
	}
	setDefault(&cfg.RetryRatio, 0.1)
	setDefault(&cfg.RetryBurst, 10)
	cfg.Names = slices.Clone(cfg.Names)
	g := &Group{cfg: cfg, breakers: make(map[string]*Breaker, len(cfg.Names))}
	g.budget.init(cfg.RetryRatio, cfg.RetryBurst)
	for _, name := range cfg.Names {
		c := g.config(name)
		if name == "" {
			return nil, errors.New("breaker: Names has an empty name")
		}
		if err := c.validate(); err != nil {
			return nil, fmt.Errorf("%w (of %q)", err, name)
		}
	}
	return g, nil
}

// Get returns the breaker of that name. A name such as "claude:some-model" that
// is not listed means the breaker of what is before the colon, so that models
// without a breaker of their own share that of their provider. Otherwise the
// error is [ErrUnknown].
func (g *Group) Get(name string) (*Breaker, error) {
	name, ok := g.resolve(name)
	if !ok {
		return nil, ErrUnknown
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b := g.breakers[name]; b != nil {
		return b, nil
	}
	b, err := New(g.config(name))
	if err != nil {
		return nil, err // only if Configure does not do the same each time
	}
	g.breakers[name] = b
	return b, nil
}

func (g *Group) resolve(name string) (string, bool) {
	if slices.Contains(g.cfg.Names, name) {
		return name, true
	}
	provider, _, _ := strings.Cut(name, ":")
	return provider, slices.Contains(g.cfg.Names, provider)
}

func (g *Group) config(name string) Config {
	c := g.cfg.Breaker
	c.Name = name
	if g.cfg.Configure != nil {
		g.cfg.Configure(name, &c)
		c.Name = name
	}
	return c
}

// Status returns what the breakers are doing, in the order of the names, those
// that have been used.
func (g *Group) Status() []Status {
	g.mu.Lock()
	made := make([]*Breaker, 0, len(g.breakers))
	for _, name := range g.cfg.Names {
		if b := g.breakers[name]; b != nil && !slices.Contains(made, b) {
			made = append(made, b)
		}
	}
	g.mu.Unlock()
	all := make([]Status, len(made))
	for i, b := range made { // without the lock: hooks may run, and use the group
		all[i] = b.Status()
	}
	return all
}
