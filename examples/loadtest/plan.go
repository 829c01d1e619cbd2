package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// stage is a stretch of a test in which the rate changes evenly.
type stage struct {
	share    float64 // of the length of the test
	from, to float64 // of the full rate
}

// scenario is a kind of test.
type scenario struct {
	name, help string
	rate       float64 // requests per second at full load
	length     time.Duration
	stages     []stage
}

var scenarios = []scenario{
	{"smoke", "a few requests: does it work at all?", 2, 10 * time.Second, []stage{{1, 1, 1}}},
	{"load", "the expected load, after a ramp", 20, time.Minute, []stage{{0.2, 0.05, 1}, {0.8, 1, 1}}},
	{"stress", "more and more, to see where it gives way", 100, 2 * time.Minute, []stage{{1, 0.02, 1}}},
	{"spike", "little, then suddenly all, then little: does it recover?", 100, time.Minute, []stage{{0.4, 0.05, 0.05}, {0.2, 1, 1}, {0.4, 0.05, 0.05}}},
	{"soak", "the expected load for long: does it leak?", 10, time.Hour, []stage{{1, 1, 1}}},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

func scenarioHelp() string {
	var b strings.Builder
	for _, s := range scenarios {
		fmt.Fprintf(&b, "  %-7s %s (%g/s, %v)\n", s.name, s.help, s.rate, s.length)
	}
	return b.String()
}

// plan says when each request is due. It is a vegeta.Pacer.
type plan []leg

// leg is a stage in absolute figures.
type leg struct {
	start, end time.Duration
	from, to   float64 // requests per second
	before     float64 // requests due before it
}

// newPlan returns the plan of a scenario; a zero rate or length means its own.
func newPlan(name string, rate float64, length time.Duration) (plan, error) {
	for _, s := range scenarios {
		if s.name != name {
			continue
		}
		if rate == 0 {
			rate = s.rate
		}
		if length == 0 {
			length = s.length
		}
		var p plan
		var at time.Duration
		var due float64
		for _, st := range s.stages {
			l := leg{start: at, end: at + time.Duration(st.share*float64(length)), from: st.from * rate, to: st.to * rate, before: due}
			due += (l.from + l.to) / 2 * (l.end - l.start).Seconds()
			at = l.end
			p = append(p, l)
		}
		p[len(p)-1].end = length // whatever rounding has left over
		return p, nil
	}
	return nil, fmt.Errorf("no scenario %q", name)
}

func (p plan) length() time.Duration { return p[len(p)-1].end }

func (p plan) at(elapsed time.Duration) leg {
	for _, l := range p {
		if elapsed < l.end {
			return l
		}
	}
	return p[len(p)-1]
}

// Rate returns the requests per second at a time.
func (p plan) Rate(elapsed time.Duration) float64 {
	l := p.at(elapsed)
	done := (elapsed - l.start).Seconds() / (l.end - l.start).Seconds()
	return l.from + (l.to-l.from)*min(done, 1)
}

// due returns how many requests should have been sent at a time.
func (p plan) due(elapsed time.Duration) float64 {
	l := p.at(elapsed)
	t := (min(elapsed, l.end) - l.start).Seconds()
	slope := (l.to - l.from) / (l.end - l.start).Seconds()
	return l.before + l.from*t + slope*t*t/2
}

// Pace returns how long to wait for the next request.
func (p plan) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if elapsed >= p.length() {
		return 0, true
	}
	n := float64(hits) + 1
	if p.due(elapsed) >= n {
		return 0, false
	}
	when, ok := p.when(n)
	if !ok {
		return 0, true // it would be due after the end
	}
	return max(0, when-elapsed), false
}

// when returns the time at which the n-th request is due: the root of due = n
// in the leg where that lies.
func (p plan) when(n float64) (time.Duration, bool) {
	const slack = 1e-9 // of a request, for the rounding of the sums
	for _, l := range p {
		length := (l.end - l.start).Seconds()
		left := n - l.before
		if left > (l.from+l.to)/2*length+slack {
			continue
		}
		slope := (l.to - l.from) / length
		// l.from*t + slope/2*t² = left, in the form that is stable for small slopes
		root := math.Sqrt(max(0, l.from*l.from+2*slope*left))
		if l.from+root == 0 {
			continue
		}
		return l.start + time.Duration(2*left/(l.from+root)*float64(time.Second)), true
	}
	return 0, false
}
