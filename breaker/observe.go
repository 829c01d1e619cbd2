package breaker

import (
	"context"
	"time"
)

// StateChange is a change of the state of a breaker.
type StateChange struct {
	Breaker  string
	From, To State
	// Reason is one of "failure ratio", "consecutive failures", "slow calls",
	// "slow first tokens", "slow gaps", "probe failed", "probes succeeded",
	// "open time over", "forced", "released".
	Reason string
	// OpenFor is how long the breaker will stay open, if To is Open and that is
	// known.
	OpenFor time.Duration
}

// Event is the end of a call.
type Event struct {
	Breaker string
	Outcome
	// Err is the error of the call, if it had one.
	Err error
	// Duration is how long the call took; FirstToken and LongestGap are 0 if no
	// tokens were reported.
	Duration, FirstToken, LongestGap time.Duration
	// Probe reports whether the call was let through to probe the provider.
	Probe bool
	// Counted reports whether the outcome was counted. That of a call that began
	// in an earlier state of the breaker is not.
	Counted bool
	// WouldRefuse reports whether the call was only made because of [Shadow].
	WouldRefuse bool
}

// maxWaiting bounds the outcomes that wait for a slow hook. Those beyond are not
// told; changes of state always are.
const maxWaiting = 1024

// hooks is the queue of what is to be told.
type hooks struct {
	waiting []notice // from head on
	head    int
	busy    bool // somebody is delivering
}

// notice is an event of either kind.
type notice struct {
	ctx    context.Context
	change StateChange // To is "" if it is none
	event  Event
}

func (h *hooks) empty() bool { return h.head == len(h.waiting) }

func (h *hooks) push(ctx context.Context, n notice) {
	n.ctx = context.WithoutCancel(ctx)
	h.waiting = append(h.waiting, n)
}

func (h *hooks) pop() notice {
	n := h.waiting[h.head]
	h.waiting[h.head] = notice{}
	h.head++
	if h.empty() {
		h.waiting, h.head = h.waiting[:0], 0
	}
	return n
}

func (b *Breaker) noteChangeLocked(ctx context.Context, c StateChange) {
	if b.cfg.OnStateChange == nil {
		return
	}
	c.Breaker = b.cfg.Name
	b.hooks.push(ctx, notice{change: c})
}

func (b *Breaker) noteOutcomeLocked(ctx context.Context, e Event) {
	if b.cfg.OnOutcome == nil || len(b.hooks.waiting)-b.hooks.head >= maxWaiting {
		return
	}
	e.Breaker = b.cfg.Name
	b.hooks.push(ctx, notice{event: e})
}

// deliver unlocks the breaker and tells the hooks what is waiting, unless
// somebody else is doing so, who then tells this too: that keeps the order.
func (b *Breaker) deliver() {
	if b.hooks.empty() || b.hooks.busy {
		b.mu.Unlock()
		return
	}
	b.hooks.busy = true
	defer func() { // also when a hook panics
		b.hooks.busy = false
		b.mu.Unlock()
	}()
	for !b.hooks.empty() {
		b.tell(b.hooks.pop())
	}
}

// tell calls a hook without the lock.
func (b *Breaker) tell(n notice) {
	b.mu.Unlock()
	defer b.mu.Lock()
	if n.change.To != "" {
		b.cfg.OnStateChange(n.ctx, n.change)
	} else {
		b.cfg.OnOutcome(n.ctx, n.event)
	}
}
