// Package harness measures operations side by side in one run.
//
// Every case of a group runs in every pass, one after the other, so that what
// the machine does beside it hits all of them alike. The figures are medians
// over the passes: processor time of the whole process, so that what the
// collector does on another core counts, wall time, and what was allocated.
// Ratios between cases hold far better than the figures themselves.
package harness

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Case is one contestant.
type Case struct {
	Name string
	// Ours marks a case of this module; it is printed in bold.
	Ours bool
	// New makes fresh state and returns the operation. op is called with 0, 1,
	// 2 …, from one goroutine, or from several at once in a parallel group.
	// stop frees the state; it may be nil.
	New func() (op func(i int), stop func())
}

// Group is a set of cases that do the same thing.
type Group struct {
	Name string
	// Note is printed below the table.
	Note string
	// Parallel runs the operation on GOMAXPROCS goroutines at once.
	Parallel bool
	// Base is the name of the case that ratios refer to; empty means the
	// fastest case that is not ours.
	Base  string
	Cases []Case
}

// Options say how long to measure.
type Options struct {
	Passes int           // passes over all cases of a group
	Time   time.Duration // time of one case in one pass
}

// result is what one case took in one operation.
type result struct{ cpu, wall, bytes, allocs float64 }

// Run measures g and writes a Markdown table to w.
func Run(w io.Writer, g Group, o Options) error {
	samples := make([][]result, len(g.Cases))
	counts := make([]int, len(g.Cases))
	for range o.Passes {
		for i, c := range g.Cases {
			op, stop := c.New()
			if counts[i] == 0 {
				counts[i] = calibrate(op, o.Time)
			}
			samples[i] = append(samples[i], measure(op, counts[i], g.Parallel))
			if stop != nil {
				stop()
			}
		}
	}
	medians := make([]result, len(g.Cases))
	for i, s := range samples {
		medians[i] = median(s)
	}
	return table(w, g, medians)
}

// calibrate finds how many operations fit into d.
func calibrate(op func(int), d time.Duration) int {
	done := 0
	for n := 1; ; n *= 2 {
		start := time.Now()
		for range n {
			op(done)
			done++
		}
		if took := time.Since(start); took > d/8 {
			return max(1, int(float64(n)*float64(d)/float64(took)))
		}
	}
}

func measure(op func(int), n int, parallel bool) result {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, wall := cpuTime(), time.Now()
	if parallel {
		inParallel(op, n)
	} else {
		for i := range n {
			op(i)
		}
	}
	took := time.Since(wall)
	used := cpuTime() - cpu
	runtime.ReadMemStats(&after)
	per := func(v float64) float64 { return v / float64(n) }
	return result{
		cpu:    per(float64(used)),
		wall:   per(float64(took)),
		bytes:  per(float64(after.TotalAlloc - before.TotalAlloc)),
		allocs: per(float64(after.Mallocs - before.Mallocs)),
	}
}

func inParallel(op func(int), n int) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				op(i)
			}
		})
	}
	wg.Wait()
}

// cpuTime returns the processor time that the process has used, on all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(s []result) result {
	mid := func(f func(result) float64) float64 {
		v := make([]float64, len(s))
		for i := range s {
			v[i] = f(s[i])
		}
		slices.Sort(v)
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	return result{
		cpu:    mid(func(r result) float64 { return r.cpu }),
		wall:   mid(func(r result) float64 { return r.wall }),
		bytes:  mid(func(r result) float64 { return r.bytes }),
		allocs: mid(func(r result) float64 { return r.allocs }),
	}
}

// base returns the processor time that ratios refer to.
func (g Group) base(m []result) float64 {
	fastest := 0.0
	for i, c := range g.Cases {
		if c.Name == g.Base {
			return m[i].cpu
		}
		if g.Base == "" && !c.Ours && (fastest == 0 || m[i].cpu < fastest) {
			fastest = m[i].cpu
		}
	}
	return fastest
}

func table(w io.Writer, g Group, m []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n| | CPU ns/op | ratio | wall ns/op | B/op | allocs/op |\n|---|--:|--:|--:|--:|--:|\n", g.Name)
	base := g.base(m)
	for i, c := range g.Cases {
		name := c.Name
		if c.Ours {
			name = "**" + name + "**"
		}
		ratio := "–"
		if base > 0 {
			ratio = fmt.Sprintf("%.2f", m[i].cpu/base)
		}
		fmt.Fprintf(&b, "| %s | %.0f | %s | %.0f | %.0f | %.1f |\n", name, m[i].cpu, ratio, m[i].wall, m[i].bytes, m[i].allocs)
	}
	if g.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", g.Note)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}
