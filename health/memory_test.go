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

func TestMemoryAgainstLimits(t *testing.T) {
	tests := []struct {
		name   string
		use    MemoryUse
		want   Status
		output string
	}{
		{"no limit", MemoryUse{Go: 1 << 40, RSS: 1 << 40}, Pass, ""},
		{"below", MemoryUse{Go: 90, GoLimit: 100, RSS: 90, CgroupLimit: 100}, Pass, ""},
		{"Go", MemoryUse{Go: 91, GoLimit: 100, RSS: 10, CgroupLimit: 100}, Warn, "91 of 100 bytes of GOMEMLIMIT in use"},
		{"container", MemoryUse{Go: 10, GoLimit: 100, RSS: 91, CgroupLimit: 100}, Warn, "91 of 100 bytes of the container's limit in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.use.judge(0.9)
			require.Equal(t, tt.want, r.Status)
			require.Equal(t, tt.output, r.Output)
			require.Equal(t, tt.use, r.Value)
		})
	}
}

func TestCgroupLimit(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // below the root of the cgroups
		own   string            // /proc/self/cgroup
		want  uint64
	}{
		{"no cgroups", nil, "", 0},
		{"version 2, container", map[string]string{"memory.max": "1073741824\n"}, "0::/\n", 1 << 30},
		{"version 2, none", map[string]string{"memory.max": "max\n"}, "0::/\n", 0},
		{"version 2, service", map[string]string{"system.slice/spark.service/memory.max": "5\n", "system.slice/memory.max": "max\n"}, "0::/system.slice/spark.service\n", 5},
		{"version 2, the one around it is less", map[string]string{"a/b/memory.max": "5\n", "a/memory.max": "4\n"}, "0::/a/b\n", 4},
		{"version 1", map[string]string{"memory/docker/1/memory.limit_in_bytes": "7\n", "memory/memory.limit_in_bytes": "9223372036854771712\n"}, "5:cpu:/x\n4:memory:/docker/1\n", 7},
		{"version 1, none", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, "4:memory:/docker/1\n", 0},
		{"version 1, the host's path", map[string]string{"memory/memory.limit_in_bytes": "7\n"}, "4:hugetlb,memory:/docker/1\n", 7},
		{"of another controller", map[string]string{"memory/x/memory.limit_in_bytes": "7\n", "x/memory.max": "7"}, "4:cpu:/x\nnonsense\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				name = filepath.Join(root, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
				require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
			}
			require.Equal(t, tt.want, cgroupLimit(root, tt.own))
		})
	}
}
