// Package breaker stops calling a provider that fails, and starts again when it
// has recovered.
//
// It protects a service, and its clients' patience, from AI providers that are
// down, overloaded or slow. It decides by how calls END: a stream that began
// with a 200 and broke off, sent an error event or fell silent is a failure. Four
// verdicts keep apart what happened: [Success] and [Failure] count, [Ignored]
// says nothing about the provider (the client left, the key was wrong), and
// [Cooldown] is a rate limit: no sign of ill health, but no use calling again
// before it is over.
//
// The states and counts are those of [github.com/sony/gobreaker/v2]. A call is
// reported to it when it ends, in the window in which it ends, so that calls
// longer than the window count. What breakers are asked for beside that is built
// around it: probes with a lease, open times that follow Retry-After, neutral
// verdicts, hooks that run with no lock held.
//
// What it does not do: it does not limit how long a call takes (give it a context
// with a deadline), nor how many run at once, and it keeps nothing across
// restarts or between processes.
//
//	claude, err := breaker.New(breaker.Config{Name: "claude"})
//	…
//	err = claude.Do(ctx, func(ctx context.Context) error { return ask(ctx, prompt) })
//	if refused, ok := errors.AsType[*breaker.OpenError](err); ok {
//		refused.SetHeader(w.Header()) // Retry-After
//	}
//
// [Transport] does the same for an [net/http.Client], [Group] holds a breaker for
// each of several providers, and [Failover] goes from one to the next.
package breaker

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Config says when a breaker opens, for how long, and what is told to whom. Its
// zero value is a breaker with the defaults below and no name.
type Config struct {
	// Name appears in errors, events and [Status]. Optional.
	Name string
	// Mode is [Enforce] by default.
	Mode Mode

	// Window is the time that the ratios below look back on, in ten steps. It
	// counts the calls that ended in it, however long they took. Default 60 s.
	Window time.Duration
	// MinCalls is how many calls must have ended with Success or Failure within
	// the window before a ratio opens the breaker. Default 20.
	MinCalls int
	// FailureRatio opens the breaker when that share of the calls in the window
	// failed: above 0, up to 1. Default 0.5. A negative value turns it off.
	FailureRatio float64
	// ConsecutiveFailures opens the breaker after so many failures with no
	// success in between, whatever the time between them. Default 5. A negative
	// value turns it off.
	ConsecutiveFailures int

	// SlowCall makes a call that took longer a slow one. Zero means that no call
	// is slow.
	SlowCall time.Duration
	// SlowFirstToken makes a call slow whose first token took longer. Zero turns
	// it off. Tokens are reported by [Progress]; [Transport] does so by itself.
	// Of a call that reported none, the end counts as the first.
	SlowFirstToken time.Duration
	// SlowGap makes a call slow in which the provider once sent nothing for
	// longer between two tokens. Zero turns it off.
	SlowGap time.Duration
	// SlowRatio opens the breaker when that share of the calls in the window
	// was slow, for each of the three kinds of slowness by itself: above 0, up
	// to 1. Default 0.8.
	SlowRatio float64

	// OpenTime is how long the breaker stays open at first, give or take a
	// fifth. A failure that came with a Retry-After is heeded instead: the
	// breaker stays open that long, and up to a fifth longer. Either is doubled
	// each time a probe fails. Default 30 s.
	OpenTime time.Duration
	// MaxOpenTime caps OpenTime, Retry-After and cooldowns. Default 5 min.
	MaxOpenTime time.Duration
	// Probes is how many calls are let through at a time when the open time is
	// over, and how many of them must succeed to close the breaker. Default 1.
	Probes int
	// ProbeLease is how long a probe may take, or be silent if it reports
	// [Progress]. One that has not ended by then counts as failed, whatever
	// becomes of it. Default 60 s.
	ProbeLease time.Duration
	// CooldownTime is how long calls are refused after a [Cooldown] that came
	// without a Retry-After. Default 5 s.
	CooldownTime time.Duration
	// HangAfter turns a call that the client gave up into a Failure if the
	// provider had sent nothing for that long. Without it impatient clients hide
	// that a provider hangs. Default 30 s. A negative value turns it off.
	//
	// A function given to Do that streams must say when something arrived, by
	// [Progress] on a context made by [Track], or the whole call counts as
	// silence. Handler counts the time before the response began.
	HangAfter time.Duration

	// Classify says what an error of a call means. It is not called with a nil
	// error, which is a Success. Nil means [Classify].
	Classify func(ctx context.Context, err error) Outcome
	// ErrorHandler answers a request that Handler refuses; Retry-After is
	// already set. Nil means problem.Write.
	ErrorHandler func(http.ResponseWriter, *http.Request, error)

	// OnStateChange is told of each change of state, OnOutcome of the end of
	// each call, before the change that it causes. They are called one at a
	// time, in the order of events, with no lock held, on the goroutine of one
	// of the callers or of a lease that ended: they may use the breaker, and
	// should return soon. While one doesn't, up to 1,024 events wait for it, and
	// ends of calls beyond that are not told. The context has the values of the
	// call's but does not end with it. Nil means nobody is told.
	OnStateChange func(context.Context, StateChange)
	OnOutcome     func(context.Context, Event)
}

