package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

func noEnv(string) string { return "" }

// Sent when due, without a clock: the plan alone decides.
func TestPlanSendsWhatItPromises(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			p, err := newPlan(s.name, 50, 20*time.Second)
			require.NoError(t, err)
			var hits uint64
			var elapsed time.Duration
			for {
				wait, stop := p.Pace(elapsed, hits)
				if stop {
					break
				}
				if wait > 0 {
					elapsed += wait
					continue
				}
				hits++
				require.LessOrEqual(t, float64(hits), p.due(elapsed)+1e-6, "none leaves before it is due")
				require.Greater(t, float64(hits), p.due(elapsed)-1.01, "none leaves late")
			}
			require.InDelta(t, p.due(p.length()), float64(hits), 1.01)
		})
	}
}

func TestPlanRates(t *testing.T) {
	spike, err := newPlan("spike", 100, 10*time.Second)
	require.NoError(t, err)
	require.InDelta(t, 5, spike.Rate(time.Second), 1e-9)
	require.InDelta(t, 100, spike.Rate(5*time.Second), 1e-9)
	require.InDelta(t, 5, spike.Rate(9*time.Second), 1e-9)
	require.Equal(t, 10*time.Second, spike.length())

	stress, err := newPlan("stress", 100, 10*time.Second)
	require.NoError(t, err)
	require.InDelta(t, 51, stress.Rate(5*time.Second), 1e-9)

	_, err = newPlan("panic", 1, time.Second)
	require.ErrorContains(t, err, `no scenario "panic"`)
}

func TestAllowed(t *testing.T) {
	tests := []struct {
		name, target, allow, err string
	}{
		{"localhost", "http://localhost:8080/x", "", ""},
		{"loopback address", "http://127.0.0.2/x", "", ""},
		{"loopback address of IPv6", "https://[::1]:1/x", "", ""},
		{"mapped loopback", "http://[::ffff:127.0.0.1]/x", "", ""},
		{"another machine", "http://192.0.2.1/x", "", "is not this machine"},
		{"any address", "http://0.0.0.0/x", "", "is not this machine"},
		{"another machine, allowed", "http://192.0.2.1/x", "192.0.2.1", ""},
		{"another machine, another allowed", "http://192.0.2.1/x", "192.0.2.2", "is not this machine"},
		{"no URL", "localhost:8080", "", "want an http or https URL"},
		{"file", "file:///etc/passwd", "", "want an http or https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := allowed(t.Context(), tt.target, tt.allow)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
		})
	}
}

func TestClasses(t *testing.T) {
	tests := []struct {
		name string
		res  vegeta.Result
		want string
	}{
		{"answer", vegeta.Result{Code: 200}, classOK},
		{"limited", vegeta.Result{Code: 429, Error: "429 Too Many Requests"}, classLimited},
		{"refused", vegeta.Result{Code: 422, Error: "422"}, classClient},
		{"failed", vegeta.Result{Code: 503, Error: "503"}, classServer},
		{"overloaded", vegeta.Result{Code: 529, Error: "529"}, classServer},
		{"no connection", vegeta.Result{Error: "connection refused"}, classTransport},
		{"broken off", vegeta.Result{Code: 200, Error: "unexpected EOF"}, classTransport},
		{"redirect", vegeta.Result{Code: 302}, classOther},
		{"stream", vegeta.Result{Code: 200, Body: []byte("event: delta\ndata: {\"text\":\"event: error\"}\n\n")}, classOK},
		{"stream that failed", vegeta.Result{Code: 200, Body: []byte("event: delta\ndata: 1\n\nevent: error\ndata: 2\n\n")}, classServer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, classOf(&tt.res)) })
	}
}

