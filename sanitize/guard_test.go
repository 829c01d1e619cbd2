package sanitize_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize"
)

func newGuard(t testing.TB, cfg sanitize.GuardConfig) *sanitize.Guard {
	t.Helper()
	g, err := sanitize.NewGuard(cfg)
	require.NoError(t, err)
	return g
}

// marker is a Sanitizer that shows which texts it was given: it cleans, blocks
// what contains "BLOCK" and warns of what contains "WARN".
type marker struct{ seen *[]string }

func (m marker) Sanitize(_ context.Context, text string) (sanitize.Result, error) {
	if m.seen != nil {
		*m.seen = append(*m.seen, text)
	}
	r := sanitize.Result{}
	r.Text, r.Removed = sanitize.Clean(text)
	switch {
	case strings.Contains(text, "FAIL"):
		return r, errors.New("internal reason")
	case strings.Contains(text, "BLOCK"):
		r.Score, r.Verdict = 0.9, sanitize.Block
		r.Findings = []sanitize.Finding{{Rule: "test.block", Family: "test-family", Severity: sanitize.High, End: len(text)}}
	case strings.Contains(text, "WARN"):
		r.Score, r.Verdict = 0.5, sanitize.Warn
		r.Findings = []sanitize.Finding{{Rule: "test.warn", Family: "test-family", Severity: sanitize.Low, End: len(text)}}
	}
	return r, nil
}

// TestWhereTextIs shows which strings of a body are looked at.
func TestWhereTextIs(t *testing.T) {
	tests := []struct {
		name, body string
		fields     []string
		want       []string
	}{
		{"member", `{"prompt":"a","other":"b"}`, []string{"/prompt"}, []string{"a"}},
		{"escapes", `{"prompt":"a\u00e9\n\"\\\/\ud83d\ude00"}`, []string{"/prompt"}, []string{"aé\n\"\\/😀"}},
		{"escaped name", `{"pr\u006fmpt":"a"}`, []string{"/prompt"}, []string{"a"}},
		{"name in another case, as encoding/json reads it", `{"PROMPT":"a","prompt":"b"}`, []string{"/prompt"}, []string{"a", "b"}},
		{"name with a Kelvin sign", "{\"to\u212aen\":\"a\"}", []string{"/token"}, []string{"a"}},
		{"pointer with escapes", `{"a/b":{"c~d":"x"},"":"y"}`, []string{"/a~1b/c~0d", "/"}, []string{"x", "y"}},
		{"index", `{"a":["x","y","z"],"b":{"1":"w"}}`, []string{"/a/1", "/b/1"}, []string{"y", "w"}},
		{"index with a zero in front", `["x","y"]`, []string{"/01"}, nil},
		{"wildcards", `{"a":{"x":{"t":"1"},"y":{"t":"2"}},"b":[["3"],["4","5"]]}`, []string{"/a/*/t", "/b/*/*"}, []string{"1", "2", "3", "4", "5"}},
		{"root of an array", `["a",1,"b"]`, []string{"/*"}, []string{"a", "b"}},
		{"two patterns for one string", `{"a":"x"}`, []string{"/a", "/*"}, []string{"x"}},
		{"missing, null and numbers", `{"a":null,"b":7,"c":true}`, []string{"/a", "/b", "/c", "/d"}, nil},
		{"too short a way", `{"a":"x"}`, []string{"/a/b"}, nil},
		{"messages", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","name":"n"}]}`, []string{"/messages/*/content"}, []string{"a", "b"}},
		{
			"parts", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:x"}},"b"]}]}`,
			[]string{"/messages/*/content"},
			[]string{"a", "b"},
		},
		{
			"tool results of Anthropic",
			`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"}]},{"type":"tool_result","content":"b"}]}]}`,
			[]string{"/messages/*/content"},
			[]string{"a", "b"},
		},
		{
			"documents of Anthropic",
			`{"messages":[{"content":[{"type":"document","title":"t","context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}},
			  {"type":"document","source":{"data":"JVBERi0=","type":"base64"}},{"type":"document","source":{"type":"content","content":[{"type":"text","text":"e"}]}}]}]}`,
			[]string{"/messages/*/content"},
			[]string{"t", "c", "d", "e"},
		},
		{
			"a source of two types, of which another reader may take the first",
			`{"content":[{"type":"document","source":{"type":"text","Type":"base64","data":"a"}}]}`,
			[]string{"/content"},
			[]string{"a"},
		},
		{"empty texts, of which there is nothing to say", `{"content":["",{"text":""},"a"]}`, []string{"/content"}, []string{"a"}},
		{
			"input of the Responses API",
			`{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"function_call_output","call_id":"c","output":"b"}]}`,
			[]string{"/input"},
			[]string{"a", "b"},
		},
		{"input that is a string", `{"input":"a"}`, []string{"/input"}, []string{"a"}},
		{"deeper pattern in a field", `{"content":{"text":"a","extra":{"note":"b"}}}`, []string{"/content", "/content/extra/note"}, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []string
			g := newGuard(t, sanitize.GuardConfig{Fields: tt.fields, Sanitizer: marker{&seen}})
			got, report, err := g.Check(t.Context(), []byte(tt.body), sanitize.ModeBlock)
			require.NoError(t, err)
			require.Equal(t, tt.want, seen)
			require.Equal(t, tt.body, string(got))
			require.Empty(t, report.Passages)
		})
	}
}

