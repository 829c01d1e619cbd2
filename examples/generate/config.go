package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sparkhttp/spark/examples/generate/provider"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/sanitize"
)

// config is everything that can be chosen from outside.
type config struct {
	addr              string
	providers         list
	requestsPerMinute int
	tokensPerMinute   int
	streamsPerUser    int
	exemptMaster      bool
	trustedProxies    prefixes
	keysFile          string
	providerTimeout   time.Duration
	breakerWindow     time.Duration
	breakerOpen       time.Duration
	cacheTTL          time.Duration
	maxTokens         int
	sanitize          sanitize.Mode
	pricesFile        string
	errorsWebhook     string
	webhookSecret     string
	publicMetrics     bool
	shutdownTimeout   time.Duration

	claudeModel, openaiModel string
	local                    provider.Faults
	localOverload            bool

	masterKeys              []string
	anthropicKey, openaiKey string
	anthropicURL, openaiURL string
}

const usage = `generate answers prompts through AI providers, behind all of SPARK.

	POST /api/spark/generate  {"prompt": …, "provider", "model", "max_tokens", "temperature", "stream"}
	POST /api/export          {"title": …, "content": …, "format": "markdown"|"html"|"json"|"text"}
	GET  /api/metrics         Prometheus text; JSON with Accept: application/json
	GET  /api/errors          grouped errors
	GET  /api/spark/health    and /livez, /readyz, /startupz

Every flag can be set as an environment variable: -cache-ttl as SPARK_CACHE_TTL.
Only in the environment: SPARK_MASTER_KEYS (comma separated), ANTHROPIC_API_KEY,
ANTHROPIC_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL, SPARK_WEBHOOK_SECRET.

Flags:
`

// parseConfig reads the arguments, and the environment for what they leave out.
func parseConfig(args []string, getenv func(string) string, output io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("generate", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.Usage = func() { _, _ = fmt.Fprint(output, usage); fs.PrintDefaults() }
	fs.StringVar(&c.addr, "addr", "localhost:8080", "`address` to listen on")
	fs.Var(&c.providers, "providers", "providers in the order they are tried, from claude, openai, local and spare (local without its faults); default: those with a key, else local")
	fs.IntVar(&c.requestsPerMinute, "requests-per-minute", 60, "requests per user and minute")
	fs.IntVar(&c.tokensPerMinute, "tokens-per-minute", 50_000, "tokens, in and out, per user and minute")
	fs.IntVar(&c.streamsPerUser, "concurrent-requests", 20, "requests to the providers that a user may have running")
	fs.BoolVar(&c.exemptMaster, "exempt-master-keys", false, "do not limit master keys")
	fs.Var(&c.trustedProxies, "trusted-proxies", "`prefixes` of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, comma separated")
	fs.StringVar(&c.keysFile, "keys-file", "", "JSON `file` of API keys; reloaded when it changes")
	fs.DurationVar(&c.providerTimeout, "provider-timeout", 2*time.Minute, "time for one answer of a provider")
	fs.DurationVar(&c.breakerWindow, "breaker-window", time.Minute, "time over which a provider's failures are counted")
	fs.DurationVar(&c.breakerOpen, "breaker-open", 30*time.Second, "time that a failing provider is left alone")
	fs.DurationVar(&c.cacheTTL, "cache-ttl", 10*time.Minute, "time that an answer is kept for its user; 0 turns the cache off")
	fs.IntVar(&c.maxTokens, "max-tokens", 4096, "most tokens of an answer, and what a request that names none gets")
	fs.Var((*modeFlag)(&c.sanitize), "sanitize", "what is done about prompts that look like an injection: off, shadow, warn or block")
	fs.StringVar(&c.pricesFile, "prices", "", "JSON `file` of prices in USD per million tokens: {\"claude\": [{\"Name\": \"claude-…\", \"Input\": 3, \"Output\": 15}]}")
	fs.StringVar(&c.errorsWebhook, "errors-webhook", "", "`URL` that errors are reported to, signed with SPARK_WEBHOOK_SECRET")
	fs.BoolVar(&c.publicMetrics, "public-metrics", false, "serve /api/metrics without a key")
	fs.DurationVar(&c.shutdownTimeout, "shutdown-timeout", time.Minute, "time that running answers have to end after SIGTERM")
	fs.StringVar(&c.claudeModel, "claude-model", "", "default model of claude")
	fs.StringVar(&c.openaiModel, "openai-model", "", "default model of openai")
	fs.DurationVar(&c.local.Latency, "local-latency", 0, "the local provider's time to the first token")
	fs.DurationVar(&c.local.Gap, "local-gap", 0, "the local provider's time between tokens")
	fs.IntVar(&c.local.Status, "local-status", 0, "the local provider fails with this status")
	fs.BoolVar(&c.localOverload, "local-overload", false, "the local provider is overloaded (529)")
	fs.IntVar(&c.local.CutAfter, "local-cut", 0, "the local provider breaks off after so many tokens")
	fs.BoolVar(&c.local.Hang, "local-hang", false, "the local provider never says anything")
	fs.Float64Var(&c.local.Share, "local-share", 1, "share of calls that the local provider's failures strike")
	c.sanitize = sanitize.ModeBlock
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := fromEnvironment(fs, getenv); err != nil {
		return c, err
	}
	if c.localOverload {
		c.local.Status = 529
	}
	c.masterKeys = split(getenv("SPARK_MASTER_KEYS"))
	c.webhookSecret = getenv("SPARK_WEBHOOK_SECRET")
	c.anthropicKey, c.anthropicURL = getenv("ANTHROPIC_API_KEY"), getenv("ANTHROPIC_BASE_URL")
	c.openaiKey, c.openaiURL = getenv("OPENAI_API_KEY"), getenv("OPENAI_BASE_URL")
	return c, c.check()
}

// fromEnvironment sets the flags that the command line did not.
func fromEnvironment(fs *flag.FlagSet, getenv func(string) string) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		name := "SPARK_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := getenv(name); v != "" && !given[f.Name] {
			if err := f.Value.Set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// check fills in the providers and refuses what can't work, before anything runs.
func (c *config) check() error {
	if len(c.providers) == 0 {
		if c.anthropicKey != "" {
			c.providers = append(c.providers, "claude")
		}
		if c.openaiKey != "" {
			c.providers = append(c.providers, "openai")
		}
		if len(c.providers) == 0 {
			c.providers = list{"local"}
		}
	}
	seen := map[string]bool{}
	for _, name := range c.providers {
		switch {
		case seen[name]:
			return fmt.Errorf("-providers names %s twice", name)
		case name == "claude" && c.anthropicKey == "":
			return errors.New("-providers names claude, but ANTHROPIC_API_KEY is not set")
		case name == "openai" && c.openaiKey == "":
			return errors.New("-providers names openai, but OPENAI_API_KEY is not set")
		case name != "claude" && name != "openai" && name != "local" && name != "spare":
			return fmt.Errorf("-providers names %q, want claude, openai, local or spare", name)
		}
		seen[name] = true
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"requests-per-minute", c.requestsPerMinute},
		{"tokens-per-minute", c.tokensPerMinute},
		{"concurrent-requests", c.streamsPerUser},
		{"max-tokens", c.maxTokens},
	} {
		if f.value < 1 {
			return fmt.Errorf("-%s is %d, want at least 1", f.name, f.value)
		}
	}
	if c.providerTimeout <= 0 {
		return fmt.Errorf("-provider-timeout is %v, want more than 0", c.providerTimeout)
	}
	if c.local.Share < 0 || c.local.Share > 1 {
		return fmt.Errorf("-local-share is %v, want 0 to 1", c.local.Share)
	}
	return nil
}

