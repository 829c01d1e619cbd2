package health

import (
	"encoding/json"
	"net/http"
)

// ContentType is the media type of the reports.
const ContentType = "application/health+json"

// Live answers that the process is alive. It asks nothing else.
func (h *Health) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, Report{Status: Pass})
	})
}

// Ready answers whether the replica should be sent requests: 200 if all checks
// pass or warn, else 503.
func (h *Health) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report := h.Report(r.Context())
		if h.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		write(w, Report{Status: report.Status})
	})
}

// Startup answers 503 until the checks have not failed once, and 200 from then
// on, whatever becomes of them.
func (h *Health) Startup() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.starting.Load() {
			h.Report(r.Context())
		}
		status := Pass
		if h.starting.Load() {
			status = Fail
		}
		write(w, Report{Status: status})
	})
}

// Details answers with the whole report for those who are authorised, and like
// [Health.Ready] for others.
func (h *Health) Details() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report := h.Report(r.Context())
		if h.cfg.Authorized == nil || !h.cfg.Authorized(r) {
			report = Report{Status: report.Status}
		}
		write(w, report)
	})
}

// write sends a report with the status code that the draft asks for, section 3.1.
func write(w http.ResponseWriter, r Report) {
	body, err := json.Marshal(r)
	if err != nil { // a check measured something that JSON has no form for
		body = []byte(`{"status":"` + string(r.Status) + `","output":"a check's value can't be encoded"}`)
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Status == Fail {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n')) // a probe that has left needs no answer
}
