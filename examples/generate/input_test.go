package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/require"
)

func TestAnswer(t *testing.T) {
	c := start(t, nil)
	r := c.post("/api/spark/generate", `{"prompt":"Hello, SPARK!","max_tokens":20,"temperature":0}`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.Equal(t, "You said: Hello, SPARK!", r.json["text"])
	require.Equal(t, "local", r.json["provider"])
	require.Equal(t, "echo-1", r.json["model"])
	require.Equal(t, "stop", r.json["finish_reason"])
	require.Equal(t, false, r.json["cached"])
	require.Equal(t, []any{}, r.json["warnings"])
	require.NotEmpty(t, r.json["id"])
	usage, _ := r.json["usage"].(map[string]any)
	require.Positive(t, usage["input_tokens"])
	require.Positive(t, usage["output_tokens"])
}

// What a client gets wrong is a 4xx problem document, and costs nothing.
func TestBadInput(t *testing.T) {
	c := start(t, nil, "-requests-per-minute", "10000")
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	tests := []struct {
		name, body, contentType string
		status                  int
		detail                  string // part of what the client is told
	}{
		{"no body", ``, "", 400, ""},
		{"no JSON", `hello`, "", 400, ""},
		{"half a value", `{"prompt":"x"`, "", 400, ""},
		{"trailing JSON", `{"prompt":"x"}{"prompt":"y"}`, "", 400, ""},
		{"trailing text", `{"prompt":"x"} and more`, "", 400, ""},
		{"twice the same field", `{"prompt":"x","prompt":"y"}`, "", 422, ""},
		{"an array", `["x"]`, "", 400, "must be a JSON object"},
		{"null", `null`, "", 422, ""},
		{"a number", `17`, "", 400, ""},
		{"deep", `{"prompt":` + deep + `}`, "", 422, ""},
		{"unknown field", `{"prompt":"x","promt":"y"}`, "", 400, "a field that is not known"},
		{"prompt of another type", `{"prompt":17}`, "", 422, "prompt must be a string"},
		{"no prompt", `{}`, "", 422, ""},
		{"empty prompt", `{"prompt":" \n"}`, "", 422, ""},
		{"10,001 characters", `{"prompt":"` + strings.Repeat("é", 10_001) + `"}`, "", 422, "longer than 10000 characters"},
		{"no tokens", `{"prompt":"x","max_tokens":-1}`, "", 422, "max_tokens must be 1 to 4096"},
		{"too many tokens", `{"prompt":"x","max_tokens":1000000}`, "", 422, ""},
		{"half a token", `{"prompt":"x","max_tokens":1.5}`, "", 422, "max_tokens must be a whole number"},
		{"tokens beyond numbers", `{"prompt":"x","max_tokens":99999999999999999999}`, "", 422, "max_tokens must be a whole number"},
		{"stream as text", `{"prompt":"x","stream":"true"}`, "", 422, "stream must be true or false"},
		{"temperature", `{"prompt":"x","temperature":3}`, "", 422, ""},
		{"number beyond numbers", `{"prompt":"x","temperature":1e999}`, "", 422, "temperature must be a number"},
		{"unknown provider", `{"prompt":"x","provider":"nobody"}`, "", 422, "provider must be one of local"},
		{"model that is no name", `{"prompt":"x","model":"a b\r\nX: y"}`, "", 422, ""},
		{"content type", `{"prompt":"x"}`, "text/plain", 415, ""},
		{"form", `prompt=x`, "application/x-www-form-urlencoded", 415, ""},
		{"5 MB", `{"prompt":"` + strings.Repeat("x", 5_000_000) + `"}`, "", 413, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := c.request(t.Context(), http.MethodPost, "/api/spark/generate", tt.body)
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			r := c.do(req)
			r.problem(t, tt.status)
			require.NotEmpty(t, r.json["detail"], "one clear sentence")
			require.Contains(t, r.json["detail"], tt.detail)
		})
	}
	require.Zero(t, c.metric("spark_breaker_outcomes_total"), "no provider was asked")
}

func TestChunkedBodyIsBounded(t *testing.T) {
	c := start(t, nil)
	endless := io.LimitReader(repeat{}, 50_000_000)
	req := c.request(t.Context(), http.MethodPost, "/api/spark/generate", io.MultiReader(strings.NewReader(`{"prompt":"`), endless))
	require.EqualValues(t, 0, req.ContentLength, "its length is not told")
	c.do(req).problem(t, http.StatusRequestEntityTooLarge)
}

type repeat struct{}

