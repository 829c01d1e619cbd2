package headers

import "strings"

// features are what the Permissions-Policy of the presets denies, to the page
// as well as to what it frames: the powerful features of the registry at
// https://github.com/w3c/webappsec-permissions-policy, a service of this kind
// needs none of them.
var features = []string{
	"accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media",
	"fullscreen", "geolocation", "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment",
	"picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "web-share",
	"xr-spatial-tracking",
}

// headers returns a fresh map of what the preset sets beside its policy.
func (p Preset) headers() map[string]string {
	m := map[string]string{
		"Cross-Origin-Opener-Policy":        "same-origin",
		"Cross-Origin-Resource-Policy":      "same-origin",
		"Permissions-Policy":                strings.Join(features, "=(), ") + "=()",
		"Referrer-Policy":                   "no-referrer",
		"X-Content-Type-Options":            "nosniff",
		"X-Dns-Prefetch-Control":            "off",
		"X-Frame-Options":                   "DENY", // for browsers without frame-ancestors
		"X-Permitted-Cross-Domain-Policies": "none",
	}
	switch p {
	case API:
		m["Cache-Control"] = "no-store"
	case HTML:
		m["Referrer-Policy"] = "strict-origin-when-cross-origin"
	}
	return m
}

// csp returns the policy of the preset.
func (p Preset) csp() *CSP {
	if p == HTML {
		return &CSP{
			DefaultSrc: []Source{Self},
			ScriptSrc:  []Source{Self, WithNonce}, StyleSrc: []Source{Self, WithNonce},
			ImgSrc:    []Source{Self, "data:"},
			ObjectSrc: []Source{None}, BaseURI: []Source{None},
			FormAction: []Source{Self}, FrameAncestors: []Source{None},
			UpgradeInsecureRequests: true,
		}
	}
	none := []Source{None}
	return &CSP{DefaultSrc: none, BaseURI: none, FormAction: none, FrameAncestors: none}
}

// Leaking returns the names of headers that tell an attacker what a service is
// made of, or that belong between it and its provider, for [Config.Strip]: the
// common ones of the OWASP Secure Headers Project's list of headers to remove,
// and those of AI providers that carry an account, its limits or its costs.
func Leaking() []string {
	return []string{
		"Server", "X-Powered-By", "Powered-By", "X-Generator", "X-Runtime", "X-Version", "X-AspNet-Version",
		"X-AspNetMvc-Version", "X-Backend-Server", "X-Server-Name", "Via", "X-Varnish", "SourceMap", "X-SourceMap",
		"X-Envoy-Upstream-Service-Time", "X-Envoy-Attempt-Count", "X-Kong-Upstream-Latency", "X-Kong-Proxy-Latency",
		"X-Debug-Token", "X-Litespeed-Cache-Control", "X-Mod-Pagespeed", "X-Page-Speed", "Host-Header",
		"Openai-Organization", "Openai-Project", "Openai-Processing-Ms", "Openai-Version",
		"X-Ratelimit-Limit-Requests", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Requests",
		"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Requests", "X-Ratelimit-Reset-Tokens",
		"Anthropic-Organization-Id", "Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining",
		"Anthropic-Ratelimit-Requests-Reset", "Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining",
		"Anthropic-Ratelimit-Tokens-Reset", "Cf-Ray", "Cf-Cache-Status",
	}
}
