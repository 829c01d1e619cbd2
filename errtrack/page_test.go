package errtrack_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/problem"
)

func TestPageAsJSON(t *testing.T) {
	c := newCollector(t, errtrack.Config{Release: "v1"})
	c.Track(t.Context(), errtrack.Event{Message: "bad", Severity: errtrack.Critical, Provider: "claude", Class: "quota"})
	c.Track(t.Context(), errtrack.Event{Message: "meh", Severity: errtrack.Low})
	w := serve(c.Page(), newRequest(t, "GET /errors?severity=high&order=count&provider=claude&limit=5", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	require.Equal(t, "Accept", w.Header().Get("Vary"))
	var got struct {
		Release string
		Stats   map[string]any
		Groups  []errtrack.Group
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, "v1", got.Release)
	require.Equal(t, map[string]any{"low": 1.0, "medium": 0.0, "high": 0.0, "critical": 1.0}, got.Stats["by_severity"])
	require.Len(t, got.Groups, 1)
	require.Equal(t, "claude: quota", got.Groups[0].Title)
	require.Equal(t, errtrack.Critical, got.Groups[0].Severity)
}

func TestPageRefuses(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	for _, query := range []string{"order=x", "severity=dire", "limit=0", "limit=-1", "limit=201", "limit=x"} {
		t.Run(query, func(t *testing.T) {
			w := serve(c.Page(), newRequest(t, "GET /errors?"+query, nil))
			require.Equal(t, 400, w.Code)
			require.Equal(t, problem.ContentType, w.Header().Get("Content-Type"))
			name, _, _ := strings.Cut(query, "=")
			require.Contains(t, w.Body.String(), name)
		})
	}
}

// sampleErrors tracks what a page may have to show.
func sampleErrors(t testing.TB, c *errtrack.Collector) {
	c.Track(t.Context(), errtrack.Event{Err: errors.New("low on credit"), Provider: "claude", Class: "insufficient_quota", Route: "POST /v1/answers", Status: 502, User: "a", Model: "claude-5", RequestID: "req-1"})
	for i := range 70 {
		c.Track(t.Context(), errtrack.Event{Err: fmt.Errorf("saving answer %d: %w", i, &quotaError{"7"}), Route: "POST /v1/answers", Method: "POST", Status: 500, User: fmt.Sprint(i), RequestID: fmt.Sprint("req-", i),
			TraceID: "0af7651916cd43dd8448eb211c80319c", SessionURL: "https://app.logrocket.com/acme/prod/s/5", Tags: map[string]string{"region": "eu"}})
	}
	c.Track(t.Context(), failure(store()))
	c.Track(t.Context(), errtrack.Event{Message: "<script>alert(1)</script> & co", Severity: errtrack.Low, SessionURL: "javascript:alert(1)"})
	serve(c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("index is odd") })), newRequest(t, "GET /v1/odd", nil))
}

func TestPageAsHTML(t *testing.T) {
	c := newCollector(t, errtrack.Config{Release: "v1.2.3"})
	sampleErrors(t, c)
	w := serve(c.Page(), newRequest(t, "GET /errors", nil, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"))
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	body := w.Body.String()
	if file := os.Getenv("ERRTRACK_PAGE"); file != "" { // to look at it
		require.NoError(t, os.WriteFile(file, w.Body.Bytes(), 0o600))
	}
	for _, want := range []string{
		"Errors of v1.2.3", "claude: insufficient_quota", "panic: index is odd", "escalated", "70 times", `href="https://app.logrocket.com/acme/prod/s/5"`,
		"0af7651916cd43dd8448eb211c80319c", "errtrack_test.store", "region", "claude-5",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<script")
	require.NotContains(t, body, `"javascript:`)

	// The policy allows the style that is there, and nothing else.
	_, rest, _ := strings.Cut(body, "<style>")
	style, _, ok := strings.Cut(rest, "</style>")
	require.True(t, ok)
	sum := sha256.Sum256([]byte(style))
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	require.NotContains(t, body, "style=")
}

func TestPageAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, errtrack.Config{})
		c.Track(t.Context(), text("x"))
		for _, tt := range []struct {
			wait time.Duration
			want string
		}{{30 * time.Second, "last 30 s ago"}, {time.Minute, "last 1 min ago"}, {2 * time.Hour, "last 2 h ago"}, {72 * time.Hour, "last 3 days ago"}} {
			time.Sleep(tt.wait)
			require.Contains(t, serve(c.Page(), newRequest(t, "GET /", nil, "Accept", "text/html")).Body.String(), tt.want)
		}
	})
}

func TestEmptyPage(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	require.Contains(t, serve(c.Page(), newRequest(t, "GET /", nil, "Accept", "text/html")).Body.String(), "None so far.")
	require.Contains(t, serve(c.Page(), newRequest(t, "GET /", nil)).Body.String(), `"groups":[]`)
}

func TestPageIsLimited(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	for i := range 300 {
		c.Track(t.Context(), errtrack.Event{Message: word(i)})
	}
	var got struct{ Groups []errtrack.Group }
	require.NoError(t, json.Unmarshal(serve(c.Page(), newRequest(t, "GET /", nil)).Body.Bytes(), &got))
	require.Len(t, got.Groups, 200)
}
