package response_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/response"
)

// streamWatcher counts streams that began and watched responses that ended.
type streamWatcher struct{ began, ended int }

func (s *streamWatcher) StreamBegan(*response.Writer) { s.began++ }

func (s *streamWatcher) ResponseEnded(w *response.Writer, _ response.End) {
	if w.Streaming() {
		s.ended++
	}
}

// Each watcher is told of a stream exactly once, whenever it began to watch.
func TestStreamBegan(t *testing.T) {
	var outer, inner, late, after streamWatcher
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "Text/Event-Stream; charset=utf-8")
		w.WriteHeader(http.StatusEarlyHints)
		require.Zero(t, outer.began)
		w.WriteHeader(http.StatusOK)
		require.Equal(t, 1, outer.began)
		response.Serve(w, r, nothing, &late)
		_, _ = w.Write([]byte("data: [DONE]\n\n"))
		response.Serve(w, r, nothing, &after)
	})
	response.Serve(httptest.NewRecorder(), r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response.Serve(w, r, stream, &inner)
	}), &outer)
	want := streamWatcher{began: 1, ended: 1}
	require.Equal(t, []streamWatcher{want, want, want, want}, []streamWatcher{outer, inner, late, after})

	var plain streamWatcher
	response.Serve(httptest.NewRecorder(), r, nothing, &plain)
	require.Zero(t, plain)
}

func TestFirstByteIsOfStreams(t *testing.T) {
	tests := []struct {
		name, contentType string
		want              bool
	}{
		{"stream", "text/event-stream", true},
		{"JSON", "application/json", false},
		{"none", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				rec := response.Of(w)
				_, ok := rec.FirstByte()
				require.False(t, ok, "before the header")
				w.WriteHeader(http.StatusOK)
				first, ok := rec.FirstByte()
				require.Equal(t, tt.want, ok)
				require.LessOrEqual(t, first, rec.Elapsed())
			})
			response.Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), h, &streamWatcher{})
		})
	}
}
