package metrics

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sparkhttp/spark/internal/response"
)

// statusClientGone is the status that a request is counted under whose client
// went away before its response was complete. It is never sent.
const statusClientGone = 499

// unmatched is the route of requests that no pattern matched.
const unmatched = "unmatched"

// maxClaimed is the longest request body whose Content-Length is believed. A
// client can claim any length and send nothing: beyond this, what is read is
// counted instead.
const maxClaimed = 1 << 20

// failure is the error_type of a request, in a byte.
type failure uint8

const (
	none failure = iota
	byStatus
	panicked
	truncated
	clientGone
	shutDown
	streamError
)

// label returns the value of error_type.
func (f failure) label(status int) string {
	return [...]string{
		none: "", byStatus: strconv.Itoa(status), panicked: "panic", truncated: "truncated",
		clientGone: "client_gone", shutDown: "shutdown", streamError: "stream_error",
	}[f]
}

// Handler measures the requests that next serves. It belongs around everything
// else, so that what is refused is counted too. The metrics, by
// http_request_method, http_route, http_response_status_code and error_type:
//
//   - http_server_request_duration_seconds
//   - http_server_time_to_first_byte_seconds, of responses that are streams of
//     server-sent events: that of others says no more than their duration
//   - http_server_request_body_size_bytes and http_server_response_body_size_bytes,
//     but for those that no route matched and that were refused: what strangers
//     probe with says nothing of the service
//
// and beside them the gauges http_server_active_requests, by method, and
// http_server_open_streams, of responses that are server-sent events.
//
// error_type is "" for a response that was sent as a whole and is no 5xx; the
// status for a 5xx; "panic", always with status 500; "truncated"; "client_gone",
// always with status 499, which is never sent; "shutdown"; or "stream_error" for a stream that
// ended with an error event. A response that ended before it began counts as a
// 500, or a 503 if the server was shut down. What net/http sends when the
// handler has returned, the last 4 KiB at most, is taken for sent.
//
// A series comes into being with its first request, which rate() doesn't see;
// examples/generate/monitoring has a rule that does.
//
// Of what the conventions require, url_scheme is missing: behind a proxy it
// would say nothing of the client.
//
// The exemplars of a duration are the ids of sampled traces that requests came
// with (W3C traceparent).
func (m *Metrics) Handler(next http.Handler) http.Handler {
	q := m.http
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &q.lanes.at(w).watchers[methodIndex(r.Method)]
		e.lane.began[e.method].Add(1)
		if (r.ContentLength < 0 || r.ContentLength > maxClaimed) && r.Body != nil {
			c := &countingWatcher{watcher: e, body: r.Body}
			r.Body = c
			response.Serve(w, r, next, c)
			return
		}
		response.Serve(w, r, next, e)
	})
}

// watcher measures the requests of one method in a lane. There is one for each,
// made in advance, so that a request costs no allocation here.
type watcher struct {
	q      *requests
	lane   *lane
	method int
}

// StreamBegan implements [response.StreamWatcher].
func (e *watcher) StreamBegan(*response.Writer) { e.q.streams.Add(1) }

// ResponseEnded implements [response.Watcher].
func (e *watcher) ResponseEnded(w *response.Writer, end response.End) {
	e.ended(w, end, max(0, w.Request().ContentLength))
}

func (e *watcher) ended(w *response.Writer, end response.End, size int64) {
	took := w.Elapsed()
	r := w.Request()
	status, why := verdict(w, end)
	s := e.q.series(e.q.route(r), seriesID{e.method, status, why})
	if trace := traceID(r.Header); trace != "" {
		s.duration.exemplify(took.Seconds(), trace)
	}
	if w.Streaming() {
		e.q.streams.Add(-1)
		first, _ := w.FirstByte()
		e.q.firstByte(s).observe(first.Seconds())
	}
	e.lane.add(e.method, observation{s, took, size, w.Bytes()}, &e.q.counting)
}

// countingWatcher is for a request whose size is known only by reading it.
type countingWatcher struct {
	*watcher
	body io.ReadCloser
	n    atomic.Int64 // a transport may still read when the handler is through
}

func (c *countingWatcher) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *countingWatcher) Close() error { return c.body.Close() }

// ResponseEnded implements [response.Watcher].
func (c *countingWatcher) ResponseEnded(w *response.Writer, end response.End) {
	c.ended(w, end, c.n.Load())
}

