package sanitize_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize"
)

// exchange is one request through a middleware: what the handler read, if it was
// called, and the answer.
type exchange struct {
	called  bool
	body    string
	request *http.Request
	answer  *httptest.ResponseRecorder
}

func (e *exchange) problem(t *testing.T) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", e.answer.Header().Get("Content-Type"))
	var m map[string]any
	require.NoError(t, json.Unmarshal(e.answer.Body.Bytes(), &m))
	require.EqualValues(t, e.answer.Code, m["status"])
	return m
}

func send(t *testing.T, middleware func(http.Handler) http.Handler, r *http.Request) *exchange {
	t.Helper()
	e := &exchange{answer: httptest.NewRecorder()}
	middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		e.called, e.body, e.request = true, string(data), r
	})).ServeHTTP(e.answer, r)
	return e
}

// post returns a request whose length is announced.
func post(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// chunked returns a request whose length is not.
func chunked(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(body))
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	return r
}

func zip(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, s)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func newBodyLimit(t testing.TB, cfg sanitize.BodyLimitConfig) *sanitize.BodyLimit {
	t.Helper()
	b, err := sanitize.NewBodyLimit(cfg)
	require.NoError(t, err)
	return b
}

func TestBodyPasses(t *testing.T) {
	tests := []struct {
		name, body, contentType, coding, want string
	}{
		{"object", `{"prompt":"hi"}`, "application/json", "", `{"prompt":"hi"}`},
		{"space around it", " \n{\"a\" : [1, -2.5e+3, true,false , null]}\r\n\t", "application/json", "", " \n{\"a\" : [1, -2.5e+3, true,false , null]}\r\n\t"},
		{"string", `"just a string"`, "application/json; charset=UTF-8", "", `"just a string"`},
		{"structured suffix", `{}`, "application/vnd.api+json", "", `{}`},
		{"byte order mark", "\ufeff{}", "application/json", "", `{}`},
		{"same name in two objects", `{"a":{"b":1},"b":{"a":1}}`, "application/json", "", `{"a":{"b":1},"b":{"a":1}}`},
		{"names that differ in case", `{"a":1,"A":2}`, "application/json", "", `{"a":1,"A":2}`},
		{"identity", `[]`, "application/json", "identity", `[]`},
		{"gzip", zip(t, `{"z":1}`), "application/json", "gzip", `{"z":1}`},
		{"gzip in two members", zip(t, `{"z"`) + zip(t, `:1}`), "application/json", "GZIP", `{"z":1}`},
		{"other type that is taken", "hello {", "text/plain; charset=latin1", "", "hello {"},
		{"at the limit", `"` + strings.Repeat("x", 98) + `"`, "application/json", "", `"` + strings.Repeat("x", 98) + `"`},
		{"at the limit, decompressed", zip(t, `"`+strings.Repeat("x", 98)+`"`), "application/json", "gzip", `"` + strings.Repeat("x", 98) + `"`},
	}
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 100, ContentTypes: []string{"text/plain"}})
	for _, tt := range tests {
		for _, r := range []*http.Request{post(tt.body), chunked(iotest.OneByteReader(strings.NewReader(tt.body)))} {
			t.Run(tt.name, func(t *testing.T) {
				r.Header.Set("Content-Type", tt.contentType)
				if tt.coding != "" {
					r.Header.Set("Content-Encoding", tt.coding)
				}
				before := r.Header.Clone()
				e := send(t, b.Handler, r)
				require.True(t, e.called, e.answer.Body.String())
				require.Equal(t, tt.want, e.body)
				require.EqualValues(t, len(tt.want), e.request.ContentLength)
				require.Equal(t, before, r.Header, "the header that others see is theirs")
				if tt.coding == "gzip" {
					require.Empty(t, e.request.Header.Get("Content-Encoding"))
				}
			})
		}
	}
}

