package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/health"
)

func newHealth(t testing.TB, cfg health.Config) *health.Health {
	t.Helper()
	h, err := health.New(cfg)
	require.NoError(t, err)
	return h
}

func result(name string, r health.Result) health.Check {
	return health.Check{Name: name, Run: func(context.Context) health.Result { return r }}
}

func probe(h http.Handler, change ...func(*http.Request)) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	for _, f := range change {
		f(r)
	}
	h.ServeHTTP(w, r)
	return w
}

func TestNewRefuses(t *testing.T) {
	run := func(context.Context) health.Result { return health.Result{} }
	tests := []struct {
		name string
		cfg  health.Config
		err  string
	}{
		{"timeout", health.Config{Timeout: -1}, "Timeout is -1ns"},
		{"no name", health.Config{Checks: []health.Check{{Run: run}}}, "has no Name"},
		{"no run", health.Config{Checks: []health.Check{{Name: "a"}}}, "Check a has no Run"},
		{"name of the report's own", health.Config{Checks: []health.Check{{Name: "uptime", Run: run}}}, "named uptime"},
		{"twice", health.Config{Checks: []health.Check{{Name: "a", Run: run}, {Name: "a", Run: run}}}, "two Checks are named a"},
		{"check's timeout", health.Config{Checks: []health.Check{{Name: "a", Run: run, Timeout: -1}}}, "Timeout of Check a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := health.New(tt.cfg)
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func TestStatus(t *testing.T) {
	pass, warn, fail := health.Result{Status: health.Pass}, health.Result{Status: health.Warn, Output: "slow"}, health.Result{Status: health.Fail, Output: "dial tcp 10.0.0.7: refused"}
	lenient := result("lenient", fail)
	lenient.WarnOnly = true
	tests := []struct {
		name   string
		checks []health.Check
		want   health.Status
		code   int
	}{
		{"no checks", nil, health.Pass, 200},
		{"all pass", []health.Check{result("a", pass), result("b", pass)}, health.Pass, 200},
		{"one warns", []health.Check{result("a", warn), result("b", pass)}, health.Warn, 200},
		{"one fails", []health.Check{result("a", fail), result("b", warn)}, health.Fail, 503},
		{"one fails that may", []health.Check{lenient, result("b", pass)}, health.Warn, 200},
		{"zero result", []health.Check{result("a", health.Result{})}, health.Fail, 503},
		{"panic", []health.Check{{Name: "a", Run: func(context.Context) health.Result { panic("boom") }}}, health.Fail, 503},
		{"value without JSON", []health.Check{result("a", health.Result{Status: health.Pass, Value: math.NaN()})}, health.Pass, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHealth(t, health.Config{Checks: tt.checks, Authorized: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }})
			for name, handler := range map[string]http.Handler{"ready": h.Ready(), "details": h.Details()} {
				w := probe(handler)
				require.Equal(t, tt.code, w.Code, name)
				require.Equal(t, health.ContentType, w.Header().Get("Content-Type"))
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				require.JSONEq(t, `{"status":"`+string(tt.want)+`"}`, w.Body.String(), "a stranger sees the status alone")
			}
			var report health.Report
			w := probe(h.Details(), func(r *http.Request) { r.Header.Set("Authorization", "x") })
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &report))
			require.Equal(t, tt.want, report.Status)
			require.Equal(t, 200, probe(h.Live()).Code, "liveness depends on nothing")
		})
	}
}

func TestOutputIsLeftOutOfWhatPasses(t *testing.T) {
	h := newHealth(t, health.Config{Checks: []health.Check{result("a", health.Result{Status: health.Pass, Output: "fine"})}})
	require.Empty(t, h.Report(t.Context()).Checks["a"][0].Output)
}

func TestDrain(t *testing.T) {
	h := newHealth(t, health.Config{})
	require.Equal(t, 200, probe(h.Ready()).Code)
	h.Drain()
	w := probe(h.Ready())
	require.Equal(t, 503, w.Code)
	require.Equal(t, "close", w.Header().Get("Connection"))
	require.Equal(t, 200, probe(h.Live()).Code, "what drains is alive")
	require.Equal(t, "draining before shutdown", h.Report(t.Context()).Output)
}

