package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkChain measures a request through everything but the network: a key,
// limits, the check of the prompt, the cache, metrics, headers. "cached" asks no
// provider, "local" asks the one that answers at once.
func BenchmarkChain(b *testing.B) {
	const body = `{"prompt":"Explain in one paragraph what a circuit breaker is, and when to use one."}`
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"text":"ok"}`)
	})
	for _, bb := range []struct {
		name string
		args []string
	}{{name: "bare"}, {name: "cached"}, {name: "local", args: []string{"-cache-ttl", "0"}}, {name: "refused"}} {
		b.Run(bb.name, func(b *testing.B) {
			var handler http.Handler = bare
			key := ""
			if bb.name != "bare" {
				cfg, err := parseConfig(append(bb.args, limitless...), func(string) string { return "" }, io.Discard)
				require.NoError(b, err)
				s, err := newServer(cfg, slog.New(slog.DiscardHandler))
				require.NoError(b, err)
				key, err = s.issue(b.Context())
				require.NoError(b, err)
				handler = s.handler()
			}
			if bb.name == "refused" {
				key += "x"
			}
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/api/spark/generate", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+key)
				r.Header.Set("Content-Type", "application/json")
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
