package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

const (
	durationCount = `http_server_request_duration_seconds_count{error_type="",http_request_method="POST",` +
		`http_response_status_code="200",http_route="/x"}`
	activePosts = `http_server_active_requests{http_request_method="POST"}`
)

// What is measured shows at once, whether or not it fills a batch, and once only.
func TestEveryRequestShows(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	for i := 1; i <= 100; i++ {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("12345"))
		r.Pattern = "POST /x"
		h.ServeHTTP(httptest.NewRecorder(), r)
		v := values(t, m)
		require.InDelta(t, i, v[durationCount], 0)
		for _, name := range []string{"http_server_request_body_size_bytes", "http_server_response_body_size_bytes"} {
			labels := durationCount[strings.IndexByte(durationCount, '{'):]
			require.InDelta(t, i, v[name+"_count"+labels], 0)
			require.InDelta(t, 5*i, v[name+"_sum"+labels], 0)
		}
		require.Zero(t, v[activePosts])
	}
}

func TestActiveRequestsUnderLoad(t *testing.T) {
	const inFlight, workers, each = 50, 4, 500
	m := newMetrics(t, metrics.Config{})
	release := make(chan struct{})
	var entered, blocked, busy sync.WaitGroup
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/blocked" {
			entered.Done()
			<-release
		}
	}))
	serve := func(path string) {
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Pattern = "POST /x"
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	entered.Add(inFlight)
	for range inFlight {
		blocked.Go(func() { serve("/blocked") })
	}
	entered.Wait()
	for range workers {
		busy.Go(func() {
			for range each {
				serve("/quick")
			}
		})
	}
	var last float64
	for range 50 {
		v := values(t, m)
		require.GreaterOrEqual(t, v[activePosts], float64(inFlight), "those that are blocked are always among them")
		require.GreaterOrEqual(t, v[durationCount], last)
		last = v[durationCount]
	}
	busy.Wait()
	v := values(t, m)
	require.InDelta(t, inFlight, v[activePosts], 0)
	require.InDelta(t, workers*each, v[durationCount], 0)
	close(release)
	blocked.Wait()
	v = values(t, m)
	require.Zero(t, v[activePosts])
	require.InDelta(t, workers*each+inFlight, v[durationCount], 0)
}
