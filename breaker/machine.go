package breaker

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sony/gobreaker/v2"
)

// permit is the leave to make one call.
type permit struct {
	epoch  uint64        // in which it was given; 0: the call is not counted
	start  time.Duration // when it was given
	probe  *probe        // nil if the call is none
	shadow bool          // it would have been refused
}

// What a call is reported as to gobreaker.
var (
	errFailure = errors.New("failure")
	errIgnored = errors.New("ignored")
)

func reportSuccess() (struct{}, error) { return struct{}{}, nil }
func reportFailure() (struct{}, error) { return struct{}{}, errFailure }
func reportIgnored() (struct{}, error) { return struct{}{}, errIgnored }

// settings make gobreaker count completions in a rolling window and count probes.
// It knows only fixed open times, so its own is as short as can be, and it is not
// asked while the open time of ours lasts. Its callbacks run inside of our calls
// to it, with mu held.
func (b *Breaker) settings() gobreaker.Settings {
	return gobreaker.Settings{
		Name:         b.cfg.Name,
		MaxRequests:  uint32(b.cfg.Probes), // #nosec G115 -- at most maxProbes
		Interval:     b.cfg.Window,
		BucketPeriod: max(b.cfg.Window/steps, 1),
		Timeout:      1,
		IsExcluded:   func(err error) bool { return errors.Is(err, errIgnored) },
		ReadyToTrip:  b.readyToTrip,
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.next = stateOf(to)
		},
	}
}

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	default:
		return Closed
	}
}

// readyToTrip is asked by gobreaker after a failure in the closed state.
func (b *Breaker) readyToTrip(c gobreaker.Counts) bool {
	calls := c.TotalSuccesses + c.TotalFailures
	switch {
	case b.trip != "": // it was slowness that was reported as a failure
	case b.cfg.ConsecutiveFailures > 0 && b.consecutive >= b.cfg.ConsecutiveFailures:
		b.trip = "consecutive failures"
	case b.cfg.FailureRatio > 0 && int64(calls) >= int64(b.cfg.MinCalls) && float64(c.TotalFailures) >= b.cfg.FailureRatio*float64(calls):
		b.trip = "failure ratio"
	}
	return b.trip != ""
}

// admit gives a permit, or an [*OpenError].
func (b *Breaker) admit(ctx context.Context) (permit, error) {
	if g := b.gate.Load(); g&1 == 1 {
		return permit{epoch: g >> 1, start: b.now()}, nil
	}
	b.mu.Lock()
	p, refused := b.admitLocked(ctx)
	b.deliver()
	switch {
	case refused == nil:
		return p, nil
	case b.cfg.Mode == Shadow:
		return permit{start: b.now(), shadow: true}, nil
	default:
		return permit{}, refused
	}
}

func (b *Breaker) admitLocked(ctx context.Context) (permit, *OpenError) {
	now := b.refreshLocked(ctx)
	refuse := func(s State, until time.Duration) (permit, *OpenError) {
		return permit{}, &OpenError{
			Breaker: b.cfg.Name, State: s, Forced: b.forced != "", Cooldown: s != Open && until == b.cooldownUntil, RetryAfter: max(0, until-now),
		}
	}
	switch {
	case b.forced == Closed:
		return permit{start: now}, nil
	case b.forced == Open:
		return refuse(Open, b.forcedUntil)
	case b.state == Open:
		return refuse(Open, max(b.openUntil, b.cooldownUntil))
	case b.cooldownUntil > 0:
		return refuse(b.state, b.cooldownUntil)
	case b.state == HalfOpen && b.probes+int(b.cb.Counts().ConsecutiveSuccesses) >= b.cfg.Probes:
		return refuse(HalfOpen, now+time.Second) // a guess: when the probes end is not known
	case b.state == HalfOpen:
		return permit{epoch: b.epoch, start: now, probe: b.leaseLocked(ctx, now)}, nil
	default:
		return permit{epoch: b.epoch, start: now}, nil
	}
}

// refreshLocked ends what has had its time: a forced state, an open one, a
// cooldown. It returns the time.
func (b *Breaker) refreshLocked(ctx context.Context) time.Duration {
	now := b.now()
	if b.forced != "" && b.forcedUntil > 0 && now >= b.forcedUntil {
		b.forceLocked(ctx, "", 0, "released")
	}
	if b.state == Open && b.forced == "" && now >= b.openUntil {
		b.cb.State() // its own time is long over: it becomes half-open
		b.followLocked(ctx, "open time over")
	}
	if b.cooldownUntil > 0 && now >= b.cooldownUntil {
		b.cooldownUntil = 0
		b.setGateLocked()
	}
	return now
}

