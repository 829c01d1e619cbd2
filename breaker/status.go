package breaker

import (
	"context"
	"math"
	"time"
)

// Counts are the calls that ended within the window.
type Counts struct {
	Successes, Failures, Ignored int
	// Consecutive is how many calls failed since the last success.
	Consecutive int
	// SlowCalls, SlowFirstTokens and SlowGaps are how many calls were slow, of
	// those that were successes or failures.
	SlowCalls, SlowFirstTokens, SlowGaps int
}

// Status is what a breaker is doing, for a health check or a page for operators.
type Status struct {
	Name string
	Mode Mode
	// State is what the next call would find.
	State State
	// Reason is why the breaker entered the state, see [StateChange]; empty if
	// it never changed. Since is when it did.
	Reason string
	Since  time.Time
	// Forced reports whether the state was set by hand.
	Forced bool
	// Cooldown reports whether calls are refused because of a rate limit.
	Cooldown bool
	// RetryAfter is how long calls will be refused; 0 if they are not, or if it
	// is not known how long.
	RetryAfter time.Duration
	// Counts are empty unless State is Closed and not forced.
	Counts Counts
}

// Status returns what the breaker is doing.
func (b *Breaker) Status() Status {
	b.mu.Lock()
	now := b.refreshLocked(context.Background())
	s := Status{
		Name: b.cfg.Name, Mode: b.cfg.Mode, State: b.shownLocked(), Reason: b.reason, Since: b.since,
		Forced: b.forced != "", Cooldown: b.forced == "" && b.cooldownUntil > 0,
	}
	switch {
	case b.forced == Open:
		s.RetryAfter = max(0, b.forcedUntil-now)
	case b.forced == "" && b.state == Open:
		s.RetryAfter = max(b.openUntil, b.cooldownUntil) - now
	case s.Cooldown:
		s.RetryAfter = b.cooldownUntil - now
	}
	if s.State == Closed && !s.Forced {
		s.Counts = b.countsLocked(now)
	}
	b.deliver()
	return s
}

// Counts returns the calls that ended within the window. They are empty unless
// the breaker is closed.
func (b *Breaker) Counts() Counts { return b.Status().Counts }

func (b *Breaker) countsLocked(now time.Duration) Counts {
	b.cb.State() // makes the window move on; a closed breaker stays closed by it
	c := b.cb.Counts()
	b.window.roll(now)
	_, slow := b.window.sum()
	return Counts{
		Successes: int(c.TotalSuccesses), Failures: int(c.TotalFailures), Ignored: int(c.TotalExclusions),
		Consecutive: b.consecutive,
		SlowCalls:   slow[slowCall], SlowFirstTokens: slow[slowFirst], SlowGaps: slow[slowGap],
	}
}

// ForceOpen refuses all calls for d, or until [Breaker.Release] if d is 0 or
// less. The breaker then goes on as it was; calls made meanwhile are not counted.
func (b *Breaker) ForceOpen(d time.Duration) { b.force(Open, d, "forced") }

// ForceClose lets all calls through for d, or until [Breaker.Release] if d is 0
// or less. The breaker then goes on as it was; calls made meanwhile are not
// counted.
func (b *Breaker) ForceClose(d time.Duration) { b.force(Closed, d, "forced") }

// Release ends a forced state.
func (b *Breaker) Release() { b.force("", 0, "released") }

func (b *Breaker) force(s State, d time.Duration, reason string) {
	b.mu.Lock()
	now := b.refreshLocked(context.Background())
	until := time.Duration(0)
	if d > 0 && d < math.MaxInt64-now {
		until = now + d
	}
	b.forceLocked(context.Background(), s, until, reason)
	b.deliver()
}

func (b *Breaker) forceLocked(ctx context.Context, s State, until time.Duration, reason string) {
	if s == b.forced {
		b.forcedUntil = until
		return
	}
	c := StateChange{From: b.shownLocked(), Reason: reason}
	b.forced, b.forcedUntil = s, until
	if c.To = b.shownLocked(); c.To == Open && until > 0 {
		c.OpenFor = until - b.now()
	}
	b.enterLocked(ctx, c)
}
