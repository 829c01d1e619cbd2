package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/metrics"
)

func TestStreamedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, metrics.Config{Providers: anthropic})
		call := m.Begin(metrics.Call{Provider: "anthropic", Model: "claude"})
		time.Sleep(2 * time.Second)
		call.Chunk()
		for range 4 {
			time.Sleep(500 * time.Millisecond)
			call.Chunk()
		}
		time.Sleep(time.Second)
		call.End(metrics.Outcome{Model: "claude-20260130", Usage: metrics.Usage{Input: 1000, Output: 200}})
		call.End(metrics.Outcome{Err: io.EOF}) // as if deferred

		v := values(t, m)
		require.NotContains(t, scrape(t, m, ""), "_OTHER\",gen_ai", "only the first end counts")
		operation := `gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude"`
		whole := `{error_type="",` + operation + `,gen_ai_response_model="claude"}`
		require.InDelta(t, 5, v["gen_ai_client_operation_duration_seconds_sum"+whole], 1e-9)
		require.InDelta(t, 1, v["gen_ai_client_operation_duration_seconds_count"+whole], 0)
		require.InDelta(t, 2, v["gen_ai_client_operation_time_to_first_chunk_seconds_sum{"+operation+"}"], 1e-9)
		require.InDelta(t, 1, v["gen_ai_client_operation_time_to_first_chunk_seconds_count{"+operation+"}"], 0)
		require.InDelta(t, 2, v["gen_ai_client_operation_time_per_output_chunk_seconds_sum{"+operation+"}"], 1e-9)
		require.InDelta(t, 4, v["gen_ai_client_operation_time_per_output_chunk_seconds_count{"+operation+"}"], 0)
		tokens := "gen_ai_client_token_usage_sum{" + operation + `,gen_ai_response_model="claude",gen_ai_token_type=`
		require.InDelta(t, 1000, v[tokens+`"input"}`], 0)
		require.InDelta(t, 200, v[tokens+`"output"}`], 0)
		require.InDelta(t, .006, v[`spark_gen_ai_cost_usd_total{gen_ai_provider_name="anthropic",gen_ai_response_model="claude"}`], 1e-12)
	})
}

