package health

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
)

// MemoryUse is what [Memory] measures, in bytes.
type MemoryUse struct {
	Heap uint64 `json:"heap"`          // live and dead objects
	Go   uint64 `json:"go"`            // all that the runtime holds
	RSS  uint64 `json:"rss,omitempty"` // what the system has given it; 0 where that is not known
	// GoLimit is GOMEMLIMIT, CgroupLimit what the container may use; 0 if there
	// is none.
	GoLimit     uint64 `json:"goLimit,omitempty"`
	CgroupLimit uint64 `json:"cgroupLimit,omitempty"`
}

// Memory returns a check that warns if the process uses more than the given
// share, such as 0.9, of its limit: of GOMEMLIMIT by what the Go runtime holds,
// of the limit of the container (its cgroup or one around it) by the resident
// set. Without a limit it passes. It
// reads runtime/metrics, which doesn't stop the world.
func Memory(share float64) Check {
	return Check{Name: "memory", Type: "system", Run: func(context.Context) Result { return readMemory().judge(share) }}
}

func (m MemoryUse) judge(share float64) Result {
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
	own, _ := os.ReadFile("/proc/self/cgroup") // without it there is the root
	m.CgroupLimit = cgroupLimit("/sys/fs/cgroup", string(own))
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
	return pages * uint64(os.Getpagesize()) // #nosec G115 -- a page size is positive
}

// cgroupLimit returns the smallest limit of the process's cgroup and of those
// around it, 0 if there is none. own is what /proc/self/cgroup says (cgroups(7)).
func cgroupLimit(root, own string) uint64 {
	least := uint64(math.MaxUint64)
	for line := range strings.Lines("0::/\n1:memory:/\n" + own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		file := "memory.max" // version 2
		controller := ""
		if slices.Contains(strings.Split(fields[1], ","), "memory") {
			controller, file = "memory", "memory.limit_in_bytes" // version 1
		} else if fields[1] != "" {
			continue
		}
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			least = min(least, limitIn(filepath.Join(root, controller, dir, file)))
			if dir == "/" {
				break
			}
		}
	}
	if least > math.MaxInt64/2 { // version 1 has a number near 2⁶³ for none
		return 0
	}
	return least
}

// limitIn returns the limit in a file, the greatest number if there is none:
// no file, or "max" in it.
func limitIn(name string) uint64 {
	text, err := os.ReadFile(name) // #nosec G304 -- below the root of the cgroups
	if err != nil {
		return math.MaxUint64
	}
	limit, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return limit
}
