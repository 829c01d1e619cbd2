package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/examples/generate/provider"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/sanitize"
)

// config is everything that can be chosen from outside.
type config struct {
	addr, keysFile, pricesFile  string
	providers                   []string
	requestsPerMinute           int
	tokensPerMinute             int
	concurrent, maxTokens       int
	exemptMaster, publicMetrics bool
	trustedProxies              []netip.Prefix
	providerTimeout             time.Duration
	shutdownTimeout             time.Duration
	cacheTTL                    time.Duration
	breaker                     breaker.Config
	sanitize                    sanitize.Mode
	errorsWebhook               string
	claudeModel, openaiModel    string
	local                       provider.Faults

	// Only in the environment: secrets, and what the SDKs read as well.
	masterKeys                             []string
	webhookSecret, anthropicKey, openaiKey string
	anthropicURL, openaiURL                string
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
func parseConfig(args []string, getenv func(string) string, output io.Writer) (c config, err error) {
	fs := flag.NewFlagSet("generate", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.Usage = func() { _, _ = fmt.Fprint(output, usage); fs.PrintDefaults() }
	fs.StringVar(&c.addr, "addr", "localhost:8080", "`address` to listen on")
	fs.Func("providers", "providers in the order they are tried, from claude, openai, local and spare (local without its faults); default: those with a key, else local", func(v string) error { c.providers = words(v); return nil })
	fs.IntVar(&c.requestsPerMinute, "requests-per-minute", 60, "requests per user and minute")
	fs.IntVar(&c.tokensPerMinute, "tokens-per-minute", 50_000, "tokens, in and out, per user and minute")
	fs.IntVar(&c.concurrent, "concurrent-requests", 20, "requests to the providers that a user may have running")
	fs.BoolVar(&c.exemptMaster, "exempt-master-keys", false, "do not limit master keys")
	fs.Func("trusted-proxies", "`prefixes` of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, comma separated", func(v string) (err error) { c.trustedProxies, err = prefixes(v); return err })
	fs.StringVar(&c.keysFile, "keys-file", "", "JSON `file` of API keys; reloaded when it changes")
	fs.DurationVar(&c.providerTimeout, "provider-timeout", 2*time.Minute, "time for one answer of a provider")
	fs.DurationVar(&c.breaker.Window, "breaker-window", time.Minute, "time over which a provider's failures are counted")
	fs.DurationVar(&c.breaker.OpenTime, "breaker-open", 30*time.Second, "time that a failing provider is left alone")
	fs.DurationVar(&c.cacheTTL, "cache-ttl", 10*time.Minute, "time that an answer is kept for its user; 0 turns the cache off")
	fs.IntVar(&c.maxTokens, "max-tokens", 4096, "most tokens of an answer, and what a request that names none gets")
	fs.Func("sanitize", "what is done about prompts that look like an injection: off, shadow, warn or block (default block)", func(v string) (err error) { c.sanitize, err = mode(v); return err })
	fs.StringVar(&c.pricesFile, "prices", "", "JSON `file` of prices in USD per million tokens: {\"claude\": [{\"Name\": \"claude-…\", \"Input\": 3, \"Output\": 15}]}")
	fs.StringVar(&c.errorsWebhook, "errors-webhook", "", "`URL` that errors are reported to, signed with SPARK_WEBHOOK_SECRET")
	fs.BoolVar(&c.publicMetrics, "public-metrics", false, "serve /api/metrics without a key")
	fs.DurationVar(&c.shutdownTimeout, "shutdown-timeout", time.Minute, "time that running answers have to end after SIGTERM")
	fs.StringVar(&c.claudeModel, "claude-model", "", "default model of claude")
	fs.StringVar(&c.openaiModel, "openai-model", "", "default model of openai")
	fs.DurationVar(&c.local.Latency, "local-latency", 0, "the local provider's time to the first token")
	fs.DurationVar(&c.local.Gap, "local-gap", 0, "the local provider's time between tokens")
	fs.IntVar(&c.local.Status, "local-status", 0, "the local provider fails with this status")
	overload := fs.Bool("local-overload", false, "the local provider is overloaded (529)")
	fs.IntVar(&c.local.CutAfter, "local-cut", 0, "the local provider breaks off after so many tokens")
	fs.BoolVar(&c.local.Hang, "local-hang", false, "the local provider never says anything")
	share := fs.Float64("local-share", 1, "share of calls that the local provider's failures strike")
	if err := fs.Parse(args); err != nil {
		return c, err
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := fromEnvironment(fs, getenv); err != nil {
		return c, err
	}
	if *overload {
		c.local.Status = 529
	}
	c.local.Spared = 1 - *share
	c.masterKeys = words(getenv("SPARK_MASTER_KEYS"))
	c.webhookSecret = getenv("SPARK_WEBHOOK_SECRET")
	c.anthropicKey, c.anthropicURL = getenv("ANTHROPIC_API_KEY"), getenv("ANTHROPIC_BASE_URL")
	c.openaiKey, c.openaiURL = getenv("OPENAI_API_KEY"), getenv("OPENAI_BASE_URL")
	return c, cmp.Or(c.checkProviders(), c.checkNumbers(fs))
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
				errs = append(errs, fmt.Errorf("%s is %q: %w", name, v, err))
			}
		}
	})
	return errors.Join(errs...)
}

