package problem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/problem"
)

func TestPrepare(t *testing.T) {
	for _, tt := range []struct {
		name string
		doc  problem.Document
		id   string
	}{
		{"bare", problem.Document{Status: 429}, ""},
		{"members", problem.Document{Status: 429, Type: "https://example.com/q", Detail: "No.", Members: map[string]any{"violated-policies": []string{"a", "b"}}}, ""},
		{"request id", problem.Document{Status: 503}, "7f-1"},
		{"request id that needs escapes", problem.Document{Status: 503}, `a"\<b>` + "\u2028\x01"},
		{"request id as a member", problem.Document{Status: 503, Members: map[string]any{"request_id": "mine"}}, "theirs"},
		{"members that can't be encoded", problem.Document{Status: 503, Members: map[string]any{"f": func() {}}}, "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write := func(d *problem.Document) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				if tt.id != "" {
					w.Header().Set("X-Request-Id", tt.id)
				}
				problem.Write(w, httptest.NewRequest("GET", "/", nil), d)
				return w
			}
			want, got := write(&tt.doc), write(tt.doc.Prepare())
			require.JSONEq(t, want.Body.String(), got.Body.String())
			require.Equal(t, want.Code, got.Code)
			wantLen, gotLen := want.Body.Len(), got.Body.Len()
			require.Equal(t, wantLen, gotLen)
			require.Equal(t, want.Header(), got.Header())
		})
	}
}

func TestPrepareIsACopy(t *testing.T) {
	d := &problem.Document{Status: 429, Detail: "before"}
	p := d.Prepare()
	d.Detail = "after"
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest("GET", "/", nil), p)
	require.Contains(t, w.Body.String(), "before")
	require.Equal(t, "before", p.Prepare().Detail)
}

func BenchmarkWritePrepared(b *testing.B) {
	d := (&problem.Document{Status: 429, Members: map[string]any{"violated-policies": []string{"burst"}}}).Prepare()
	w := &discard{h: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		problem.Write(w, nil, d)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