// answerTimeout is the time in which a request is answered or has failed: each
// provider has two attempts at most, with a pause between them.
func (c *config) answerTimeout() time.Duration {
	return 2*c.providerTimeout*time.Duration(len(c.providers)) + time.Minute
}

// newProvider makes the provider of a name that check has let pass.
func (c *config) newProvider(name string, client *http.Client) provider.Provider {
	switch name {
	case "claude":
		return provider.NewClaude(c.anthropicKey, c.anthropicURL, c.claudeModel, client)
	case "openai":
		return provider.NewOpenAI(c.openaiKey, c.openaiURL, c.openaiModel, client)
	case "local":
		return provider.NewLocal(c.local)
	default:
		return provider.NewLocal(provider.Faults{})
	}
}

// models returns the models that calls are counted by: the default of each
// provider, and those in the file of prices.
func (c *config) models() ([]metrics.Provider, error) {
	priced := map[string][]metrics.Model{}
	if c.pricesFile != "" {
		text, err := os.ReadFile(c.pricesFile)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &priced); err != nil {
			return nil, fmt.Errorf("%s: %w", c.pricesFile, err)
		}
	}
	var known []metrics.Provider
	for _, name := range c.providers {
		models := priced[name]
		standard := c.newProvider(name, http.DefaultClient).Model()
		if !slices.ContainsFunc(models, func(m metrics.Model) bool { return m.Name == standard }) {
			models = append(models, metrics.Model{Name: standard})
		}
		known = append(known, metrics.Provider{Name: name, Models: models})
	}
	return known, nil
}

// modeFlag is a flag of one of the modes of a guard.
type modeFlag sanitize.Mode

func (m *modeFlag) String() string { return sanitize.Mode(*m).String() }

func (m *modeFlag) Set(v string) error {
	for _, mode := range []sanitize.Mode{sanitize.ModeOff, sanitize.ModeShadow, sanitize.ModeWarn, sanitize.ModeBlock} {
		if mode.String() == v {
			*m = modeFlag(mode)
			return nil
		}
	}
	return errors.New("want off, shadow, warn or block")
}

// list is a flag of comma separated words.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = split(v); return nil }

func split(v string) []string {
	var words []string
	for word := range strings.SplitSeq(v, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// prefixes is a flag of comma separated networks or addresses.
type prefixes []netip.Prefix

func (p *prefixes) String() string {
	words := make([]string, len(*p))
	for i, prefix := range *p {
		words[i] = prefix.String()
	}
	return strings.Join(words, ",")
}

func (p *prefixes) Set(v string) error {
	*p = nil
	for _, word := range split(v) {
		prefix, err := netip.ParsePrefix(word)
		if addr, bad := netip.ParseAddr(word); bad == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return fmt.Errorf("%q is neither a network like 10.0.0.0/8 nor an address", word)
		}
		*p = append(*p, prefix)
	}
	return nil
}
