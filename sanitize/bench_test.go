package sanitize_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize"
)

// article is text of the length of a median prompt, and of a KiB.
var (
	article = "Write a short note to my landlord about the broken heating, ask politely for a date, and mention that the baby has a cold."
	page    = strings.Repeat(article+"\n", 9)[:1024]
)

func BenchmarkClean(b *testing.B) {
	tests := []struct{ name, text string }{
		{"ASCII 1 KiB", page},
		{"German 1 KiB", strings.Repeat("Über die schöne grüne Wiese läuft ein müder Hund. ", 19)},
		{"Chinese 1 KiB", strings.Repeat("今天天气很好我们去公园散步吧。", 22)},
		{"Hindi 1 KiB", strings.Repeat("आज मौसम बहुत अच्छा है। ", 17)},
		{"emoji 1 KiB", strings.Repeat("👩🏽\u200d🚒❤️\u200d🔥🏳️\u200d⚧️ ok ", 21)},
		{"hidden 1 KiB", strings.Repeat("i\u200bg\u200bn\u200bo\u200br\u200be ", 44)},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tt.text)))
			for b.Loop() {
				sanitize.Clean(tt.text)
			}
		})
	}
}

func BenchmarkSanitize(b *testing.B) {
	s := newScanner(b, sanitize.Config{})
	tests := []struct{ name, text string }{
		{"median prompt", article},
		{"1 KiB", page},
		{"attack", attack},
		{"10,000 characters", strings.Repeat(article+" ", 82)[:10_000]},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tt.text)))
			for b.Loop() {
				_, _ = s.Sanitize(b.Context(), tt.text)
			}
		})
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// again is a body that can be read again and again.
type again struct {
	bytes.Reader
	data []byte
}

func (a *again) Close() error { return nil }

// BenchmarkHandler measures the middlewares around a handler that reads the body.
func BenchmarkHandler(b *testing.B) {
	read := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})
	limit, err := sanitize.NewBodyLimit(sanitize.BodyLimitConfig{})
	require.NoError(b, err)
	guard := newGuard(b, sanitize.GuardConfig{Fields: []string{"/prompt", "/messages/*/content"}})
	data, err := json.Marshal(map[string]any{"prompt": article, "max_tokens": 100})
	require.NoError(b, err)
	handlers := []struct {
		name string
		h    http.Handler
	}{
		{"bare", read},
		{"MaxBytesHandler", http.MaxBytesHandler(read, 1<<20)},
		{"BodyLimit", limit.Handler(read)},
		{"Guard, off", newGuard(b, sanitize.GuardConfig{
			Fields: []string{"/prompt"}, Mode: func(*http.Request) sanitize.Mode { return sanitize.ModeOff },
		}).Handler(read)},
		{"Guard", guard.Handler(read)},
	}
	for _, tt := range handlers {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			body := &again{data: data}
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Content-Type", "application/json")
			w := discard{http.Header{}}
			for b.Loop() {
				body.Reset(body.data)
				r.Body, r.ContentLength = body, int64(len(body.data))
				tt.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkOutput(b *testing.B) {
	o := newOutput(b, sanitize.OutputConfig{})
	tokens := events("anthropic", page, 5)
	total := len(strings.Join(tokens, ""))
	stream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, t := range tokens {
			_, _ = io.WriteString(w, t)
		}
	})
	for _, tt := range []struct {
		name string
		h    http.Handler
	}{{"bare", stream}, {"Output", o.Handler(stream)}} {
		b.Run(tt.name+", stream of a KiB in 205 events", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(total))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			w := discard{http.Header{}}
			for b.Loop() {
				tt.h.ServeHTTP(w, r)
			}
		})
	}
	b.Run("Scan of a KiB", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(page)))
		for b.Loop() {
			o.Scan(page)
		}
	})
}