// TestManyTextsDeepDown keeps the memory for where texts are within that for
// the texts themselves.
func TestManyTextsDeepDown(t *testing.T) {
	const depth, texts = 58, 2000
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/content"}, Sanitizer: marker{new([]string)}})
	body := []byte(strings.Repeat(`{"content":`, depth) + `[{"text":"a"}` + strings.Repeat(`,{"text":"a"}`, texts) + `]` + strings.Repeat(`}`, depth))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := g.Check(t.Context(), body, sanitize.ModeBlock)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/texts, uint64(depth*len("/content")), "bytes for a text")
}

// TestOnlyTheTextChanges shows what of the body is rewritten, and how.
func TestOnlyTheTextChanges(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"nothing", ` { "prompt" : "caf\u00e9\/" , "n" : 1.0E+2 } `, ` { "prompt" : "caf\u00e9\/" , "n" : 1.0E+2 } `},
		{"NUL", `{"n":1.0e5, "prompt" :"a\u0000b" ,"x":"\u0000"}`, `{"n":1.0e5, "prompt" :"ab" ,"x":"\u0000"}`},
		{"what needs escapes", `{"prompt":"\"\\\n\t\r\u200b<&>\u2028"}`, "{\"prompt\":\"\\\"\\\\\\n\\t\\r<&>\u2028\"}"},
		{"lone surrogate", `{"prompt":"a\ud800b"}`, "{\"prompt\":\"a\ufffdb\"}"},
		{"two lone surrogates", `{"prompt":"\udc00\ud800"}`, "{\"prompt\":\"\ufffd\"}"},
		{"invalid UTF-8", "{\"prompt\":\"a\xffb\",\"x\":\"\xff\"}", "{\"prompt\":\"a?b\",\"x\":\"\xff\"}"},
		{"emptied", `{"prompt":"\u200b\u202e"}`, `{"prompt":""}`},
		{"several", `{"prompt":["\u200ba",{"text":"b\u200b"},"c"],"z":[]}`, `{"prompt":["a",{"text":"b"},"c"],"z":[]}`},
	}
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := send(t, g.Handler, post(tt.body))
			require.True(t, e.called, e.answer.Body.String())
			require.Equal(t, tt.want, e.body)
			require.EqualValues(t, len(tt.want), e.request.ContentLength)
			report, ok := sanitize.FromContext(e.request.Context())
			require.True(t, ok)
			require.Equal(t, tt.body != tt.want, len(report.Passages) > 0)
		})
	}
}

