package sanitize

import (
	"fmt"
	"unicode/utf8"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
)

// The default thresholds are those the score is calibrated for.
const (
	// DefaultWarnAt is the score from which on a text is suspicious.
	DefaultWarnAt = detect.WarnThreshold
	// DefaultBlockAt is the score from which on a text is refused.
	DefaultBlockAt = detect.BlockThreshold
)

// engine finds what rules and classifier have to say about a text.
type engine struct{ *detect.Engine }

func newEngine(cfg Config) (engine, error) {
	d := detect.Config{Disabled: cfg.Disabled, Weights: cfg.Weights, Allow: cfg.Allow}
	for _, r := range cfg.Rules {
		if len(r.Patterns) == 0 {
			return engine{}, fmt.Errorf("sanitize: Patterns of rule %q is empty, want at least one", r.ID)
		}
		family := r.Family
		if family == "" {
			family = "custom"
		}
		d.Rules = append(d.Rules, detect.Rule{
			ID: r.ID, Family: family, Severity: detect.Severity(r.Severity), Weight: r.Weight, Patterns: r.Patterns,
		})
	}
	e, err := detect.New(d)
	if err != nil {
		return engine{}, fmt.Errorf("sanitize: %w", err)
	}
	return engine{e}, nil
}

// scan returns the score of text and the reasons for it.
func (e engine) scan(text string) (float64, []Finding) {
	score, found := e.Scan(text)
	if len(found) == 0 {
		return score, nil
	}
	findings := make([]Finding, len(found))
	for i, f := range found {
		findings[i] = Finding{
			Rule: f.Rule, Family: f.Family, Severity: Severity(f.Severity),
			Start: f.Start, End: f.End, Via: f.Via, Weight: f.Weight,
		}
	}
	return score, findings
}

// relocate turns the offsets of findings in cleaned into those in text, which
// cleaned was made from.
func relocate(findings []Finding, cleaned, text string) []Finding {
	if len(findings) == 0 {
		return nil
	}
	at := make([]int, 0, len(cleaned)+1)
	i := 0
	for j, r := range cleaned {
		n := utf8.RuneLen(r)
		for i < len(text) {
			t, size := utf8.DecodeRuneInString(text[i:])
			if t == utf8.RuneError && size == 1 && (r == '?' || r == utf8.RuneError) || t == r && text[i:i+size] == cleaned[j:j+n] {
				break
			}
			i += size
		}
		for k := range n {
			at = append(at, min(i+k, len(text)))
		}
		i = min(i+n, len(text))
	}
	at = append(at, len(text))
	for k := range findings {
		f := &findings[k]
		f.Start = at[f.Start]
		if f.End > 0 {
			f.End = min(at[f.End-1]+1, len(text))
		}
		f.End = max(f.Start, f.End)
	}
	return findings
}
