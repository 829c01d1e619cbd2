package health

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// Func returns a check that passes if f returns nil. The text of an error is
// shown to those who are authorised for the details.
func Func(name string, f func(context.Context) error) Check {
	return Check{Name: name, Run: func(ctx context.Context) Result {
		if err := f(ctx); err != nil {
			return Result{Status: Fail, Output: err.Error()}
		}
		return Result{Status: Pass}
	}}
}

// Goroutines returns a check that warns if there are more than most.
func Goroutines(most int) Check {
	return Check{Name: "goroutines", Type: "system", Run: func(context.Context) Result {
		r := Result{Status: Pass, Value: runtime.NumGoroutine()}
		if n := runtime.NumGoroutine(); n > most {
			r.Status, r.Output = Warn, fmt.Sprintf("%d goroutines, more than %d", n, most)
		}
		return r
	}}
}

// Breakers returns a check of circuit breakers, whose states ("closed",
// "half-open", "open" …) states returns by name. One that is not closed is a
// warning: the service can answer, by another provider or with an error that
// says when to come back. If failIfAll is true, it fails once all are open; do
// that only where something other than restarts follows from it.
func Breakers(states func() map[string]string, failIfAll bool) Check {
	return Check{Name: "providers:breakers", Type: "component", Run: func(context.Context) Result {
		all := states()
		var troubled []string
		open := 0
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if all[name] != "closed" {
				troubled = append(troubled, name+" "+all[name])
			}
			if strings.Contains(all[name], "open") && all[name] != "half-open" {
				open++
			}
		}
		r := Result{Status: Pass, Value: all}
		if len(troubled) > 0 {
			r.Status, r.Output = Warn, strings.Join(troubled, ", ")
		}
		if failIfAll && open > 0 && open == len(all) {
			r.Status = Fail
		}
		return r
	}}
}