func TestModes(t *testing.T) {
	tests := []struct {
		name    string
		mode    sanitize.Mode
		text    string
		status  int
		noted   sanitize.Verdict
		deserve sanitize.Verdict
	}{
		{"block", sanitize.ModeBlock, "BLOCK", 422, 0, sanitize.Block},
		{"block, warn", sanitize.ModeBlock, "WARN", 200, sanitize.Warn, sanitize.Warn},
		{"block, allow", sanitize.ModeBlock, "fine", 200, sanitize.Allow, sanitize.Allow},
		{"warn", sanitize.ModeWarn, "BLOCK", 200, sanitize.Warn, sanitize.Block},
		{"shadow", sanitize.ModeShadow, "BLOCK", 200, sanitize.Allow, sanitize.Block},
		{"shadow, warn", sanitize.ModeShadow, "WARN", 200, sanitize.Allow, sanitize.Warn},
		{"off", sanitize.ModeOff, "BLOCK", 200, sanitize.Allow, sanitize.Allow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var events []sanitize.TextEvent
			g := newGuard(t, sanitize.GuardConfig{
				Fields:    []string{"/prompt"},
				Sanitizer: marker{},
				Mode:      func(*http.Request) sanitize.Mode { return tt.mode },
				OnText:    func(_ context.Context, e sanitize.TextEvent) { events = append(events, e) },
			})
			e := send(t, g.Handler, post(`{"prompt":"`+tt.text+`\u200b"}`))
			require.Equal(t, tt.status, e.answer.Code)
			require.Len(t, events, 1)
			require.Equal(t, tt.deserve, events[0].Verdict)
			require.Equal(t, tt.mode, events[0].Mode)
			require.Equal(t, "/prompt", events[0].Pointer)
			require.Equal(t, len(tt.text)+3, events[0].Bytes)
			if tt.status != 200 {
				require.False(t, e.called)
				return
			}
			require.Equal(t, `{"prompt":"`+tt.text+`"}`, e.body, "cleaned whatever the mode")
			report, _ := sanitize.FromContext(e.request.Context())
			require.Len(t, report.Passages, 1)
			require.Equal(t, tt.noted, report.Passages[0].Result.Verdict)
			require.Equal(t, tt.noted == sanitize.Warn, len(report.Passages[0].Result.Findings) > 0)
			require.Equal(t, 1+int(tt.noted), len(report.Warnings()))
		})
	}
}

// shouter is a Sanitizer that changes texts in a way of its own.
type shouter struct{}

func (shouter) Sanitize(_ context.Context, text string) (sanitize.Result, error) {
	return sanitize.Result{Text: strings.ToUpper(text) + "\xff\"\b"}, nil
}

func TestSanitizerOfTheCallers(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}, Sanitizer: shouter{}})
	e := send(t, g.Handler, post(`{"prompt":"hi","x":"hi"}`))
	require.Equal(t, "{\"prompt\":\"HI\ufffd\\\"\\u0008\",\"x\":\"hi\"}", e.body)
}

func TestLimitsHoldWithDetectionOff(t *testing.T) {
	for _, s := range []sanitize.Sanitizer{nil, marker{}} {
		g := newGuard(t, sanitize.GuardConfig{
			Fields: []string{"/messages/*/content"}, Sanitizer: s,
			Mode: func(*http.Request) sanitize.Mode { return sanitize.ModeOff },
		})
		e := send(t, g.Handler, post(`{"messages":[{"content":"a"},{"content":"`+strings.Repeat(`\u00e9`, 10_001)+`"}]}`))
		require.Equal(t, 422, e.answer.Code)
		m := e.problem(t)
		require.Equal(t, "runes", m["limit"])
		require.Equal(t, "/messages/1/content", m["pointer"])
	}
}

