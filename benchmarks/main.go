// Command benchmarks measures the packages of SPARK beside their peers and
// prints Markdown tables.
//
//	go run ./benchmarks                 # everything
//	go run ./benchmarks -run ratelimit  # one area
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
)

// areas are what can be measured, in the order of the tables.
var areas = []struct {
	name   string
	groups func() []harness.Group
}{
	{"auth", authGroups},
	{"breaker", breakerGroups},
	{"cache", cacheGroups},
	{"chain", chainGroups},
	{"headers", headersGroups},
	{"metrics", metricsGroups},
	{"ratelimit", ratelimitGroups},
	{"sanitize", sanitizeGroups},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run() error {
	only := flag.String("run", "", "measure the areas whose name matches this `regexp`")
	passes := flag.Int("passes", 6, "passes over all cases; the figures are medians")
	each := flag.Duration("time", 200*time.Millisecond, "time of one case in one pass")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %s/%s, GOMAXPROCS %d, %d passes of %v; ratios of CPU time.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), *passes, *each)
	for _, a := range areas {
		if !match.MatchString(a.name) {
			continue
		}
		fmt.Printf("## %s\n\n", a.name)
		for _, g := range a.groups() {
			if err := harness.Run(os.Stdout, g, harness.Options{Passes: *passes, Time: *each}); err != nil {
				return err
			}
		}
	}
	return nil
}
