package breaker_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

// row is a response of a provider, and what it means.
type row struct {
	name   string
	status int
	header http.Header
	body   string
	want   breaker.Outcome
}

func anthropicError(kind, message, details string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q%s},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}`, kind, message, details)
}

func openAIError(message, kind, code string) string {
	return fmt.Sprintf("{\n  \"error\": {\n    \"message\": %q,\n    \"type\": %q,\n    \"param\": null,\n    \"code\": %s\n  }\n}\n", message, kind, code)
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

var (
	retriable  = breaker.Outcome{Verdict: breaker.Failure, Retry: true, Fallback: true}
	limited    = breaker.Outcome{Verdict: breaker.Cooldown, Reason: "rate_limited", Retry: true, Fallback: true}
	outOfMoney = breaker.Outcome{Verdict: breaker.Ignored, Reason: "quota", Fallback: true, Severity: "high"}
	wrongKey   = breaker.Outcome{Verdict: breaker.Ignored, Reason: "auth", Fallback: true, Severity: "critical"}
	callers    = breaker.Outcome{Verdict: breaker.Success, Reason: "caller"}
)

func because(o breaker.Outcome, reason string) breaker.Outcome { o.Reason = reason; return o }

func after(o breaker.Outcome, d time.Duration) breaker.Outcome { o.RetryAfter = d; return o }

func anthropicRows() []row {
	return []row{
		{"200", 200, nil, `{"type":"message"}`, breaker.Outcome{}},
		{"400", 400, nil, anthropicError("invalid_request_error", "max_tokens: Field required", ""), callers},
		{"400 context", 400, nil, anthropicError("invalid_request_error", "prompt is too long: 210342 tokens > 200000 maximum", ""), because(callers, "context_length")},
		{"400 own spend limit", 400, nil, anthropicError("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-09-01 at 00:00 UTC.", ""), outOfMoney},
		{"400 workspace spend limit", 400, nil, anthropicError("invalid_request_error", "You have reached your specified workspace API usage limits. You will regain access on 2026-09-01 at 00:00 UTC.", ""), outOfMoney},
		{"400 no credit", 400, nil, anthropicError("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.", ""), outOfMoney},
		{"401", 401, nil, anthropicError("authentication_error", "invalid x-api-key", ""), wrongKey},
		{"402", 402, nil, anthropicError("billing_error", "There is an issue with your billing or payment information.", ""), outOfMoney},
		{"403", 403, nil, anthropicError("permission_error", "Your API key does not have permission to use the specified resource.", ""), wrongKey},
		{"404", 404, nil, anthropicError("not_found_error", "model: claude-9", ""), callers},
		{"408", 408, nil, "", because(retriable, "timeout")},
		{"409", 409, nil, anthropicError("conflict_error", "conflict", ""), callers},
		{"413", 413, nil, anthropicError("request_too_large", "Request exceeds the maximum allowed number of bytes.", ""), because(callers, "context_length")},
		{"422", 422, nil, "", callers},
		{"429", 429, header("Retry-After", "12"), anthropicError("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit", ""), after(limited, 12*time.Second)},
		{"429 spend cap", 429, nil, anthropicError("rate_limit_error", "You have reached your API usage limits: your organization has crossed its monthly API usage threshold.", `,"details":{"error_code":"enforced_spend_limit_reached"}`), outOfMoney},
		{"429 spend cap that says retry", 429, header("X-Should-Retry", "true"), anthropicError("rate_limit_error", "…", `,"details":{"error_code":"enforced_spend_limit_reached"}`), outOfMoney},
		{"500", 500, nil, anthropicError("api_error", "Internal server error", ""), because(retriable, "server_error")},
		{"500 not to be retried", 500, header("X-Should-Retry", "false"), anthropicError("api_error", "Internal server error", ""), breaker.Outcome{Verdict: breaker.Failure, Reason: "server_error", Fallback: true}},
		{"501", 501, nil, "", breaker.Outcome{Reason: "unsupported"}},
		{"502 of a proxy", 502, nil, "<html><h1>502 Bad Gateway</h1></html>", because(retriable, "server_error")},
		{"504", 504, nil, anthropicError("timeout_error", "Request timed out", ""), because(retriable, "timeout")},
		{"505", 505, nil, "", breaker.Outcome{Reason: "unsupported"}},
		{"529", 529, header("X-Should-Retry", "true"), anthropicError("overloaded_error", "Overloaded", ""), because(retriable, "overloaded")},
		{"event overloaded", 0, nil, anthropicError("overloaded_error", "Overloaded", ""), because(retriable, "overloaded")},
		{"event rate limit", 0, nil, anthropicError("rate_limit_error", "slow down", ""), limited},
		{"event invalid request", 0, nil, anthropicError("invalid_request_error", "bad", ""), callers},
		{"event unknown", 0, nil, anthropicError("new_error", "?", ""), because(retriable, "server_error")},
		{"event that is no JSON", 0, nil, "oops", because(retriable, "server_error")},
	}
}

func openAIRows() []row {
	return []row{
		{"200", 200, nil, `{"object":"chat.completion"}`, breaker.Outcome{}},
		{"400", 400, nil, openAIError("Unsupported parameter", "invalid_request_error", `"unsupported_parameter"`), callers},
		{"400 context", 400, nil, openAIError("This model's maximum context length is 128000 tokens.", "invalid_request_error", `"context_length_exceeded"`), because(callers, "context_length")},
		{"400 policy", 400, nil, openAIError("Your request was rejected.", "invalid_request_error", `"content_policy_violation"`), because(callers, "policy")},
		{"401", 401, nil, openAIError("Incorrect API key provided: sk-x.", "invalid_request_error", `"invalid_api_key"`), wrongKey},
		{"403", 403, nil, openAIError("Country, region, or territory not supported", "request_forbidden", `"unsupported_country_region_territory"`), wrongKey},
		{"404", 404, nil, openAIError("The model `gpt-9` does not exist or you do not have access to it.", "invalid_request_error", `"model_not_found"`), callers},
		{"408", 408, nil, "", because(retriable, "timeout")},
		{"409 to be retried", 409, header("X-Should-Retry", "true"), "", breaker.Outcome{Reason: "caller", Retry: true}},
		{"429", 429, header("Retry-After-Ms", "1500", "Retry-After", "2"), openAIError("Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.", "requests", `"rate_limit_exceeded"`), after(limited, 1500*time.Millisecond)},
		{"429 quota", 429, nil, openAIError("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", `"insufficient_quota"`), outOfMoney},
		{"429 quota without a code", 429, nil, openAIError("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "null"), outOfMoney},
		{"400 hard limit", 400, nil, openAIError("Billing hard limit has been reached", "invalid_request_error", `"billing_hard_limit_reached"`), outOfMoney},
		{"500", 500, nil, openAIError("The server had an error while processing your request. Sorry about that!", "server_error", "null"), because(retriable, "server_error")},
		{"500 with a number for a code", 500, nil, openAIError("x", "server_error", "500"), because(retriable, "server_error")},
		{"503", 503, header("Retry-After", "0.5"), openAIError("The engine is currently overloaded, please try again later.", "server_error", "null"), after(because(retriable, "overloaded"), 500*time.Millisecond)},
		{"event", 0, nil, openAIError("The server had an error", "server_error", "null"), because(retriable, "server_error")},
		{"event rate limit", 0, nil, openAIError("slow down", "tokens", `"rate_limit_exceeded"`), limited},
		{"event invalid", 0, nil, openAIError("bad", "invalid_request_error", "null"), callers},
		{"event quota", 0, nil, openAIError("no money", "insufficient_quota", `"insufficient_quota"`), outOfMoney},
	}
}

func TestProviders(t *testing.T) {
	tests := []struct {
		name     string
		provider breaker.Provider
		rows     []row
	}{
		{"anthropic", breaker.Anthropic, anthropicRows()},
		{"openai", breaker.OpenAI, openAIRows()},
	}
	for _, tt := range tests {
		for _, r := range tt.rows {
			t.Run(tt.name+" "+r.name, func(t *testing.T) {
				require.Equal(t, r.want, tt.provider(r.status, r.header, []byte(r.body)))
			})
		}
	}
}

// The same rows sent by a server and judged through the Transport: the breaker
// counts what the table says, and the client reads what the server sent.
func TestProvidersOverHTTP(t *testing.T) {
	tests := []struct {
		name     string
		provider breaker.Provider
		rows     []row
	}{
		{"anthropic", breaker.Anthropic, anthropicRows()},
		{"openai", breaker.OpenAI, openAIRows()},
	}
	for _, tt := range tests {
		for _, r := range tt.rows {
			if r.status == 0 {
				continue
			}
			t.Run(tt.name+" "+r.name, func(t *testing.T) {
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					maps.Copy(w.Header(), r.header)
					w.WriteHeader(r.status)
					_, _ = io.WriteString(w, r.body)
				}))
				defer srv.Close()
				seen := make(chan breaker.Event, 9)
				client, b := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Provider: tt.provider})
				resp, err := client.Post(srv.URL, "application/json", strings.NewReader("{}"))
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, r.body, string(body))
				require.Equal(t, r.want, (<-seen).Outcome)
				require.Empty(t, seen)
				require.Equal(t, r.want.Verdict == breaker.Cooldown, b.Status().Cooldown)
			})
		}
	}
}

// Who passes on the Accept-Encoding of a browser gets compressed errors. They mean
// the same, and reach the client as they were.
func TestCompressedErrors(t *testing.T) {
	quota := openAIError("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", `"insufficient_quota"`)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, quota)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	tests := []struct {
		name, body string
		want       breaker.Outcome
	}{
		{"gzip", packed.String(), outOfMoney},
		{"cut", packed.String()[:packed.Len()-8], outOfMoney},
		{"not what it says", quota, outOfMoney},
		{"broken", packed.String()[:12], limited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.WriteHeader(429)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			seen := make(chan breaker.Event, 9)
			client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Provider: breaker.OpenAI})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, nil)
			require.NoError(t, err)
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := client.Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.body, string(body))
			require.Equal(t, tt.want, (<-seen).Outcome)
		})
	}
}

func TestRetryAfterHeaders(t *testing.T) {
	inOneHour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	tests := []struct {
		name   string
		header http.Header
		min    time.Duration
		max    time.Duration
	}{
		{"none", nil, 0, 0},
		{"seconds", header("Retry-After", "30"), 30 * time.Second, 30 * time.Second},
		{"fraction", header("Retry-After", "1.5"), 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"milliseconds go first", header("Retry-After", "30", "Retry-After-Ms", "250"), 250 * time.Millisecond, 250 * time.Millisecond},
		{"milliseconds that are none", header("Retry-After", "30", "Retry-After-Ms", "soon"), 30 * time.Second, 30 * time.Second},
		{"date", header("Retry-After", inOneHour), 59 * time.Minute, time.Hour},
		{"past date", header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"), 0, 0},
		{"negative", header("Retry-After", "-5"), 0, 0},
		{"rubbish", header("Retry-After", "soon"), 0, 0},
		{"no number", header("Retry-After", "NaN"), 0, 0},
		{"infinite", header("Retry-After", "Inf"), 24 * time.Hour, 24 * time.Hour},
		{"huge", header("Retry-After", "1e300"), 24 * time.Hour, 24 * time.Hour},
		{"far date", header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), 24 * time.Hour, 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := breaker.OpenAI(503, tt.header, nil).RetryAfter
			require.GreaterOrEqual(t, d, tt.min)
			require.LessOrEqual(t, d, tt.max)
		})
	}
}

// Whatever a provider sends, the outcome makes sense.
func FuzzProviders(f *testing.F) {
	f.Add(429, "12", "true", []byte(anthropicError("rate_limit_error", "x", `,"details":{"error_code":"enforced_spend_limit_reached"}`)))
	f.Add(529, "", "", []byte(anthropicError("overloaded_error", "Overloaded", "")))
	f.Add(400, "-1", "false", []byte(openAIError("x", "insufficient_quota", "null")))
	f.Add(0, "NaN", "", []byte(`{"error":{"code":{"a":[1]},"type":7}}`))
	f.Add(-7, "1e999", "", []byte(`{"error":"text"}`))
	f.Fuzz(func(t *testing.T, status int, retry, should string, body []byte) {
		h := header("Retry-After", retry, "X-Should-Retry", should)
		for _, p := range []breaker.Provider{breaker.Anthropic, breaker.OpenAI} {
			before := bytes.Clone(body)
			o := p(status, h, body)
			require.Equal(t, before, body, "the body is the caller's")
			require.True(t, o.RetryAfter >= 0 && o.RetryAfter <= 24*time.Hour)
			require.LessOrEqual(t, o.Verdict, breaker.Cooldown)
			if o.Reason == "quota" {
				require.False(t, o.Retry, "waiting brings no money")
			}
			if o.Verdict == breaker.Success {
				require.False(t, o.Fallback, "the caller's errors are the same elsewhere")
			}
			if status >= 500 && status != 501 && status != 505 && o.Severity == "" {
				require.Equal(t, breaker.Failure, o.Verdict)
			}
		}
	})
}

func TestBodiesOfTheTablesAreJSON(t *testing.T) {
	for _, r := range append(anthropicRows(), openAIRows()...) {
		if strings.HasPrefix(r.body, "{") {
			require.True(t, json.Valid([]byte(r.body)), r.name)
		}
	}
}

// A provider that no table is known for is judged by the status alone.
func TestUnknownProvider(t *testing.T) {
	tests := []struct {
		status int
		want   breaker.Outcome
	}{
		{200, breaker.Outcome{}},
		{400, callers},
		{401, wrongKey},
		{402, outOfMoney},
		{429, limited},
		{500, because(retriable, "server_error")},
		{503, because(retriable, "overloaded")},
	}
	for _, tt := range tests {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			seen := make(chan breaker.Event, 1)
			client, _ := guard(t, breaker.Config{OnOutcome: note(seen)}, breaker.TransportConfig{Base: bodiless{tt.status}})
			resp := get(t, t.Context(), client)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.want, (<-seen).Outcome)
		})
	}
}