// settle takes the outcome of the call that p was given for.
func (b *Breaker) settle(ctx context.Context, p permit, o Outcome, err error) {
	switch {
	case b.cfg.Mode == Off:
		return
	case o.Verdict == Success && p.probe == nil && !b.slow && b.cfg.OnOutcome == nil:
		b.succeed(p.epoch)
		return
	}
	var e Event
	if b.slow || b.cfg.OnOutcome != nil {
		e = b.event(ctx, p, o, err)
	}
	b.mu.Lock()
	if b.endProbeLocked(p.probe) {
		e.Counted = p.epoch == b.epoch
		b.noteOutcomeLocked(ctx, e)
		b.heedLocked(o)
		if e.Counted {
			b.countLocked(ctx, o, &e)
		}
	}
	b.deliver()
}

// succeed is the short way of a success that nobody wants to know more of. It can't
// change the state, since its call is no probe.
func (b *Breaker) succeed(epoch uint64) {
	b.mu.Lock()
	if epoch == b.epoch {
		b.consecutive = 0
		_, _ = b.cb.Execute(reportSuccess)
	}
	b.mu.Unlock()
}

func (b *Breaker) event(ctx context.Context, p permit, o Outcome, err error) Event {
	e := Event{Outcome: o, Err: err, Duration: b.now() - p.start, Probe: p.probe != nil, WouldRefuse: p.shadow}
	if t := trackerOf(ctx); t != nil {
		e.FirstToken, e.LongestGap = t.pace()
	}
	return e
}

// countLocked reports the outcome to gobreaker, in the moment in which the call
// ended: an outcome that it got later than the start of its window would be lost.
func (b *Breaker) countLocked(ctx context.Context, o Outcome, e *Event) {
	report := reportSuccess
	switch o.Verdict {
	case Success:
		b.consecutive = 0
	case Failure:
		b.consecutive++
		report = reportFailure
	default:
		report = reportIgnored
	}
	if b.slow && (o.Verdict == Success || o.Verdict == Failure) {
		if b.trip = b.slownessLocked(e); b.trip != "" {
			report = reportFailure
		}
	}
	if o.Verdict == Failure && o.RetryAfter > 0 {
		b.retryUntil = max(b.retryUntil, b.now()+capped(o.RetryAfter, b.cfg.MaxOpenTime))
	}
	_, _ = b.cb.Execute(report) // its error is the one we report
	b.followLocked(ctx, b.trip)
	b.trip = ""
}

// heedLocked starts a cooldown, if the provider asked for one.
func (b *Breaker) heedLocked(o Outcome) {
	if o.Verdict != Cooldown {
		return
	}
	wait := o.RetryAfter
	if wait <= 0 {
		wait = b.cfg.CooldownTime
	}
	b.cooldownUntil = max(b.cooldownUntil, b.now()+capped(wait, b.cfg.MaxOpenTime))
	b.setGateLocked()
}

// followLocked takes over the state of gobreaker, if it has changed. It is called
// after whatever can change it.
func (b *Breaker) followLocked(ctx context.Context, reason string) {
	if b.next == b.state {
		return
	}
	c := StateChange{From: b.state, To: b.next, Reason: reason}
	switch c.To {
	case Closed:
		c.Reason = "probes succeeded"
		b.reopened = 0
	case Open:
		if c.From == HalfOpen {
			b.reopened++
			c.Reason = cmp.Or(reason, "probe failed")
		}
		now := b.now()
		c.OpenFor = b.openForLocked(now)
		b.openUntil = now + c.OpenFor
	}
	b.state = b.next
	b.enterLocked(ctx, c)
}

// enterLocked begins a new epoch: calls from before are not counted any more.
func (b *Breaker) enterLocked(ctx context.Context, c StateChange) {
	b.epoch++
	b.since, b.reason = time.Now(), c.Reason
	b.consecutive, b.probes = 0, 0
	b.window.clear()
	b.setGateLocked()
	b.noteChangeLocked(ctx, c)
}

// openForLocked returns how long to stay open from now on.
func (b *Breaker) openForLocked(now time.Duration) time.Duration {
	limit := b.cfg.MaxOpenTime
	d, told := b.cfg.OpenTime, b.retryUntil > now
	if told {
		d = b.retryUntil - now
	}
	for n := b.reopened; n > 0 && d < limit; n-- {
		d *= 2
	}
	d = min(d, limit)
	if told {
		d += jitter(d / 5)
	} else {
		d += jitter(2*d/5) - d/5
	}
	return capped(d, limit)
}

// jitter returns a random duration from 0 up to d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d) // #nosec G404 -- spreads load, protects nothing
}

func (b *Breaker) setGateLocked() {
	g := b.epoch << 1
	if b.cfg.Mode == Off || b.state == Closed && b.forced == "" && b.cooldownUntil == 0 {
		g |= 1
	}
	b.gate.Store(g)
}

// shownLocked is the state that callers see.
func (b *Breaker) shownLocked() State {
	if b.forced != "" {
		return b.forced
	}
	return b.state
}
