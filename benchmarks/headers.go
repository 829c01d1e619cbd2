package main

import (
	"context"
	"net/http"
	"net/http/httptest"

	"github.com/unrolled/secure"

	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/headers"
)

// headersGroups measures the API preset beside unrolled/secure with the same
// headers: eleven of the preset's twelve.
func headersGroups() []harness.Group {
	ours := func(change func(*headers.Config)) func() (func(int), func()) {
		return func() (func(int), func()) {
			var cfg headers.Config
			change(&cfg)
			h, err := headers.New(cfg)
			if err != nil {
				panic(err)
			}
			return serveTLS(h.Handler(nothing)), nil
		}
	}
	return []harness.Group{{
		Name: "security headers on one response",
		Note: "“same headers” leaves out Cache-Control, the one that unrolled/secure does not set.",
		Base: "unrolled/secure",
		Cases: []harness.Case{
			{Name: "no middleware", New: func() (func(int), func()) { return serveTLS(nothing), nil }},
			{Name: "spark/headers, same headers", Ours: true, New: ours(func(c *headers.Config) {
				c.Override = map[string]string{"Cache-Control": ""}
			})},
			{Name: "spark/headers, API preset", Ours: true, New: ours(func(*headers.Config) {})},
			{Name: "spark/headers, API preset and Strip", Ours: true, New: ours(func(c *headers.Config) { c.Strip = headers.Leaking() })},
			{Name: "spark/headers, HTML preset with a nonce", Ours: true, New: ours(func(c *headers.Config) { c.Preset = headers.HTML })},
			{Name: "unrolled/secure", New: func() (func(int), func()) {
				s := secure.New(secure.Options{
					STSSeconds: 63072000, STSIncludeSubdomains: true, FrameDeny: true, ContentTypeNosniff: true,
					ContentSecurityPolicy:         "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
					ReferrerPolicy:                "no-referrer",
					PermissionsPolicy:             "accelerometer=(), camera=(), geolocation=(), microphone=()",
					CrossOriginOpenerPolicy:       "same-origin",
					CrossOriginResourcePolicy:     "same-origin",
					XDNSPrefetchControl:           "off",
					XPermittedCrossDomainPolicies: "none",
				})
				return serveTLS(s.Handler(nothing)), nil
			}},
		},
	}}
}

// nothing is a handler that does nothing: what is left is the middleware.
var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func serveTLS(h http.Handler) func(int) {
	return harness.Serve(h, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "https://example.com/", nil))
}