// verdict returns what a response is counted under.
func verdict(w *response.Writer, end response.End) (status int, why failure) {
	status = w.Status()
	begun := w.Started()
	switch end.Kind {
	case response.ClientGone:
		return statusClientGone, clientGone
	case response.Shutdown:
		if !begun {
			status = http.StatusServiceUnavailable
		}
		return status, shutDown
	case response.Truncated:
		if !begun {
			status = http.StatusInternalServerError
		}
		return status, truncated
	case response.Failed:
		if _, ok := errors.AsType[*response.PanicError](end.Err); ok {
			return http.StatusInternalServerError, panicked
		}
		if status < http.StatusInternalServerError {
			return status, streamError
		}
		return status, byStatus
	default:
		if w.Hijacked() {
			status = http.StatusSwitchingProtocols
		}
		return status, none
	}
}

// requests collects the HTTP metrics.
type requests struct {
	routeOf  func(*http.Request) string
	log      *slog.Logger
	limit    int
	dropped  prometheus.Counter
	seconds  *layout
	bytes    *layout
	streams  atomic.Int64
	lanes    lanes
	counting sync.Mutex // guards all histograms

	// routes are found by what they were asked for: the pattern, method and
	// all. The map is replaced, never changed: it is read without the lock.
	routes atomic.Pointer[map[string]*route]
	mu     sync.Mutex
	labels map[string]*route // by label: "GET /x" and "POST /x" are one route
	n      int               // series, without those of late
	late   *route            // for what there is no room for

	activeDesc, streamsDesc                                    *prometheus.Desc
	durationDesc, firstByteDesc, requestSizeDesc, responseDesc *prometheus.Desc
}

// route has the series of one route.
type route struct {
	label string
	// sets are few: a look at each is faster than a map. Replaced, never changed.
	sets atomic.Pointer[[]*series]
}

// seriesID is what tells the series of a route apart.
type seriesID struct {
	method int
	status int
	why    failure
}

// series is what is measured for one combination of labels.
type series struct {
	seriesID
	duration                  *histogram
	requestSize, responseSize *histogram // nil for a 4xx without a route

	firstByte atomic.Pointer[histogram] // nil as long as there was no stream
}

// lateSeries is how many series are kept for requests that came after the cap
// was reached: one for each class of status.
const lateSeries = 5

func newRequests(m *Metrics) (*requests, error) {
	// Powers of four up to 4 GiB: request bodies are kilobytes, exports may be large.
	var sizes []float64
	for b := 64.0; b <= 1<<32; b *= 4 {
		sizes = append(sizes, b)
	}
	bytes, err := newLayout(0, 0, 40, sizes)
	if err != nil {
		return nil, err
	}
	by := []string{"http_request_method", "http_route", "http_response_status_code", "error_type"}
	desc := func(name, help string, by ...string) *prometheus.Desc { return prometheus.NewDesc(name, help, by, nil) }
	q := &requests{
		routeOf: m.cfg.Route,
		log:     m.log,
		limit:   m.cfg.MaxSeries - lateSeries,
		dropped: m.dropped.WithLabelValues("http_server_request_duration_seconds"),
		seconds: m.seconds,
		bytes:   bytes,
		labels:  make(map[string]*route),
		late:    &route{label: other},

		activeDesc:      desc("http_server_active_requests", "Requests being served.", by[0]),
		streamsDesc:     desc("http_server_open_streams", "Responses of server-sent events being sent."),
		durationDesc:    desc("http_server_request_duration_seconds", "Time to serve a request, to the end of its response.", by...),
		firstByteDesc:   desc("http_server_time_to_first_byte_seconds", "Time until the header of a stream of server-sent events was sent.", by...),
		requestSizeDesc: desc("http_server_request_body_size_bytes", "Size of the body of a request.", by...),
		responseDesc:    desc("http_server_response_body_size_bytes", "Size of the body of a response.", by...),
	}
	q.lanes = newLanes(q)
	q.late.sets.Store(new([]*series))
	q.labels[other] = q.late // a pattern unfit for a label has the same one
	q.routes.Store(&map[string]*route{})
	return q, nil
}

// route returns the route of r, not yet cleaned.
func (q *requests) route(r *http.Request) string {
	if q.routeOf != nil {
		if route := q.ask(r); route != "" {
			return route
		}
	}
	return r.Pattern
}

// ask calls the program's function. One that panics, as for a request that its
// router never saw, must cost neither the response nor the count.
func (q *requests) ask(r *http.Request) (route string) {
	defer func() {
		if v := recover(); v != nil {
			q.log.ErrorContext(r.Context(), "metrics: Route panicked", "panic", v)
		}
	}()
	return q.routeOf(r)
}

