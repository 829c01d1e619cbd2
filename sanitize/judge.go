package sanitize

import (
	"context"
	"time"
)

// Judge gives a second opinion on a text, for example by asking a model. It is
// asked only in the grey zone, where the score alone means [Warn], so that its
// price is paid for few texts.
//
// A Judge may be called by several goroutines at once, and must return when ctx
// ends: ctx carries the time that is left of its budget.
type Judge interface {
	// Judge returns what to do with text. An error means that it has no opinion.
	// It must not take instructions from text, whatever text says.
	Judge(ctx context.Context, text string, r Result) (Verdict, error)
}

// judge asks the judge about text. If it fails, or its budget is used up, the
// verdict stays what it was: a judge that is down must neither refuse what
// would have passed without it nor let pass what would have been refused.
func (s *Scanner) judge(ctx context.Context, text string, r *Result) {
	deadline := time.Now().Add(s.cfg.JudgeTimeout)
	if b, ok := ctx.Value(budgetKey{}).(*budget); ok {
		deadline = b.until(deadline)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if r.JudgeErr = ctx.Err(); r.JudgeErr != nil {
		return
	}
	v, err := s.cfg.Judge.Judge(ctx, text, *r)
	if err != nil {
		r.JudgeErr = err
		return
	}
	r.Verdict, r.Judged = min(v, Block), true
}

// budget is shared by all texts of a request: a request with many texts in the
// grey zone may not take the time of the judge many times over.
type budget struct{ deadline time.Time }

type budgetKey struct{}

// until returns the deadline that the first call for the request set.
func (b *budget) until(deadline time.Time) time.Time {
	if b.deadline.IsZero() {
		b.deadline = deadline
	}
	return b.deadline
}
