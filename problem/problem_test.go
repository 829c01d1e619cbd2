package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/response"
	"github.com/sparkhttp/spark/problem"
)

func TestWrite(t *testing.T) {
	refused := &problem.Document{
		Type: "https://example.com/problems/quota", Title: "Quota exceeded", Status: 429,
		Detail: "Try again in a minute.", Instance: "/quota/7",
		Members: map[string]any{"violated-policies": []string{"burst"}, "status": "not this"},
	}
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"document", refused, 429, `{"type":"https://example.com/problems/quota","title":"Quota exceeded","status":429,"detail":"Try again in a minute.","instance":"/quota/7","violated-policies":["burst"]}`},
		{"wrapped", fmt.Errorf("while waiting: %w", refused), 429, ""},
		{"joined", errors.Join(io.EOF, refused), 429, ""},
		{"unknown error says nothing", errors.New("password is hunter2"), 500, `{"type":"about:blank","title":"Internal Server Error","status":500}`},
		{"status alone", &problem.Document{Status: 404}, 404, `{"type":"about:blank","title":"Not Found","status":404}`},
		{"status that is no error", &problem.Document{Status: 200}, 500, `{"type":"about:blank","title":"Internal Server Error","status":500}`},
		{"status without a name", &problem.Document{Status: 499}, 499, `{"type":"about:blank","title":"Error","status":499}`},
		{"member that has no JSON", &problem.Document{Status: 400, Members: map[string]any{"f": func() {}}}, 400, `{"type":"about:blank","title":"Bad Request","status":400}`},
		{"nil document", nilShower{}, 500, `{"type":"about:blank","title":"Internal Server Error","status":500}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Encoding", "gzip")
			problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), tt.err)
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Empty(t, w.Header().Get("Content-Encoding"))
			require.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
			if tt.body != "" {
				require.JSONEq(t, tt.body, w.Body.String())
			}
		})
	}
	require.Equal(t, "not this", refused.Members["status"], "the caller's map stays as it was")
}

type nilShower struct{}

func (nilShower) Error() string              { return "secret" }
func (nilShower) Problem() *problem.Document { return nil }

// Of the answer that was meant to be sent nothing is left, however many fields the
// header has; what belongs to the response as a whole stays.
func TestWriteTidiesTheHeader(t *testing.T) {
	for _, others := range []int{0, 20} {
		for _, gone := range []string{"Content-Encoding", "Content-Disposition", "ETag", "Last-Modified", "Accept-Ranges"} {
			w := httptest.NewRecorder()
			w.Header().Set(gone, "x")
			w.Header().Set("X-Request-Id", "abc")
			w.Header().Set("Cache-Control", "private")
			for i := range others {
				w.Header().Set(fmt.Sprint("X-Other-", i), "kept")
			}
			problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), io.EOF)
			require.NotContains(t, w.Header(), http.CanonicalHeaderKey(gone))
			require.Len(t, w.Header(), others+5)
			require.Equal(t, "private", w.Header().Get("Cache-Control"))
			require.Contains(t, w.Body.String(), `"request_id":"abc"`)
		}
	}
}

func TestWriteRepeatsTheRequestID(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "abc")
	problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), io.EOF)
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, "abc", got["request_id"])
}

func TestWriteHead(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), io.EOF)
	require.Zero(t, w.Body.Len())
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

type ends []response.End

func (e *ends) ResponseEnded(_ *response.Writer, end response.End) { *e = append(*e, end) }

func TestWriteTellsTheReason(t *testing.T) {
	var got ends
	cause := errors.New("provider down")
	response.Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, cause) }), &got)
	require.Equal(t, ends{{Kind: response.Failed, Err: cause}}, got)
}

// A response that has begun can't become an error: the client must see it break.
func TestWriteAbortsWhatHasBegun(t *testing.T) {
	var got ends
	cause := errors.New("provider broke off")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response.Serve(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half an ans")
			_ = http.NewResponseController(w).Flush()
			problem.Write(w, r, cause)
		}), &got)
	}))
	resp, err := srv.Client().Get(srv.URL)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "half an ans", string(body))
	require.NoError(t, resp.Body.Close())
	srv.Close()
	require.Equal(t, ends{{Kind: response.Truncated, Err: cause}}, got)
}

func TestError(t *testing.T) {
	require.Equal(t, "Not Found", (&problem.Document{Status: 404}).Error())
	require.Equal(t, "No such model.", (&problem.Document{Status: 404, Detail: "No such model."}).Error())
}

func BenchmarkWrite(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	err := &problem.Document{Status: 429, Detail: "Try again in a minute."}
	b.ReportAllocs()
	for b.Loop() {
		problem.Write(httptest.NewRecorder(), r, err)
	}
}

func TestWith(t *testing.T) {
	inner := &problem.Document{Status: http.StatusBadRequest}
	outer := &problem.Document{Status: http.StatusBadGateway}
	err := problem.With(fmt.Errorf("asking: %w", problem.With(io.EOF, inner)), outer)
	require.ErrorIs(t, err, io.EOF)
	require.EqualError(t, err, "asking: EOF")
	require.Same(t, outer, problem.Of(err), "the outermost one counts")
	require.NoError(t, problem.With(nil, outer))
}
