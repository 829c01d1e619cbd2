package headers_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/headers"
)

func handler(t testing.TB, cfg headers.Config, next http.HandlerFunc) http.Handler {
	t.Helper()
	h, err := headers.New(cfg)
	require.NoError(t, err)
	return h.Handler(next)
}

func get(h http.Handler, change ...func(*http.Request)) *http.Response {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	for _, f := range change {
		f(r)
	}
	h.ServeHTTP(w, r)
	return w.Result()
}

func overTLS(r *http.Request) { r.TLS = &tls.ConnectionState{} }

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func TestZeroConfigIsTheAPIPreset(t *testing.T) {
	got := get(handler(t, headers.Config{}, ok), overTLS).Header
	want := map[string]string{
		"Content-Security-Policy":           "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Strict-Transport-Security":         "max-age=63072000; includeSubDomains",
		"X-Content-Type-Options":            "nosniff",
		"Referrer-Policy":                   "no-referrer",
		"X-Frame-Options":                   "DENY",
		"Cross-Origin-Opener-Policy":        "same-origin",
		"Cross-Origin-Resource-Policy":      "same-origin",
		"Cache-Control":                     "no-store",
		"X-Permitted-Cross-Domain-Policies": "none",
		"X-Dns-Prefetch-Control":            "off",
	}
	for name, value := range want {
		require.Equal(t, []string{value}, got[name], name)
	}
	require.Contains(t, got.Get("Permissions-Policy"), "camera=(), ")
	require.Len(t, got, len(want)+2, "beside Permissions-Policy and Content-Type nothing else")
}

func TestHSTS(t *testing.T) {
	year := 365 * 24 * time.Hour
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	forwarded := func(remote string, protos ...string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr, r.Header["X-Forwarded-Proto"] = remote, protos }
	}
	tests := []struct {
		name    string
		cfg     headers.Config
		request func(*http.Request)
		want    string
	}{
		{"plain HTTP", headers.Config{}, func(*http.Request) {}, ""},
		{"TLS", headers.Config{}, overTLS, "max-age=63072000; includeSubDomains"},
		{"off", headers.Config{HSTS: headers.HSTS{Off: true}}, overTLS, ""},
		{"choices", headers.Config{HSTS: headers.HSTS{MaxAge: year, ExcludeSubDomains: true}}, overTLS, "max-age=31536000"},
		{"preload", headers.Config{HSTS: headers.HSTS{Preload: true}}, overTLS, "max-age=63072000; includeSubDomains; preload"},
		{"taken back", headers.Config{HSTS: headers.HSTS{MaxAge: time.Second}}, overTLS, "max-age=1; includeSubDomains"},
		{"anybody says https", headers.Config{}, forwarded("10.0.0.1:1", "https"), ""},
		{"trusted proxy says https", headers.Config{TrustedProxies: proxies}, forwarded("10.0.0.1:1", "https"), "max-age=63072000; includeSubDomains"},
		{"trusted proxy, mapped", headers.Config{TrustedProxies: proxies}, forwarded("[::ffff:10.0.0.1]:1", "HTTPS"), "max-age=63072000; includeSubDomains"},
		{"trusted proxy, network mapped", headers.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, forwarded("10.0.0.1:1", "https"), "max-age=63072000; includeSubDomains"},
		{"trusted proxy says http", headers.Config{TrustedProxies: proxies}, forwarded("10.0.0.1:1", "http"), ""},
		{"client says https, proxy http", headers.Config{TrustedProxies: proxies}, forwarded("10.0.0.1:1", "https, http"), ""},
		{"the same on two lines", headers.Config{TrustedProxies: proxies}, forwarded("10.0.0.1:1", "https", "http"), ""},
		{"other peer says https", headers.Config{TrustedProxies: proxies}, forwarded("192.0.2.1:1", "https"), ""},
		{"no address", headers.Config{TrustedProxies: proxies}, forwarded("@", "https"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, get(handler(t, tt.cfg, ok), tt.request).Header.Get("Strict-Transport-Security"))
		})
	}
}