func TestMix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mix.jsonl")
	tests := []struct {
		name, content string
		stream        bool
		want          []string
		err           string
	}{
		{"weights", `{"prompt":"a","weight":2}` + "\n\n" + `{"prompt":"b","max_tokens":5}`, false, []string{`{"prompt":"a"}`, `{"prompt":"a"}`, `{"max_tokens":5,"prompt":"b"}`}, ""},
		{"streams", `{"prompt":"a"}`, true, []string{`{"prompt":"a","stream":true}`}, ""},
		{"empty", "\n", false, nil, "holds no prompts"},
		{"no JSON", "{\"prompt\":\"a\"}\nhello", false, nil, "mix.jsonl:2: "},
		{"no prompt", `{"text":"a"}`, false, nil, `want {"prompt"`},
		{"too heavy", `{"prompt":"a","weight":100000}`, false, nil, "want 1 to 1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte(tt.content), 0o600))
			bodies, err := loadMix(options{prompts: file, stream: tt.stream})
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, b := range bodies {
				got = append(got, string(b))
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestThresholds(t *testing.T) {
	r := &report{Requests: 100, Errors: 0.02, Limited: 0.5, Answered: latencies{Count: 48, P95: 120, P99: 300}}
	tests := []struct {
		name string
		t    thresholds
		want []string
	}{
		{"kept", thresholds{p95: time.Second, errorRate: 0.02, limitedRate: 0.5}, []string{}},
		{"p95", thresholds{p95: 100 * time.Millisecond, errorRate: 1, limitedRate: 1}, []string{"p95 is 120 ms, want at most 100 ms"}},
		{"rates", thresholds{errorRate: 0.01, limitedRate: 0.1}, []string{"error rate is 2%, want at most 1%", "rate of 429 is 50%, want at most 10%"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, tt.t.missed(r)) })
	}
	require.Equal(t, []string{"no request was sent"}, thresholds{}.missed(&report{}))
	require.Contains(t, thresholds{p99: 1, errorRate: 1, limitedRate: 1}.missed(&report{Requests: 1})[0], "nothing was answered")
}

// A run against a server that limits every third request and fails every tenth.
func TestRun(t *testing.T) {
	var calls atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch n := calls.Add(1); {
		case n%10 == 0:
			w.WriteHeader(http.StatusBadGateway)
		case n%3 == 0:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			_, _ = io.WriteString(w, `{"text":"hi"}`)
		}
	}))
	defer srv.Close()
	html := filepath.Join(t.TempDir(), "report.html")
	args := []string{"-target", srv.URL, "-key", "k", "-rate", "60", "-duration", "500ms", "-json", "-html", html}

	var out strings.Builder
	err := run(t.Context(), append(args, "-max-error-rate", "0.2", "smoke"), noEnv, &out, io.Discard)
	require.NoError(t, err)
	var got report
	require.NoError(t, json.Unmarshal([]byte(out.String()), &got))
	require.Equal(t, uint64(30), got.Requests)
	require.GreaterOrEqual(t, got.Seconds, 0.5, "from when the first request could be due")
	require.LessOrEqual(t, got.Rate, 60.0, "no more than was planned")
	require.Equal(t, map[string]int{classOK: 18, classLimited: 9, classServer: 3}, got.Classes)
	require.InDelta(t, 0.1, got.Errors, 1e-9)
	require.InDelta(t, 0.3, got.Limited, 1e-9)
	require.Positive(t, got.Answered.P50)
	require.GreaterOrEqual(t, got.Answered.Max, got.Answered.P99)
	page, err := os.ReadFile(html) //nolint:gosec // the test's own file
	require.NoError(t, err)
	require.Contains(t, string(page), "limited_429")

	out.Reset()
	err = run(t.Context(), append(args, "-max-error-rate", "0.01", "smoke"), noEnv, &out, io.Discard)
	require.ErrorIs(t, err, errMissed)
	require.Contains(t, out.String(), "error rate is 10%")

	out.Reset()
	err = run(t.Context(), []string{"-target", srv.URL, "-duration", "100ms", "-rate", "50", "smoke"},
		func(string) string { return "wrong" }, &out, io.Discard)
	require.ErrorIs(t, err, errMissed)
	require.Contains(t, out.String(), "client_4xx 5")
	require.Contains(t, out.String(), "MISSED")
}

// A load test of a cache says little about what is behind it.
func TestFresh(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		targets, err := newTargeter(options{target: "http://localhost/", key: "k", fresh: fresh})
		require.NoError(t, err)
		var target vegeta.Target
		require.NoError(t, targets(&target))
		require.Equal(t, "Bearer k", target.Header.Get("Authorization"))
		require.Equal(t, map[bool]string{true: "no-store"}[fresh], target.Header.Get("Cache-Control"))
	}
}

func TestBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nothing"}, {"smoke", "load"}, {"-rate", "-1", "smoke"}, {"-timeout", "0", "smoke"},
		{"-rate", "NaN", "smoke"}, {"-rate", "Inf", "smoke"}, {"-max-error-rate", "NaN", "smoke"}, {"-max-error-rate", "-1", "smoke"},
		{"-max-limited-rate", "2", "smoke"}, {"-max-p95", "-1s", "smoke"}, {"-max-p99", "-1s", "smoke"},
	} {
		require.Error(t, run(t.Context(), args, noEnv, io.Discard, io.Discard), "%q", args)
	}
}
