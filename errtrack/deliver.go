package errtrack

import (
	"cmp"
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
	// it is not. It may panic without harm. While it hangs, its reports wait.
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
	// Dropped is how many reports to this Reporter were dropped since the last
	// one that it took, because too many were waiting.
	Dropped uint64 `json:"dropped,omitempty"`
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
// returns the error of ctx if that ends first. It works with Run or after it. A
// Reporter that is down makes it wait, so ctx should have a deadline.
func (c *Collector) Flush(ctx context.Context) error {
	c.summarize()
	errs := make([]error, len(c.couriers))
	var wg sync.WaitGroup
	for i, courier := range c.couriers {
		wg.Go(func() { errs[i] = courier.drain(ctx) })
	}
	wg.Wait()
	return cmp.Or(errs...)
}

// summarize posts what was only counted, and begins a new period.
func (c *Collector) summarize() {
	now := time.Now()
	var reports []Report
	c.mu.Lock()
	for g := c.oldest; g != nil; g = g.newer {
		if g.unreported > 0 {
			reports = append(reports, c.summaryLocked(g, now))
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
	told            uint64 // how many of dropped the Reporter knows
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
	for c.drain(ctx) == nil && ctx.Err() == nil {
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
		if empty {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
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
// has come. It returns how long that takes otherwise. If ctx ends, it doesn't wait
// for a reporter that won't come to an end: whoever delivers next does.
func (c *courier) deliver(ctx context.Context) (empty bool, wait time.Duration) {
	select {
	case c.busy <- struct{}{}:
	case <-ctx.Done():
		return false, 0
	}
	c.mu.Lock()
	empty = len(c.queue) == 0
	var head Report
	if !empty {
		head = c.queue[0]
		head.Dropped = c.dropped - c.told
		if c.attempts == 0 {
			c.began, c.next = time.Now(), time.Time{}
		}
		wait = time.Until(c.next)
	}
	c.mu.Unlock()
	if empty || wait > 0 || ctx.Err() != nil {
		<-c.busy
		return empty, max(wait, 0)
	}
	done := make(chan struct{})
	go func() {
		defer func() { <-c.busy; close(done) }()
		c.attempt(ctx, head)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	return false, 0
}

// attempt calls the reporter, which may be as broken as it likes.
func (c *courier) attempt(ctx context.Context, r Report) {
	err := Permanent(errors.New("reporter exited its goroutine"))
	defer func() {
		if v := recover(); v != nil {
			err = Permanent(fmt.Errorf("reporter panicked with a %T", v))
		}
		c.settle(ctx, r, err)
	}()
	limited, cancel := context.WithTimeout(ctx, c.cfg.ReportTimeout)
	defer cancel()
	err = c.to.Report(limited, r)
}

// settle removes the report at the head of the queue, or sets the time of the
// next attempt.
func (c *courier) settle(ctx context.Context, r Report, err error) {
	if err != nil && ctx.Err() != nil {
		return // it was interrupted: Flush comes back to it
	}
	_, permanent := errors.AsType[*permanentError](err)
	c.mu.Lock()
	gaveUp := err != nil && (permanent || time.Since(c.began) >= c.cfg.RetryFor)
	switch {
	case err == nil:
		c.told += r.Dropped
		c.popLocked()
	case gaveUp:
		c.failed++
		c.popLocked()
	default:
		pause := min(time.Second<<min(c.attempts, 5), 30*time.Second)
		c.attempts++
		c.next = time.Now().Add(pause/2 + rand.N(pause/2)) //nolint:gosec // spreads load
	}
	c.mu.Unlock()
	switch {
	case gaveUp:
		c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "errtrack: report given up", slog.Any("error", err))
	case err == nil && r.Dropped > 0:
		c.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "errtrack: reports were dropped", slog.Uint64("reports", r.Dropped))
	}
}

func (c *courier) popLocked() {
	c.queue[0] = Report{} // let go of what it holds
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.attempts = 0
}
