package sanitize

import "strconv"

// Verdict is what is to be done with a text. Verdicts are ordered: Block is
// more than Warn.
type Verdict uint8

// The verdicts.
const (
	Allow Verdict = iota // nothing speaks against it
	Warn                 // suspicious, but not enough to refuse it
	Block                // refuse it
)

// String returns "allow", "warn" or "block".
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Warn:
		return "warn"
	case Block:
		return "block"
	}
	return "verdict " + strconv.Itoa(int(v))
}

// MarshalText encodes v as [Verdict.String] has it.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Severity says how bad it is if what a rule describes succeeds.
type Severity uint8

// The severities. The zero value in a [Rule] means Medium.
const (
	Low Severity = iota + 1
	Medium
	High
	Critical
)

// String returns "low", "medium", "high" or "critical".
func (s Severity) String() string {
	switch s {
	case Low:
		return "low"
	case Medium:
		return "medium"
	case High:
		return "high"
	case Critical:
		return "critical"
	}
	return "severity " + strconv.Itoa(int(s))
}

// MarshalText encodes s as [Severity.String] has it.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one place in a text that a rule speaks about. It says where, and
// never repeats what is there.
type Finding struct {
	// Rule is the stable id of the rule, and Family the family it belongs to.
	Rule   string `json:"rule"`
	Family string `json:"family"`
	// Severity is that of the rule.
	Severity Severity `json:"severity"`
	// Start and End are the byte offsets of the place in the text as it was
	// given to [Scanner.Sanitize]; End-Start is the length of the excerpt.
	Start int `json:"start"`
	End   int `json:"end"`
	// Via says how the place was disguised, "base64" or "reversed" for example;
	// it is empty for plain text.
	Via string `json:"via,omitzero"`
	// Weight is what the finding contributes to the score.
	Weight float64 `json:"weight"`
}

// Result is what is known of a text.
type Result struct {
	// Text is the text without what [Clean] removes: the one to pass on. It is
	// the very string that was given if nothing was removed.
	Text string `json:"-"`
	// Score is how likely the text is an attack, 0 to 1.
	Score float64 `json:"score"`
	// Verdict follows from Score by the thresholds of [Config], and from the
	// Judge in the grey zone between them.
	Verdict Verdict `json:"verdict"`
	// Findings are the reasons for Score, the weightiest first. They may be
	// shared: treat them as read-only.
	Findings []Finding `json:"findings,omitzero"`
	// Removed is what was cleaned from the text, by kind; nil if nothing was.
	Removed []Removal `json:"removed,omitzero"`
	// Judged reports that the Judge decided Verdict. JudgeErr is why a Judge that
	// was asked did not; the Verdict is then that of the score.
	Judged   bool  `json:"judged,omitzero"`
	JudgeErr error `json:"-"`
}

// Family returns the family of the weightiest finding, "" if there is none.
func (r *Result) Family() string {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Family
}
