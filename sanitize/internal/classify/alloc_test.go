//go:build !race

package classify_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize/internal/classify"
)

func TestScoreAllocatesNothing(t *testing.T) {
	view := []byte(strings.Repeat(attack+". "+harmless+" ", 20))
	require.Zero(t, testing.AllocsPerRun(100, func() { classify.Score(view) }))
}
