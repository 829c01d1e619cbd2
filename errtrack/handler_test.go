package errtrack_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// newRequest makes a request of "METHOD /path".
func newRequest(t testing.TB, what string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	method, target, ok := strings.Cut(what, " ")
	require.True(t, ok)
	r := httptest.NewRequestWithContext(t.Context(), method, target, body)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
