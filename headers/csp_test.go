package headers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/headers"
)

// The hash of the empty script.
const emptyScript = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

func policyOf(t *testing.T, c *headers.CSP) string {
	t.Helper()
	return get(handler(t, headers.Config{CSP: c}, ok)).Header.Get("Content-Security-Policy")
}

func TestParseCSP(t *testing.T) {
	const policy = "default-src 'none'; script-src 'self' 'strict-dynamic' " + emptyScript + "; img-src https://*.example.com data:; " +
		"sandbox allow-scripts; upgrade-insecure-requests; require-trusted-types-for 'script'; trusted-types app lib#a 'allow-duplicates'"
	tests := []struct {
		name, policy, want string
	}{
		{"as it will be", policy, policy},
		{"keywords in capitals", strings.ReplaceAll(policy, "'self'", "'SELF'"), policy},
		{"directive in capitals", "Default-SRC 'None'", "default-src 'none'"},
		{"hash keeps its case", "script-src " + strings.ReplaceAll(emptyScript, "sha256", "SHA256"), "script-src " + strings.ReplaceAll(emptyScript, "sha256", "SHA256")},
		{"hash in the alphabet of URLs", "style-src 'sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU='", "style-src 'sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU='"},
		{"empty parts", " ;; default-src  'none' ; ", "default-src 'none'"},
		{"no trusted types", "trusted-types", "trusted-types"},
		{"hosts, ports and paths", "connect-src https://a.example:* wss://*.b.example/p/ *", "connect-src https://a.example:* wss://*.b.example/p/ *"},
		{"WebAssembly", "script-src 'self' 'wasm-unsafe-eval' 'report-sample'", "script-src 'self' 'wasm-unsafe-eval' 'report-sample'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := headers.ParseCSP(tt.policy, false)
			require.NoError(t, err)
			require.Equal(t, tt.want, policyOf(t, c))
		})
	}
	c, err := headers.ParseCSP("script-src 'Unsafe-Inline'", true)
	require.NoError(t, err)
	require.Equal(t, []headers.Source{headers.InsecureUnsafeInline}, c.ScriptSrc)
	require.Equal(t, "script-src 'unsafe-inline'", policyOf(t, c))
}

func TestParseCSPRefuses(t *testing.T) {
	for policy, want := range map[string]string{
		"defualt-src 'none'":                               "unknown directive",
		"report-uri https://r.example":                     "unknown directive",
		"img-src *; img-src data:":                         "stands twice",
		"default-src":                                      "no sources",
		"default-src 'none', script-src *":                 "no keyword",
		"script-src 'unsafe-inline'":                       "say InsecureUnsafeInline",
		"script-src self":                                  "without quotes",
		"script-src Nonce-abc":                             "without quotes",
		"script-src unsafe-hashes":                         "without quotes",
		"script-src 'unsafe-hashes'":                       "no keyword",
		"script-src " + emptyScript[1:52]:                  "without quotes",
		"script-src 'sha256-AAAA'":                         "no keyword",
		"script-src 'sha512-" + emptyScript[8:]:            "no keyword",
		"script-src 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk='":   "no keyword",
		"script-src 'nonce-c29tZXRoaW5nIHJhbmRvbQ=='":      "want WithNonce",
		"frame-ancestors 'nonce-c29tZXRoaW5nIHJhbmRvbQ=='": "want WithNonce",
		"frame-ancestors 'strict-dynamic'":                 "frame-ancestors can't have",
		"frame-ancestors 'report-sample'":                  "frame-ancestors can't have",
		"base-uri " + emptyScript:                          "base-uri can't have",
		"img-src 'wasm-unsafe-eval'":                       "img-src can't have",
		"sandbox allow-everything":                         "no flag",
		"upgrade-insecure-requests 1":                      "want nothing",
		"require-trusted-types-for 'style'":                "want 'script'",
		"trusted-types 'none' app":                         "'none' alone",
		"trusted-types 'self'":                             "names of policies",
		"report-to":                                        "names no endpoint",
		"report-to a b":                                    "report-to is",
	} {
		t.Run(policy, func(t *testing.T) {
			_, err := headers.ParseCSP(policy, false)
			require.ErrorContains(t, err, want)
		})
	}
}

// A policy that is accepted is one header line, and reads back as itself.
func FuzzCSP(f *testing.F) {
	f.Add("default-src 'none'; script-src 'self' https://a.example:*", "x")
	f.Add("sandbox; report-to csp", "'nonce-x'")
	f.Add("script-src "+emptyScript, "a;b")
	f.Add("trusted-types a 'none'; script-src 'SHA256-"+emptyScript[8:], emptyScript[:20]+"\r\n"+emptyScript[20:])
	f.Fuzz(func(t *testing.T, policy, source string) {
		if c, err := headers.ParseCSP(policy, true); err == nil && c.ReportTo == "" {
			text := policyOf(t, c)
			require.False(t, strings.ContainsAny(text, "\r\n"))
			again, err := headers.ParseCSP(text, true)
			require.NoError(t, err, text)
			require.Equal(t, text, policyOf(t, again))
		}
		one := []headers.Source{headers.Source(source)}
		for _, c := range []*headers.CSP{{ImgSrc: one}, {ScriptSrc: one}} {
			if h, err := headers.New(headers.Config{CSP: c}); err == nil {
				text := get(h.Handler(http.HandlerFunc(ok))).Header.Get("Content-Security-Policy")
				require.Len(t, strings.Split(text, " "), 2, "a source stays one source: %q", text)
				require.False(t, strings.ContainsAny(text, ";,\r\n\t"), "%q", text)
			}
		}
	})
}
