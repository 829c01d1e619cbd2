package headers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Source is one source of a directive: one of the constants below, a scheme
// ("data:"), a host ("https://cdn.example.com", "*.example.com") or the hash of
// a script ("'sha256-…'"), as in CSP level 3, section 2.3.1.
type Source string

// Sources that are keywords.
const (
	None          Source = "'none'" // alone in its directive
	Self          Source = "'self'"
	StrictDynamic Source = "'strict-dynamic'"
	ReportSample  Source = "'report-sample'"
	// WithNonce stands for the nonce of each response; see [Nonce].
	WithNonce Source = "'nonce-" + noncePlace + "'"

	// InsecureUnsafeInline allows inline scripts or styles, an attacker's too.
	// Written as the plain 'unsafe-inline' it is refused, so that nobody has it
	// by accident.
	InsecureUnsafeInline Source = "insecure:'unsafe-inline'"
	// InsecureUnsafeEval allows eval and what is like it.
	InsecureUnsafeEval Source = "insecure:'unsafe-eval'"
)

// noncePlace is what a nonce is put in the place of. No source can hold it.
const noncePlace = "{nonce}"

// CSP is a content security policy (https://www.w3.org/TR/CSP3/). A nil
// directive is left out: it then falls back as the standard says. The zero CSP
// leaves the header out.
type CSP struct {
	DefaultSrc, ScriptSrc, ScriptSrcElem, ScriptSrcAttr []Source
	StyleSrc, StyleSrcElem, StyleSrcAttr                []Source
	ImgSrc, FontSrc, MediaSrc, ConnectSrc, ManifestSrc  []Source
	ObjectSrc, FrameSrc, ChildSrc, WorkerSrc            []Source
	BaseURI, FormAction, FrameAncestors                 []Source

	// Sandbox restricts the page to what the flags allow ("allow-scripts" …).
	// Empty but not nil allows nothing.
	Sandbox []string
	// UpgradeInsecureRequests makes the page load http: resources over https.
	UpgradeInsecureRequests bool
	// RequireTrustedTypes guards the DOM's script sinks (Trusted Types).
	RequireTrustedTypes bool
	// ReportTo names the one of [Config.ReportingEndpoints] that violations
	// are reported to. Empty means none.
	ReportTo string
}

// ParseCSP reads a policy as it stands in a header. It refuses what [New] would
// refuse, but for 'unsafe-inline' and 'unsafe-eval', which it takes as their
// Insecure constants only if insecure is true.
func ParseCSP(policy string, insecure bool) (*CSP, error) {
	c := new(CSP)
	seen := map[string]bool{}
	for part := range strings.SplitSeq(policy, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		name := strings.ToLower(words[0])
		if seen[name] {
			return nil, fmt.Errorf("headers: directive %s stands twice", name)
		}
		seen[name] = true
		if err := c.parse(name, words[1:], insecure); err != nil {
			return nil, err
		}
	}
	if _, err := c.text(); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	return c, nil
}

func (c *CSP) parse(name string, words []string, insecure bool) error {
	switch name {
	case "sandbox":
		c.Sandbox = append([]string{}, words...)
	case "upgrade-insecure-requests":
		c.UpgradeInsecureRequests = true
	case "require-trusted-types-for":
		c.RequireTrustedTypes = true
	case "report-to":
		c.ReportTo = strings.Join(words, " ")
	default:
		for _, d := range c.directives() {
			if d.name == name {
				*d.sources = parseSources(words, insecure)
				return nil
			}
		}
		return fmt.Errorf("headers: unknown directive %q", name)
	}
	return nil
}

func parseSources(words []string, insecure bool) []Source {
	sources := make([]Source, len(words))
	for i, word := range words {
		s := Source(word)
		if keyword := Source(strings.ToLower(word)); strings.HasPrefix(word, "'") && !hashed(word) {
			s = keyword
		}
		if insecure && (s == "'unsafe-inline'" || s == "'unsafe-eval'") {
			s = insecurePrefix + s
		}
		sources[i] = s
	}
	return sources
}

const insecurePrefix = "insecure:"

// directive is a directive with sources, by its name.
type directive struct {
	name    string
	sources *[]Source
}

func (c *CSP) directives() []directive {
	return []directive{
		{"default-src", &c.DefaultSrc}, {"script-src", &c.ScriptSrc}, {"script-src-elem", &c.ScriptSrcElem},
		{"script-src-attr", &c.ScriptSrcAttr}, {"style-src", &c.StyleSrc}, {"style-src-elem", &c.StyleSrcElem},
		{"style-src-attr", &c.StyleSrcAttr}, {"img-src", &c.ImgSrc}, {"font-src", &c.FontSrc},
		{"media-src", &c.MediaSrc}, {"connect-src", &c.ConnectSrc}, {"manifest-src", &c.ManifestSrc},
		{"object-src", &c.ObjectSrc}, {"frame-src", &c.FrameSrc}, {"child-src", &c.ChildSrc},
		{"worker-src", &c.WorkerSrc}, {"base-uri", &c.BaseURI}, {"form-action", &c.FormAction},
		{"frame-ancestors", &c.FrameAncestors},
	}
}

