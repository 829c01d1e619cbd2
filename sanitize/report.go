package sanitize

import (
	"context"
	"fmt"
	"strings"
)

// Report is what a [Guard] has to say about a request that it let pass.
type Report struct {
	// Passages are the texts that were cleaned, or have the verdict Warn, in the
	// order of the body. Most requests have none.
	Passages []Passage
}

// Passage is one text of a request.
type Passage struct {
	// Pointer is the JSON pointer to the text, such as
	// "/messages/2/content/0/text". It has "*" for a member that only a "*" of
	// [GuardConfig] Fields allows: what a client calls it is not repeated.
	Pointer string
	// Role is the role of the message the text is in, or the type of the part if
	// that makes it strict: one of user, assistant, system, developer, model and
	// those of [GuardConfig]; "other" for others; empty if none is given.
	Role string
	// Result is what the Sanitizer found. In ModeShadow and ModeOff its Verdict
	// is Allow, in ModeWarn at most Warn.
	Result Result
}

type contextKey struct{}

// NewContext returns a copy of ctx that carries report.
func NewContext(ctx context.Context, report Report) context.Context {
	return context.WithValue(ctx, contextKey{}, report)
}

// FromContext returns the report about the request of ctx, and whether a
// [Guard] made one.
func FromContext(ctx context.Context) (Report, bool) {
	r, ok := ctx.Value(contextKey{}).(Report)
	return r, ok
}

// Warnings returns a sentence for each thing that a client may want to know:
// that a text looks suspicious, and of which family; that characters were
// removed.
func (r Report) Warnings() []string {
	var list []string
	for _, p := range r.Passages {
		if p.Result.Verdict >= Warn {
			family := strings.NewReplacer("-", " ", "_", " ").Replace(p.Result.Family())
			list = append(list, fmt.Sprintf("The text at %s looks suspicious%s.", p.Pointer, colon(family)))
		}
		for _, c := range p.Result.Removed {
			list = append(list, fmt.Sprintf("Removed from the text at %s: %d × %s.", p.Pointer, c.Count, strings.ReplaceAll(c.Kind, "_", " ")))
		}
	}
	return list
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// add notes what there is to say about t.
func (r *Report) add(f *finder, t *passage, result Result, mode Mode) {
	switch mode {
	case ModeShadow, ModeOff:
		result.Verdict, result.Score, result.Findings = Allow, 0, nil
	case ModeWarn:
		result.Verdict = min(result.Verdict, Warn)
	}
	if result.Verdict != Allow || len(result.Removed) > 0 {
		r.Passages = append(r.Passages, Passage{Pointer: f.pointer(t), Role: t.role, Result: result})
	}
}