func TestNewRefuses(t *testing.T) {
	csp := func(c headers.CSP) headers.Config { return headers.Config{CSP: &c} }
	src := func(s ...headers.Source) headers.Config { return csp(headers.CSP{ScriptSrc: s}) }
	tests := []struct {
		name string
		cfg  headers.Config
		err  string
	}{
		{"preset", headers.Config{Preset: 7}, "Preset is 7"},
		{"age", headers.Config{HSTS: headers.HSTS{MaxAge: -1}}, "HSTS.MaxAge is -1ns"},
		{"preload for a day", headers.Config{HSTS: headers.HSTS{Preload: true, MaxAge: 24 * time.Hour}}, "at least a year"},
		{"preload without subdomains", headers.Config{HSTS: headers.HSTS{Preload: true, ExcludeSubDomains: true}}, "subdomains"},
		{"header name", headers.Config{Override: map[string]string{"X Y": "1"}}, `"X Y", which is no header name`},
		{"split header", headers.Config{Override: map[string]string{"X-Y": "1\r\nSet-Cookie: a"}}, "want visible ASCII"},
		{"padded value", headers.Config{Override: map[string]string{"X-Y": "1 "}}, "want visible ASCII"},
		{"header with a field", headers.Config{Override: map[string]string{"content-security-policy": "x"}}, "has a field of its own"},
		{"strip", headers.Config{Strip: []string{"a:b"}}, "Strip names"},
		{"unquoted keyword", src("self"), "self without quotes"},
		{"unknown keyword", src("'sefl'"), "'sefl', which is no keyword"},
		{"unsafe-inline by accident", src("'unsafe-inline'"), "say InsecureUnsafeInline"},
		{"none and more", src(headers.None, headers.Self), "'none' beside other sources"},
		{"fixed nonce", src("'nonce-abc'"), "want WithNonce"},
		{"nonce for images", csp(headers.CSP{ImgSrc: []headers.Source{headers.WithNonce}}), "img-src can't have"},
		{"directive in a source", src("https://a; script-src *"), "want a host"},
		{"header in a source", src("a\r\nb"), "want a host"},
		{"bad hash", src("'sha256-???'"), "no keyword"},
		{"header in a hash", src(headers.Source(emptyScript[:20] + "\r\n" + emptyScript[20:])), "no keyword"},
		{"proxy", headers.Config{TrustedProxies: make([]netip.Prefix, 1)}, "TrustedProxies has invalid Prefix"},
		{"empty source", src(""), "empty source"},
		{"empty directive", csp(headers.CSP{ScriptSrc: []headers.Source{}}), "script-src has no sources"},
		{"sandbox", csp(headers.CSP{Sandbox: []string{"scripts"}}), "sandbox has"},
		{"report to nobody", csp(headers.CSP{ReportTo: "csp"}), "not in ReportingEndpoints"},
		{"report name", headers.Config{CSP: &headers.CSP{ReportTo: "a b"}, ReportingEndpoints: map[string]string{"a b": "https://x"}}, "report-to"},
		{"endpoint", headers.Config{ReportingEndpoints: map[string]string{"csp": "http://x"}}, "want an https URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := headers.New(tt.cfg)
			require.ErrorContains(t, err, tt.err)
			require.ErrorContains(t, err, "headers: ")
		})
	}
}

func TestOverride(t *testing.T) {
	got := get(handler(t, headers.Config{
		Override: map[string]string{"x-frame-options": "SAMEORIGIN", "Cache-Control": "", "X-Own": "1"},
		CSP:      &headers.CSP{},
	}, ok)).Header
	require.Equal(t, "SAMEORIGIN", got.Get("X-Frame-Options"))
	require.Equal(t, "1", got.Get("X-Own"))
	require.NotContains(t, got, "Cache-Control")
	require.NotContains(t, got, "Content-Security-Policy", "the zero CSP leaves it out")
}

func TestReporting(t *testing.T) {
	got := get(handler(t, headers.Config{
		ReportOnly:         &headers.CSP{DefaultSrc: []headers.Source{headers.None}, RequireTrustedTypes: true, ReportTo: "csp"},
		ReportingEndpoints: map[string]string{"csp": "https://r.example/csp", "b": "https://r.example/b"},
	}, ok)).Header
	require.Equal(t, "default-src 'none'; require-trusted-types-for 'script'; report-to csp", got.Get("Content-Security-Policy-Report-Only"))
	require.Equal(t, `b="https://r.example/b", csp="https://r.example/csp"`, got.Get("Reporting-Endpoints"))
	require.NotEmpty(t, got.Get("Content-Security-Policy"), "the preset's stays")
}

func TestNonce(t *testing.T) {
	seen := map[string]bool{}
	h := handler(t, headers.Config{Preset: headers.HTML}, func(w http.ResponseWriter, r *http.Request) {
		attr, err := headers.NonceAttr(r.Context())
		require.NoError(t, err)
		nonce, ok := headers.Nonce(r.Context())
		require.True(t, ok)
		require.Equal(t, `nonce="`+nonce+`"`, string(attr))
		require.Len(t, nonce, 22)
		require.False(t, seen[nonce], "a nonce is used once")
		seen[nonce] = true
		csp := w.Header().Get("Content-Security-Policy")
		require.Contains(t, csp, "script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'")
	})
	for range 3 {
		get(h)
	}
	require.Len(t, seen, 3)

	_, err := headers.NonceAttr(context.Background())
	require.ErrorContains(t, err, "no nonce")
}

// A middleware further out still finds the pattern that the mux matched.
func TestNonceKeepsThePattern(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", ok)
	r := httptest.NewRequest(http.MethodGet, "/page", nil)
	handler(t, headers.Config{Preset: headers.HTML}, mux.ServeHTTP).ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, "GET /page", r.Pattern)
}

