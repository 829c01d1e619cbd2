// Package sanitize looks at what users send to a language model: it limits and
// cleans text, detects prompt injection in it, and does both for the texts in
// JSON requests.
//
//	guard, err := sanitize.NewGuard(sanitize.GuardConfig{
//		Fields: []string{"/prompt", "/messages/*/content"},
//	})
//	if err != nil {
//		return err
//	}
//	mux.Handle("POST /v1/chat", guard.Handler(chat))
package sanitize

import (
	"context"
	"fmt"
	"time"
)

// Sanitizer cleans a text and says what to think of it. [Scanner] is the one of
// this package; a [Guard] takes any.
//
// An implementation may be called by several goroutines at once.
type Sanitizer interface {
	// Sanitize returns what is known of text, and the text to pass on. The error
	// is for a text that can't be looked at, such as one that is too long (a
	// [*LimitError]); what a text says is never an error but a Verdict.
	Sanitize(ctx context.Context, text string) (Result, error)
}

// Config configures a [Scanner]. The zero value detects with all rules, blocks
// and warns at the default thresholds, and has no Judge.
type Config struct {
	// Limits bounds a text. Zero fields have their defaults, 10,000 characters
	// above all.
	Limits Limits
	// WarnAt and BlockAt are the scores from which on a text is suspicious, and
	// is to be refused; WarnAt <= BlockAt <= 1. Zero means [DefaultWarnAt] and
	// [DefaultBlockAt], which are chosen for few false alarms.
	WarnAt, BlockAt float64
	// Rules are rules of your own, looked for with those of the package.
	Rules []Rule
	// Disabled lists rules, or whole families, that are not looked for. A name
	// that no rule has is an error, here and in Weights.
	Disabled []string
	// Weights multiplies the weights of the rules or families it names; 0 leaves
	// them out. A rule's own factor goes before that of its family.
	Weights map[string]float64
	// Allow are phrases that mean no harm in your service, such as the name of a
	// product; findings inside of them do not count. Case, accents and width
	// make no difference.
	Allow []string
	// RemovePrivateUse also removes characters of private use (U+E000 to U+F8FF
	// and planes 15 and 16). Some icon fonts and some names need them.
	RemovePrivateUse bool
	// Judge is asked for texts in the grey zone: score at least WarnAt, below
	// BlockAt. Nil means nobody is asked. If it fails or takes too long, the
	// Verdict stays Warn, and [Result.JudgeErr] says why.
	Judge Judge
	// JudgeTimeout is the time a Judge has for one text, and for all texts of a
	// request that a [Guard] looks at. Default 2 s.
	JudgeTimeout time.Duration
}

// Rule is a rule of the caller's.
type Rule struct {
	// ID names the rule in findings, Disabled and Weights. Required, and not the
	// id of another rule.
	ID string
	// Family groups rules in findings, Disabled and Weights. Default "custom".
	Family string
	// Severity is repeated in findings. Default Medium.
	Severity Severity
	// Weight is how strongly the rule speaks for an attack, in natural log-odds:
	// 2 alone warns, 5 alone blocks. Default 2.
	Weight float64
	// Patterns are what is looked for, at least one; see the package comment
	// for their syntax.
	Patterns []string
}

// Scanner is the [Sanitizer] of this package. It may be used by several
// goroutines at once, and never changes.
type Scanner struct {
	cfg    Config
	engine engine
}

// New returns a Scanner, or an error that names the field of cfg that is wrong.
func New(cfg Config) (*Scanner, error) {
	if cfg.WarnAt == 0 {
		cfg.WarnAt = min(DefaultWarnAt, orOne(cfg.BlockAt))
	}
	if cfg.BlockAt == 0 {
		cfg.BlockAt = max(DefaultBlockAt, cfg.WarnAt)
	}
	if cfg.JudgeTimeout == 0 {
		cfg.JudgeTimeout = 2 * time.Second
	}
	switch {
	case !(cfg.WarnAt > 0 && cfg.WarnAt <= 1):
		return nil, fmt.Errorf("sanitize: WarnAt is %v, want more than 0 and at most 1", cfg.WarnAt)
	case !(cfg.BlockAt >= cfg.WarnAt && cfg.BlockAt <= 1):
		return nil, fmt.Errorf("sanitize: BlockAt is %v, want WarnAt (%v) to 1", cfg.BlockAt, cfg.WarnAt)
	case cfg.JudgeTimeout < 0:
		return nil, fmt.Errorf("sanitize: JudgeTimeout is %v, want more than 0", cfg.JudgeTimeout)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	e, err := newEngine(cfg)
	if err != nil {
		return nil, err
	}
	return &Scanner{cfg: cfg, engine: e}, nil
}

// Sanitize implements [Sanitizer]: it checks the limits, cleans text, and
// detects. The error is a [*LimitError] or nil.
func (s *Scanner) Sanitize(ctx context.Context, text string) (Result, error) {
	r, err := s.Clean(text)
	if err != nil {
		return r, err
	}
	// What was removed is part of the evidence, so the text is scanned as it came.
	r.Score, r.Findings = s.engine.scan(text)
	switch {
	case r.Score >= s.cfg.BlockAt:
		r.Verdict = Block
	case r.Score >= s.cfg.WarnAt:
		r.Verdict = Warn
		if s.cfg.Judge != nil {
			s.judge(ctx, r.Text, &r)
		}
	}
	return r, nil
}

// Clean is Sanitize without detection: it checks the limits and cleans text.
func (s *Scanner) Clean(text string) (Result, error) {
	r := Result{Text: text}
	if err := s.cfg.Limits.check(text); err != nil {
		return r, err
	}
	r.Text, r.Removed = clean(text, s.cfg.RemovePrivateUse)
	return r, nil
}

func orOne(f float64) float64 {
	if f == 0 {
		return 1
	}
	return f
}