func TestBodyIsRefused(t *testing.T) {
	bomb := zip(t, `"`+strings.Repeat("x", 5<<20)+`"`)
	tests := []struct {
		name, body, contentType, coding string
		status                          int
		detail                          string
	}{
		{"too large", `"` + strings.Repeat("x", 9999) + `"`, "application/json", "", 413, "larger than 10000 bytes"},
		{"short value, long tail", `{}` + strings.Repeat(" ", 9999), "application/json", "", 413, "larger than 10000 bytes"},
		{"gzip bomb", bomb, "application/json", "gzip", 413, "larger than 10000 bytes"},
		{"endless gzip without content", strings.Repeat(zip(t, ""), 1000), "application/json", "gzip", 413, "larger than 10000 bytes"},
		{"no type", `{}`, "", "", 415, "application/json"},
		{"form", `a=b`, "application/x-www-form-urlencoded", "", 415, "application/json"},
		{"text", `{}`, "text/plain", "", 415, "application/json"},
		{"broken type", `{}`, "application/json; charset", "", 415, "application/json"},
		{"other charset", `{}`, "application/json; charset=utf-16", "", 415, "UTF-8"},
		{"json in the middle", `{}`, "application/json-seq", "", 415, "application/json"},
		{"brotli", `{}`, "application/json", "br", 415, "gzip"},
		{"gzip twice", zip(t, zip(t, `{}`)), "application/json", "gzip, gzip", 415, "gzip"},
		{"not gzip", `{"a":1}`, "application/json", "gzip", 400, "valid gzip"},
		{"gzip that is cut", zip(t, `{"a":1}`)[:20], "application/json", "gzip", 400, "valid gzip"},
		{"gzip with a tail", zip(t, `{"a":1}`) + "tail", "application/json", "gzip", 400, "valid gzip"},
		{"nothing but space", ` `, "application/json", "", 400, "valid JSON"},
		{"cut", `{"a":`, "application/json", "", 400, "valid JSON"},
		{"trailing comma", `{"a":1,}`, "application/json", "", 400, "valid JSON"},
		{"trailing comma in array", `[1,]`, "application/json", "", 400, "valid JSON"},
		{"single quotes", `{'a':1}`, "application/json", "", 400, "valid JSON"},
		{"control in a string", "\"a\nb\"", "application/json", "", 400, "valid JSON"},
		{"unknown escape", `"\x41"`, "application/json", "", 400, "valid JSON"},
		{"broken escape", `"\u00g0"`, "application/json", "", 400, "valid JSON"},
		{"backslash at the end", `"\`, "application/json", "", 400, "valid JSON"},
		{"leading zero", `01`, "application/json", "", 400, "valid JSON"},
		{"bare point", `1.`, "application/json", "", 400, "valid JSON"},
		{"bare exponent", `1e`, "application/json", "", 400, "valid JSON"},
		{"plus", `+1`, "application/json", "", 400, "valid JSON"},
		{"word cut short", `[tru]`, "application/json", "", 400, "valid JSON"},
		{"no comma", `[1 2]`, "application/json", "", 400, "valid JSON"},
		{"no comma in an object", `{"a":1 "b":2}`, "application/json", "", 400, "valid JSON"},
		{"no colon", `{"a" 1}`, "application/json", "", 400, "valid JSON"},
		{"no name", `{1:2}`, "application/json", "", 400, "valid JSON"},
		{"broken name", "{\"a\tb\":2}", "application/json", "", 400, "valid JSON"},
		{"escape cut short", `"\u12`, "application/json", "", 400, "valid JSON"},
		{"NaN", `NaN`, "application/json", "", 400, "valid JSON"},
		{"two byte order marks", "\ufeff\ufeff{}", "application/json", "", 400, "valid JSON"},
		{"second value", `{"prompt":"a"}{"prompt":"b"}`, "application/json", "", 400, "goes on"},
		{"trailing bracket", `{}}`, "application/json", "", 400, "goes on"},
		{"trailing NUL", "{}\x00", "application/json", "", 400, "goes on"},
		{"name twice", `{"prompt":"a","prompt":"b"}`, "application/json", "", 422, "twice"},
		{"name twice, deep", `[{"x":[{"a":1,"b":2,"a":3}]}]`, "application/json", "", 422, "twice"},
		{"name twice, escaped", `{"prompt":"a","pr\u006fmpt":"b"}`, "application/json", "", 422, "twice"},
		{"name twice, invalid", "{\"\xff\":1,\"\xfe\":2}", "application/json", "", 422, "twice"},
		{"name twice, invalid and replaced", "{\"\xff\xff\":1,\"\ufffd\ufffd\":2}", "application/json", "", 422, "twice"},
		{"name twice, half a surrogate pair and replaced", "{\"\\ud800\":1,\"\ufffd\":2}", "application/json", "", 422, "twice"},
		{"name twice among many", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"a":1}`, "application/json", "", 422, "twice"},
		{"too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), "application/json", "", 422, "deeper than 64"},
		{"much too deep", strings.Repeat(`{"a":`, 1900), "application/json", "", 422, "deeper than 64"},
		{"too many values", `[` + strings.Repeat("1,", 500) + `1]`, "application/json", "", 422, "more than 500 values"},
		{"too many characters", `["` + strings.Repeat(`\u00e9`, 501) + `","` + strings.Repeat("é", 500) + `"]`, "application/json", "", 422, "longer than 1000 characters"},
	}
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 10_000, MaxValues: 500, MaxRunes: 1000})
	for _, tt := range tests {
		for _, r := range []*http.Request{post(tt.body), chunked(strings.NewReader(tt.body))} {
			t.Run(tt.name, func(t *testing.T) {
				r.Header.Set("Content-Type", tt.contentType)
				if tt.coding != "" {
					r.Header.Set("Content-Encoding", tt.coding)
				}
				e := send(t, b.Handler, r)
				require.False(t, e.called)
				require.Equal(t, tt.status, e.answer.Code)
				require.Contains(t, e.problem(t)["detail"], tt.detail)
			})
		}
	}
}

func TestBodyAtItsOtherLimits(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxValues: 4, MaxRunes: 4, MaxDepth: 2})
	for _, body := range []string{`[1,2,3]`, `[["éééé"]]`, `{"a longer name":"😀\ud83d\ude00"}`, `[[],{}]`} {
		require.True(t, send(t, b.Handler, post(body)).called, body)
	}
	for _, body := range []string{`[1,2,3,4]`, `[["éééé","a"]]`, `[[[]]]`, `["ab\u0000\ud800\n"]`} {
		require.Equal(t, 422, send(t, b.Handler, post(body)).answer.Code, body)
	}
}

// TestAnnouncedLengthIsRefusedUnread shows that not a byte is waited for.
func TestAnnouncedLengthIsRefusedUnread(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 100})
	r := chunked(iotest.ErrReader(errors.New("was read")))
	r.ContentLength = 101
	e := send(t, b.Handler, r)
	require.Equal(t, 413, e.answer.Code)
	require.Equal(t, "close", e.answer.Header().Get("Connection"))
	m := e.problem(t)
	require.Equal(t, "body", m["limit"])
	require.EqualValues(t, 100, m["max"])
}

// counter counts what is read from an endless body.
type counter struct{ n int }

func (c *counter) Read(p []byte) (int, error) {
	c.n += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestEndlessBodyIsReadNoFurtherThanTheLimit(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 100_000})
	endless := new(counter)
	e := send(t, b.Handler, chunked(endless))
	require.Equal(t, 413, e.answer.Code)
	require.LessOrEqual(t, endless.n, 100_001)
}

func TestNoBody(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{})
	empty := chunked(strings.NewReader(""))
	zipped := chunked(strings.NewReader(""))
	zipped.Header.Set("Content-Encoding", "gzip")
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRequest(http.MethodPost, "/", nil), empty, zipped} {
		e := send(t, b.Handler, r)
		require.True(t, e.called)
		require.Empty(t, e.body)
	}
}

func TestBodyThatCanNotBeRead(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
	}{
		{"client went away", io.ErrUnexpectedEOF, 400},
		{"too slow", os.ErrDeadlineExceeded, 408},
		{"limit further out", &http.MaxBytesError{Limit: 7}, 413},
		{"something else", errors.New("secret reason"), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, coding := range []string{"", "gzip"} {
				var seen error
				b := newBodyLimit(t, sanitize.BodyLimitConfig{})
				r := chunked(io.MultiReader(strings.NewReader(zip(t, `{"a":1}`)[:12]), iotest.ErrReader(tt.err)))
				r.Header.Set("Content-Encoding", coding)
				e := send(t, b.Handler, r)
				require.Equal(t, tt.status, e.answer.Code)
				require.NotContains(t, e.answer.Body.String(), "secret")
				_, seen = b.Read(chunked(iotest.ErrReader(tt.err)))
				if tt.status != 413 {
					require.ErrorIs(t, seen, tt.err)
				}
			}
		})
	}
}

func TestRefusalsSayWhatIsUnderstood(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{})
	r := post(`{}`)
	r.Header.Set("Content-Encoding", "zstd")
	require.Equal(t, "gzip", send(t, b.Handler, r).answer.Header().Get("Accept-Encoding"))
	r = post(`{}`)
	r.Header.Set("Content-Type", "text/plain")
	require.Equal(t, "application/json", send(t, b.Handler, r).answer.Header().Get("Accept"))
}

func TestBodyErrorHandler(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
		limit, ok := errors.AsType[*sanitize.LimitError](err)
		require.True(t, ok)
		require.Equal(t, sanitize.LimitDepth, limit.Limit)
		w.WriteHeader(http.StatusTeapot)
	}})
	require.Equal(t, 418, send(t, b.Handler, post(strings.Repeat("[", 100))).answer.Code)
}

func TestBodyLimitConfigErrors(t *testing.T) {
	tests := []struct {
		name string
		cfg  sanitize.BodyLimitConfig
		want string
	}{
		{"MaxBytes", sanitize.BodyLimitConfig{MaxBytes: -1}, "MaxBytes is -1"},
		{"MaxDepth", sanitize.BodyLimitConfig{MaxDepth: 1001}, "MaxDepth is 1001"},
		{"MaxValues", sanitize.BodyLimitConfig{MaxValues: -1}, "MaxValues is -1"},
		{"MaxRunes", sanitize.BodyLimitConfig{MaxRunes: -1}, "MaxRunes is -1"},
		{"ContentTypes", sanitize.BodyLimitConfig{ContentTypes: []string{"text/plain; charset=utf-8"}}, "ContentTypes holds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sanitize.NewBodyLimit(tt.cfg)
			require.ErrorContains(t, err, "sanitize: "+tt.want)
		})
	}
}

// TestBodyOverTheNetwork sends the sizes around the limit over HTTP/1.1 and
// HTTP/2, announced and chunked, and a request behind them.
func TestBodyOverTheNetwork(t *testing.T) {
	const limit = 100_000
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: limit})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(w, r.Body)
		require.NoError(t, err)
	})
	for _, h2 := range []bool{false, true} {
		srv := httptest.NewUnstartedServer(b.Handler(mux))
		srv.EnableHTTP2 = h2
		srv.StartTLS()
		t.Cleanup(srv.Close)
		for size, status := range map[int]int{10: 200, limit: 200, limit + 1: 413, 20 * limit: 413} {
			body := `"` + strings.Repeat("x", size-2) + `"`
			for _, src := range []io.Reader{strings.NewReader(body), io.MultiReader(strings.NewReader(body))} {
				resp, err := srv.Client().Post(srv.URL+"/", "application/json", src)
				if err != nil && status == 413 {
					continue // the connection was closed while the body was still being sent
				}
				require.NoError(t, err)
				got, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, status, resp.StatusCode)
				if status == 200 {
					require.Equal(t, body, string(got))
				}
			}
		}
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{}`, `[1,"a",{"b":null}]`, `{"a":1,"a":2}`, `{"a":1}x`, `"\ud83d\ude00\ud800"`, `-0.0e-1`, "\"\xff\"", `{"a":{"b":[{}]}}`, `[[[[[]]]]]`, ` 1 `, `{"a" 1}`, `{"a":0,"a":0}0`,
	} {
		f.Add(s)
	}
	b := newBodyLimit(f, sanitize.BodyLimitConfig{MaxDepth: 1000})
	f.Fuzz(func(t *testing.T, body string) {
		if body == "" || strings.HasPrefix(body, "\ufeff") {
			return
		}
		data, err := b.Read(post(body))
		if err == nil {
			require.Equal(t, body, string(data))
			require.True(t, json.Valid(data), "%q", data)
			return
		}
		if limit, ok := errors.AsType[*sanitize.LimitError](err); ok {
			require.Equal(t, sanitize.LimitDepth, limit.Limit)
			return
		}
		if json.Valid([]byte(body)) {
			require.ErrorContains(t, err, "twice", "%q", body)
		}
	})
}

// TestRefusedWithoutBeingAskedFor announces a body that is too large and waits
// to be told to send it (RFC 9110, section 10.1.1).
func TestRefusedWithoutBeingAskedFor(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{MaxBytes: 100})
	srv := httptest.NewServer(b.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		require.NoError(t, err)
	})))
	t.Cleanup(srv.Close)
	for length, want := range map[int]string{101: "HTTP/1.1 413 ", 100: "HTTP/1.1 100 "} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", length)
		require.NoError(t, err)
		answer := make([]byte, len(want))
		_, err = io.ReadFull(conn, answer)
		require.NoError(t, err)
		require.Equal(t, want, string(answer))
		require.NoError(t, conn.Close())
	}
}

func TestHeadersThatContradictThemselves(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{})
	r := post(`{}`)
	r.Header.Add("Content-Type", "text/plain")
	require.Equal(t, 415, send(t, b.Handler, r).answer.Code)
	r = post(zip(t, `{}`))
	r.Header["Content-Encoding"] = []string{"gzip", "identity"}
	require.Equal(t, 415, send(t, b.Handler, r).answer.Code)
}

func TestBodyLimitWithinABodyLimit(t *testing.T) {
	outer := newBodyLimit(t, sanitize.BodyLimitConfig{})
	inner := newBodyLimit(t, sanitize.BodyLimitConfig{MaxDepth: 1})
	both := func(next http.Handler) http.Handler { return outer.Handler(inner.Handler(next)) }
	require.Equal(t, `{"a":1}`, send(t, both, post(`{"a":1}`)).body)
	require.Equal(t, 422, send(t, both, post(`{"a":[1]}`)).answer.Code)
}

func TestClientThatLeavesWhileItSends(t *testing.T) {
	b := newBodyLimit(t, sanitize.BodyLimitConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Read(chunked(iotest.ErrReader(io.ErrUnexpectedEOF)).WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "sanitize: reading the body")
}
