package metrics

import (
	"net/http"

	"github.com/sparkhttp/spark/internal/traceparent"
)

// traceID returns the trace id of a sampled request, or "": a trace that nobody
// records would be an exemplar that leads nowhere.
func traceID(h http.Header) string { return sampled(traceparent.Of(h)) }

// traceOf is traceID for the value of a traceparent header.
func traceOf(traceParent string) string { return sampled(traceparent.Parse(traceParent)) }

func sampled(trace, _ string, sampled bool) string {
	if !sampled {
		return ""
	}
	return trace
}