// routeLabel returns the label of a pattern: without its method, which has a
// label of its own.
func routeLabel(pattern string) string {
	if _, rest, ok := strings.Cut(pattern, " "); ok {
		pattern = strings.TrimLeft(rest, " \t")
	}
	if pattern == "" {
		return unmatched
	}
	return clean(pattern)
}

// series returns where a request is counted.
func (q *requests) series(pattern string, id seriesID) *series {
	if rt := (*q.routes.Load())[pattern]; rt != nil {
		if s := rt.find(id); s != nil {
			return s
		}
	}
	return q.add(pattern, id)
}

func (rt *route) find(id seriesID) *series {
	for _, s := range *rt.sets.Load() {
		if s.seriesID == id {
			return s
		}
	}
	return nil
}

// add returns the series of a route that is not known by this pattern, or that
// has not seen id yet.
func (q *requests) add(pattern string, id seriesID) *series {
	q.mu.Lock()
	defer q.mu.Unlock()
	label := routeLabel(pattern)
	rt := q.labels[label]
	var found *series
	if rt != nil {
		found = rt.find(id)
	}
	if found == nil && q.n >= q.limit {
		return q.addLateLocked(id)
	}
	if rt == nil {
		label = strings.Clone(label) // it may be part of a much larger string
		rt = &route{label: label}
		rt.sets.Store(new([]*series))
		q.labels[label] = rt
	}
	if routes := *q.routes.Load(); routes[pattern] == nil && len(routes) < q.limit {
		routes = maps.Clone(routes)
		routes[strings.Clone(pattern)] = rt
		q.routes.Store(&routes)
	}
	if found != nil {
		return found
	}
	q.n++
	return q.newSeriesLocked(rt, id)
}

// addLateLocked counts what there is no room for: by the class of its status, so
// that the rate of errors stays right.
func (q *requests) addLateLocked(id seriesID) *series {
	q.dropped.Inc()
	failed := id.why != none && id.why != clientGone
	id = seriesID{method: len(known) - 1, status: min(max(id.status/100, 1), lateSeries) * 100}
	if failed {
		id.status, id.why = http.StatusInternalServerError, byStatus
	}
	if s := q.late.find(id); s != nil {
		return s
	}
	return q.newSeriesLocked(q.late, id)
}

func (q *requests) newSeriesLocked(rt *route, id seriesID) *series {
	values := []string{known[id.method], rt.label, strconv.Itoa(id.status), id.why.label(id.status)}
	s := &series{seriesID: id, duration: newHistogram(q.seconds, q.durationDesc, values, &q.counting)}
	if rt.label != unmatched || id.status/100 != 4 {
		s.requestSize = newHistogram(q.bytes, q.requestSizeDesc, values, &q.counting)
		s.responseSize = newHistogram(q.bytes, q.responseDesc, values, &q.counting)
	}
	sets := append([]*series{s}, *rt.sets.Load()...)
	rt.sets.Store(&sets)
	return s
}

// firstByte returns the histogram of streams, which not all series have.
func (q *requests) firstByte(s *series) *histogram {
	if h := s.firstByte.Load(); h != nil {
		return h
	}
	s.firstByte.CompareAndSwap(nil, newHistogram(q.seconds, q.firstByteDesc, s.duration.values, &q.counting))
	return s.firstByte.Load()
}

// active returns how many requests of each method are being served.
func (q *requests) active() [len(known)]int64 { return q.lanes.settle(&q.counting) }

// all returns the routes there are, with all that was measured so far counted.
func (q *requests) all() []*route {
	q.lanes.settle(&q.counting)
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Values(q.labels))
}

// Describe implements [prometheus.Collector].
func (q *requests) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		q.activeDesc, q.streamsDesc, q.durationDesc, q.firstByteDesc, q.requestSizeDesc, q.responseDesc,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (q *requests) Collect(ch chan<- prometheus.Metric) {
	for method, n := range q.active() {
		ch <- prometheus.MustNewConstMetric(q.activeDesc, prometheus.GaugeValue, float64(n), known[method])
	}
	ch <- prometheus.MustNewConstMetric(q.streamsDesc, prometheus.GaugeValue, float64(q.streams.Load()))
	for _, rt := range q.all() {
		for _, s := range *rt.sets.Load() {
			s.duration.send(ch)
			if s.requestSize != nil {
				s.requestSize.send(ch)
				s.responseSize.send(ch)
			}
			if h := s.firstByte.Load(); h != nil {
				h.send(ch)
			}
		}
	}
}