func TestRefusalGivesNoHint(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}})
	e := send(t, g.Handler, post(`{"prompt":"`+attack+`"}`))
	require.Equal(t, 422, e.answer.Code)
	m := e.problem(t)
	require.NotEmpty(t, m["family"])
	for name := range m {
		require.Contains(t, []string{"type", "title", "status", "detail", "family"}, name)
	}
	require.NotContains(t, e.answer.Body.String(), "previous")

	_, _, err := g.Check(t.Context(), []byte(`{"prompt":"`+attack+`"}`), sanitize.ModeBlock)
	refusal, ok := errors.AsType[*sanitize.Refusal](err)
	require.True(t, ok)
	require.Equal(t, m["family"], refusal.Family)
	require.Equal(t, sanitize.Block, refusal.Result.Verdict)
	require.Equal(t, "/prompt", refusal.Pointer)
}

func TestUnknownErrorsStayInside(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}, Sanitizer: marker{}})
	e := send(t, g.Handler, post(`{"prompt":"FAIL"}`))
	require.Equal(t, 500, e.answer.Code)
	require.NotContains(t, e.answer.Body.String(), "internal reason")
}

func TestRoles(t *testing.T) {
	tests := []struct {
		name, message string
		exempt        []string
		strict        []string
		refused       bool
		role          string
	}{
		{"user warns", `{"role":"user","content":"WARN"}`, nil, nil, false, "user"},
		{"system is judged", `{"role":"system","content":"BLOCK"}`, nil, nil, true, "system"},
		{"system is exempt", `{"role":"system","content":"BLOCK"}`, []string{"system"}, nil, false, "system"},
		{"role behind the content", `{"content":"BLOCK","role":"system"}`, []string{"system"}, nil, false, "system"},
		{"escaped role", `{"role":"s\u0079stem","content":"BLOCK"}`, []string{"system"}, nil, false, "system"},
		{"two roles", `{"role":"system","ROLE":"user","content":"BLOCK"}`, []string{"system"}, nil, true, "user"},
		{"a part that calls itself exempt", `{"role":"user","content":[{"role":"system","text":"BLOCK"}]}`, []string{"system"}, nil, true, "system"},
		{"a tool result in an exempt message", `{"role":"system","content":[{"type":"tool_result","content":"BLOCK"}]}`, []string{"system"}, nil, true, "tool_result"},
		{"no role is not exempt", `{"content":"BLOCK"}`, []string{"system", ""}, nil, true, ""},
		{"tool is strict", `{"role":"tool","content":"WARN"}`, nil, nil, true, "tool"},
		{"tool result is strict", `{"role":"user","content":[{"type":"tool_result","content":[{"type":"text","text":"WARN"}]}]}`, nil, nil, true, "tool_result"},
		{"beside a tool result", `{"role":"user","content":[{"type":"tool_result","content":"ok"},{"type":"text","text":"WARN"}]}`, nil, nil, false, "user"},
		{"nobody is strict", `{"role":"tool","content":"WARN"}`, nil, []string{}, false, "other"},
		{"other is strict", `{"role":"critic","content":"WARN"}`, nil, []string{"critic"}, true, "critic"},
		{"unknown role is not repeated", `{"role":"<script>","content":"WARN"}`, nil, nil, false, "other"},
		{"role is no string", `{"role":{"x":"system"},"content":"BLOCK"}`, []string{"system"}, nil, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			role := "none seen"
			g := newGuard(t, sanitize.GuardConfig{
				Fields: []string{"/messages/*/content"}, Sanitizer: marker{},
				InsecureExemptRoles: tt.exempt, StrictRoles: tt.strict,
				OnText: func(_ context.Context, e sanitize.TextEvent) { role = e.Role },
			})
			e := send(t, g.Handler, post(`{"messages":[`+tt.message+`],"role":1}`))
			require.Equal(t, tt.refused, e.answer.Code == 422)
			require.Equal(t, tt.role, role)
		})
	}
}

