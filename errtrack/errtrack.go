// Package errtrack groups the errors of a service, judges how bad they are, and
// tells others about them without ever getting in the way.
//
// Each error has a fingerprint (see [Fingerprint]) that stays the same from
// build to build: neither line numbers, nor paths, nor the names, ids and
// numbers in its message count. Errors of one fingerprint are one group, which
// counts them, knows since when, how often and for how many users they occur,
// and keeps a few samples. Of a storm, the first of a group are reported and the
// rest is counted and reported as a number.
//
//	tracker, err := errtrack.New(errtrack.Config{Reporters: []errtrack.Reporter{webhook}})
//	if err != nil {
//		return err
//	}
//	go tracker.Run(ctx)
//	server.Handler = tracker.Handler(mux)                              // panics, 5xx and broken streams
//	mux.Handle("GET /errors", onlyOperators(tracker.Page()))           // for people and scripts
//	tracker.Track(ctx, errtrack.Event{Err: err, Provider: "claude"})   // anything else
//
// What is kept of an error is its type and its message without the variable
// parts: what is quoted, credentials, addresses, ids and numbers. Nothing of a
// request is kept but its method, route, status and ids. It can't know which
// words of a message are a secret: don't format prompts into errors without %q.
//
// Memory is bounded by [Config].MaxGroups times what a group may keep: at most
// some 40 KiB with the defaults, and as a rule less than 3.
//
// It is no log and no store: what it knows is gone when the process ends.
package errtrack

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Tracker takes errors. [Collector] is the one of this package; programs whose
// packages depend on the interface can put another in its place.
type Tracker interface {
	// Track notes e. It doesn't panic, waits for nothing but the methods of Err,
	// and keeps nothing that the caller may change.
	Track(ctx context.Context, e Event)
	// Flush waits until all that was noted has been delivered, or ctx ends.
	Flush(ctx context.Context) error
}

// Event is an error and what is known of it. Err or Message is required, all
// else is optional.
type Event struct {
	Err     error
	Message string // what happened, if there is no Err
	// Severity is how bad it is. 0 leaves that to the rules.
	Severity Severity
	// Fingerprint groups the event by these parts in place of what
	// [Fingerprint] finds; "{{ default }}" stands for that.
	Fingerprint []string
	// Panic marks a panic. Err or Message is its value.
	Panic bool
	// Stack is where it happened, as from [runtime.Callers]. If it is empty and
	// Err has a method StackTrace() []uintptr, that is taken.
	Stack []uintptr

	// Provider and Class group the errors of a provider: "claude", "overloaded".
	Provider, Class string
	Model           string
	// Method, Route and Status are those of the request, Route as a pattern.
	Method, Route string
	Status        int
	// User is counted as a hash; it is neither kept nor reported.
	User      string
	RequestID string
	// TraceID and SpanID are those of the trace that the error is a part of, in
	// hexadecimal digits.
	TraceID, SpanID string
	// SessionURL is the recording of the user's session; see [SessionURL].
	SessionURL string
	// Tags are sent along as they are, at most 16 of them and 128 bytes of each:
	// nothing secret belongs here.
	Tags map[string]string
}

