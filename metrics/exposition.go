package metrics

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/sparkhttp/spark/problem"
)

// errNothing is all that a client is told of metrics that can't be gathered.
var errNothing = errors.New("no metrics could be gathered")

// maxScrapes is how many requests [Metrics.Endpoint] serves at once.
const maxScrapes = 10

// Endpoint shows the metrics, in the format that the Accept header asks for:
// the Prometheus text format, which is also what an absent or unknown one gets;
// OpenMetrics, with exemplars; the Prometheus protobuf format, with native
// histograms; or, for application/json, a summary for people: the requests of
// each route and method and the calls of each provider, with count, error rate,
// and percentiles computed from native histograms. It states how far those may be
// off (2.2 percent, from 61 µs to four and a half hours), and that it is of this
// process alone: for several, Prometheus puts the histograms together.
//
// If some metrics can't be gathered, the others are shown, the error is logged
// and counted in spark_metrics_gather_errors_total. Who may read all of this is
// for the caller to decide.
func (m *Metrics) Endpoint() http.Handler {
	exposition := promhttp.HandlerFor(prometheus.GathererFunc(m.gatherWhatWorks), promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			problem.Write(w, r, &problem.Document{Status: http.StatusMethodNotAllowed})
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if wantsJSON(r.Header.Values("Accept")) {
			w.Header().Set("Vary", "Accept")
			m.summarize().write(w, r)
			return
		}
		exposition.ServeHTTP(w, r)
	})
}

// gatherWhatWorks gathers; one collector that fails must not hide the others,
// and what it says must not reach the client.
func (m *Metrics) gatherWhatWorks() ([]*dto.MetricFamily, error) {
	families, err := m.gather.Gather()
	if err == nil {
		return families, nil
	}
	m.broken.Inc()
	m.log.Error("metrics could not all be gathered", "error", err)
	if len(families) == 0 {
		return nil, errNothing
	}
	return families, nil
}

// wantsJSON reports whether accept (RFC 9110, section 12.5.1) names JSON, and no
// format of Prometheus with a higher weight, or before it with the same. A mere
// wildcard is not asking for JSON.
func wantsJSON(accept []string) bool {
	var best float64
	json := false
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, _ := strings.Cut(part, ";")
		isJSON := false
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "application/json":
			isJSON = true
		case "text/plain", "application/openmetrics-text", "application/vnd.google.protobuf":
		default:
			continue
		}
		if q := weight(params); q > best {
			best, json = q, isJSON
		}
	}
	return json
}

// weight returns the q of the parameters of a media range, 1 if there is none,
// 0 if it is none that RFC 9110, section 12.4.2, allows.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || q < 0 || q > 1 {
				return 0
			}
			return q
		}
	}
	return 1
}