// Mode says what a breaker does with what it knows.
type Mode string

// The modes of a breaker.
const (
	Enforce Mode = ""       // calls are refused while it is open
	Shadow  Mode = "shadow" // it counts, changes state and tells the hooks, but refuses nothing
	Off     Mode = "off"    // it does nothing at all
)

// State is the state of a breaker.
type State string

// The states of a breaker.
const (
	Closed   State = "closed"    // calls are let through
	Open     State = "open"      // calls are refused
	HalfOpen State = "half-open" // a few probes are let through
)

// Breaker guards the calls to one provider, or one model of a provider. It is
// safe for concurrent use.
type Breaker struct {
	cfg   Config
	base  time.Time // times below are durations since then: cheaper to take and to compare
	slow  bool      // some kind of slowness is looked for
	track bool      // tokens are looked for

	// gate is epoch<<1, plus 1 while calls are let through without asking more.
	gate atomic.Uint64

	mu            sync.Mutex
	cb            *gobreaker.CircuitBreaker[struct{}] // only used with mu held
	state         State                               // that of cb, as far as we have followed it
	next          State                               // that of cb
	epoch         uint64                              // counts changes of state; calls of another epoch are not counted
	since         time.Time
	reason        string // of the last change of state
	openUntil     time.Duration
	reopened      int           // probes that failed since it was closed
	retryUntil    time.Duration // what failing calls said by Retry-After
	cooldownUntil time.Duration // 0: no cooldown
	forced        State         // "" if not forced
	forcedUntil   time.Duration // 0: until Release
	consecutive   int
	probes        int // in flight
	trip          string
	window        slowWindow
	hooks         hooks
}

// New returns a closed breaker. It reports a field that is out of range.
func New(cfg Config) (*Breaker, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	b := &Breaker{
		cfg:   cfg,
		base:  time.Now(),
		slow:  cfg.SlowCall > 0 || cfg.SlowFirstToken > 0 || cfg.SlowGap > 0,
		track: cfg.SlowFirstToken > 0 || cfg.SlowGap > 0,
		state: Closed,
		next:  Closed,
		epoch: 1,
	}
	b.since = b.base
	b.window.step = max(cfg.Window/steps, 1)
	b.cb = gobreaker.NewCircuitBreaker[struct{}](b.settings())
	b.setGateLocked()
	return b, nil
}

// Do calls fn unless the breaker refuses the call, which it says by an
// [*OpenError]. Otherwise it returns the error of fn, which [Config.Classify]
// judges. A panic goes on as it was, and counts as a failure.
//
//nolint:contextcheck // a tracker is a context around ctx
func (b *Breaker) Do(ctx context.Context, fn func(context.Context) error) error {
	if b.track {
		t := newTracker(ctx)
		t.breaker = b
		ctx = t
	}
	_, err := b.run(ctx, fn)
	return err
}

