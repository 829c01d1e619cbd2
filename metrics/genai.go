package metrics

// The names of this file follow the semantic conventions for generative AI of
// OpenTelemetry, https://github.com/open-telemetry/semantic-conventions-genai,
// docs/gen-ai/gen-ai-metrics.md at commit 004902b8 (on version 1.42.0 of the
// general conventions), which are in development: they may change. Dots are
// underscores, and units end the name, as Prometheus has it. Durations have the
// buckets of all others: those of these conventions end at 82 seconds.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Provider is an AI provider that calls are counted by.
type Provider struct {
	// Name is what calls name it ([Call].Provider). The conventions want
	// "anthropic", "openai", "aws.bedrock" and so on. Required.
	Name string
	// Models are those that calls are counted by, and priced.
	Models []Model
}

// Model is a model and what it costs, in US dollars for a million tokens. A
// dated version of it ("name-20260130", "name-2026-01-30") counts as the model
// itself, unless it is listed too.
type Model struct {
	// Name is the name that requests have. Required.
	Name string
	// Input and Output are the prices of tokens sent and generated. If both are
	// 0, calls of the model count as unpriced.
	Input, Output float64
	// CacheRead and CacheWrite are the prices of input tokens that were read
	// from, or written to, the provider's prompt cache. 0 means that of Input.
	CacheRead, CacheWrite float64
}

// Call is what is known of a call of a provider when it begins.
type Call struct {
	// Operation is the gen_ai.operation.name. "" means "chat"; one that the
	// conventions don't have is counted as "other".
	Operation string
	// Provider and Model are what is called. Those that aren't in
	// [Config].Providers are counted as "other".
	Provider, Model string
	// Traceparent is the value of that header (W3C Trace Context) of the request
	// that the call is made for. If its trace is sampled, its id is shown as the
	// exemplar of what is measured. Optional.
	Traceparent string
}

// Outcome is what is known of a call of a provider when it ends.
type Outcome struct {
	// Model is the model that answered. "" means that of the call.
	Model string
	// Usage is what was used of it, also by a call that failed.
	Usage Usage
	// Err is why the call failed; nil if it did not. It is counted by kind:
	// "client_gone" (context.Canceled), "timeout" (a deadline), "shutdown"
	// (http.ErrServerClosed), "truncated" (io.ErrUnexpectedEOF), else "_OTHER".
	Err error
	// ErrorType replaces the kind of Err: a status like "529", or a name of the
	// caller's. It must never be made of what a client or provider said freely.
	ErrorType string
}

// Usage is a number of tokens, as a provider bills them.
type Usage struct {
	// Input is how many tokens were sent, those of the cache included; Output how
	// many were generated. Both 0 means that it is not known.
	Input, Output int
	// CacheRead and CacheWrite say how many of Input were read from, or written
	// to, the provider's prompt cache.
	CacheRead, CacheWrite int
}

// Generation is a call that has begun; see [Metrics.Begin]. It may be used by
// one goroutine at a time.
type Generation struct {
	g         *generations
	operation string
	provider  *provider
	name      string // of the provider
	model     string
	trace     string // the id for exemplars, or ""
	start     time.Time
	chunk     time.Time // when the last one came
	ended     bool
}

// Begin notes that a provider is being called. It is measured when
// [Generation.End] is called:
//
//   - gen_ai_client_operation_duration_seconds, by gen_ai_operation_name,
//     gen_ai_provider_name, gen_ai_request_model, gen_ai_response_model and
//     error_type
//   - gen_ai_client_token_usage, by gen_ai_token_type instead of error_type
//   - gen_ai_client_operation_time_to_first_chunk_seconds and
//     gen_ai_client_operation_time_per_output_chunk_seconds, by operation,
//     provider and request model, for calls that had a [Generation.Chunk]
//   - spark_gen_ai_cost_usd_total and spark_gen_ai_unpriced_calls_total, by
//     gen_ai_provider_name and gen_ai_response_model: the latter counts calls
//     whose cost is not known, and by which the former is too low
func (m *Metrics) Begin(c Call) *Generation {
	g := m.genai
	operation := c.Operation
	if operation == "" {
		operation = "chat"
	}
	p, name := g.provider(c.Provider)
	return &Generation{
		g: g, operation: operation, provider: p, name: name, model: p.model(c.Model).Name,
		trace: traceOf(c.Traceparent), start: time.Now(),
	}
}

