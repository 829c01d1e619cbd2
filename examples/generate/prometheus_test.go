package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparkhttp/spark/auth"
	"github.com/stretchr/testify/require"
)

// tool returns the path of a program of a Debian package. CI has it; elsewhere
// its tests are left out where it is missing.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("%s is not installed (Debian: apt-get install %s)", name, debian)
	}
	require.NoError(t, err)
	return path
}

// execute runs a program to its end and returns what it says.
func execute(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestRules(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	out := execute(t, "", promtool, "check", "rules", "monitoring/rules.yml")
	require.Contains(t, out, "rules found")
	out = execute(t, "", promtool, "test", "rules", "monitoring/rules_test.yml", "monitoring/spend_test.yml")
	require.Equal(t, 2, strings.Count(out, "SUCCESS"), out)
}

func TestMetricsPageIsClean(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	c := start(t, nil)
	require.Equal(t, http.StatusOK, c.prompt("Hello").StatusCode)
	require.Equal(t, http.StatusOK, c.streamed("Hello").StatusCode)
	out := execute(t, c.get("/api/metrics").text, promtool, "check", "metrics")
	require.Empty(t, out)
}

// TestPrometheus has a real Prometheus scrape the server with a key, with the
// rules loaded, and asks it what a dashboard and an operator would ask.
func TestPrometheus(t *testing.T) {
	c := start(t, nil, "-requests-per-minute", "100000", "-tokens-per-minute", "100000000")
	p := startPrometheus(t, tool(t, "prometheus", "prometheus"), c)

	// A histogram shows growth only between two scrapes that have its series.
	n := 0
	eventually(t, func() bool {
		n++
		require.Equal(t, http.StatusOK, c.prompt(fmt.Sprint("Hello ", n)).StatusCode)
		require.Equal(t, http.StatusOK, c.streamed(fmt.Sprint("Stream ", n)).StatusCode)
		time.Sleep(50 * time.Millisecond)
		p95 := p.value(`histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{http_route="/api/spark/generate"}[1m])))`)
		return !math.IsNaN(p95) && !math.IsInf(p95, 0) && p95 > 0
	}, "a finite p95")
	eventually(t, func() bool {
		return p.value(`job_route:http_server_errors:ratio5m{http_route="/api/spark/generate"}`) == 0
	}, "an error ratio of 0")
	eventually(t, func() bool {
		return p.value(`job_route_code:http_server_requests:increase5m{http_route="/api/spark/generate", http_response_status_code="200"}`) >= 2
	}, "requests counted by the recording rule")

	rules := 0
	for _, g := range p.rules().Groups {
		for _, r := range g.Rules {
			rules++
			require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
		}
	}
	require.Greater(t, rules, 20)
	require.Empty(t, p.query(`ALERTS{alertstate="firing"}`), "a healthy server alarms nobody")

	known := p.names()
	for _, expr := range expressions(t) {
		p.query(expr) // requires that it is answered
		for _, name := range metricNames(expr) {
			require.Contains(t, known, name, "in %s", expr)
		}
	}

	c.useRevokedKey()
	eventually(t, func() bool {
		return len(p.query(`ALERTS{alertname="GenerateRevokedKeyUsed", alertstate="firing"}`)) == 1
	}, "the alert")
}

// streamed asks for a streamed answer and reads it to its end.
func (c *service) streamed(prompt string) *response {
	c.t.Helper()
	return c.post("/api/spark/generate", map[string]any{"prompt": prompt, "stream": true})
}

// useRevokedKey makes a request with a key that was good once.
func (c *service) useRevokedKey() {
	c.t.Helper()
	manager, err := auth.NewManager(auth.ManagerConfig{Store: c.s.store})
	require.NoError(c.t, err)
	key, info, err := manager.Create(c.t.Context(), auth.KeyInfo{Owner: "ada"})
	require.NoError(c.t, err)
	_, err = manager.Revoke(c.t.Context(), info.ID)
	require.NoError(c.t, err)
	req := c.request(c.t.Context(), http.MethodPost, "/api/spark/generate", map[string]any{"prompt": "Hello"})
	req.Header.Set("Authorization", "Bearer "+key.Reveal())
	require.Equal(c.t, http.StatusUnauthorized, c.do(req).StatusCode)
}

// prometheus is a running server of that name.
type prometheus struct {
	t   *testing.T
	url string
	c   *http.Client
}

// startPrometheus has a Prometheus with the rules scrape the server, with its
// key. It ends with the test.
func startPrometheus(t *testing.T, path string, target *service) *prometheus {
	t.Helper()
	rules, err := filepath.Abs("monitoring/rules.yml")
	require.NoError(t, err)
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}
rule_files: [%q]
scrape_configs:
  - job_name: generate
    metrics_path: /api/metrics
    authorization: {credentials: %q}
    static_configs: [{targets: [%q]}]
`, rules, target.key, strings.TrimPrefix(target.url, "http://")), 0o600))

	address := freeAddress(t)
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	p := &prometheus{t: t, url: "http://" + address, c: &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}}
	t.Cleanup(func() {
		p.c.CloseIdleConnections()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("Prometheus ended with %v and said:\n%s", err, said.String())
		}
	})
	eventually(t, func() bool {
		resp, err := p.c.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, "Prometheus is ready")
	return p
}

// freeAddress returns an address on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// get asks the API, whose answer goes into data.
func (p *prometheus) get(path string, query url.Values, data any) {
	p.t.Helper()
	resp, err := p.c.Get(p.url + path + "?" + query.Encode())
	require.NoError(p.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, resp.Body.Close())
	require.Equal(p.t, http.StatusOK, resp.StatusCode, "%s: %s", query.Get("query"), body)
	answer := struct{ Data any }{data}
	require.NoError(p.t, json.Unmarshal(body, &answer))
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

func (p *prometheus) query(expr string) []sample {
	p.t.Helper()
	var data struct{ Result json.RawMessage }
	p.get("/api/v1/query", url.Values{"query": {expr}}, &data)
	var samples []sample
	require.NoError(p.t, json.Unmarshal(data.Result, &samples), "%s: %s", expr, data.Result)
	return samples
}

// value returns the value of the only series that answers, else NaN.
func (p *prometheus) value(expr string) float64 {
	p.t.Helper()
	samples := p.query(expr)
	if len(samples) != 1 {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(fmt.Sprint(samples[0].Value[1]), 64)
	require.NoError(p.t, err)
	return v
}

type ruleGroups struct {
	Groups []struct {
		Rules []struct{ Name, Health, LastError string }
	}
}

func (p *prometheus) rules() ruleGroups {
	p.t.Helper()
	var data ruleGroups
	p.get("/api/v1/rules", nil, &data)
	return data
}

// names returns the names of all metrics that Prometheus has seen, and of the
// rules, whose series may be empty.
func (p *prometheus) names() []string {
	p.t.Helper()
	var names []string
	p.get("/api/v1/label/__name__/values", nil, &names)
	for _, g := range p.rules().Groups {
		for _, r := range g.Rules {
			names = append(names, r.Name)
		}
	}
	return append(names, "ALERTS")
}

// expressions returns what the rules, the dashboard and the runbook ask.
func expressions(t *testing.T) []string {
	t.Helper()
	dashboard, err := os.ReadFile("monitoring/dashboard.json")
	require.NoError(t, err)
	var tree any
	require.NoError(t, json.Unmarshal(dashboard, &tree))
	found := exprs(tree)
	require.Greater(t, len(found), 30)
	for i, e := range found {
		found[i] = strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*").Replace(e)
	}
	rules, err := os.ReadFile("monitoring/rules.yml")
	require.NoError(t, err)
	before := len(found)
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (?:(.+[^|\n])|\|\n((?: {10}.*\n)+))$?`).FindAllStringSubmatch(string(rules), -1) {
		found = append(found, m[1]+m[2])
	}
	require.Len(t, found, before+strings.Count(string(rules), " expr: "))
	book, err := os.ReadFile("RUNBOOK.md")
	require.NoError(t, err)
	before = len(found)
	for _, m := range regexp.MustCompile("(?s)```promql\n(.+?)```").FindAllStringSubmatch(string(book), -1) {
		found = append(found, m[1])
	}
	require.Greater(t, len(found), before)
	return found
}

// exprs returns the values of all keys "expr" in a tree of JSON.
func exprs(tree any) (found []string) {
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			if expr, ok := value.(string); ok && key == "expr" {
				found = append(found, expr)
			}
			found = append(found, exprs(value)...)
		}
	case []any:
		for _, value := range tree {
			found = append(found, exprs(value)...)
		}
	}
	return found
}

var (
	noMetrics  = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)`)
	metricName = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*[_:][a-zA-Z0-9_:]+`)
	functions  = regexp.MustCompile(`^(?:histogram_quantile|min_over_time|max_over_time)$`)
)

// metricNames returns the names of metrics in an expression: what has an
// underscore or a colon and is neither a label nor a function.
func metricNames(expr string) (names []string) {
	for _, name := range metricName.FindAllString(noMetrics.ReplaceAllString(expr, " "), -1) {
		if !functions.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}
