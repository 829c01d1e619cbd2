//go:build !race

package detect_test

import (
	"strings"
	"testing"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
	"github.com/stretchr/testify/require"
)

// The race detector makes sync.Pool drop items at random, so that the counts
// below hold without it only.

func TestCleanTextsAllocateNothing(t *testing.T) {
	e := newEngine(t, detect.Config{})
	for _, c := range []struct{ name, text string }{
		{"question", "How do I reset the password of my account, please?"},
		{"page", strings.Repeat(prose, 12)},
		{"chinese", strings.Repeat("请问明天的天气怎么样？", 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.Scan(c.text)
			allocs := testing.AllocsPerRun(200, func() {
				if _, findings := e.Scan(c.text); findings != nil {
					t.Errorf("found %v", findings)
				}
			})
			require.Less(t, allocs, 0.5)
		})
	}
}
