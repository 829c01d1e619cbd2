package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sparkhttp/spark/metrics"
)

// show prints the series whose name begins with prefix, as Prometheus reads them.
func show(m *metrics.Metrics, prefix string) {
	rec := httptest.NewRecorder()
	m.Endpoint().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/api/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			fmt.Print(line)
		}
	}
}

func Example() {
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/things/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /api/metrics", m.Endpoint()) // behind authentication, in earnest
	server := httptest.NewServer(m.Handler(mux))
	defer server.Close()

	for _, path := range []string{"/v1/things/1", "/v1/things/2", "/wp-login.php"} {
		if res, err := http.Get(server.URL + path); err == nil {
			_ = res.Body.Close()
		}
	}
	show(m, "http_server_request_duration_seconds_count")
	// Output:
	// http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/v1/things/{id}"} 2
	// http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="404",http_route="unmatched"} 1
}

func ExampleNew_registerer() {
	reg := prometheus.NewRegistry()
	_, err := metrics.New(metrics.Config{Registerer: reg})
	fmt.Println(err)
	_, err = metrics.New(metrics.Config{Registerer: reg})
	_, twice := errors.AsType[prometheus.AlreadyRegisteredError](err)
	fmt.Println(twice)
	// Output:
	// <nil>
	// true
}

func ExampleMetrics_Handler_panic() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	func() {
		defer func() { fmt.Println("goes on:", recover()) }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}()
	show(m, "http_server_request_duration_seconds_count")
	// Output:
	// goes on: boom
	// http_server_request_duration_seconds_count{error_type="panic",http_request_method="GET",http_response_status_code="500",http_route="unmatched"} 1
}

// Another package's events take one line, and neither package knows the other.
func ExampleMetrics_Counter() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	type event struct{ Reason string }
	refused := m.Counter("app_refused_total", "Requests refused, by reason.", metrics.By("reason", "rate", "size"))
	onRefuse := func(_ context.Context, e event) { refused.Inc(e.Reason) }
	if err := m.Err(); err != nil {
		fmt.Println(err)
		return
	}
	onRefuse(context.Background(), event{"rate"})
	onRefuse(context.Background(), event{"what a client made up"})
	show(m, "app_refused_total")
	// Output:
	// app_refused_total{reason="other"} 1
	// app_refused_total{reason="rate"} 1
	// app_refused_total{reason="size"} 0
}

func ExampleMetrics_Gauge() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	state := m.Gauge("app_breaker_open", "1 if the breaker of a provider is open.", metrics.By("provider", "claude", "openai"))
	onStateChange := func(name, to string) {
		open := 0.0
		if to == "open" {
			open = 1
		}
		state.Set(open, name)
	}
	onStateChange("claude", "open")
	show(m, "app_breaker_open")
	// Output:
	// app_breaker_open{provider="claude"} 1
	// app_breaker_open{provider="openai"} 0
}

func ExampleMetrics_Histogram() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	score := m.Histogram("app_injection_score", "Scores of prompts.", []float64{1, 5, 10})
	score.Observe(3)
	score.Observe(7)
	show(m, "app_injection_score_bucket")
	// Output:
	// app_injection_score_bucket{le="1"} 0
	// app_injection_score_bucket{le="5"} 1
	// app_injection_score_bucket{le="10"} 2
	// app_injection_score_bucket{le="+Inf"} 2
}

func ExampleMetrics_GaugeFunc() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	answers := make(map[string]string)
	hits := 0
	m.GaugeFunc("app_cache_entries", "Answers in the cache.", func() float64 { return float64(len(answers)) })
	m.CounterFunc("app_cache_hits_total", "Answers from the cache.", func() float64 { return float64(hits) })
	answers["question"], hits = "answer", 3
	show(m, "app_cache")
	// Output:
	// app_cache_entries 1
	// app_cache_hits_total 3
}

func ExampleMetrics_Begin() {
	m, err := metrics.New(metrics.Config{
		Registerer: prometheus.NewRegistry(),
		Providers: []metrics.Provider{{Name: "anthropic", Models: []metrics.Model{
			{Name: "claude-example", Input: 3, Output: 15}, // dollars for a million tokens
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ask := func(r *http.Request) (answer string, err error) {
		call := m.Begin(metrics.Call{
			Provider: "anthropic", Model: "claude-example",
			Traceparent: r.Header.Get("Traceparent"), // for exemplars
		})
		var outcome metrics.Outcome
		defer func() { outcome.Err = err; call.End(outcome) }()
		for _, chunk := range []string{"for", "ty", "-two"} {
			call.Chunk()
			answer += chunk
		}
		outcome.Model = "claude-example-20260130"
		outcome.Usage = metrics.Usage{Input: 1000, Output: 200}
		return answer, nil
	}
	fmt.Println(ask(httptest.NewRequest(http.MethodPost, "/v1/answer", nil)))
	show(m, "gen_ai_client_token_usage_sum")
	show(m, "spark_gen_ai_cost_usd_total{gen_ai_provider_name=\"anthropic\"")
	// Output:
	// forty-two <nil>
	// gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude-example",gen_ai_response_model="claude-example",gen_ai_token_type="input"} 1000
	// gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude-example",gen_ai_response_model="claude-example",gen_ai_token_type="output"} 200
	// spark_gen_ai_cost_usd_total{gen_ai_provider_name="anthropic",gen_ai_response_model="claude-example"} 0.006
}

func ExampleMetrics_Endpoint_json() {
	m, err := metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := m.Handler(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/nothing", nil))

	r := httptest.NewRequest(http.MethodGet, "/api/metrics", nil)
	r.Header.Set("Accept", "application/json")
	rec := httptest.NewRecorder()
	m.Endpoint().ServeHTTP(rec, r)
	var summary struct {
		Scope  string
		Routes []struct {
			Method, Route string
			Count         int
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &summary); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(summary.Scope)
	fmt.Printf("%+v\n", summary.Routes)
	// Output:
	// this process only, since it started
	// [{Method:GET Route:unmatched Count:1}]
}
