package metrics

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sparkhttp/spark/problem"
)

// summary is what [Metrics.Endpoint] shows people: what this process, and no
// other, has measured since it started. Percentiles of several processes can't
// be put together from it: for that, Prometheus has the histograms.
type summary struct {
	// Scope says the above.
	Scope string `json:"scope"`
	// Since is when measuring began, UptimeSeconds how long ago that is.
	Since         time.Time `json:"since"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	// PercentileError says how far percentiles may be off.
	PercentileError percentileError `json:"percentile_error"`
	// ActiveRequests and OpenStreams are of this moment.
	ActiveRequests int64 `json:"active_requests"`
	OpenStreams    int64 `json:"open_streams"`
	// Routes are the requests by route and method; Providers the calls of AI
	// providers. Both begin with the busiest.
	Routes    []routeSummary    `json:"routes"`
	Providers []providerSummary `json:"providers"`
}

// percentileError is the largest error of a percentile that lies in a range.
type percentileError struct {
	Relative    float64 `json:"relative"`
	FromSeconds float64 `json:"from_seconds"`
	ToSeconds   float64 `json:"to_seconds"`
}

// latency is how many durations there were, and their percentiles in seconds,
// computed from native histograms.
type latency struct {
	Count uint64 `json:"count"`
	// Errors are those that failed, by the service or its provider. ErrorRate is
	// their share of Count. Clients that went away are no errors.
	Errors     uint64  `json:"errors"`
	ErrorRate  float64 `json:"error_rate"`
	ClientGone uint64  `json:"client_gone"`
	P50        float64 `json:"p50_seconds"`
	P95        float64 `json:"p95_seconds"`
	P99        float64 `json:"p99_seconds"`
}

// routeSummary is about the requests of one route and method.
type routeSummary struct {
	Method string `json:"method"`
	Route  string `json:"route"`
	latency
}

// providerSummary is about the calls of one AI provider.
type providerSummary struct {
	Provider string `json:"provider"`
	latency
	InputTokens   uint64  `json:"input_tokens"`
	OutputTokens  uint64  `json:"output_tokens"`
	CostUSD       float64 `json:"cost_usd"`
	UnpricedCalls uint64  `json:"unpriced_calls"`
}

// summarize returns what was measured until now.
func (m *Metrics) summarize() summary {
	s := summary{
		Scope:         "this process only, since it started",
		Since:         m.started.UTC(),
		UptimeSeconds: time.Since(m.started).Seconds(),
		PercentileError: percentileError{
			Relative:    math.Ceil(m.seconds.quantileError()*1000) / 1000,
			FromSeconds: m.seconds.zero,
			ToSeconds:   m.seconds.top(),
		},
		OpenStreams: m.http.streams.Load(),
		Routes:      m.http.summarize(),
		Providers:   m.genai.summarize(),
	}
	for _, n := range m.http.active() {
		s.ActiveRequests += n
	}
	return s
}

func (s summary) write(w http.ResponseWriter, r *http.Request) {
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: there is nobody left to tell
	}
}

// tally adds up histograms whose latency is asked for together.
type tally struct {
	latency
	counts []uint64
}

func (t *tally) add(h *histogram, failed, gone bool) {
	before := t.Count
	counts, _ := h.snapshot()
	if t.counts == nil {
		t.counts = make([]uint64, len(counts))
	}
	for i, n := range counts {
		t.counts[i] += n
		t.Count += n
	}
	switch {
	case gone:
		t.ClientGone += t.Count - before
	case failed:
		t.Errors += t.Count - before
	}
}

func (t *tally) percentiles(l *layout) latency {
	out := t.latency
	if out.Count > 0 {
		out.ErrorRate = float64(out.Errors) / float64(out.Count)
	}
	out.P50, _ = l.quantile(.50, t.counts)
	out.P95, _ = l.quantile(.95, t.counts)
	out.P99, _ = l.quantile(.99, t.counts)
	return out
}

// busiest orders by count, then by name.
func busiest(count, other uint64, name, otherName string) int {
	return cmp.Or(cmp.Compare(other, count), cmp.Compare(name, otherName))
}

func (q *requests) summarize() []routeSummary {
	out := []routeSummary{}
	for _, rt := range q.all() {
		var methods [len(known)]tally
		for _, s := range *rt.sets.Load() {
			methods[s.method].add(s.duration, s.why != none, s.why == clientGone)
		}
		for i := range methods {
			if methods[i].Count > 0 {
				out = append(out, routeSummary{Method: known[i], Route: rt.label, latency: methods[i].percentiles(q.seconds)})
			}
		}
	}
	slices.SortFunc(out, func(a, b routeSummary) int {
		return busiest(a.Count, b.Count, a.Route+" "+a.Method, b.Route+" "+b.Method)
	})
	return out
}

func (g *generations) summarize() []providerSummary {
	tallies := make(map[string]*tally)
	sums := make(map[string]*providerSummary)
	of := func(name string) *providerSummary {
		if sums[name] == nil {
			sums[name], tallies[name] = &providerSummary{Provider: name}, new(tally)
		}
		return sums[name]
	}
	for name := range g.providers {
		of(name)
	}
	g.duration.table.each(func(v []string, h *histogram) {
		of(v[1])
		tallies[v[1]].add(h, v[4] != "", v[4] == "client_gone")
	})
	g.tokens.table.each(func(v []string, h *histogram) {
		if p := of(v[1]); v[4] == "input" {
			p.InputTokens += uint64(h.total())
		} else {
			p.OutputTokens += uint64(h.total())
		}
	})
	g.cost.table.each(func(v []string, c prometheus.Counter) { of(v[0]).CostUSD += value(c) })
	g.unpriced.table.each(func(v []string, c prometheus.Counter) { of(v[0]).UnpricedCalls += uint64(value(c)) })

	out := []providerSummary{}
	for name, p := range sums {
		if p.latency = tallies[name].percentiles(g.seconds); p.Count > 0 || name != other {
			out = append(out, *p)
		}
	}
	slices.SortFunc(out, func(a, b providerSummary) int {
		return busiest(a.Count, b.Count, a.Provider, b.Provider)
	})
	return out
}

// value returns what c has counted.
func value(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0
	}
	return m.GetCounter().GetValue()
}