// checkProviders fills in the providers if none is named, and refuses those that
// can't be asked.
func (c *config) checkProviders() error {
	keys := map[string]string{"claude": c.anthropicKey, "openai": c.openaiKey, "local": "-", "spare": "-"}
	if len(c.providers) == 0 {
		c.providers = slices.DeleteFunc([]string{"claude", "openai"}, func(name string) bool { return keys[name] == "" })
	}
	if len(c.providers) == 0 {
		c.providers = []string{"local"}
	}
	for i, name := range c.providers {
		switch key, known := keys[name]; {
		case !known:
			return fmt.Errorf("-providers names %q, want claude, openai, local or spare", name)
		case key == "":
			return fmt.Errorf("-providers names %s, but %s_API_KEY is not set", name, map[string]string{"claude": "ANTHROPIC", "openai": "OPENAI"}[name])
		case slices.Contains(c.providers[:i], name):
			return fmt.Errorf("-providers names %s twice", name)
		}
	}
	for name, base := range map[string]string{"ANTHROPIC_BASE_URL": c.anthropicURL, "OPENAI_BASE_URL": c.openaiURL} {
		if u, err := url.Parse(base); base != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("%s is no http or https URL", name)
		}
	}
	return nil
}

// checkNumbers refuses what can't work, before anything runs.
func (c *config) checkNumbers(fs *flag.FlagSet) error {
	for _, f := range []struct {
		name string
		ok   bool
		want string
	}{
		{"requests-per-minute", c.requestsPerMinute >= 1, "at least 1"},
		{"tokens-per-minute", c.tokensPerMinute >= 1, "at least 1"},
		{"concurrent-requests", c.concurrent >= 1, "at least 1"},
		{"max-tokens", c.maxTokens >= 1, "at least 1"},
		{"provider-timeout", c.providerTimeout > 0 && c.providerTimeout <= 24*time.Hour, "more than 0, and at most 24h"},
		{"breaker-window", c.breaker.Window > 0, "more than 0"},
		{"breaker-open", c.breaker.OpenTime > 0, "more than 0"},
		{"cache-ttl", c.cacheTTL >= 0, "at least 0"},
		{"shutdown-timeout", c.shutdownTimeout >= 0, "at least 0"},
		{"local-latency", c.local.Latency >= 0, "at least 0"},
		{"local-gap", c.local.Gap >= 0, "at least 0"},
		{"local-status", c.local.Status == 0 || c.local.Status >= 400 && c.local.Status <= 599, "400 to 599, or 0"},
		{"local-cut", c.local.CutAfter >= 0, "at least 0"},
		{"local-share", c.local.Spared >= 0 && c.local.Spared <= 1, "0 to 1"},
	} {
		if !f.ok {
			return fmt.Errorf("-%s is %v, want %s", f.name, fs.Lookup(f.name).Value, f.want)
		}
	}
	return nil
}

// answerTimeout is the time in which a request is answered or has failed: each
// provider has two attempts at most, with a pause between them.
func (c *config) answerTimeout() time.Duration {
	return 2*c.providerTimeout*time.Duration(len(c.providers)) + time.Minute
}

// newProvider makes the provider of a name that checkProviders has let pass.
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
func (c *config) models() (known []metrics.Provider, err error) {
	var priced struct{ Claude, OpenAI, Local, Spare []metrics.Model }
	if c.pricesFile != "" {
		text, err := os.ReadFile(c.pricesFile)
		if err != nil {
			return nil, err
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&priced); err != nil {
			return nil, fmt.Errorf("%s: %w", c.pricesFile, err)
		}
	}
	prices := map[string][]metrics.Model{"claude": priced.Claude, "openai": priced.OpenAI, "local": priced.Local, "spare": priced.Spare}
	for _, name := range c.providers {
		models := prices[name]
		standard := c.newProvider(name, http.DefaultClient).Model()
		if !slices.ContainsFunc(models, func(m metrics.Model) bool { return m.Name == standard }) {
			models = append(models, metrics.Model{Name: standard})
		}
		known = append(known, metrics.Provider{Name: name, Models: models})
	}
	return known, nil
}

// words reads words with commas between them.
func words(v string) (list []string) {
	for word := range strings.SplitSeq(v, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}

// prefixes reads networks or addresses with commas between them.
func prefixes(v string) (list []netip.Prefix, _ error) {
	for _, name := range words(v) {
		prefix, err := netip.ParsePrefix(name)
		if addr, bad := netip.ParseAddr(name); bad == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither a network like 10.0.0.0/8 nor an address", name)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// mode reads what a guard does.
func mode(v string) (sanitize.Mode, error) {
	for _, m := range []sanitize.Mode{sanitize.ModeBlock, sanitize.ModeWarn, sanitize.ModeShadow, sanitize.ModeOff} {
		if m.String() == v {
			return m, nil
		}
	}
	return 0, errors.New("want off, shadow, warn or block")
}
