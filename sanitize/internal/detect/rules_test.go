package detect_test

import (
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
