//go:build !race

package shadow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// A Text that has seen a text of a kind folds the next one without allocating.
func TestFoldAllocatesNothing(t *testing.T) {
	var x shadow.Text
	for _, d := range disguises {
		text := d.hide(sentence)
		x.Fold(text)
		require.Zero(t, testing.AllocsPerRun(20, func() { x.Fold(text) }), d.name)
	}
}