func (repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestCompressedBodyIsBounded(t *testing.T) {
	c := start(t, nil)
	send := func(prompt string) *response {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := io.WriteString(z, `{"prompt":"`+prompt+`"}`)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		req := c.request(t.Context(), http.MethodPost, "/api/spark/generate", &packed)
		req.Header.Set("Content-Encoding", "gzip")
		return c.do(req)
	}
	require.Equal(t, "You said: hello", send("hello").json["text"])
	send(strings.Repeat("x", 20_000_000)).problem(t, http.StatusRequestEntityTooLarge)
}

// What can't be seen is removed; what it stood in stays as it was.
func TestInvisibleCharactersAreRemoved(t *testing.T) {
	c := start(t, nil, "-sanitize", "off")
	for sent, want := range map[string]string{
		"a\u0000b\u202ec\u200bd":  "abcd",
		"tag\U000e0041\U000e0042": "tag",
		"👩\u200d💻 می\u200cخواهم":  "👩\u200d💻 می\u200cخواهم",
	} {
		r := c.prompt(sent)
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		require.Equal(t, "You said: "+want, r.json["text"])
	}
}

// Ten thousand characters are ten thousand runes, not bytes.
func TestLongPromptOfManyBytes(t *testing.T) {
	c := start(t, nil)
	r := c.prompt(strings.Repeat("語", 10_000))
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
}

func TestExport(t *testing.T) {
	c := start(t, nil)
	tests := []struct {
		format, contentType, name, contains string
	}{
		{"markdown", "text/markdown; charset=utf-8", `attachment; filename="Q3 report.md"`, "# Q3 report\n\n<script>"},
		{"html", "text/html; charset=utf-8", `attachment; filename="Q3 report.html"`, "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre>"},
		{"json", "application/json", `attachment; filename="Q3 report.json"`, `"title": "Q3 report"`},
		{"text", "text/plain; charset=utf-8", `attachment; filename="Q3 report.txt"`, "Q3 report\n\n<script>"},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			r := c.post("/api/export", map[string]string{"title": "Q3 report", "content": "<script>alert(1)</script>", "format": tt.format})
			require.Equal(t, http.StatusOK, r.StatusCode, r.text)
			require.Equal(t, tt.contentType, r.Header.Get("Content-Type"))
			require.Equal(t, tt.name, r.Header.Get("Content-Disposition"))
			require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
			require.Contains(t, r.Header.Get("Content-Security-Policy"), "sandbox")
			require.Contains(t, r.text, tt.contains)
		})
	}
	for title, want := range map[string]string{
		"../../etc/passwd":    `attachment; filename="etc-passwd.txt"`,
		"a\"; filename=x.exe": `attachment; filename="a-- filename-x.exe.txt"`,
		"a\r\nSet-Cookie: b":  `attachment; filename="a Set-Cookie- b.txt"`,
		"…":                   `attachment; filename="export.txt"`,
		"Übersicht":           `attachment; filename="-bersicht.txt"; filename*=UTF-8''%C3%9Cbersicht.txt`,
	} {
		r := c.post("/api/export", map[string]string{"title": title, "content": "x", "format": "text"})
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		require.Equal(t, want, r.Header.Get("Content-Disposition"))
	}
	c.post("/api/export", map[string]string{"title": "x", "content": "x", "format": "exe"}).problem(t, 422)
	c.post("/api/export", map[string]string{"title": "", "content": "x", "format": "text"}).problem(t, 422)
	c.post("/api/export", map[string]string{"title": "x", "content": "", "format": "text"}).problem(t, 422)
}

func TestKeys(t *testing.T) {
	c := start(t, []string{"SPARK_MASTER_KEYS=first-master-key, second-master-key"})
	ask := func(header, value string) *response {
		req := c.request(t.Context(), http.MethodPost, "/api/spark/generate", `{"prompt":"hello"}`)
		req.Header.Del("Authorization")
		if header != "" {
			req.Header.Set(header, value)
		}
		return c.do(req)
	}
	require.Equal(t, 200, ask("Authorization", "Bearer "+c.key).StatusCode)
	require.Equal(t, 200, ask("X-API-Key", c.key).StatusCode)
	require.Equal(t, 200, ask("X-API-Key", "second-master-key").StatusCode)

	none := ask("", "")
	none.problem(t, 401)
	require.NotContains(t, none.Header.Get("WWW-Authenticate"), "error=", "no code where nothing was sent")
	for _, wrong := range []string{"nonsense", c.key[:len(c.key)-1] + "!", "first-master-kex"} {
		r := ask("Authorization", "Bearer "+wrong)
		r.problem(t, 401)
		require.Contains(t, r.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
	}
	for _, path := range []string{"/api/metrics", "/api/errors"} {
		req := c.request(t.Context(), http.MethodGet, path, nil)
		req.Header.Del("Authorization")
		c.do(req).problem(t, 401)
	}
}

func TestRevokedKey(t *testing.T) {
	file := t.TempDir() + "/keys.json"
	m, revoke := keysIn(t, file)
	c := start(t, nil, "-keys-file", file)
	c.key = m
	require.Equal(t, 200, c.prompt("hello").StatusCode)
	revoke()
	eventually(t, func() bool { return c.prompt("hello again").StatusCode == 401 }, "the file is read again")
}

func TestRateLimit(t *testing.T) {
	c := start(t, nil, "-requests-per-minute", "3")
	for i := range 3 {
		r := c.prompt("hello")
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, int64(2-i), member(t, r.Header, "RateLimit", "requests", "r"))
		require.Equal(t, int64(3), member(t, r.Header, "RateLimit-Policy", "requests", "q"))
		require.Equal(t, int64(60), member(t, r.Header, "RateLimit-Policy", "requests", "w"))
	}
	r := c.prompt("hello")
	r.problem(t, 429)
	require.Equal(t, "https://iana.org/assignments/http-problem-types#quota-exceeded", r.json["type"])
	require.Equal(t, []any{"requests"}, r.json["violated-policies"])
	require.Equal(t, int64(0), member(t, r.Header, "RateLimit", "requests", "r"))
	require.Equal(t, "20", r.Header.Get("Retry-After"), "one of three comes back in a third of a minute")
}

