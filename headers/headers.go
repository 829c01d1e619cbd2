// Package headers sets the security headers of a service's responses.
//
// The zero [Config] is the preset [API]: what a JSON service should send, which
// never means to be a page, be framed, be cached or run a script. [HTML] is for
// services that show pages. Every header of a preset can be replaced or left
// out. Content-Security-Policy is built from typed directives and checked when
// the middleware is made, so that a slip fails at start and not in a browser.
//
//	secure, err := headers.New(headers.Config{})
//	if err != nil {
//		return err
//	}
//	http.ListenAndServe(addr, secure.Handler(mux))
//
// The headers are set before the handler runs: they are on errors, on refusals
// of the middleware further in, on streams and on what a recover middleware
// makes of a panic, and a handler that knows better can change them. One that
// empties the whole header takes them away, as [net/http/httputil.ReverseProxy]
// does after an informational response (1xx) of its upstream: with
// [Config.Strip], which a proxy wants anyway, they are set again.
//
// Strict-Transport-Security is sent only where it counts, over TLS or behind a
// trusted proxy that says so. The package never redirects: an API call that
// came over plain HTTP has already leaked its key, and hiding that helps nobody
// (OWASP ASVS 5.0, 4.1.2). It doesn't do CORS, cookies or cross-origin request
// checks; for those there are rs/cors and [http.CrossOriginProtection].
package headers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sparkhttp/spark/internal/response"
)

// Preset is a set of headers to start from.
type Preset int

const (
	// API suits services that answer with data: nothing may be loaded, framed,
	// cached or read by another site.
	API Preset = iota
	// HTML suits services that show pages: resources of their own origin are
	// allowed, inline scripts and styles only with the nonce of the response
	// (see [Nonce]). It says nothing of caching.
	HTML
)

// Config says which headers are set. Its zero value is the preset [API].
type Config struct {
	// Preset is what the other fields change.
	Preset Preset

	// CSP replaces the Content-Security-Policy of the preset.
	CSP *CSP
	// ReportOnly is sent as Content-Security-Policy-Report-Only beside CSP, to
	// try a stricter policy out. Nil means none.
	ReportOnly *CSP
	// ReportingEndpoints maps names that [CSP.ReportTo] uses to the https URLs
	// that reports go to (header Reporting-Endpoints). Nil means none.
	ReportingEndpoints map[string]string

	// HSTS is the policy of Strict-Transport-Security.
	HSTS HSTS
	// TrustedProxies are the peers whose X-Forwarded-Proto tells whether the
	// client came over TLS. Nil means that only the server's own TLS counts.
	TrustedProxies []netip.Prefix

	// Override sets further headers, or replaces those of the preset; an empty
	// value leaves a header out. It can't be used for the headers that have
	// fields of their own above.
	Override map[string]string
	// Strip names headers that are removed right before the final response goes
	// out, whoever set them: see [Leaking]. Nil means none.
	Strip []string
}

// HSTS is a policy of Strict-Transport-Security (RFC 6797). A browser that has
// seen it speaks nothing but TLS to the host, for as long as it says: a service
// that can't keep that must not send it.
type HSTS struct {
	// Off leaves the header out.
	Off bool
	// MaxAge is how long browsers keep to it; 0 means two years. It is sent in
	// whole seconds. To take a policy back, send one with a MaxAge of a second.
	MaxAge time.Duration
	// ExcludeSubDomains leaves the subdomains of the host out. They are
	// included otherwise: a cookie of the domain is only as safe as they are.
	ExcludeSubDomains bool
	// Preload asks for a place in the lists that browsers ship
	// (https://hstspreload.org). It takes months to undo.
	Preload bool
}

// Headers is the middleware. It is safe for concurrent use.
type Headers struct {
	fixed   []header // the same for each response
	dynamic []header // CSP headers with a place for the nonce
	hsts    []string // nil if off
	trusted []netip.Prefix
	strip   map[string]bool // by canonical name
}

// header is a header by its canonical name. The value is shared by all
// responses and has no room, so that adding to it copies it first.
type header struct {
	name  string
	value []string
}

