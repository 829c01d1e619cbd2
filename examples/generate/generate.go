package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/examples/generate/provider"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/problem"
	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/sanitize"
)

// reserveCap is the most that is reserved for the output of one request: with
// the full max_tokens, a few requests at once would use up a budget that they
// hardly touch in the end.
const reserveCap = 1024

// writeTimeout is how long a client may take to accept one piece of an answer.
const writeTimeout = 30 * time.Second

// generateRequest is the body of POST /api/spark/generate.
type generateRequest struct {
	Prompt      string   `json:"prompt"`
	Provider    string   `json:"provider,omitempty"`
	Model       string   `json:"model,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	Stream      bool     `json:"stream,omitempty"`
}

// generateResponse is the answer, and without its text the data of the last
// event of a stream.
type generateResponse struct {
	ID   string  `json:"id"`
	Text *string `json:"text,omitempty"`
	source
	provider.Answer
	Cached   bool     `json:"cached"`
	Warnings []string `json:"warnings"`
}

// source says where an answer comes from. It is kept with it in the cache.
type source struct {
	Provider string `json:"provider"`
}

// chunk is a piece of an answer in the cache: text, or at the end all the rest.
type chunk struct {
	Text string           `json:"t,omitempty"`
	End  *provider.Answer `json:"e,omitempty"`
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$`)

