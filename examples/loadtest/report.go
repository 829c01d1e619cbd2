package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// report is what came of a run.
type report struct {
	Scenario string         `json:"scenario"`
	Target   string         `json:"target"`
	Planned  float64        `json:"planned_seconds"`
	Seconds  float64        `json:"seconds"` // from the start to the last answer
	Requests uint64         `json:"requests"`
	Rate     float64        `json:"requests_per_second"`
	Goodput  float64        `json:"answers_per_second"`    // 2xx
	Answered latencies      `json:"answered_milliseconds"` // of 2xx
	All      latencies      `json:"all_milliseconds"`
	Classes  map[string]int `json:"classes"`
	Statuses map[int]int    `json:"statuses"`
	Errors   float64        `json:"error_rate"`   // all but 2xx and 429
	Limited  float64        `json:"limited_rate"` // 429
	BytesIn  uint64         `json:"bytes_in"`
	Missed   []string       `json:"missed_thresholds"`

	answered, all vegeta.LatencyMetrics
	started, last time.Time
}

// latencies are in milliseconds.
type latencies struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Classes of results. A 429 is the server doing its job, a 5xx is not.
const (
	classOK        = "ok"
	classLimited   = "limited_429"
	classClient    = "client_4xx"
	classServer    = "server_5xx"
	classTransport = "transport" // no answer, or one that broke off
	classOther     = "other"
)

func newReport(scenario, target string, planned time.Duration) *report {
	return &report{
		Scenario: scenario, Target: target, Planned: planned.Seconds(), started: time.Now(),
		Classes: map[string]int{}, Statuses: map[int]int{}, Missed: []string{},
	}
}

func classOf(res *vegeta.Result) string {
	streamFailed := bytes.HasPrefix(res.Body, []byte("event: error")) || bytes.Contains(res.Body, []byte("\nevent: error"))
	switch {
	case res.Code == 0, res.Code < 400 && res.Error != "":
		return classTransport
	case res.Code >= 200 && res.Code < 300 && streamFailed:
		return classServer // a stream that begins well can fail later
	case res.Code >= 200 && res.Code < 300:
		return classOK
	case res.Code == 429:
		return classLimited
	case res.Code >= 400 && res.Code < 500:
		return classClient
	case res.Code >= 500:
		return classServer
	default:
		return classOther
	}
}

func (r *report) add(res *vegeta.Result) {
	class := classOf(res)
	r.Requests++
	r.Classes[class]++
	r.Statuses[int(res.Code)]++
	r.BytesIn += res.BytesIn
	r.all.Add(res.Latency)
	r.All.Count++
	if class == classOK {
		r.answered.Add(res.Latency)
		r.Answered.Count++
	}
	if res.End().After(r.last) {
		r.last = res.End()
	}
}

// close computes what can be said only at the end.
func (r *report) close() {
	r.Answered.fill(&r.answered)
	r.All.fill(&r.all)
	if r.Requests == 0 {
		return
	}
	r.Seconds = r.last.Sub(r.started).Seconds()
	if r.Seconds > 0 {
		r.Rate = float64(r.Requests) / r.Seconds
		r.Goodput = float64(r.Answered.Count) / r.Seconds
	}
	limited := r.Classes[classLimited]
	r.Limited = float64(limited) / float64(r.Requests)
	r.Errors = float64(int(r.Requests)-limited-r.Classes[classOK]) / float64(r.Requests) // #nosec G115 -- counts fit
}

func (l *latencies) fill(m *vegeta.LatencyMetrics) {
	if l.Count == 0 {
		return
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	l.P50, l.P90, l.P95, l.P99 = ms(m.Quantile(0.5)), ms(m.Quantile(0.9)), ms(m.Quantile(0.95)), ms(m.Quantile(0.99))
	l.Max = ms(m.Max)
}

// progress is one line about a run that goes on.
func (r *report) progress(p plan) string {
	elapsed := time.Since(r.started)
	p95 := time.Duration(0)
	if r.Answered.Count > 0 {
		p95 = r.answered.Quantile(0.95)
	}
	return fmt.Sprintf("%3.0fs of %.0fs  %.1f/s planned  %d done  p95 %v  %s",
		elapsed.Seconds(), r.Planned, p.Rate(min(elapsed, p.length())), r.Requests, p95.Round(100*time.Microsecond), r.classes())
}

func (r *report) classes() string {
	var words []string
	for _, class := range slices.Sorted(maps.Keys(r.Classes)) {
		words = append(words, fmt.Sprintf("%s %d", class, r.Classes[class]))
	}
	return strings.Join(words, ", ")
}

func (r *report) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s\n\n", r.Scenario, r.Target)
	fmt.Fprintf(&b, "%-12s %d in %.1f s: %.1f/s, %.1f answers/s\n", "requests", r.Requests, r.Seconds, r.Rate, r.Goodput)
	for _, row := range []struct {
		name string
		l    latencies
	}{{"answered", r.Answered}, {"all", r.All}} {
		fmt.Fprintf(&b, "%-12s p50 %.1f  p90 %.1f  p95 %.1f  p99 %.1f  max %.1f ms  (%d)\n",
			row.name, row.l.P50, row.l.P90, row.l.P95, row.l.P99, row.l.Max, row.l.Count)
	}
	fmt.Fprintf(&b, "%-12s %s\n%-12s %.2f%% errors, %.2f%% limited\n", "classes", cmp.Or(r.classes(), "none"), "rates", 100*r.Errors, 100*r.Limited)
	for _, missed := range r.Missed {
		fmt.Fprintf(&b, "MISSED       %s\n", missed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

//go:embed report.html
var pageSource string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": func(share float64) string { return fmt.Sprintf("%.2f%%", 100*share) },
}).Parse(pageSource))

func (r *report) saveHTML(name string) error {
	var b bytes.Buffer
	if err := page.Execute(&b, r); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o600)
}

// thresholds are what a run must keep to.
type thresholds struct {
	p95, p99               time.Duration
	errorRate, limitedRate float64
}

// missed says which thresholds r missed. A run without requests misses all.
func (t thresholds) missed(r *report) []string {
	missed := []string{}
	if r.Requests == 0 {
		return append(missed, "no request was sent")
	}
	over := func(what string, got, most float64, unit string) {
		if got > most {
			missed = append(missed, fmt.Sprintf("%s is %.4g%s, want at most %.4g%s", what, got, unit, most, unit))
		}
	}
	for _, p := range []struct {
		name string
		got  float64
		most time.Duration
	}{{"p95", r.Answered.P95, t.p95}, {"p99", r.Answered.P99, t.p99}} {
		switch {
		case p.most == 0:
		case r.Answered.Count == 0:
			missed = append(missed, p.name+" is unknown: nothing was answered")
		default:
			over(p.name, p.got, float64(p.most.Microseconds())/1000, " ms")
		}
	}
	over("error rate", 100*r.Errors, 100*t.errorRate, "%")
	over("rate of 429", 100*r.Limited, 100*t.limitedRate, "%")
	return missed
}