// Config says how errors are grouped, judged and reported. Its zero value
// groups and judges by the defaults, and reports to nobody.
type Config struct {
	// Release names what is running; empty means the revision or version in the
	// build information.
	Release string
	// Describe completes an event from the context and the error, before it is
	// grouped: request id, user, provider, class. Optional.
	Describe func(ctx context.Context, e *Event)
	// Rules judge events before the standard rules do; the first that matches
	// counts. Optional.
	Rules []Rule
	// EscalateAt is the number of events within a minute from which a group is
	// one step more severe than its events, until there are less than half as
	// many. 0 means 60; negative means never.
	EscalateAt int
	// InApp reports whether a function, as "example.com/app/orders.(*Book).Add",
	// is the program's own. Nil means all but those of the standard library and
	// of the modules that the program requires, as its build information says.
	InApp func(function string) bool

	// MaxGroups is how many groups are kept; the one that was seen longest ago
	// goes first. 0 means 1000.
	MaxGroups int
	// MaxSamples is how many events a group keeps, the latest. 0 means 3.
	MaxSamples int
	// MaxMessage is how many bytes of a message are kept. 0 means 500.
	MaxMessage int
	// MaxUsers is how many users of a group are told apart; more count as this
	// many. 0 means 256.
	MaxUsers int
	// InsecureMessages keeps messages as they are, with all that is in them.
	InsecureMessages bool

	// Reporters are told of events while [Collector.Run] runs. Optional.
	Reporters []Reporter
	// FirstN is how many events of a group are reported one by one within
	// SummaryEvery; the others are counted, and reported as one number at its
	// end. 0 means 5. An escalation is always reported.
	FirstN int
	// SummaryEvery is how often the counts are reported. 0 means a minute.
	SummaryEvery time.Duration
	// Queue is how many reports each Reporter may be behind; those above are
	// dropped, and counted. 0 means 1000.
	Queue int
	// ReportTimeout is how long one attempt to deliver may take. 0 means 10 s.
	ReportTimeout time.Duration
	// RetryFor is how long the delivery of a report is tried again. 0 means
	// 10 minutes.
	RetryFor time.Duration

	// ErrorHandler answers a request whose handler panicked. Nil means
	// problem.Write.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)
	// OnEvent is told of each event as it was grouped and judged, with no lock
	// held, on the goroutine of the caller. Optional.
	OnEvent func(ctx context.Context, group string, severity Severity)
	// Logger is told of reports that could not be delivered. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// Collector is the [Tracker] of this package. It is safe for concurrent use.
type Collector struct {
	cfg      Config
	seed     maphash.Seed
	app      app
	couriers []*courier

	mu      sync.Mutex
	groups  map[string]*group
	newest  *group // list of groups by when they were last seen
	oldest  *group
	totals  [Critical + 1]uint64
	evicted uint64
}

// New returns a Collector for cfg, or an error that names the field which is
// wrong.
func New(cfg Config) (*Collector, error) {
	for _, n := range []struct {
		name  string
		value *int
		usual int
	}{
		{"MaxGroups", &cfg.MaxGroups, 1000}, {"MaxSamples", &cfg.MaxSamples, 3}, {"MaxMessage", &cfg.MaxMessage, 500},
		{"MaxUsers", &cfg.MaxUsers, 256}, {"FirstN", &cfg.FirstN, 5}, {"Queue", &cfg.Queue, 1000},
	} {
		if *n.value < 0 {
			return nil, fmt.Errorf("errtrack: %s is %d, want at least 0", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{{"SummaryEvery", &cfg.SummaryEvery, time.Minute}, {"ReportTimeout", &cfg.ReportTimeout, 10 * time.Second}, {"RetryFor", &cfg.RetryFor, 10 * time.Minute}} {
		if *d.value < 0 {
			return nil, fmt.Errorf("errtrack: %s is %v, want at least 0", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if cfg.EscalateAt == 0 {
		cfg.EscalateAt = 60
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Collector{cfg: cfg, seed: maphash.MakeSeed(), groups: map[string]*group{}}
	if err := c.checkRules(); err != nil {
		return nil, err
	}
	var release string
	c.app, release = readBuild(cfg.InApp)
	c.cfg.Release = cmp.Or(cfg.Release, release)
	for i, r := range cfg.Reporters {
		if r == nil {
			return nil, fmt.Errorf("errtrack: Reporters[%d] is nil", i)
		}
		c.couriers = append(c.couriers, newCourier(r, &c.cfg))
	}
	return c, nil
}

// Track implements [Tracker]. A client that went away and a server that stops
// are no errors: events whose Err is [context.Canceled] or
// [http.ErrServerClosed] are passed over, as is a nil Err without a Message. Of
// the events of one request, [Collector.Handler] says which count.
func (c *Collector) Track(ctx context.Context, e Event) {
	defer c.survive(ctx)
	if e.Err == nil && e.Message == "" || ctx.Value(insideKey{}) != nil || harmless(e.Err) {
		return
	}
	s, _ := ctx.Value(scopeKey{c}).(*scope)
	s.complete(&e)
	c.track(ctx, s, &e)
}

// harmless reports whether err says that the client left or the server stops.
func harmless(err error) bool {
	return is(err, context.Canceled) || is(err, http.ErrServerClosed)
}

// insideKey marks the context of functions of the program that Track calls, so
// that what they track, or log as an error, doesn't call them again.
type insideKey struct{}

// survive ends a panic in a function that belongs to the program or to the
// error: tracking must not do harm.
func (c *Collector) survive(ctx context.Context) {
	if v := recover(); v != nil {
		c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "errtrack: a function or error panicked", slog.String("type", fmt.Sprintf("%T", v)))
	}
}

// track notes e, as an event of the request s if that is not nil.
func (c *Collector) track(ctx context.Context, s *scope, e *Event) {
	if c.cfg.Describe != nil || c.cfg.OnEvent != nil {
		ctx = context.WithValue(ctx, insideKey{}, true)
	}
	if c.cfg.Describe != nil {
		c.describe(ctx, e)
	}
	id, title := c.app.fingerprint(e)
	severity := c.severity(ctx, e, id)
	if !s.claim(e, severity) {
		return
	}
	sample := c.sample(e, severity)
	reports := c.count(id, title, e.User, &sample)
	for _, r := range reports {
		c.post(r)
	}
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(ctx, id, sample.Severity)
	}
}

// describe completes e as far as that goes: an event that could not be described
// counts nevertheless.
func (c *Collector) describe(ctx context.Context, e *Event) {
	defer c.survive(ctx)
	c.cfg.Describe(ctx, e)
}