func TestStartup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ready atomic.Bool
		var runs atomic.Int64
		h := newHealth(t, health.Config{Checks: []health.Check{health.Func("store", func(context.Context) error {
			runs.Add(1)
			if !ready.Load() {
				return errors.New("not yet")
			}
			return nil
		})}})
		require.Equal(t, 503, probe(h.Startup()).Code)
		ready.Store(true)
		time.Sleep(2 * time.Second)
		require.Equal(t, 200, probe(h.Startup()).Code)
		ready.Store(false)
		time.Sleep(2 * time.Second)
		require.Equal(t, 503, probe(h.Ready()).Code)
		before := runs.Load()
		time.Sleep(2 * time.Second)
		require.Equal(t, 200, probe(h.Startup()).Code, "it has started, whatever comes")
		require.Equal(t, before, runs.Load(), "and nothing is asked any more")
	})
}

// However many probes come, a check runs once in CacheFor, and never twice at once.
func TestSingleFlightAndCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, atOnce, most atomic.Int64
		h := newHealth(t, health.Config{CacheFor: 5 * time.Second, Checks: []health.Check{{Name: "a", Run: func(context.Context) health.Result {
			runs.Add(1)
			most.Store(max(most.Load(), atOnce.Add(1)))
			defer atOnce.Add(-1)
			time.Sleep(time.Second)
			return health.Result{Status: health.Pass}
		}}}})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if h.Report(t.Context()).Status != health.Pass {
					t.Error("want pass")
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(1), runs.Load())
		require.Equal(t, int64(1), most.Load())
		time.Sleep(4 * time.Second)
		h.Report(t.Context())
		require.Equal(t, int64(1), runs.Load(), "still fresh")
		time.Sleep(2 * time.Second)
		h.Report(t.Context())
		require.Equal(t, int64(2), runs.Load())
	})
}

// A check that hangs holds up neither the probes nor the other checks, and no
// second one is started behind it.
func TestHungCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var runs atomic.Int64
		h := newHealth(t, health.Config{Timeout: 2 * time.Second, Checks: []health.Check{
			{Name: "deaf", Run: func(context.Context) health.Result {
				runs.Add(1)
				<-release
				return health.Result{Status: health.Pass}
			}},
			result("well", health.Result{Status: health.Pass}),
		}})
		start := time.Now()
		r := h.Report(t.Context())
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Equal(t, health.Fail, r.Checks["deaf"][0].Status)
		require.Equal(t, "no result within 2s", r.Checks["deaf"][0].Output)
		require.Equal(t, health.Pass, r.Checks["well"][0].Status)
		for range 50 {
			start := time.Now()
			h.Report(t.Context())
			require.Zero(t, time.Since(start), "its time is up already")
		}
		require.Equal(t, int64(1), runs.Load())
		close(release)
		synctest.Wait()
		require.Equal(t, health.Pass, h.Report(t.Context()).Status)
	})
}

// A check has its own time, and is told when that is up.
func TestTimeoutOfCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, health.Config{Timeout: 2 * time.Second, Checks: []health.Check{{Name: "polite", Timeout: 5 * time.Second, Run: func(ctx context.Context) health.Result {
			<-ctx.Done()
			return health.Result{Status: health.Warn}
		}}}})
		start := time.Now()
		h.Report(t.Context())
		require.Equal(t, 5*time.Second, time.Since(start))
		synctest.Wait() // a run that went on would be a goroutine too many at the end
	})
}

// Nobody is kept waiting for a check that hangs after leaving, as net/http is
// that serves the probe.
func TestProbeLeavesHungCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := newHealth(t, health.Config{Checks: []health.Check{{Name: "deaf", Run: func(context.Context) health.Result {
			<-release
			return health.Result{Status: health.Pass}
		}}}})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		start := time.Now()
		require.Equal(t, health.Fail, h.Report(ctx).Status)
		require.Equal(t, time.Second, time.Since(start))
		close(release)
	})
}

