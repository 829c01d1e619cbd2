package errtrack

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Severity is how bad an error is.
type Severity uint8

// The severities. 0 means that nobody has judged yet.
const (
	Low      Severity = iota + 1 // expected to happen
	Medium                       // somebody was not served
	High                         // a defect, or many not served
	Critical                     // needs somebody now
)

var severityNames = [...]string{"", "low", "medium", "high", "critical"}

// String returns the name of the severity in lower case.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", s)
}

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severityNames {
		if name == string(text) {
			*s = Severity(i) //nolint:gosec // one of five
			return nil
		}
	}
	return fmt.Errorf("errtrack: severity is %q, want low, medium, high or critical", text)
}

// Rule judges the events that it matches. Fields that are empty match all; all
// others must match.
type Rule struct {
	Severity Severity // required
	// Provider, Class and Route are compared with the event's; Route may end in
	// "*".
	Provider, Class, Route string
	// MinStatus and MaxStatus bound the status, if not 0.
	MinStatus, MaxStatus int
	// Is matches errors as [errors.Is] does.
	Is error
	// Type matches events with an error of this type, as "*net.OpError", in the
	// tree of Err.
	Type string
	// PerMinute matches events of a group of which there were at least so many in
	// the last minute, this one included.
	PerMinute int
	// Match decides by itself.
	Match func(Event) bool
}

func (c *Collector) checkRules() error {
	for i, r := range c.cfg.Rules {
		if r.Severity < Low || r.Severity > Critical {
			return fmt.Errorf("errtrack: Rules[%d].Severity is %d, want Low to Critical", i, r.Severity)
		}
	}
	return nil
}

func (r *Rule) matches(e *Event, rate func() int) bool {
	switch {
	case r.Provider != "" && r.Provider != e.Provider,
		r.Class != "" && r.Class != e.Class,
		r.MinStatus != 0 && e.Status < r.MinStatus,
		r.MaxStatus != 0 && e.Status > r.MaxStatus,
		r.Is != nil && !is(e.Err, r.Is),
		r.Type != "" && !hasType(e.Err, r.Type),
		r.PerMinute > 0 && rate()+1 < r.PerMinute:
		return false
	}
	if prefix, open := strings.CutSuffix(r.Route, "*"); open && !strings.HasPrefix(e.Route, prefix) ||
		!open && r.Route != "" && r.Route != e.Route {
		return false
	}
	return r.Match == nil || r.Match(*e)
}

// severity judges e: by hand, by the program's rules, by the standard ones. Of
// those the first is that a provider which refuses our key or our account serves
// nobody until somebody acts.
func (c *Collector) severity(ctx context.Context, e *Event, id string) Severity {
	if e.Severity >= Low && e.Severity <= Critical {
		return e.Severity
	}
	for i := range c.cfg.Rules {
		if c.matches(ctx, &c.cfg.Rules[i], e, id) {
			return c.cfg.Rules[i].Severity
		}
	}
	switch {
	case e.Provider != "" && accountClass(e.Class):
		return Critical
	case e.Panic:
		return High
	case is(e.Err, context.DeadlineExceeded), e.Status == http.StatusGatewayTimeout, e.Status == http.StatusBadGateway:
		return Medium
	case e.Status == http.StatusServiceUnavailable, e.Status >= 400 && e.Status < 500:
		return Low
	case e.Status == http.StatusInternalServerError:
		return High
	default:
		return Medium
	}
}

// matches reports whether a rule matches e. One that panics doesn't.
func (c *Collector) matches(ctx context.Context, r *Rule, e *Event, id string) bool {
	defer c.survive(ctx)
	return r.matches(e, func() int { return c.rate(id) })
}

// accountClass reports whether a class of a provider's errors is about the
// account: as the packages and the providers themselves name it.
func accountClass(class string) bool {
	class = strings.ToLower(class)
	for _, word := range [...]string{"auth", "permission", "quota", "billing", "spend", "credit"} {
		if strings.Contains(class, word) {
			return true
		}
	}
	return false
}
