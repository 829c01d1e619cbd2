package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

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

// How long a client may take to send a request, and to accept one piece of an
// answer.
const readTimeout, writeTimeout = time.Minute, 30 * time.Second

// generateRequest is the body of POST /api/spark/generate.
type generateRequest struct {
	Prompt      string   `json:"prompt"`
	Provider    string   `json:"provider,omitempty"`
	Model       string   `json:"model,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	Stream      bool     `json:"stream,omitempty"`

	traceparent string // of the header, for exemplars
}

// generateResponse is the answer, and without its text the data of the last
// event of a stream.
type generateResponse struct {
	ID   string  `json:"id"`
	Text *string `json:"text,omitempty"`
	ending
	Cached   bool     `json:"cached"`
	Warnings []string `json:"warnings"`
}

// ending is what is known of an answer when it is complete.
type ending struct {
	Provider string `json:"provider"`
	provider.Answer
}

// chunk is a piece of an answer in the cache: text, or at the end all the rest.
type chunk struct {
	Text string  `json:"t,omitempty"`
	End  *ending `json:"e,omitempty"`
}

// generate answers a prompt. One error says how that ended; what has to know of
// it gets the same one: the breaker by the attempt's return, the cache by the
// fill's, and by problem.Write all that watch the response.
func (s *server) generate(w http.ResponseWriter, r *http.Request) {
	req, err := s.parse(r)
	var answer *cache.Answer
	if err == nil {
		answer, err = s.ask(r, req)
	}
	if err == nil {
		defer func() { _ = answer.Close() }()
		w.Header().Set("Cache-Status", answer.CacheStatus())
		cached := answer.Kind() == cache.Hit || answer.Kind() == cache.Stale
		if cached {
			w.Header().Set("Age", strconv.Itoa(int(answer.Age().Seconds())))
		}
		report, _ := sanitize.FromContext(r.Context())
		err = reply(w, answer, req.Stream, generateResponse{
			ID: "gen_" + rand.Text(), Cached: cached, Warnings: append([]string{}, report.Warnings()...),
		})
	}
	if err != nil {
		if with, ok := errors.AsType[interface {
			error
			SetHeader(h http.Header)
		}](err); ok {
			with.SetHeader(w.Header()) // Retry-After
		}
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

var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$`)

// parse reads the request, which the guard has found to be one JSON value.
func (s *server) parse(r *http.Request) (generateRequest, error) {
	req := generateRequest{MaxTokens: s.cfg.maxTokens, traceparent: r.Header.Get("Traceparent")}
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
	if i := slices.Index(order, provider.Owner(req.Model)); i > 0 {
		order = slices.Insert(slices.Delete(order, i, i+1), 0, s.cfg.providers[i])
	}
	return order
}

// model returns the model that a provider is asked for: the one that the client
// names, unless the provider only stands in for another.
func (s *server) model(name string, req generateRequest) string {
	if owner := provider.Owner(req.Model); req.Model != "" && (owner == "" || owner == name) {
		return req.Model
	}
	return s.providers[name].Model()
}

// ask returns the answer to req, from the cache or as it comes.
func (s *server) ask(r *http.Request, req generateRequest) (*cache.Answer, error) {
	order := s.order(req)
	whole := req
	whole.Stream = false // one entry serves both
	params, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	header := r.Header
	if s.cfg.cacheTTL == 0 {
		header = http.Header{"Cache-Control": {"no-store"}}
	}
	key, err := cache.NewKey(cache.Tenant(user(r).User), cache.Call{
		Method: r.Method, Route: r.Pattern, Provider: strings.Join(order, ","),
		Model: s.model(order[0], req), Params: params, Header: header,
	})
	if err != nil {
		return nil, err
	}
	quota, _ := ratelimit.FromContext(r.Context())
	return s.cache.Do(r.Context(), key, func(ctx context.Context, out *cache.Recorder) error {
		return s.fill(ctx, req, order, quota, out)
	})
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
	used := 0
	defer func() { quota.Settle(ctx, int64(used)) }()
	_, err := s.failover.Do(ctx, func(ctx context.Context, name string) error {
		usage, err := s.attempt(ctx, name, req, quota, out)
		used += usage.Input + usage.Output
		return err
	}, order...)
	return err
}

// attempt asks one provider, and passes on what it says as it comes; from the
// first piece on, no other provider can take over. What is no stream waits until
// it is complete.
func (s *server) attempt(ctx context.Context, name string, req generateRequest, quota *ratelimit.Reservation, out *cache.Recorder) (provider.Usage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.providerTimeout, errProviderTimeout)
	defer cancel()
	ask := provider.Ask{Prompt: req.Prompt, Model: s.model(name, req), MaxTokens: req.MaxTokens, Temperature: req.Temperature, Stream: req.Stream}
	input, output := provider.EstimateTokens(req.Prompt), 0
	chunks := json.NewEncoder(out)
	var text strings.Builder
	call := s.metrics.Begin(metrics.Call{Provider: name, Model: ask.Model, Traceparent: req.traceparent})
	answer, err := s.providers[name].Generate(ctx, ask, func(piece string) error {
		call.Chunk()
		n := len(piece)/4 + 1
		if output == 0 { // what was asked costs as soon as there is an answer
			quota.Use(int64(input))
		}
		output += n
		quota.Use(int64(n))
		if !req.Stream {
			breaker.Progress(ctx)
			text.WriteString(piece)
			return nil
		}
		breaker.Commit(ctx)
		return chunks.Encode(chunk{Text: piece})
	})
	used := &answer.Usage // as the provider counts, or else as it is estimated
	if used.Input == 0 && (output > 0 || err == nil) {
		used.Input = input
	}
	if err != nil || used.Output == 0 {
		used.Output = max(used.Output, output)
	}
	if err == nil {
		breaker.Commit(ctx)
		if answer.FinishReason != "stop" {
			out.NoStore(answer.FinishReason)
		}
		out.SetTokens(int64(used.Input + used.Output))
		if text.Len() > 0 {
			err = chunks.Encode(chunk{Text: text.String()})
		}
		if err == nil {
			err = chunks.Encode(chunk{End: &ending{name, answer}})
		}
	}
	call.End(metrics.Outcome{Model: answer.Model, Usage: metrics.Usage{Input: used.Input, Output: used.Output}, Err: err})
	return *used, err
}

// reply writes an answer to the client: as a whole, or as the events delta, with
// text, and done, or error in its place.
func reply(w http.ResponseWriter, answer *cache.Answer, stream bool, response generateResponse) error {
	var text strings.Builder
	began := false
	for b, err := range answer.Chunks() {
		var c chunk
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		switch {
		case err != nil:
			if began && !errors.Is(err, context.Canceled) {
				// The client is told, and then sees the stream break as well: problem.Write aborts it.
				_ = send(w, "error", problem.Of(err))
			}
			return err
		case c.End != nil:
			response.ending = *c.End
		case stream:
			began = true
			if err := send(w, "delta", map[string]string{"text": c.Text}); err != nil {
				return err
			}
		default:
			text.WriteString(c.Text)
		}
	}
	if stream {
		return send(w, "done", response)
	}
	response.Text = new(text.String())
	giveTime(w)
	return writeJSON(w, response)
}

// send sends a server-sent event.
func send(w http.ResponseWriter, name string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies like nginx would wait for more
	giveTime(w)
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if err != nil {
		return fmt.Errorf("writing to the client: %w", context.Canceled)
	}
	return nil
}