// generate answers a prompt. One error says how that ended; what has to know of
// it gets the same one: the breaker by the attempt's return, the cache by the
// fill's, and by problem.Write all that watch the response.
func (s *server) generate(w http.ResponseWriter, r *http.Request) {
	req, err := s.parse(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	answer, err := s.answer(r, req)
	if err == nil {
		defer func() { _ = answer.Close() }()
		cached := answer.Kind() == cache.Hit || answer.Kind() == cache.Stale
		w.Header().Set("Cache-Status", answer.CacheStatus())
		if cached {
			w.Header().Set("Age", strconv.Itoa(int(answer.Age().Seconds())))
		}
		report, _ := sanitize.FromContext(r.Context())
		to := reply{w: w, answer: answer, response: generateResponse{
			ID: "gen_" + rand.Text(), Cached: cached, Warnings: append([]string{}, report.Warnings()...),
		}}
		if req.Stream {
			err = to.stream()
		} else {
			err = to.whole()
		}
	}
	if err != nil {
		setRetryAfter(w.Header(), err)
		giveTime(w)
		problem.Write(w, r, err)
	}
}

// giveTime lets the client have another writeTimeout to accept what comes next: an
// answer may take longer to begin, and far longer to end, than the server allows
// for other responses.
func giveTime(w http.ResponseWriter) {
	// Where there is no deadline to set, there is none to extend.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// parse reads the request, which the guard has found to be one JSON value.
func (s *server) parse(r *http.Request) (generateRequest, error) {
	req := generateRequest{MaxTokens: s.cfg.maxTokens}
	if err := readJSON(r, &req); err != nil {
		return req, err
	}
	switch {
	case strings.TrimSpace(req.Prompt) == "":
		return req, invalid("prompt", "must not be empty")
	case req.MaxTokens < 1 || req.MaxTokens > s.cfg.maxTokens:
		return req, invalid("max_tokens", fmt.Sprintf("must be 1 to %d", s.cfg.maxTokens))
	case req.Temperature != nil && (*req.Temperature < 0 || *req.Temperature > 2):
		return req, invalid("temperature", "must be 0 to 2")
	case req.Model != "" && !modelName.MatchString(req.Model):
		return req, invalid("model", "must be the name of a model")
	case req.Provider != "" && s.providers[req.Provider] == nil:
		return req, invalid("provider", "must be one of "+strings.Join(s.cfg.providers, ", "))
	}
	return req, nil
}

// order returns the providers to try. One that the client names is the only
// one; a model that can be told by its name goes to its provider first.
func (s *server) order(req generateRequest) []string {
	if req.Provider != "" {
		return []string{req.Provider}
	}
	order := slices.Clone(s.cfg.providers)
	if owner := ownerOf(req.Model); slices.Contains(order, owner) {
		slices.SortStableFunc(order, func(a, b string) int {
			switch owner {
			case a:
				return -1
			case b:
				return 1
			}
			return 0
		})
	}
	return order
}

func ownerOf(model string) string {
	switch {
	case strings.HasPrefix(model, "claude"):
		return "claude"
	case strings.HasPrefix(model, "gpt"), strings.HasPrefix(model, "chatgpt"), strings.HasPrefix(model, "o1"),
		strings.HasPrefix(model, "o3"), strings.HasPrefix(model, "o4"):
		return "openai"
	default:
		return ""
	}
}

// answer returns the answer to req, from the cache or as it comes.
func (s *server) answer(r *http.Request, req generateRequest) (*cache.Answer, error) {
	identity, _ := auth.FromContext(r.Context())
	order := s.order(req)
	params := req
	params.Stream = false // one entry serves both
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	header := r.Header
	if s.cfg.cacheTTL == 0 {
		header = http.Header{"Cache-Control": {"no-store"}}
	}
	key, err := cache.NewKey(cache.Tenant(identity.User), cache.Call{
		Method: r.Method, Route: r.Pattern, Provider: strings.Join(order, ","),
		Model: s.model(order[0], req), Params: text, Header: header,
	})
	if err != nil {
		return nil, err
	}
	quota, _ := ratelimit.FromContext(r.Context())
	return s.cache.Do(r.Context(), key, func(ctx context.Context, out *cache.Recorder) error {
		return s.fill(ctx, req, order, quota, out)
	})
}

// model returns the model that a provider is asked for: the one that the client
// names, unless the provider only stands in for another.
func (s *server) model(name string, req generateRequest) string {
	if owner := ownerOf(req.Model); req.Model != "" && (owner == "" || owner == name) {
		return req.Model
	}
	return s.providers[name].Model()
}

// fill asks the providers in turn. It is called for the first of those who want
// the same answer at the same time, whose quota pays for it: what was used, also
// if nobody waits for the end.
func (s *server) fill(ctx context.Context, req generateRequest, order []string, quota *ratelimit.Reservation, out *cache.Recorder) error {
	input := provider.EstimateTokens(req.Prompt)
	if err := quota.Reserve(ctx, int64(input+min(req.MaxTokens, reserveCap))); err != nil {
		return err
	}
	quota.Use(0) // as long as no provider has said anything, nothing is used
	var used provider.Usage
	defer func() { quota.Settle(ctx, int64(used.Input+used.Output)) }()
	_, err := s.failover.Do(ctx, func(ctx context.Context, name string) error {
		a := attempt{server: s, name: name, out: out, quota: quota, ask: provider.Ask{
			Prompt: req.Prompt, Model: s.model(name, req), MaxTokens: req.MaxTokens, Temperature: req.Temperature, Stream: req.Stream,
		}}
		err := a.run(ctx)
		used.Input += a.used.Input
		used.Output += a.used.Output
		return err
	}, order...)
	return err
}

// attempt is one call of one provider.
type attempt struct {
	server *server
	name   string
	ask    provider.Ask
	out    *cache.Recorder
	quota  *ratelimit.Reservation
	text   strings.Builder // what a call that is no stream has said so far
	tokens int             // estimate of what it has said
	used   provider.Usage
}

func (a *attempt) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.server.cfg.providerTimeout, errProviderTimeout)
	defer cancel()
	call := a.server.metrics.Begin(metrics.Call{Provider: a.name, Model: a.ask.Model})
	answer, err := a.server.providers[a.name].Generate(ctx, a.ask, func(text string) error {
		call.Chunk()
		return a.emit(ctx, text)
	})
	a.used = answer.Usage
	if a.used.Input == 0 && (a.tokens > 0 || err == nil) {
		a.used.Input = provider.EstimateTokens(a.ask.Prompt)
	}
	if err != nil || a.used.Output == 0 { // what the provider says at the end is missing
		a.used.Output = max(a.used.Output, a.tokens)
	}
	if err == nil {
		err = a.finish(ctx, answer)
	}
	call.End(metrics.Outcome{Model: answer.Model, Usage: metrics.Usage{Input: a.used.Input, Output: a.used.Output}, Err: err})
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return breaker.WithOutcome(err, outcome(a.name, e))
	}
	return err
}