// Chunk notes that a chunk of a streamed answer has come.
func (g *Generation) Chunk() {
	now := time.Now()
	h, since := g.g.perChunk, g.chunk
	if since.IsZero() {
		h, since = g.g.firstChunk, g.start
	}
	h.observe(now.Sub(since).Seconds(), g.trace, g.operation, g.name, g.model)
	g.chunk = now
}

// End notes that the call has ended, with what. Only the first End counts, so
// one that is deferred catches what returns early.
func (g *Generation) End(o Outcome) {
	if g.ended {
		return
	}
	g.ended = true
	answered := g.provider.model(o.Model)
	if o.Model == "" {
		answered = g.provider.model(g.model)
	}
	g.g.duration.observe(time.Since(g.start).Seconds(), g.trace, g.operation, g.name, g.model, answered.Name, o.kind())
	g.g.spend(g, answered, o)
}

// kind returns the error_type of an outcome.
func (o Outcome) kind() string {
	switch {
	case o.ErrorType != "":
		return o.ErrorType
	case o.Err == nil:
		return ""
	case errors.Is(o.Err, context.Canceled):
		return "client_gone"
	case errors.Is(o.Err, http.ErrServerClosed):
		return "shutdown"
	case errors.Is(o.Err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(o.Err, io.ErrUnexpectedEOF):
		return "truncated"
	default:
		return "_OTHER"
	}
}

// generations has the metrics of calls of providers.
type generations struct {
	providers map[string]*provider
	unknown   *provider
	seconds   *layout

	duration, firstChunk, perChunk, tokens *Histogram
	cost, unpriced                         *Counter
}

// provider has the models of one provider, by name.
type provider struct{ models map[string]Model }

// operations are the well-known values of gen_ai.operation.name.
func operations() []string {
	return []string{
		"chat", "create_agent", "create_memory", "create_memory_store", "delete_memory", "delete_memory_store",
		"embeddings", "execute_tool", "generate_content", "invoke_agent", "invoke_workflow", "plan", "retrieval",
		"search_memory", "text_completion", "update_memory", "upsert_memory",
	}
}

// tokenBuckets are the bounds that the conventions want for numbers of tokens.
func tokenBuckets() []float64 {
	var b []float64
	for v := 1.0; v <= 67108864; v *= 4 {
		b = append(b, v)
	}
	return b
}

func newGenerations(m *Metrics) (*generations, error) {
	g := &generations{providers: make(map[string]*provider), unknown: &provider{}, seconds: m.seconds}
	var names []string
	for _, p := range m.cfg.Providers {
		if p.Name == "" || clean(p.Name) != p.Name || g.providers[p.Name] != nil {
			return nil, fmt.Errorf("metrics: Provider.Name is %q, want a name of its own", p.Name)
		}
		models := make(map[string]Model, len(p.Models))
		for _, model := range p.Models {
			err := model.check()
			if _, twice := models[model.Name]; twice {
				err = fmt.Errorf("model %s is listed twice", model.Name)
			}
			if err != nil {
				return nil, fmt.Errorf("metrics: provider %s: %w", p.Name, err)
			}
			models[model.Name] = model
		}
		g.providers[p.Name] = &provider{models}
		names = append(names, p.Name)
	}
	operation := By("gen_ai_operation_name", operations()...)
	name := By("gen_ai_provider_name", append(names, other)...)
	request, answered := By("gen_ai_request_model"), By("gen_ai_response_model")

	g.duration = m.Histogram("gen_ai_client_operation_duration_seconds",
		"Time of a call of an AI provider, to the end of its answer.",
		nil, operation, name, request, answered, By("error_type"))
	g.firstChunk = m.Histogram("gen_ai_client_operation_time_to_first_chunk_seconds",
		"Time until the first chunk of a streamed answer of an AI provider.", nil, operation, name, request)
	g.perChunk = m.Histogram("gen_ai_client_operation_time_per_output_chunk_seconds",
		"Time between two chunks of a streamed answer of an AI provider.", nil, operation, name, request)
	g.tokens = m.Histogram("gen_ai_client_token_usage",
		"Tokens that a call of an AI provider used.",
		tokenBuckets(), operation, name, request, answered, By("gen_ai_token_type", "input", "output"))
	g.cost = m.Counter("spark_gen_ai_cost_usd_total",
		"Cost of the calls of AI providers in US dollars, by the prices that were configured.", name, answered)
	g.unpriced = m.Counter("spark_gen_ai_unpriced_calls_total",
		"Calls of AI providers whose cost is not known, and not in spark_gen_ai_cost_usd_total.", name, answered)
	for _, p := range m.cfg.Providers {
		for _, model := range p.Models {
			g.cost.Add(0, p.Name, model.Name)
			g.unpriced.Add(0, p.Name, model.Name)
		}
	}
	g.cost.Add(0, other, other)
	g.unpriced.Add(0, other, other)
	return g, nil
}

func (p Model) check() error {
	if p.Name == "" || clean(p.Name) != p.Name {
		return fmt.Errorf("Model.Name is %q, want a name", p.Name)
	}
	for _, price := range [...]float64{p.Input, p.Output, p.CacheRead, p.CacheWrite} {
		if !(price >= 0 && price < 1e9) {
			return fmt.Errorf("model %s costs %v, want a price", p.Name, price)
		}
	}
	return nil
}

// provider returns the provider of that name and what it is counted as.
func (g *generations) provider(name string) (*provider, string) {
	if p := g.providers[name]; p != nil {
		return p, name
	}
	return g.unknown, other
}

// model returns the model of that name, or that it is a dated version of.
func (p *provider) model(name string) Model {
	if m, ok := p.models[name]; ok {
		return m
	}
	if m, ok := p.models[undated(name)]; ok {
		return m
	}
	return Model{Name: other}
}

// undated returns name without a date at its end, "-20260130" or "-2026-01-30".
func undated(name string) string {
	for _, form := range [...]string{"-dddddddd", "-dddd-dd-dd"} {
		rest, ok := len(name)-len(form), len(name) > len(form)
		for i := 0; ok && i < len(form); i++ {
			c := name[rest+i]
			ok = c == form[i] || form[i] == 'd' && '0' <= c && c <= '9'
		}
		if ok {
			return name[:rest]
		}
	}
	return name
}

// spend counts what a call that ended used.
func (g *generations) spend(c *Generation, answered Model, o Outcome) {
	u := o.Usage
	if u.Input <= 0 && u.Output <= 0 {
		if o.kind() == "" {
			g.unpriced.Inc(c.name, answered.Name)
		}
		return
	}
	g.tokens.observe(float64(max(0, u.Input)), c.trace, c.operation, c.name, c.model, answered.Name, "input")
	g.tokens.observe(float64(max(0, u.Output)), c.trace, c.operation, c.name, c.model, answered.Name, "output")
	if answered.Input == 0 && answered.Output == 0 {
		g.unpriced.Inc(c.name, answered.Name)
		return
	}
	g.cost.Add(answered.cost(u), c.name, answered.Name)
}

// cost returns what u costs, in US dollars.
func (p Model) cost(u Usage) float64 {
	input := max(0, u.Input)
	read := min(max(0, u.CacheRead), input)
	written := min(max(0, u.CacheWrite), input-read)
	return (float64(input-read-written)*p.Input +
		float64(read)*cmp.Or(p.CacheRead, p.Input) +
		float64(written)*cmp.Or(p.CacheWrite, p.Input) +
		float64(max(0, u.Output))*p.Output) / 1e6
}