func TestPointersNameNothingOfTheClient(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/vars/*/Value", "/parts"}})
	_, report, err := g.Check(t.Context(), []byte(`{"vars":{"<evil>":{"VALUE":"a\u200b"}},"parts":[0,{"TEXT":"\u200b"}]}`), sanitize.ModeBlock)
	require.NoError(t, err)
	require.Len(t, report.Passages, 2)
	require.Equal(t, "/vars/*/Value", report.Passages[0].Pointer)
	require.Equal(t, "/parts/1/text", report.Passages[1].Pointer)
	require.Equal(t, []string{
		"Removed from the text at /vars/*/Value: 1 × zero width.",
		"Removed from the text at /parts/1/text: 1 × zero width.",
	}, report.Warnings())
}

func TestGuardReadsWhatABodyLimitHasRead(t *testing.T) {
	outer := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 1000, ContentTypes: []string{"text/plain"}})
	inner := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 100})
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}, Body: inner})
	both := func(next http.Handler) http.Handler { return outer.Handler(g.Handler(next)) }

	r := post(zip(t, `{"prompt":"\u200bhi"}`))
	r.Header.Set("Content-Encoding", "gzip")
	require.Equal(t, `{"prompt":"hi"}`, send(t, both, r).body)

	require.Equal(t, 413, send(t, both, post(`{"prompt":"`+strings.Repeat("x", 200)+`"}`)).answer.Code, "the stricter limit holds")

	r = post(`{"prompt":"` + attack + `"}`)
	r.Header.Set("Content-Type", "text/plain")
	require.Equal(t, 415, send(t, both, r).answer.Code, "what is not JSON can't be looked at")
}

func TestGuardRefusesBodies(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}})
	for body, status := range map[string]int{
		`{"prompt":"a"`:                              400,
		`{"prompt":"a"} {"prompt":"BLOCK"}`:          400,
		`{"prompt":"a","prompt":"BLOCK"}`:            422,
		strings.Repeat("[", 70):                      422,
		`{"x":"` + strings.Repeat("x", 2<<20) + `"}`: 413,
	} {
		e := send(t, g.Handler, post(body))
		require.Equal(t, status, e.answer.Code)
		e.problem(t)
	}
	e := send(t, g.Handler, httptest.NewRequest(http.MethodGet, "/", nil))
	require.True(t, e.called, "no body, no text")
	_, ok := sanitize.FromContext(e.request.Context())
	require.True(t, ok)
	_, ok = sanitize.FromContext(t.Context())
	require.False(t, ok)
}

func TestPatternReachesThroughTheGuard(t *testing.T) {
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/prompt"}})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{name}", func(http.ResponseWriter, *http.Request) {})
	r := post(`{"prompt":"a"}`)
	r.URL.Path = "/v1/x"
	g.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "POST /v1/{name}", r.Pattern)
}

func TestJudgesShareTheBudgetOfARequest(t *testing.T) {
	j := &judge{answer: func(ctx context.Context) (sanitize.Verdict, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}}
	s := newScanner(t, sanitize.Config{WarnAt: 0.01, BlockAt: 1, Judge: j, JudgeTimeout: 20e6})
	var failed int
	g := newGuard(t, sanitize.GuardConfig{Fields: []string{"/*"}, Sanitizer: s, OnText: func(_ context.Context, e sanitize.TextEvent) {
		if errors.Is(e.Err, context.DeadlineExceeded) {
			failed++
		}
	}})
	body, err := json.Marshal([]string{attack, attack, attack, attack})
	require.NoError(t, err)
	_, report, err := g.Check(t.Context(), body, sanitize.ModeBlock)
	require.NoError(t, err)
	require.Len(t, report.Passages, 4)
	require.Equal(t, 1, j.asked, "the time of the request was used up by the first text")
	require.Equal(t, 4, failed)
}

