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
		b.settle(ctx, p, Outcome{Verdict: Failure, Reason: "lease"}, nil)
	})
	return pr
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