func TestBrokenChecks(t *testing.T) {
	h := newHealth(t, health.Config{Checks: []health.Check{
		{Name: "panic", Run: func(context.Context) health.Result { panic("boom") }},
		{Name: "goexit", Run: func(context.Context) health.Result {
			runtime.Goexit()
			return health.Result{Status: health.Pass}
		}},
	}})
	r := h.Report(t.Context())
	require.Equal(t, "the check panicked: boom", r.Checks["panic"][0].Output)
	require.Equal(t, health.Fail, r.Checks["goexit"][0].Status)
}

// The report has the members of the draft by their names.
func TestFormat(t *testing.T) {
	check := result("store:lookups", health.Result{Status: health.Warn, Value: 12, Unit: "ms", Output: "slow"})
	check.Type = "datastore"
	h := newHealth(t, health.Config{
		Checks: []health.Check{check}, Authorized: func(*http.Request) bool { return true },
		ServiceID: "generate", Description: "answers", Version: "1.2.3",
	})
	var report map[string]any
	require.NoError(t, json.Unmarshal(probe(h.Details()).Body.Bytes(), &report))
	checks := report["checks"].(map[string]any)                    //nolint:forcetypeassert,errcheck // a test
	lookups := checks["store:lookups"].([]any)[0].(map[string]any) //nolint:forcetypeassert,errcheck // a test
	_, err := time.Parse(time.RFC3339, lookups["time"].(string))   //nolint:forcetypeassert,errcheck // a test
	require.NoError(t, err)
	delete(lookups, "time")
	require.Equal(t, map[string]any{
		"componentType": "datastore", "observedValue": 12.0, "observedUnit": "ms", "status": "warn", "output": "slow",
	}, lookups)
	require.Contains(t, checks, "uptime")
	delete(report, "checks")
	delete(report, "releaseId") // that of the build, if it has one
	require.Equal(t, map[string]any{"status": "warn", "version": "1.2.3", "serviceId": "generate", "description": "answers"}, report)
}

// HEAD is answered like GET, without the body.
func TestHead(t *testing.T) {
	h := newHealth(t, health.Config{Checks: []health.Check{result("a", health.Result{Status: health.Fail})}})
	mux := http.NewServeMux()
	mux.Handle("GET /livez", h.Live())
	mux.Handle("GET /readyz", h.Ready())
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503} {
		resp, err := srv.Client().Head(srv.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode)
		require.Equal(t, health.ContentType, resp.Header.Get("Content-Type"))
		require.Empty(t, body)
	}
}

// The probe that started a run may leave without ending it for the others.
func TestProbeGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, health.Config{Checks: []health.Check{{Name: "a", Run: func(ctx context.Context) health.Result {
			select {
			case <-time.After(time.Second):
				return health.Result{Status: health.Pass}
			case <-ctx.Done():
				return health.Result{Status: health.Fail, Output: "cancelled"}
			}
		}}}})
		ctx, leave := context.WithCancel(t.Context())
		go h.Report(ctx)
		synctest.Wait()
		leave()
		require.Equal(t, health.Pass, h.Report(t.Context()).Status)
	})
}

func TestBreakers(t *testing.T) {
	tests := []struct {
		name   string
		states map[string]string
		all    bool
		want   health.Status
		output string
	}{
		{"closed", map[string]string{"claude": "closed", "openai": "closed"}, true, health.Pass, ""},
		{"one open", map[string]string{"claude": "open", "openai": "closed"}, true, health.Warn, "claude open"},
		{"half-open", map[string]string{"claude": "half-open"}, true, health.Warn, "claude half-open"},
		{"all open", map[string]string{"claude": "open", "openai": "forced-open"}, false, health.Warn, "claude open, openai forced-open"},
		{"all open, and that fails", map[string]string{"claude": "open", "openai": "open"}, true, health.Fail, "claude open, openai open"},
		{"none", nil, true, health.Pass, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := health.Breakers(func() map[string]string { return tt.states }, tt.all).Run(t.Context())
			require.Equal(t, tt.want, r.Status)
			require.Equal(t, tt.output, r.Output)
		})
	}
}

func TestGoroutines(t *testing.T) {
	require.Equal(t, health.Pass, health.Goroutines(100_000).Run(t.Context()).Status)
	require.Equal(t, health.Warn, health.Goroutines(1).Run(t.Context()).Status)
}