func TestGuardConfigErrors(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		want   string
	}{
		{"none", nil, "Fields holds 0 pointers"},
		{"too many", make([]string, 65), "Fields holds 65 pointers"},
		{"no slash", []string{"prompt"}, `"prompt"`},
		{"empty", []string{""}, `""`},
		{"bad escape", []string{"/a~2"}, `"/a~2"`},
		{"bad escape at the end", []string{"/a~"}, `"/a~"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sanitize.NewGuard(sanitize.GuardConfig{Fields: tt.fields})
			require.ErrorContains(t, err, "sanitize: ")
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// FuzzRewrite puts a text among other members, and reads them again.
func FuzzRewrite(f *testing.F) {
	f.Add("hello", `{"a":[1.0e5, "\u0000"]}`, false)
	f.Add("\u200bhid\x00den \"quoted\" \\ \u2028", ` null `, true)
	f.Add("caf\xe9", `"\ud800"`, true)
	f.Add("", `[]`, false)
	g := newGuard(f, sanitize.GuardConfig{Fields: []string{"/prompt", "/messages/*/content"}, Sanitizer: marker{}})
	f.Fuzz(func(t *testing.T, text, other string, ascii bool) {
		if !json.Valid([]byte(other)) || strings.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return
		}
		literal := quote(text, ascii)
		parts := []string{"{ \"x\":" + other + ", \"prompt\" :", ",\"messages\":[{\"y\":" + other + ",\"content\":[", ",{\"text\":", "}]}\t]}"}
		body := strings.Join(parts, literal)
		got, report, err := g.Check(t.Context(), []byte(body), sanitize.ModeBlock)
		if err != nil { // a name twice in other, or nested too deep
			require.NotContains(t, err.Error(), "valid JSON")
			return
		}
		want, removed := sanitize.Clean(text)
		require.Equal(t, removed != nil, len(report.Passages) == 3)
		if removed == nil {
			require.Equal(t, body, string(got))
			return
		}
		rest := string(got)
		for i, part := range parts {
			var found bool
			rest, found = strings.CutPrefix(rest, part)
			require.True(t, found, "%q in %q", part, got)
			if i < len(parts)-1 {
				dec := json.NewDecoder(strings.NewReader(rest))
				var s string
				require.NoError(t, dec.Decode(&s))
				require.Equal(t, want, s)
				rest = rest[dec.InputOffset():]
			}
		}
		require.Empty(t, rest)
		again, report, err := g.Check(t.Context(), got, sanitize.ModeBlock)
		require.NoError(t, err)
		require.Equal(t, string(got), string(again))
		require.Empty(t, report.Passages)
	})
}

// quote writes text as a JSON string, with escapes for everything that is not
// ASCII or with none that is not needed. Bytes that are not UTF-8 stay.
func quote(text string, ascii bool) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1, r >= ' ' && r != '"' && r != '\\' && (!ascii || r < 0x7F):
			b.WriteString(text[i : i+n])
		default:
			data, _ := json.Marshal(string(r))
			s := string(data[1 : len(data)-1])
			if s == string(r) {
				hi, lo := r, rune(0)
				if r > 0xFFFF {
					hi, lo = 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF
				}
				s = escape(hi)
				if lo != 0 {
					s += escape(lo)
				}
			}
			b.WriteString(s)
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}

func escape(r rune) string {
	const hex = "0123456789aBcDeF"
	return string([]byte{'\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15]})
}

func TestWarningsWithoutAFamily(t *testing.T) {
	report := sanitize.Report{Passages: []sanitize.Passage{{Pointer: "/prompt", Result: sanitize.Result{Verdict: sanitize.Warn}}}}
	require.Equal(t, []string{"The text at /prompt looks suspicious."}, report.Warnings())
	refusal := &sanitize.Refusal{Pointer: "/prompt"}
	require.NotContains(t, refusal.Problem().Members, "family")
	require.ErrorContains(t, refusal, "sanitize: text refused")
}