// emit passes a piece of text on to the readers; from the first one on, no
// other provider can take over. What is no stream waits until it is complete.
func (a *attempt) emit(ctx context.Context, text string) error {
	n := len(text)/4 + 1
	if a.tokens == 0 { // what was asked costs as soon as there is an answer
		a.quota.Use(int64(provider.EstimateTokens(a.ask.Prompt)))
	}
	a.tokens += n
	a.quota.Use(int64(n))
	if !a.ask.Stream {
		breaker.Progress(ctx)
		a.text.WriteString(text)
		return nil
	}
	breaker.Commit(ctx)
	return a.write(chunk{Text: text})
}

func (a *attempt) finish(ctx context.Context, answer provider.Answer) error {
	breaker.Commit(ctx)
	if answer.FinishReason != "stop" {
		a.out.NoStore(answer.FinishReason)
	}
	answer.Usage = a.used
	a.out.SetTokens(int64(a.used.Input + a.used.Output))
	if a.text.Len() > 0 {
		if err := a.write(chunk{Text: a.text.String()}); err != nil {
			return err
		}
	}
	return a.write(chunk{End: &answer})
}

func (a *attempt) write(c chunk) error {
	meta, err := json.Marshal(source{a.name})
	if err != nil {
		return err
	}
	a.out.SetMeta(meta) // counts before the first chunk only
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

// outcome is what an error of a provider means for its breaker.
func outcome(name string, e *provider.Error) breaker.Outcome {
	if name == "openai" {
		return breaker.OpenAI(e.Status, e.Header, e.Body)
	}
	return breaker.Anthropic(e.Status, e.Header, e.Body)
}

// reply writes an answer to the client.
type reply struct {
	w        http.ResponseWriter
	answer   *cache.Answer
	response generateResponse
}

// read passes the text to emit, piece by piece, and fills in the rest.
func (p *reply) read(emit func(text string) error) error {
	for {
		b, err := p.answer.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var c chunk
		if err := json.Unmarshal(b, &c); err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		if c.End != nil {
			p.response.Answer = *c.End
			continue
		}
		if err := emit(c.Text); err != nil {
			return err
		}
	}
}

func (p *reply) whole() error {
	var text strings.Builder
	if err := p.read(func(piece string) error { text.WriteString(piece); return nil }); err != nil {
		return err
	}
	p.response.Text = new(text.String())
	if err := json.Unmarshal(p.answer.Meta(), &p.response.source); err != nil {
		return fmt.Errorf("reading an answer's source: %w", err)
	}
	giveTime(p.w)
	return writeJSON(p.w, p.response)
}

// stream sends the events delta, with the text, and done, or error in its place.
func (p *reply) stream() error {
	began := false
	err := p.read(func(text string) error {
		if !began {
			began = true
			h := p.w.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("X-Accel-Buffering", "no") // proxies like nginx would wait for more
		}
		return p.event("delta", map[string]string{"text": text})
	})
	switch {
	case err == nil:
		if err := json.Unmarshal(p.answer.Meta(), &p.response.source); err != nil {
			return fmt.Errorf("reading an answer's source: %w", err)
		}
		p.w.Header().Set("Content-Type", "text/event-stream")
		return p.event("done", p.response)
	case began && !errors.Is(err, context.Canceled):
		// The client is told, and then sees the stream break as well: problem.Write aborts it.
		_ = p.event("error", problem.Of(err))
	}
	return err
}

func (p *reply) event(name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	giveTime(p.w)
	if _, err := fmt.Fprintf(p.w, "event: %s\ndata: %s\n\n", name, b); err != nil {
		return fmt.Errorf("writing to the client: %w", context.Canceled)
	}
	if err := http.NewResponseController(p.w).Flush(); err != nil {
		return fmt.Errorf("writing to the client: %w", context.Canceled)
	}
	return nil
}
