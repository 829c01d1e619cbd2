package breaker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sparkhttp/spark/problem"
)

// Classify is the default of [Config.Classify]. It knows, in this order:
//
//   - errors that say what they mean ([Outcomer], see [WithOutcome]);
//   - ctx: a cause of [http.ErrServerClosed] is a shutdown and ignored, a
//     cancelled ctx is a client that left and ignored (see [Config.HangAfter]), a
//     deadline that passed is a failure;
//   - what [Transport] saw of the response to a call under [Track];
//   - errors that show themselves to clients with a 4xx problem document: they
//     are the caller's, and ignored;
//   - [http.ErrServerClosed] and [context.Canceled], which mean the same when they
//     are returned; timeouts and [io.ErrUnexpectedEOF], which are failures.
//
// Everything else is a failure.
func Classify(ctx context.Context, err error) Outcome {
	if err == nil {
		return Outcome{}
	}
	if o, ok := errors.AsType[Outcomer](err); ok {
		return o.Outcome()
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if t := trackerOf(ctx); t != nil {
		if o := t.seen.Load(); o != nil {
			return *o
		}
	}
	if s, ok := errors.AsType[problem.Shower](err); ok && isCallers(s) {
		return ignored("caller")
	}
	return byError(err)
}

func isCallers(s problem.Shower) bool {
	d := s.Problem()
	return d != nil && d.Status >= 400 && d.Status < 500
}

func byError(err error) Outcome {
	var timeout net.Error
	var network *net.OpError
	switch {
	case errors.Is(err, http.ErrServerClosed):
		return ignored("shutdown")
	case errors.Is(err, context.Canceled):
		return ignored("client_gone")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return failed("timeout")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failed("truncated")
	case errors.As(err, &network):
		return failed("connection")
	default:
		return failed("failed")
	}
}

// ended says what it means that ctx has ended.
func ended(ctx context.Context) Outcome {
	switch {
	case errors.Is(context.Cause(ctx), http.ErrServerClosed):
		return ignored("shutdown")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed("timeout")
	default:
		return ignored("client_gone")
	}
}

// vanished is the outcome of a call whose goroutine did not return.
func vanished(ctx context.Context) Outcome {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return Outcome{Verdict: Failure, Reason: "vanished"}
}

// judge classifies err and gives hang credit.
func (b *Breaker) judge(ctx context.Context, p permit, err error) Outcome {
	silent := b.now() - p.start
	if t := trackerOf(ctx); t != nil {
		silent = min(silent, t.silence())
	}
	return b.hangCredit(b.cfg.Classify(ctx, err), silent)
}

// hangCredit makes a failure of a call that its client gave up after the
// provider had been silent for long.
func (b *Breaker) hangCredit(o Outcome, silent time.Duration) Outcome {
	if o.Verdict == Ignored && o.Reason == "client_gone" && b.cfg.HangAfter > 0 && silent >= b.cfg.HangAfter {
		return Outcome{Verdict: Failure, Reason: "hang"}
	}
	return o
}

// capped returns d, but at least 0 and at most limit.
func capped(d, limit time.Duration) time.Duration { return max(0, min(d, limit)) }
