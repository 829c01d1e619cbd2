package health

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// probe runs one check: never twice at once, never longer than its timeout as
// far as those who wait are concerned.
type probe struct {
	check Check
	fresh time.Duration

	mu    sync.Mutex
	last  CheckReport
	began time.Time     // of the run that is under way
	done  chan struct{} // closed at the end of the run that is under way; nil if none is
}

// report returns the last result if it is fresh, else that of a run: its own,
// or the one that is under way.
func (p *probe) report(ctx context.Context) CheckReport {
	p.mu.Lock()
	if p.done == nil && time.Since(p.last.Time) < p.fresh {
		defer p.mu.Unlock()
		return p.last
	}
	if p.done == nil {
		p.done, p.began = make(chan struct{}), time.Now()
		// The run belongs to all who wait for it: it does not end with the
		// request of the first.
		go p.run(context.WithoutCancel(ctx), p.done)
	}
	done, left := p.done, p.check.Timeout-time.Since(p.began)
	p.mu.Unlock()

	timer := time.NewTimer(max(0, left))
	defer timer.Stop()
	select {
	case <-done:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.last
	case <-timer.C:
		return p.verdict(Result{Status: Fail, Output: fmt.Sprintf("no result within %v", p.check.Timeout)})
	case <-ctx.Done():
		return p.verdict(Result{Status: Fail, Output: "the probe went away before there was a result"})
	}
}

func (p *probe) run(ctx context.Context, done chan struct{}) {
	found := Result{Status: Fail, Output: "the check ended its goroutine"}
	defer func() {
		if v := recover(); v != nil { // a check that is broken is no reason to end the service
			found.Output = fmt.Sprintf("the check panicked: %v", v)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last, p.done = p.verdict(found), nil
		close(done)
	}()
	ctx, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	found = p.check.Run(ctx)
}

func (p *probe) verdict(r Result) CheckReport {
	switch r.Status {
	case Pass:
		r.Output = ""
	case Warn:
	default:
		r.Status = Fail
	}
	if r.Status == Fail && p.check.WarnOnly {
		r.Status = Warn
	}
	return CheckReport{r, p.check.Type, time.Now()}
}
