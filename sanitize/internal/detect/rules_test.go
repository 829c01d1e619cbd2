package detect_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
	"github.com/stretchr/testify/require"
)

func TestRuleExamples(t *testing.T) {
	e, err := detect.New(detect.Config{})
	require.NoError(t, err)
	var wrong []string
	for _, r := range e.Rules() {
		if r.Weight < 0 {
			continue
		}
		require.NotEmpty(t, r.Examples, r.ID)
		require.NotEmpty(t, r.Counterexamples, r.ID)
		require.NotEmpty(t, r.Description, r.ID)
		for _, text := range r.Examples {
			_, findings := e.Scan(text)
			if !slices.Contains(ids(findings), r.ID) {
				wrong = append(wrong, r.ID+" misses "+text)
			}
		}
		for _, text := range r.Counterexamples {
			_, findings := e.Scan(text)
			if slices.Contains(ids(findings), r.ID) {
				wrong = append(wrong, r.ID+" finds "+text)
			}
		}
	}
	require.Empty(t, wrong)
}

func ids(findings []detect.Finding) []string {
	out := []string{}
	for _, f := range findings {
		out = append(out, f.Rule)
	}
	return out
}

func TestRulesAreCopies(t *testing.T) {
	e := newEngine(t, detect.Config{})
	for _, r := range e.Rules() {
		for i := range r.Patterns {
			r.Patterns[i] = "changed"
		}
		for i := range r.Examples {
			r.Examples[i] = "changed"
		}
	}
	for _, r := range newEngine(t, detect.Config{}).Rules() {
		require.NotContains(t, r.Patterns, "changed")
		require.NotContains(t, r.Examples, "changed")
	}
}

func TestBuiltInRules(t *testing.T) {
	id := regexp.MustCompile(`^[a-z]+(\.[a-z]+(-[a-z]+)*)$`)
	families := map[string]bool{}
	for _, r := range newEngine(t, detect.Config{}).Rules() {
		require.Regexp(t, id, r.ID)
		require.NotZero(t, r.Severity, r.ID)
		require.LessOrEqual(t, r.Weight, 7.0, r.ID)
		families[r.Family] = true
	}
	require.GreaterOrEqual(t, len(families), 25)
}

func TestSeverity(t *testing.T) {
	for s, name := range map[detect.Severity]string{detect.Low: "low", detect.Medium: "medium", detect.High: "high", detect.Critical: "critical", 9: "severity(9)"} {
		require.Equal(t, name, s.String())
		text, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, name, string(text))
	}
}
