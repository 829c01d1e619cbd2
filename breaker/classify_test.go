package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

func TestVerdicts(t *testing.T) {
	tests := []struct {
		name    string
		verdict breaker.Verdict
		counts  breaker.Counts
		state   breaker.State // of a half-open breaker whose probe ended so
	}{
		{"success", breaker.Success, breaker.Counts{Successes: 1}, breaker.Closed},
		{"failure", breaker.Failure, breaker.Counts{Failures: 1, Consecutive: 1}, breaker.Open},
		{"ignored", breaker.Ignored, breaker.Counts{Ignored: 1}, breaker.HalfOpen},
		{"cooldown", breaker.Cooldown, breaker.Counts{Ignored: 1}, breaker.HalfOpen},
		{"unknown", breaker.Verdict(77), breaker.Counts{Ignored: 1}, breaker.HalfOpen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{})
				done, err := b.Allow()
				require.NoError(t, err)
				done(tt.verdict)
				require.Equal(t, tt.counts, b.Counts())

				b = opened(t, breaker.Config{})
				time.Sleep(2 * time.Minute)
				done, err = b.Allow()
				require.NoError(t, err)
				done(tt.verdict)
				require.Equal(t, tt.state, b.State())
			})
		})
	}
}

func TestPanicAndGoexit(t *testing.T) {
	boom := errors.New("boom")
	panics := func(context.Context) error { panic(boom) }
	aborts := func(context.Context) error { panic(http.ErrAbortHandler) }
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{})
		require.PanicsWithValue(t, boom, func() { _ = b.Do(t.Context(), panics) })
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = b.Do(t.Context(), aborts) })
		go func() { _ = b.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil }) }()
		synctest.Wait()
		require.Equal(t, 3, b.Counts().Failures)

		gone, leave := context.WithCancel(t.Context())
		leave()
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { _ = b.Do(gone, aborts) })
		require.Equal(t, breaker.Counts{Failures: 3, Ignored: 1, Consecutive: 3}, b.Counts(), "the client left: that is why the handler aborted")
	})
}

func TestClientGoneAndHangCredit(t *testing.T) {
	leave := func(after time.Duration, sent ...time.Duration) func(context.Context, *breaker.Breaker) {
		return func(ctx context.Context, b *breaker.Breaker) {
			ctx, cancel := context.WithCancel(breaker.Track(ctx))
			defer cancel()
			_ = b.Do(ctx, func(ctx context.Context) error {
				for _, d := range sent {
					time.Sleep(d)
					after -= d
					breaker.Progress(ctx)
				}
				time.Sleep(after)
				cancel()
				return fmt.Errorf("ask: %w", ctx.Err())
			})
		}
	}
	tests := []struct {
		name   string
		cfg    breaker.Config
		call   func(context.Context, *breaker.Breaker)
		counts breaker.Counts
	}{
		{"soon", breaker.Config{}, leave(29 * time.Second), breaker.Counts{Ignored: 1}},
		{"after a long silence", breaker.Config{}, leave(30 * time.Second), breaker.Counts{Failures: 1, Consecutive: 1}},
		{"after a long answer", breaker.Config{}, leave(60*time.Second, 20*time.Second, 20*time.Second), breaker.Counts{Ignored: 1}},
		{"after an answer that fell silent", breaker.Config{}, leave(60*time.Second, 20*time.Second), breaker.Counts{Failures: 1, Consecutive: 1}},
		{"soon, but long after it was tracked", breaker.Config{}, func(ctx context.Context, b *breaker.Breaker) {
			ctx, cancel := context.WithCancel(breaker.Track(ctx))
			time.Sleep(time.Hour)
			_ = b.Do(ctx, func(ctx context.Context) error { cancel(); return ctx.Err() })
		}, breaker.Counts{Ignored: 1}},
		{"no credit", breaker.Config{HangAfter: -1}, leave(time.Hour), breaker.Counts{Ignored: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, tt.cfg)
				tt.call(t.Context(), b)
				require.Equal(t, tt.counts, b.Counts())
			})
		})
	}
}

func TestClassify(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(http.ErrServerClosed)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		err     error
		verdict breaker.Verdict
		reason  string
		retry   bool
		other   bool
	}{
		{"complete", t.Context(), nil, breaker.Success, "", false, false},
		{"client gone", gone, errDown, breaker.Ignored, "client_gone", false, false},
		{"client gone, body cut", gone, io.ErrUnexpectedEOF, breaker.Ignored, "client_gone", false, false},
		{"cancelled elsewhere", t.Context(), fmt.Errorf("x: %w", context.Canceled), breaker.Ignored, "client_gone", false, false},
		{"shutdown", stopped, context.Canceled, breaker.Ignored, "shutdown", false, false},
		{"shutdown returned", t.Context(), http.ErrServerClosed, breaker.Ignored, "shutdown", false, false},
		{"deadline of the request", late, context.DeadlineExceeded, breaker.Failure, "timeout", true, true},
		{"deadline of the attempt", t.Context(), context.DeadlineExceeded, breaker.Failure, "timeout", true, true},
		{"cut", t.Context(), io.ErrUnexpectedEOF, breaker.Failure, "truncated", true, true},
		{"anything else", t.Context(), errDown, breaker.Failure, "failed", true, true},
		{"says so itself", gone, breaker.WithOutcome(errDown, breaker.Outcome{Verdict: breaker.Failure, Reason: "overloaded"}), breaker.Failure, "overloaded", false, false},
		{"refused by another breaker", t.Context(), &breaker.OpenError{}, breaker.Ignored, "refused", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := breaker.Classify(tt.ctx, tt.err)
			require.Equal(t, breaker.Outcome{Verdict: tt.verdict, Reason: tt.reason, Retry: tt.retry, Fallback: tt.other}, o)
		})
	}
	require.NoError(t, breaker.WithOutcome(nil, breaker.Outcome{}))
	require.ErrorIs(t, breaker.WithOutcome(errDown, breaker.Outcome{}), errDown)
}
