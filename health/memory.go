package health

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
)

// MemoryUse is what [Memory] measures, in bytes.
type MemoryUse struct {
	Heap uint64 `json:"heap"` // live and dead objects
	Go   uint64 `json:"go"`   // all that the runtime holds
	RSS  uint64 `json:"rss,omitempty"`
	// GoLimit is GOMEMLIMIT, CgroupLimit what the container may use; 0 if there
	// is none.
	GoLimit     uint64 `json:"goLimit,omitempty"`
	CgroupLimit uint64 `json:"cgroupLimit,omitempty"`
}

// Memory returns a check that warns if the process uses more than the given
// share, such as 0.9, of its limit: of GOMEMLIMIT by what the Go runtime holds,
// of the container's limit by the resident set. Without a limit it passes. It
// reads runtime/metrics, which doesn't stop the world.
func Memory(share float64) Check {
	return Check{Name: "memory", Type: "system", Run: func(context.Context) Result {
		m := readMemory()
		r := Result{Status: Pass, Value: m, Unit: "bytes"}
		for _, l := range []struct {
			what        string
			used, limit uint64
		}{{"GOMEMLIMIT", m.Go, m.GoLimit}, {"the container's limit", m.RSS, m.CgroupLimit}} {
			if l.limit > 0 && float64(l.used) > share*float64(l.limit) {
				r.Status = Warn
				r.Output = fmt.Sprintf("%d of %d bytes of %s in use", l.used, l.limit, l.what)
			}
		}
		return r
	}}
}

func readMemory() MemoryUse {
	s := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/gomemlimit:bytes"},
	}
	metrics.Read(s)
	m := MemoryUse{Heap: s[0].Value.Uint64(), Go: s[1].Value.Uint64() - s[2].Value.Uint64(), RSS: residentSet()}
	if limit := s[3].Value.Uint64(); limit != math.MaxInt64 {
		m.GoLimit = limit
	}
	m.CgroupLimit = cgroupLimit("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
	return m
}

// residentSet returns the resident set of the process, 0 where there is no proc.
func residentSet() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize()) //nolint:gosec // a page size is positive
}

// cgroupLimit returns the first limit found in files, 0 if there is none: "max"
// in version 2, a number near 2⁶³ in version 1.
func cgroupLimit(files ...string) uint64 {
	for _, name := range files {
		text, err := os.ReadFile(name) //nolint:gosec // fixed paths
		if err != nil {
			continue
		}
		limit, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
		if err != nil || limit > math.MaxInt64/2 {
			return 0
		}
		return limit
	}
	return 0
}