// A token budget refuses by what answers cost, and is settled when they end.
func TestTokenBudget(t *testing.T) {
	c := start(t, nil, "-tokens-per-minute", "100", "-cache-ttl", "0")
	r := c.post("/api/spark/generate", `{"prompt":"hello","max_tokens":200}`)
	r.problem(t, 429)
	require.Equal(t, []any{"tokens"}, r.json["violated-policies"])
	for range 3 { // each reserves 42 and uses 5
		r := c.post("/api/spark/generate", `{"prompt":"hello","max_tokens":40}`)
		require.Equal(t, 200, r.StatusCode, r.text)
	}
}

// member reads a parameter of an item of a structured field by a parser that
// nobody here wrote.
func member(t *testing.T, h http.Header, field, policy, parameter string) int64 {
	t.Helper()
	list, err := httpsfv.UnmarshalList(h.Values(field))
	require.NoError(t, err, h.Values(field))
	for _, m := range list {
		item, ok := m.(httpsfv.Item)
		require.True(t, ok)
		if item.Value == policy {
			v, ok := item.Params.Get(parameter)
			require.True(t, ok, parameter)
			n, ok := v.(int64)
			require.True(t, ok)
			return n
		}
	}
	require.Fail(t, "no such policy", policy)
	return 0
}

func TestProbesAndUnknownPaths(t *testing.T) {
	c := start(t, nil)
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/api/spark/health"} {
		req := c.request(t.Context(), http.MethodGet, path, nil)
		req.Header.Del("Authorization")
		r := c.do(req)
		require.Equal(t, 200, r.StatusCode, path)
		require.JSONEq(t, `{"status":"pass"}`, r.text, "strangers see no more")
	}
	r := c.get("/api/spark/health")
	checks, _ := r.json["checks"].(map[string]any)
	for _, name := range []string{"providers:breakers", "metrics:gather", "keys:store", "errors:reports", "cache:entries", "limits:store", "memory"} {
		require.Contains(t, checks, name)
	}
	r = c.get("/nowhere")
	r.problem(t, 404)
	require.NotEmpty(t, r.json["detail"])
	r = c.get("/api/spark/generate")
	r.problem(t, 405)
	require.NotEmpty(t, r.json["detail"])
	require.Equal(t, "POST", r.Header.Get("Allow"))

	req := c.request(t.Context(), http.MethodGet, "/livez", nil)
	req.Header.Set("X-Request-Id", "mine-1")
	require.Equal(t, "mine-1", c.do(req).Header.Get("X-Request-Id"))
	req.Header.Set("X-Request-Id", "not mine\t")
	require.NotEqual(t, "not mine", c.do(req).Header.Get("X-Request-Id"))
}

func TestMetricsPage(t *testing.T) {
	c := start(t, nil)
	c.prompt("hello")
	require.Contains(t, c.get("/api/metrics").text, `http_route="/api/spark/generate"`)
	req := c.request(t.Context(), http.MethodGet, "/api/metrics", nil)
	req.Header.Set("Accept", "application/json")
	r := c.do(req)
	require.Contains(t, r.json, "routes")
	var text bytes.Buffer
	require.NoError(t, json.Indent(&text, []byte(r.text), "", ""))
	require.Contains(t, text.String(), `"p95_seconds"`)
}

// A trace leads from a latency to the request that had it, and to the call of the
// provider behind it.
func TestExemplars(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	c := start(t, nil)
	req := c.request(t.Context(), http.MethodPost, "/api/spark/generate", map[string]any{"prompt": "hello"})
	req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	require.Equal(t, http.StatusOK, c.do(req).StatusCode)
	req = c.request(t.Context(), http.MethodGet, "/api/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	page := c.do(req).text
	for _, name := range []string{"http_server_request_duration_seconds_bucket", "gen_ai_client_operation_duration_seconds_bucket"} {
		require.Regexp(t, name+`\{.* # \{trace_id="`+trace, page)
	}
}
