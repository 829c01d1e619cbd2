package errtrack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Reporter is told of errors: a webhook, Sentry, a pager.
type Reporter interface {
	// Report delivers r before ctx ends. Reports of one Collector come one at a
	// time, in order. If it fails, it is called again with the same report, with
	// growing pauses, for [Config].RetryFor; with an error made by [Permanent]
	// it is not. It may panic without harm.
	Report(ctx context.Context, r Report) error
}

// Report is what a [Reporter] is told.
type Report struct {
	Release string `json:"release,omitempty"`
	Group   Group  `json:"group"`
	// Sample is the event, or the latest one if Unreported is not 0.
	Sample Sample `json:"sample"`
	// Escalated is true for the event by which its group became more severe
	// than its events.
	Escalated bool `json:"escalated,omitempty"`
	// Unreported is how many events of the group were not reported since the
	// last report. If it is not 0, this is a summary and no event of its own.
	Unreported uint64 `json:"unreported,omitempty"`
}

// Permanent marks an error of a [Reporter] as one that trying again can't mend.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Run delivers reports until ctx ends, and then returns nil. What is left then
// [Collector.Flush] delivers.
func (c *Collector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, courier := range c.couriers {
		wg.Go(func() { courier.run(ctx) })
	}
	tick := time.NewTicker(c.cfg.SummaryEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.summarize()
		case <-ctx.Done():
			wg.Wait()
			return nil
		}
	}
}

// Flush implements [Tracker]: it delivers what is waiting, counts included, and
// returns the error of ctx if that ends first. It works with Run or after it.
func (c *Collector) Flush(ctx context.Context) error {
	c.summarize()
	var errs []error
	for _, courier := range c.couriers {
		errs = append(errs, courier.drain(ctx))
	}
	return errors.Join(errs...)
}

// summarize posts what was only counted, and begins a new period.
func (c *Collector) summarize() {
	now := time.Now()
	var reports []Report
	c.mu.Lock()
	for g := c.oldest; g != nil; g = g.newer {
		if g.unreported > 0 {
			v := g.view(now)
			reports = append(reports, Report{Release: c.cfg.Release, Group: v, Sample: v.Samples[0], Unreported: g.unreported})
			g.unreported, g.reported, g.since = 0, 0, now
		}
	}
	c.mu.Unlock()
	for _, r := range reports {
		c.post(r)
	}
}

func (c *Collector) post(r Report) {
	for _, courier := range c.couriers {
		courier.post(r)
	}
}

// courier brings reports to one Reporter.
type courier struct {
	to   Reporter
	cfg  *Config
	wake chan struct{} // has room for one: there is something new
	busy chan struct{} // has room for one: whoever has put it there delivers

	mu              sync.Mutex
	queue           []Report
	dropped, failed uint64
	attempts        int
	began, next     time.Time // of the report at the head: first attempt, next one
}

func newCourier(to Reporter, cfg *Config) *courier {
	return &courier{to: to, cfg: cfg, wake: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
}

func (c *courier) post(r Report) {
	c.mu.Lock()
	if len(c.queue) >= c.cfg.Queue {
		c.dropped++
	} else {
		c.queue = append(c.queue, r)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *courier) state() (queued int, dropped, failed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue), c.dropped, c.failed
}

func (c *courier) run(ctx context.Context) {
	for c.drain(ctx) == nil {
		select {
		case <-c.wake:
		case <-ctx.Done():
		}
	}
}

// drain delivers until nothing is left.
func (c *courier) drain(ctx context.Context) error {
	for {
		empty, wait := c.deliver(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if empty {
			return nil
		}
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
	}
}

// deliver makes one attempt at the report at the head of the queue, if its time
// has come. It returns how long that takes otherwise.
func (c *courier) deliver(ctx context.Context) (empty bool, wait time.Duration) {
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return false, 0
	}
	c.mu.Lock()
	if len(c.queue) == 0 {
		c.mu.Unlock()
		return true, 0
	}
	head, wait := c.queue[0], time.Until(c.next)
	if c.attempts == 0 {
		c.began, wait = time.Now(), 0
	}
	c.mu.Unlock()
	if wait > 0 {
		return false, wait
	}
	c.settle(ctx, c.call(ctx, head))
	return false, 0
}

// call calls the reporter, which may be as broken as it likes.
func (c *courier) call(ctx context.Context, r Report) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ReportTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = Permanent(fmt.Errorf("reporter panicked with a %T", v))
		}
	}()
	return c.to.Report(ctx, r)
}

// settle removes the report at the head of the queue, or sets the time of the
// next attempt.
func (c *courier) settle(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return // it was interrupted: Flush comes back to it
	}
	_, permanent := errors.AsType[*permanentError](err)
	c.mu.Lock()
	if gaveUp := err != nil && (permanent || time.Since(c.began) >= c.cfg.RetryFor); err == nil || gaveUp {
		c.popLocked()
		if gaveUp {
			c.failed++
			defer c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "errtrack: report given up", slog.Any("error", err))
		}
	} else {
		pause := min(time.Second<<min(c.attempts, 5), 30*time.Second)
		c.attempts++
		c.next = time.Now().Add(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load
	}
	c.mu.Unlock()
}

func (c *courier) popLocked() {
	c.queue[0] = Report{} // let go of what it holds
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.attempts = 0
}
