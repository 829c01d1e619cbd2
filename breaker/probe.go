package breaker

import (
	"context"
	"time"
)

// probe is a call in the half-open state. It holds one of the few places, for no
// longer than its lease.
type probe struct {
	epoch uint64
	lease *time.Timer
	ended bool
}

// leaseLocked takes a place for a probe. If the probe does not end it in time,
// because it hangs, or whoever got it is gone, the lease ends it as failed.
func (b *Breaker) leaseLocked(ctx context.Context, now time.Duration) *probe {
	pr := &probe{epoch: b.epoch}
	b.probes++
	p := permit{epoch: b.epoch, start: now, probe: pr}
	pr.lease = time.AfterFunc(b.cfg.ProbeLease, func() {
		if t := trackerOf(ctx); t != nil && t.silence() < b.cfg.ProbeLease {
			b.extend(pr, b.cfg.ProbeLease-t.silence())
			return
		}
		b.settle(ctx, p, Outcome{Verdict: Failure, Reason: "lease"}, nil)
	})
	return pr
}

// extend gives a probe that is alive more time.
func (b *Breaker) extend(pr *probe, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !pr.ended {
		pr.lease.Reset(d)
	}
}

// endProbeLocked reports whether the call has not ended before, and frees the
// place of pr. A call that is no probe ends only once anyway.
func (b *Breaker) endProbeLocked(pr *probe) bool {
	switch {
	case pr == nil:
		return true
	case pr.ended:
		return false
	}
	pr.ended = true
	pr.lease.Stop()
	if pr.epoch == b.epoch {
		b.probes--
	}
	return true
}