func TestExemplarsOfACall(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	tests := []struct {
		name, traceparent string
		want              int // a series of each of four metrics, two of the tokens
	}{
		{"sampled", "00-" + id + "-b7ad6b7169203331-01", 5},
		{"not sampled", "00-" + id + "-b7ad6b7169203331-00", 0},
		{"no traceparent", id, 0},
		{"none", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{Providers: anthropic})
			call := m.Begin(metrics.Call{Provider: "anthropic", Model: "claude", Traceparent: tt.traceparent})
			call.Chunk()
			call.Chunk()
			call.End(metrics.Outcome{Usage: metrics.Usage{Input: 1000, Output: 200}})
			got := 0
			for line := range strings.Lines(scrape(t, m, "application/openmetrics-text;version=1.0.0")) {
				if series, exemplar, ok := strings.Cut(line, " # "); ok {
					require.True(t, strings.HasPrefix(series, "gen_ai_client_"), series)
					require.True(t, strings.HasPrefix(exemplar, `{trace_id="`+id+`"} `), exemplar)
					got++
				}
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCost(t *testing.T) {
	prices := []metrics.Provider{{Name: "p", Models: []metrics.Model{
		{Name: "cached", Input: 10, Output: 50, CacheRead: 1, CacheWrite: 12.5},
		{Name: "plain", Input: 10, Output: 50},
		{Name: "dated-20260101", Input: 1, Output: 1},
		{Name: "dated", Input: 100, Output: 100},
		{Name: "free"},
	}}}
	tests := []struct {
		name, model string
		usage       metrics.Usage
		err         error
		counted     string
		want        float64
		unpriced    float64
	}{
		{"input and output", "plain", metrics.Usage{Input: 1e6, Output: 1e6}, nil, "plain", 60, 0},
		{"a failed call is billed too", "plain", metrics.Usage{Input: 1e6, Output: 1e6}, io.ErrUnexpectedEOF, "plain", 60, 0},
		{"cache", "cached", metrics.Usage{Input: 1e6, CacheRead: 4e5, CacheWrite: 2e5}, nil, "cached", 4 + .4 + 2.5, 0},
		{"cache without a price", "plain", metrics.Usage{Input: 1e6, CacheRead: 4e5, CacheWrite: 2e5}, nil, "plain", 10, 0},
		{"more from the cache than there was", "cached", metrics.Usage{Input: 1e6, CacheRead: 9e6, CacheWrite: 9e6}, nil, "cached", 1, 0},
		{"negative numbers", "plain", metrics.Usage{Input: -5, Output: 1e6, CacheRead: -1}, nil, "plain", 50, 0},
		{"a dated version", "plain-20260130", metrics.Usage{Input: 1e6}, nil, "plain", 10, 0},
		{"a dated version with dashes", "plain-2026-01-30", metrics.Usage{Input: 1e6}, nil, "plain", 10, 0},
		{"a dated version that is listed", "dated-20260101", metrics.Usage{Input: 1e6}, nil, "dated-20260101", 1, 0},
		{"not quite a date", "plain-2026013x", metrics.Usage{Input: 1e6}, nil, "other", 0, 1},
		{"only a date", "-20260130", metrics.Usage{Input: 1e6}, nil, "other", 0, 1},
		{"an unknown model", "made-up", metrics.Usage{Input: 1e6}, nil, "other", 0, 1},
		{"a model without a price", "free", metrics.Usage{Input: 1e6}, nil, "free", 0, 1},
		{"unknown usage", "plain", metrics.Usage{}, nil, "plain", 0, 1},
		{"a refused call", "plain", metrics.Usage{}, errors.New("overloaded"), "plain", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{Providers: prices})
			m.Begin(metrics.Call{Provider: "p", Model: tt.model}).End(metrics.Outcome{Usage: tt.usage, Err: tt.err})
			v := values(t, m)
			provider := "p"
			labels := fmt.Sprintf("{gen_ai_provider_name=%q,gen_ai_response_model=%q}", provider, tt.counted)
			require.InDelta(t, tt.want, v["spark_gen_ai_cost_usd_total"+labels], 1e-9)
			require.InDelta(t, tt.unpriced, v["spark_gen_ai_unpriced_calls_total"+labels], 0)
		})
	}
}

func TestErrorTypeOfACall(t *testing.T) {
	tests := []struct {
		name    string
		outcome metrics.Outcome
		want    string
	}{
		{"none", metrics.Outcome{}, ""},
		{"client gone", metrics.Outcome{Err: fmt.Errorf("call: %w", context.Canceled)}, "client_gone"},
		{"timeout", metrics.Outcome{Err: fmt.Errorf("call: %w", context.DeadlineExceeded)}, "timeout"},
		{"shutdown", metrics.Outcome{Err: http.ErrServerClosed}, "shutdown"},
		{"truncated", metrics.Outcome{Err: io.ErrUnexpectedEOF}, "truncated"},
		{"anything else", metrics.Outcome{Err: errors.New("text that no label may have")}, "_OTHER"},
		{"given", metrics.Outcome{Err: errors.New("x"), ErrorType: "529"}, "529"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetrics(t, metrics.Config{Providers: anthropic})
			m.Begin(metrics.Call{Operation: "embeddings", Provider: "openai", Model: "gpt"}).End(tt.outcome)
			require.Contains(t, values(t, m), fmt.Sprintf("gen_ai_client_operation_duration_seconds_count{error_type=%q,"+
				`gen_ai_operation_name="embeddings",gen_ai_provider_name="openai",gen_ai_request_model="gpt",gen_ai_response_model="gpt"}`, tt.want))
		})
	}
}

func TestUsageThatIsNotKnownIsNotReported(t *testing.T) {
	m := newMetrics(t, metrics.Config{Providers: anthropic})
	m.Begin(metrics.Call{Provider: "anthropic", Model: "claude"}).End(metrics.Outcome{})
	require.NotContains(t, scrape(t, m, ""), "gen_ai_client_token_usage_count")
}

func TestCallsOfNoListedProvider(t *testing.T) {
	m := newMetrics(t, metrics.Config{})
	m.Begin(metrics.Call{Operation: "made up", Provider: "made up", Model: "made up"}).End(metrics.Outcome{Model: "made up"})
	require.Contains(t, values(t, m), `gen_ai_client_operation_duration_seconds_count{error_type="",gen_ai_operation_name="other",`+
		`gen_ai_provider_name="other",gen_ai_request_model="other",gen_ai_response_model="other"}`)
	require.NotContains(t, scrape(t, m, ""), "made up")
}
