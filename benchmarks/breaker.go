package main

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/breaker"
)

// bareGobreaker is the case that the others are compared with.
const bareGobreaker = "gobreaker Execute"

var errBreaker = errors.New("provider is down")

// breakerGroups measures what a breaker costs around a call that does nothing:
// when it is closed, under contention, and when it refuses.
func breakerGroups() []harness.Group {
	closed := breakerCases(false)
	return []harness.Group{
		{
			Name: "breaker, closed", Base: bareGobreaker, Cases: closed,
			Note: "The call does nothing. A bare gobreaker drops the outcome of calls that are longer than its window.",
		},
		{Name: "breaker, closed, in parallel", Base: bareGobreaker, Parallel: true, Cases: closed},
		{Name: "breaker, open", Base: bareGobreaker, Cases: breakerCases(true)},
	}
}

// breakerCases returns the contestants, closed or having just opened.
func breakerCases(open bool) []harness.Case {
	return []harness.Case{
		{Name: bareGobreaker, New: func() (func(int), func()) { return gobreakerOp(open, 0), nil }},
		{Name: "gobreaker Execute, rolling window", New: func() (func(int), func()) { return gobreakerOp(open, 6*time.Second), nil }},
		{Name: "gobreaker two-step", New: func() (func(int), func()) { return twoStepOp(open), nil }},
		{Name: "failsafe-go permit", New: func() (func(int), func()) { return failsafeOp(open, false), nil }},
		{Name: "failsafe-go executor", New: func() (func(int), func()) { return failsafeOp(open, true), nil }},
		{Name: "spark Do", Ours: true, New: func() (func(int), func()) { return sparkDo(open, breaker.Config{}), nil }},
		{Name: "spark Allow", Ours: true, New: func() (func(int), func()) { return sparkAllow(open), nil }},
		{Name: "spark Do, slowness and a hook", Ours: true, New: func() (func(int), func()) {
			return sparkDo(open, breaker.Config{
				SlowCall: time.Minute, SlowFirstToken: time.Minute,
				OnOutcome: func(context.Context, breaker.Event) {},
			}), nil
		}},
	}
}

func gobreakerOp(open bool, bucket time.Duration) func(int) {
	cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Interval: 10 * bucket, BucketPeriod: bucket, Timeout: time.Hour,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
	})
	if open {
		_, _ = cb.Execute(func() (any, error) { return nil, errBreaker })
	}
	call := func() (any, error) { return nil, nil }
	return func(int) { _, _ = cb.Execute(call) }
}

func twoStepOp(open bool) func(int) {
	cb := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Timeout: time.Hour, ReadyToTrip: func(gobreaker.Counts) bool { return true },
	})
	if done, err := cb.Allow(); err == nil && open {
		done(errBreaker)
	}
	return func(int) {
		if done, err := cb.Allow(); err == nil {
			done(nil)
		}
	}
}

func failsafeOp(open, executor bool) func(int) {
	cb := circuitbreaker.NewBuilder[any]().WithFailureThreshold(5).WithDelay(time.Hour).Build()
	if open {
		cb.Open()
	}
	if executor {
		call := func() (any, error) { return nil, nil }
		e := failsafe.With[any](cb)
		return func(int) { _, _ = e.Get(call) }
	}
	return func(int) {
		if cb.TryAcquirePermit() {
			cb.RecordSuccess()
		}
	}
}

func sparkBreaker(open bool, cfg breaker.Config) *breaker.Breaker {
	b, err := breaker.New(cfg)
	if err != nil {
		panic(err) // the configuration is ours
	}
	if open {
		b.ForceOpen(0)
	}
	return b
}

func sparkDo(open bool, cfg breaker.Config) func(int) {
	b, ctx := sparkBreaker(open, cfg), context.Background()
	call := func(context.Context) error { return nil }
	return func(int) { _ = b.Do(ctx, call) }
}

func sparkAllow(open bool) func(int) {
	b := sparkBreaker(open, breaker.Config{})
	return func(int) {
		if done, err := b.Allow(); err == nil {
			done(breaker.Success)
		}
	}
}