// Allow is Do for calls that are no function: it asks whether a call may be made
// now, and if so the caller says how it ended by calling done. Calls of done
// after the first do nothing. If the breaker refuses, the error is an
// [*OpenError].
func (b *Breaker) Allow() (done func(Verdict), err error) {
	ctx := context.Background()
	p, err := b.admit(ctx)
	if err != nil {
		return nil, err
	}
	var called atomic.Bool
	return func(v Verdict) {
		if called.CompareAndSwap(false, true) {
			b.settle(ctx, p, Outcome{Verdict: v}, nil)
		}
	}, nil
}

// State returns the state, as the next call would find it.
func (b *Breaker) State() State {
	b.mu.Lock()
	b.refreshLocked(context.Background())
	s := b.shownLocked()
	b.deliver()
	return s
}

// Name returns the name that the breaker was given.
func (b *Breaker) Name() string { return b.cfg.Name }

// run is Do, and returns what the call meant.
func (b *Breaker) run(ctx context.Context, fn func(context.Context) error) (o Outcome, err error) {
	p, err := b.admit(ctx)
	if err != nil {
		return outcomeOf(err, ""), err
	}
	ended := false
	defer func() {
		if !ended { // a panic or runtime.Goexit
			b.settle(ctx, p, b.hangCredit(vanished(ctx), b.now()-p.start), nil)
		}
	}()
	if err = fn(ctx); err != nil {
		o = b.judge(ctx, p, err)
	}
	ended = true
	b.settle(ctx, p, o, err)
	return o, err
}

func (cfg *Config) validate() error {
	switch cfg.Mode {
	case Enforce, Shadow, Off:
	default:
		return fmt.Errorf("breaker: Mode is %q, want Enforce, Shadow or Off", cfg.Mode)
	}
	for _, f := range [...]struct {
		name  string
		value time.Duration
	}{
		{"Window", cfg.Window},
		{"SlowCall", cfg.SlowCall},
		{"SlowFirstToken", cfg.SlowFirstToken},
		{"SlowGap", cfg.SlowGap},
		{"OpenTime", cfg.OpenTime},
		{"MaxOpenTime", cfg.MaxOpenTime},
		{"ProbeLease", cfg.ProbeLease},
		{"CooldownTime", cfg.CooldownTime},
	} {
		if f.value < 0 {
			return fmt.Errorf("breaker: %s is %v, want at least 0", f.name, f.value)
		}
	}
	if cfg.MinCalls < 0 {
		return fmt.Errorf("breaker: MinCalls is %d, want at least 0", cfg.MinCalls)
	}
	if cfg.Probes < 0 || cfg.Probes > maxProbes {
		return fmt.Errorf("breaker: Probes is %d, want 0 to %d", cfg.Probes, maxProbes)
	}
	if !(cfg.FailureRatio <= 1) {
		return fmt.Errorf("breaker: FailureRatio is %v, want at most 1", cfg.FailureRatio)
	}
	if !(cfg.SlowRatio >= 0 && cfg.SlowRatio <= 1) {
		return fmt.Errorf("breaker: SlowRatio is %v, want 0 to 1", cfg.SlowRatio)
	}
	if cfg.MaxOpenTime > 0 && cfg.OpenTime > cfg.MaxOpenTime {
		return fmt.Errorf("breaker: OpenTime is %v, want at most MaxOpenTime, %v", cfg.OpenTime, cfg.MaxOpenTime)
	}
	return nil
}

// maxProbes is far above any sensible number of probes.
const maxProbes = 1000

func (cfg *Config) setDefaults() {
	setDefault(&cfg.Window, 60*time.Second)
	setDefault(&cfg.MinCalls, 20)
	setDefault(&cfg.FailureRatio, 0.5)
	setDefault(&cfg.ConsecutiveFailures, 5)
	setDefault(&cfg.SlowRatio, 0.8)
	setDefault(&cfg.OpenTime, 30*time.Second)
	setDefault(&cfg.MaxOpenTime, max(5*time.Minute, cfg.OpenTime))
	setDefault(&cfg.Probes, 1)
	setDefault(&cfg.ProbeLease, 60*time.Second)
	setDefault(&cfg.CooldownTime, 5*time.Second)
	setDefault(&cfg.HangAfter, 30*time.Second)
	if cfg.Classify == nil {
		cfg.Classify = Classify
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (b *Breaker) now() time.Duration { return time.Since(b.base) }
