package health

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })

	debug.SetMemoryLimit(1 << 40)
	r := Memory(0.9).Run(t.Context())
	m, ok := r.Value.(MemoryUse)
	require.True(t, ok)
	require.Equal(t, uint64(1<<40), m.GoLimit)
	require.Positive(t, m.Heap)
	require.GreaterOrEqual(t, m.Go, m.Heap)

	debug.SetMemoryLimit(1) // nothing fits into a byte
	r = Memory(0.9).Run(t.Context())
	require.Equal(t, Warn, r.Status)
	require.Contains(t, r.Output, "of GOMEMLIMIT in use")
}

func TestCgroupLimit(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "memory.max")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	missing := filepath.Join(t.TempDir(), "none")
	require.Equal(t, uint64(1<<30), cgroupLimit(missing, write("1073741824\n")))
	require.Zero(t, cgroupLimit(write("max\n"), write("5")), "version 2 says that there is none")
	require.Zero(t, cgroupLimit(write("9223372036854771712\n")), "version 1 says so too")
	require.Zero(t, cgroupLimit(missing))
}