// recovering answers panics with a 500.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// The headers are on whatever comes of a request.
func TestEverywhere(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("/limited", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) })
	mux.HandleFunc("/cached", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=60") })
	srv := httptest.NewServer(recovering(handler(t, headers.Config{}, mux.ServeHTTP)))
	defer srv.Close()
	for path, want := range map[string]struct {
		status int
		cache  string
	}{
		"/nowhere": {404, "no-store"}, "/limited": {429, "no-store"}, "/panic": {500, "no-store"}, "/cached": {200, "max-age=60"},
	} {
		resp, err := srv.Client().Get(srv.URL + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want.status, resp.StatusCode, path)
		require.Equal(t, want.cache, resp.Header.Get("Cache-Control"), path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
	}
}

func TestStripOnStreams(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		release := make(chan struct{})
		srv := httptest.NewUnstartedServer(handler(t, headers.Config{Strip: append(headers.Leaking(), "x-own")}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Server", "secret/1.0")
			w.Header().Set("X-Own", "1")
			w.Header().Set("Openai-Organization", "org-1")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-release
		}))
		srv.EnableHTTP2 = http2
		srv.StartTLS()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		b := make([]byte, 9)
		_, err = io.ReadFull(resp.Body, b) // the first event arrives while the handler is running
		require.NoError(t, err)
		for _, name := range []string{"Server", "X-Own", "Openai-Organization"} {
			require.NotContains(t, resp.Header, name)
		}
		require.Equal(t, "max-age=63072000; includeSubDomains", resp.Header.Get("Strict-Transport-Security"))
		close(release)
		require.NoError(t, resp.Body.Close())
		srv.Close()
	}
}

// What one response does to its headers is not seen by others at the same time.
func TestValuesAreNotShared(t *testing.T) {
	n := 0
	h := handler(t, headers.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Add("Cache-Control", fmt.Sprint("max-age=", n))
	})
	first, second := httptest.NewRecorder(), httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/", nil))
	h.ServeHTTP(second, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, []string{"no-store", "max-age=1"}, first.Header()["Cache-Control"])
	require.Equal(t, []string{"no-store", "max-age=2"}, second.Header()["Cache-Control"])
}

// What is stripped is also gone if the handler writes nothing, and if a
// middleware answers its panic.
func TestStripWithoutBody(t *testing.T) {
	for name, next := range map[string]http.HandlerFunc{
		"nothing written": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Server", "secret/1.0") },
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Server", "secret/1.0")
			w.WriteHeader(http.StatusNoContent)
		},
		"panic, answered further in": func(w http.ResponseWriter, _ *http.Request) {
			defer func() {
				_ = recover()
				w.WriteHeader(http.StatusInternalServerError)
			}()
			w.Header().Set("Server", "secret/1.0")
			panic("boom")
		},
		"panic, answered further out": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "secret/1.0")
			panic("boom")
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(recovering(handler(t, headers.Config{Strip: headers.Leaking()}, next)))
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NotContains(t, resp.Header, "Server")
			require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		})
	}
}

// An upstream that sends an informational response doesn't take the headers away,
// though the proxy of net/http/httputil empties the header after it.
func TestProxiedInformational(t *testing.T) {
	for _, preset := range []headers.Preset{headers.API, headers.HTML} {
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "secret/1.0")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		}))
		defer upstream.Close()
		to, err := url.Parse(upstream.URL)
		require.NoError(t, err)
		proxy := httputil.NewSingleHostReverseProxy(to)
		srv := httptest.NewServer(handler(t, headers.Config{Preset: preset, Strip: headers.Leaking()}, proxy.ServeHTTP))
		defer srv.Close()
		resp, err := srv.Client().Get(srv.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		require.NotContains(t, resp.Header, "Server")
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src")
	}
}

func TestHTMLPreset(t *testing.T) {
	got := get(handler(t, headers.Config{Preset: headers.HTML}, ok)).Header
	csp := got.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'self'; ", "object-src 'none'; ", "base-uri 'none'; ", "form-action 'self'; ", "frame-ancestors 'none'; "} {
		require.Contains(t, csp, part)
	}
	require.NotContains(t, csp, "unsafe")
	require.Equal(t, "strict-origin-when-cross-origin", got.Get("Referrer-Policy"))
	require.Equal(t, "DENY", got.Get("X-Frame-Options"))
	require.NotContains(t, got, "Cache-Control")
	require.NotContains(t, got, "Strict-Transport-Security", "it came over plain HTTP")
}

func TestNoAllocations(t *testing.T) {
	w, r := writer{http.Header{}}, httptest.NewRequest(http.MethodGet, "/", nil)
	overTLS(r)
	h := handler(t, headers.Config{}, func(http.ResponseWriter, *http.Request) {})
	require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
	require.Contains(t, w.h, "Strict-Transport-Security")
}