// text returns the policy as it stands in the header, with [noncePlace] for the
// nonce.
func (c *CSP) text() (string, error) {
	var parts []string
	for _, d := range c.directives() {
		if *d.sources == nil {
			continue
		}
		words := []string{d.name}
		for _, s := range *d.sources {
			word, err := s.text(d.name, len(*d.sources))
			if err != nil {
				return "", err
			}
			words = append(words, word)
		}
		if len(words) == 1 {
			return "", fmt.Errorf("%s has no sources, want None to allow nothing", d.name)
		}
		parts = append(parts, strings.Join(words, " "))
	}
	if c.Sandbox != nil {
		for _, flag := range c.Sandbox {
			if !strings.HasPrefix(flag, "allow-") || strings.Trim(flag, "abcdefghijklmnopqrstuvwxyz-") != "" {
				return "", fmt.Errorf("sandbox has %q, want allow-…", flag)
			}
		}
		parts = append(parts, strings.Join(append([]string{"sandbox"}, c.Sandbox...), " "))
	}
	if c.UpgradeInsecureRequests {
		parts = append(parts, "upgrade-insecure-requests")
	}
	if c.RequireTrustedTypes {
		parts = append(parts, "require-trusted-types-for 'script'")
	}
	if c.ReportTo != "" {
		if !endpointName(c.ReportTo) {
			return "", fmt.Errorf("report-to is %q, want a name of letters, digits and dashes", c.ReportTo)
		}
		parts = append(parts, "report-to "+c.ReportTo)
	}
	return strings.Join(parts, "; "), nil
}

// text returns the source as it stands in a directive that has n of them.
func (s Source) text(directive string, n int) (string, error) {
	switch {
	case s == None && n > 1:
		return "", fmt.Errorf("%s has 'none' beside other sources", directive)
	case s == None, s == Self, s == ReportSample, s == "'wasm-unsafe-eval'", s == "'inline-speculation-rules'":
		return string(s), nil
	case s == WithNonce, s == StrictDynamic, s == InsecureUnsafeEval, s == InsecureUnsafeInline, hashed(string(s)):
		if !strings.HasPrefix(directive, "script-") && !strings.HasPrefix(directive, "style-") && directive != "default-src" {
			return "", fmt.Errorf("%s can't have %s", directive, s)
		}
		return strings.TrimPrefix(string(s), insecurePrefix), nil
	case s == "'unsafe-inline'", s == "'unsafe-eval'", s == "'unsafe-hashes'":
		return "", fmt.Errorf("%s has %s: say InsecureUnsafeInline or InsecureUnsafeEval if it can't be avoided", directive, s)
	case strings.HasPrefix(string(s), "'nonce-"):
		return "", fmt.Errorf("%s has a fixed nonce, want WithNonce: a nonce that is used twice protects nothing", directive)
	case strings.HasPrefix(string(s), "'"):
		return "", fmt.Errorf("%s has %s, which is no keyword", directive, s)
	}
	return s.host(directive)
}

// host checks a source that is no keyword.
func (s Source) host(directive string) (string, error) {
	switch word := strings.ToLower(string(s)); word {
	case "self", "none", "unsafe-inline", "unsafe-eval", "strict-dynamic", "report-sample", "wasm-unsafe-eval":
		return "", fmt.Errorf("%s has %s without quotes, which would be the name of a host", directive, s)
	case "":
		return "", fmt.Errorf("%s has an empty source", directive)
	}
	if strings.Trim(string(s), "!#$%&()*+-./0123456789:=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~") != "" {
		return "", fmt.Errorf("%s has %q, want a host, a scheme or a keyword", directive, string(s))
	}
	return string(s), nil
}

// hashed reports whether word is a hash source.
func hashed(word string) bool {
	for _, algorithm := range [...]string{"'sha256-", "'sha384-", "'sha512-"} {
		if sum, ok := strings.CutPrefix(word, algorithm); ok {
			sum, quoted := strings.CutSuffix(sum, "'")
			_, err := base64.StdEncoding.DecodeString(sum)
			return quoted && sum != "" && err == nil
		}
	}
	return false
}

// reportingEndpoints returns the header of that name: a dictionary of strings
// (RFC 9651, section 3.2; https://www.w3.org/TR/reporting-1/).
func reportingEndpoints(endpoints map[string]string) (string, error) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		to := endpoints[name]
		u, err := url.Parse(to)
		if !endpointName(name) {
			return "", fmt.Errorf("headers: ReportingEndpoints has the name %q, want lower-case letters, digits and dashes", name)
		}
		if err != nil || u.Scheme != "https" || u.Host == "" || !validValue(to) || strings.ContainsAny(to, `"\`) {
			return "", fmt.Errorf("headers: ReportingEndpoints sends %s to %q, want an https URL", name, to)
		}
		parts = append(parts, name+`="`+to+`"`)
	}
	return strings.Join(parts, ", "), nil
}

func endpointName(name string) bool {
	return name != "" && name[0] >= 'a' && name[0] <= 'z' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

type nonceKey struct{}

// Nonce returns the nonce in the policy of the response to the request that ctx
// belongs to. It is false if the policy has none.
func Nonce(ctx context.Context) (string, bool) {
	nonce, ok := ctx.Value(nonceKey{}).(string)
	return nonce, ok
}

// NonceAttr returns the attribute that lets a script or style element run, as in
// <script {{.Nonce}}>, for templates. It fails if the policy has no nonce.
func NonceAttr(ctx context.Context) (template.HTMLAttr, error) {
	nonce, ok := Nonce(ctx)
	if !ok {
		return "", errors.New("headers: the policy has no nonce; is the middleware in the chain, and WithNonce in its CSP?")
	}
	return template.HTMLAttr(`nonce="` + nonce + `"`), nil // base64: nothing to escape
}

// newNonce returns 128 random bits, as CSP level 3, section 7.1 asks for.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends first
	return base64.RawStdEncoding.EncodeToString(b[:])
}