// New returns the middleware for cfg. It reports what is wrong with a policy, a
// header or a header's value.
func New(cfg Config) (*Headers, error) {
	if cfg.Preset != API && cfg.Preset != HTML {
		return nil, fmt.Errorf("headers: Preset is %d, want API or HTML", cfg.Preset)
	}
	h := &Headers{strip: map[string]bool{}}
	for _, p := range cfg.TrustedProxies {
		if !p.IsValid() {
			return nil, fmt.Errorf("headers: TrustedProxies has %v", p)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 { // peers are compared as IPv4
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		h.trusted = append(h.trusted, p)
	}
	var err error
	if h.hsts, err = cfg.HSTS.value(); err != nil {
		return nil, err
	}
	if err := h.addPolicies(cfg); err != nil {
		return nil, err
	}
	if err := h.addFixed(cfg); err != nil {
		return nil, err
	}
	for _, name := range cfg.Strip {
		if !validName(name) {
			return nil, fmt.Errorf("headers: Strip names %q, which is no header name", name)
		}
		h.strip[http.CanonicalHeaderKey(name)] = true
	}
	return h, nil
}

func (h *Headers) addPolicies(cfg Config) error {
	csp := cfg.CSP
	if csp == nil {
		csp = cfg.Preset.csp()
	}
	for _, p := range []struct {
		name, field string
		csp         *CSP
	}{
		{"Content-Security-Policy", "CSP", csp},
		{"Content-Security-Policy-Report-Only", "ReportOnly", cfg.ReportOnly},
	} {
		if p.csp == nil {
			continue
		}
		text, err := p.csp.text()
		switch {
		case err != nil:
			return fmt.Errorf("headers: %s: %w", p.field, err)
		case p.csp.ReportTo != "" && cfg.ReportingEndpoints[p.csp.ReportTo] == "":
			return fmt.Errorf("headers: %s reports to %q, which is not in ReportingEndpoints", p.field, p.csp.ReportTo)
		case strings.Contains(text, noncePlace):
			h.dynamic = append(h.dynamic, header{p.name, []string{text}})
		case text != "":
			h.fixed = append(h.fixed, header{p.name, shared(text)})
		}
	}
	endpoints, err := reportingEndpoints(cfg.ReportingEndpoints)
	if err == nil && endpoints != "" {
		h.fixed = append(h.fixed, header{"Reporting-Endpoints", shared(endpoints)})
	}
	return err
}

func (h *Headers) addFixed(cfg Config) error {
	values := cfg.Preset.headers()
	for name, value := range cfg.Override {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !validName(name):
			return fmt.Errorf("headers: Override names %q, which is no header name", name)
		case canonical == "Content-Security-Policy", canonical == "Content-Security-Policy-Report-Only",
			canonical == "Reporting-Endpoints", canonical == "Strict-Transport-Security":
			return fmt.Errorf("headers: Override names %s, which has a field of its own", canonical)
		case !validValue(value):
			return fmt.Errorf("headers: Override gives %s the value %q, want visible ASCII", canonical, value)
		}
		values[canonical] = value
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; value != "" {
			h.fixed = append(h.fixed, header{name, shared(value)})
		}
	}
	return nil
}

// Set sets the headers for the response to r, and returns the nonce that is in
// the policy, if it has one. [Headers.Handler] does this for each request.
func (h *Headers) Set(dst http.Header, r *http.Request) (nonce string) {
	for i := range h.fixed {
		dst[h.fixed[i].name] = h.fixed[i].value
	}
	if h.hsts != nil && h.secure(r) {
		dst["Strict-Transport-Security"] = h.hsts
	}
	if len(h.dynamic) > 0 {
		nonce = newNonce()
		for _, d := range h.dynamic {
			dst[d.name] = []string{strings.ReplaceAll(d.value[0], noncePlace, nonce)}
		}
	}
	return nonce
}

// Handler sets the headers of the responses of next. If the policy has a nonce,
// next finds it by [Nonce].
func (h *Headers) Handler(next http.Handler) http.Handler {
	inner := next
	if len(h.dynamic) > 0 {
		inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := context.WithValue(r.Context(), nonceKey{}, h.Set(w.Header(), r))
			response.ServeContext(ctx, w, r, next)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(h.dynamic) == 0 {
			h.Set(w.Header(), r)
		}
		if len(h.strip) == 0 {
			inner.ServeHTTP(w, r)
			return
		}
		response.Serve(w, r, inner, (*stripper)(h))
	})
}

// stripper is a Headers at the moment when a response goes out.
type stripper Headers

// BeforeHeader implements response.HeaderWatcher. A response has fewer headers
// than there are to remove.
func (s *stripper) BeforeHeader(w *response.Writer, _ int) {
	h := w.Header()
	if s.emptied(h) {
		(*Headers)(s).Set(h, w.Request())
	}
	maps.DeleteFunc(h, func(name string, _ []string) bool { return s.strip[name] })
}

// emptied reports whether none of what was set is left. It looks until it finds one.
func (s *stripper) emptied(h http.Header) bool {
	for _, list := range [...][]header{s.fixed, s.dynamic} {
		for _, own := range list {
			if len(h[own.name]) > 0 {
				return false
			}
		}
	}
	return true
}

// ResponseEnded implements response.Watcher. If nothing was written, the header
// goes out only now, as net/http or a recover middleware further out has it.
func (s *stripper) ResponseEnded(w *response.Writer, end response.End) {
	if !w.Started() || end.Kind == response.Failed {
		s.BeforeHeader(w, 0)
	}
}

// secure reports whether the client of r came over TLS, as far as that is known.
func (h *Headers) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(h.trusted) == 0 {
		return false
	}
	// Only what the last proxy wrote is its own word: what stands before may
	// come from the client.
	lines := r.Header["X-Forwarded-Proto"]
	if len(lines) == 0 {
		return false
	}
	last := lines[len(lines)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	return strings.EqualFold(strings.TrimSpace(last), "https") && h.trusts(r.RemoteAddr)
}

func (h *Headers) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, p := range h.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func (s HSTS) value() ([]string, error) {
	switch {
	case s.Off:
		return nil, nil
	case s.MaxAge < 0 || s.MaxAge > 0 && s.MaxAge < time.Second:
		return nil, fmt.Errorf("headers: HSTS.MaxAge is %v, want at least a second", s.MaxAge)
	case s.Preload && (s.ExcludeSubDomains || s.MaxAge > 0 && s.MaxAge < 365*24*time.Hour):
		return nil, errors.New("headers: HSTS.Preload wants subdomains included and a MaxAge of at least a year")
	}
	if s.MaxAge == 0 {
		s.MaxAge = 2 * 365 * 24 * time.Hour
	}
	v := fmt.Sprintf("max-age=%d", int64(s.MaxAge/time.Second))
	if !s.ExcludeSubDomains {
		v += "; includeSubDomains"
	}
	if s.Preload {
		v += "; preload"
	}
	return shared(v), nil
}

// shared returns a header value for all responses: full, so that append copies.
func shared(v string) []string { return []string{v}[:1:1] }

// validName reports whether name is a token (RFC 9110, section 5.6.2).
func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// validValue reports whether v can stand in a header as it is.
func validValue(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' || v[i] >= 0x7f {
			return false
		}
	}
	return strings.TrimSpace(v) == v
}
