package headers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/headers"
)

// visits counts what a browser asks for: what a script that runs asks for tells
// that it ran.
type visits struct {
	mu   sync.Mutex
	seen map[string]int
}

func (v *visits) add(path string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[path]++
}

func (v *visits) of(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[path]
}

// A real browser does what the headers ask of it.
func TestBrowser(t *testing.T) {
	chromium := findChromium(t)
	v := &visits{seen: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		v.add("/")
		nonce, err := headers.NonceAttr(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>page</title>
			<script>fetch("/ran/without-nonce")</script>
			<script nonce="guessed">fetch("/ran/wrong-nonce")</script>
			<img src="/missing.png" onerror="fetch('/ran/attribute')">
			<script %s>fetch("/ran/with-nonce")</script>`, nonce)
	})
	mux.HandleFunc("GET /ran/{what}", func(_ http.ResponseWriter, r *http.Request) { v.add(r.PathValue("what")) })
	page := httptest.NewServer(handler(t, headers.Config{Preset: headers.HTML}, mux.ServeHTTP))
	defer page.Close()

	visit(t, chromium, page.URL+"/")
	require.Equal(t, 1, v.of("/"))
	require.Equal(t, 1, v.of("with-nonce"))
	for _, what := range []string{"without-nonce", "wrong-nonce", "attribute"} {
		require.Zero(t, v.of(what), "inline script %s", what)
	}

	// Another site frames the page, and a page that may be framed.
	open, err := headers.ParseCSP("default-src 'self'; script-src 'unsafe-inline'", true)
	require.NoError(t, err)
	framable := httptest.NewServer(handler(t, headers.Config{CSP: open, Override: map[string]string{"X-Frame-Options": "", "Cross-Origin-Resource-Policy": ""}},
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ran" {
				v.add("framable")
				return
			}
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, `<script>fetch("/ran")</script>`)
		}))
	defer framable.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<iframe src="%s/"></iframe><iframe src="%s/"></iframe>`, page.URL, framable.URL)
	}))
	defer other.Close()
	visit(t, chromium, other.URL)
	require.Equal(t, 1, v.of("framable"), "a frame that is allowed runs")
	require.Equal(t, 1, v.of("with-nonce"), "one that is refused doesn't")
}

// findChromium skips the test only where there is no browser, and never in CI,
// which installs one.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no chromium in CI")
	}
	t.Skip("no chromium on this machine")
	return ""
}

// visit loads a page and waits until its scripts have come to rest.
func visit(t *testing.T, chromium, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=3000", "--dump-dom", url)
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
}
