package metrics

import (
	"net/http"

	"github.com/sparkhttp/spark/internal/traceparent"
)

// traceID returns the trace id of a sampled request, or "": a trace that nobody
// records would be an exemplar that leads nowhere.
func traceID(h http.Header) string {
	trace, _, sampled := traceparent.Parse(h)
	if !sampled {
		return ""
	}
	return trace
}
