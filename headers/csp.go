package headers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
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
	// RequireTrustedTypes makes the DOM's script sinks refuse plain strings
	// (https://www.w3.org/TR/trusted-types/).
	RequireTrustedTypes bool
	// TrustedTypes names the policies that may make what the sinks take:
	// names, "*", "'none'" alone, "'allow-duplicates'". Empty but not nil
	// allows none.
	TrustedTypes []string
	// ReportTo names the one of [Config.ReportingEndpoints] that violations
	// are reported to. Empty means none.
	ReportTo string
}

// ParseCSP reads a policy as it stands in a header. It refuses what [New] would
// refuse, and a directive that stands twice. Only if insecure is true, it takes
// 'unsafe-inline' and 'unsafe-eval', as their Insecure constants. It doesn't
// know report-uri, which report-to has replaced.
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
	value := strings.Join(words, " ")
	switch name {
	case "sandbox":
		c.Sandbox = append([]string{}, words...)
	case "trusted-types":
		c.TrustedTypes = append([]string{}, words...)
	case "upgrade-insecure-requests":
		c.UpgradeInsecureRequests = true
		if value != "" {
			return fmt.Errorf("headers: %s has %q, want nothing", name, value)
		}
	case "require-trusted-types-for":
		c.RequireTrustedTypes = true
		if !strings.EqualFold(value, "'script'") {
			return fmt.Errorf("headers: %s has %q, want 'script'", name, value)
		}
	case "report-to":
		c.ReportTo = value
		if value == "" {
			return fmt.Errorf("headers: %s names no endpoint", name)
		}
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
		if strings.HasPrefix(word, "'") && !hashed(word) {
			s = Source(strings.ToLower(word)) // keywords are told apart by no case
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
		{"default-src", &c.DefaultSrc},
		{"script-src", &c.ScriptSrc},
		{"script-src-elem", &c.ScriptSrcElem},
		{"script-src-attr", &c.ScriptSrcAttr},
		{"style-src", &c.StyleSrc},
		{"style-src-elem", &c.StyleSrcElem},
		{"style-src-attr", &c.StyleSrcAttr},
		{"img-src", &c.ImgSrc},
		{"font-src", &c.FontSrc},
		{"media-src", &c.MediaSrc},
		{"connect-src", &c.ConnectSrc},
		{"manifest-src", &c.ManifestSrc},
		{"object-src", &c.ObjectSrc},
		{"frame-src", &c.FrameSrc},
		{"child-src", &c.ChildSrc},
		{"worker-src", &c.WorkerSrc},
		{"base-uri", &c.BaseURI},
		{"form-action", &c.FormAction},
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
		part, err := d.text()
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	rest, err := c.rest()
	if err != nil {
		return "", err
	}
	return strings.Join(append(parts, rest...), "; "), nil
}

// rest returns the directives that list no sources.
func (c *CSP) rest() (parts []string, err error) {
	if c.Sandbox != nil {
		for _, flag := range c.Sandbox {
			if !slices.Contains(sandboxFlags, flag) {
				return nil, fmt.Errorf("sandbox has %q, which is no flag of it", flag)
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
	if c.TrustedTypes != nil {
		for _, policy := range c.TrustedTypes {
			if !trustedPolicy(policy) || policy == "'none'" && len(c.TrustedTypes) > 1 {
				return nil, fmt.Errorf("trusted-types has %q, want names of policies, or 'none' alone", policy)
			}
		}
		parts = append(parts, strings.Join(append([]string{"trusted-types"}, c.TrustedTypes...), " "))
	}
	if c.ReportTo != "" {
		if !endpointName(c.ReportTo) {
			return nil, fmt.Errorf("report-to is %q, want a name of letters, digits and dashes", c.ReportTo)
		}
		parts = append(parts, "report-to "+c.ReportTo)
	}
	return parts, nil
}

func (d directive) text() (string, error) {
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
	return strings.Join(words, " "), nil
}

// sandboxFlags are those of https://html.spec.whatwg.org/#parse-a-sandboxing-directive.
var sandboxFlags = []string{
	"allow-downloads", "allow-forms", "allow-modals", "allow-orientation-lock", "allow-pointer-lock", "allow-popups",
	"allow-popups-to-escape-sandbox", "allow-presentation", "allow-same-origin", "allow-scripts",
	"allow-storage-access-by-user-activation", "allow-top-navigation", "allow-top-navigation-by-user-activation",
	"allow-top-navigation-to-custom-protocols",
}

// text returns the source as it stands in a directive that has n of them.
func (s Source) text(directive string, n int) (string, error) {
	switch {
	case s == None && n > 1:
		return "", fmt.Errorf("%s has 'none' beside other sources", directive)
	case s == None, s == Self:
		return string(s), nil
	case s == WithNonce, s == StrictDynamic, s == ReportSample, s == InsecureUnsafeEval, s == InsecureUnsafeInline,
		s == "'wasm-unsafe-eval'", s == "'inline-speculation-rules'", hashed(string(s)):
		if !strings.HasPrefix(directive, "script-") && !strings.HasPrefix(directive, "style-") && directive != "default-src" {
			return "", fmt.Errorf("%s can't have %s", directive, s)
		}
		return strings.TrimPrefix(string(s), insecurePrefix), nil
	case s == "'unsafe-inline'", s == "'unsafe-eval'":
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
	switch word := strings.ToLower(string(s)); {
	case word == "":
		return "", fmt.Errorf("%s has an empty source", directive)
	case slices.Contains(keywords, word), strings.HasPrefix(word, "nonce-"), hashAlgorithm(word) != "":
		return "", fmt.Errorf("%s has %s without quotes, which would be the name of a host", directive, s)
	}
	if strings.Trim(string(s), "!#$%&()*+-./0123456789:=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~") != "" {
		return "", fmt.Errorf("%s has %q, want a host, a scheme or a keyword", directive, string(s))
	}
	return string(s), nil
}

// keywords are those of CSP, without their quotes.
var keywords = []string{
	"self", "none", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "strict-dynamic", "report-sample",
	"wasm-unsafe-eval", "inline-speculation-rules",
}

// trustedPolicy reports whether word can stand in a trusted-types directive.
func trustedPolicy(word string) bool {
	if strings.HasPrefix(word, "'") {
		return word == "'none'" || word == "'allow-duplicates'"
	}
	return word != "" && strings.Trim(word, "-#=_/@.%*0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

// hashSizes are how many bytes the hashes have that scripts are named by.
var hashSizes = map[string]int{"sha256-": sha256.Size, "sha384-": sha512.Size384, "sha512-": sha512.Size}

// hashAlgorithm returns what word begins with, if it begins like a hash.
func hashAlgorithm(word string) string {
	const size = len("sha256-") // and of the others
	if len(word) < size || hashSizes[strings.ToLower(word[:size])] == 0 {
		return ""
	}
	return word[:size]
}

// hashed reports whether word is a hash source: one that some script can have,
// in either alphabet of base64.
func hashed(word string) bool {
	word, opened := strings.CutPrefix(word, "'")
	word, closed := strings.CutSuffix(word, "'")
	algorithm := hashAlgorithm(word)
	// The decoder passes over line breaks, which would end the header.
	if !opened || !closed || algorithm == "" || strings.ContainsAny(word, "\r\n") {
		return false
	}
	sum, err := base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(word[len(algorithm):]))
	return err == nil && len(sum) == hashSizes[strings.ToLower(algorithm)]
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
	return template.HTMLAttr(`nonce="` + nonce + `"`), nil // #nosec G203 -- base64: nothing to escape
}

// newNonce returns 128 random bits, as CSP level 3, section 7.1 asks for.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends first
	return base64.RawStdEncoding.EncodeToString(b[:])
}
