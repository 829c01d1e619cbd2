package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/examples/generate/provider"
	"github.com/sparkhttp/spark/headers"
	"github.com/sparkhttp/spark/health"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/problem"
	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/sanitize"
)

// The causes of the end of calls that took too long, and of those that were cut
// off at the end of the server.
var (
	errProviderTimeout = problem.With(fmt.Errorf("provider took longer than -provider-timeout: %w", context.DeadlineExceeded),
		&problem.Document{Status: http.StatusGatewayTimeout, Detail: "The provider took too long. Try again later."})
	errShutdown = problem.With(http.ErrServerClosed,
		&problem.Document{Status: http.StatusServiceUnavailable, Detail: "The server is shutting down. Try again."})
)

// server is all that a request meets.
type server struct {
	cfg       config
	log       *slog.Logger
	observe   *observer
	store     auth.Store
	auth      *auth.Authenticator
	limits    *ratelimit.Middleware
	prompts   *sanitize.Guard // of /api/spark/generate
	exports   *sanitize.Guard // of /api/export
	cache     *cache.Cache
	breakers  *breaker.Group
	failover  *breaker.Failover
	providers map[string]provider.Provider
	metrics   *metrics.Metrics
	errors    *errtrack.Collector
	headers   *headers.Headers
	health    *health.Health
}

func newServer(cfg config, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, providers: map[string]provider.Provider{}}
	for _, step := range []func() error{s.newErrors, s.newMetrics, s.newGate, s.newLimits, s.newGuards, s.newProviders, s.newCache, s.newHealth} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, s.metrics.Err()
}

// newErrors makes the error tracker, and has it hear of what is logged as an
// error.
func (s *server) newErrors() (err error) {
	cfg := errtrack.Config{Logger: s.log, Describe: func(ctx context.Context, e *errtrack.Event) {
		id, _ := auth.FromContext(ctx)
		e.User = id.User
		e.RequestID, _ = ctx.Value(requestIDKey{}).(string)
	}}
	if s.cfg.errorsWebhook != "" {
		hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: s.cfg.errorsWebhook, Secret: []byte(s.cfg.webhookSecret), MinSeverity: errtrack.Medium})
		if err != nil {
			return err
		}
		cfg.Reporters = append(cfg.Reporters, hook)
	}
	if s.errors, err = errtrack.New(cfg); err == nil {
		s.log = slog.New(errtrack.NewSlogHandler(s.errors, s.log.Handler()))
	}
	return err
}

func (s *server) newMetrics() (err error) {
	known, err := s.cfg.models()
	if err != nil {
		return err
	}
	if s.metrics, err = metrics.New(metrics.Config{Providers: known, Logger: s.log}); err != nil {
		return err
	}
	s.observe = newObserver(s.metrics, s.errors, s.log, s.cfg.providers)
	s.metrics.GaugeFunc("spark_cache_entries", "Answers in the cache.", func() float64 { return float64(s.cache.Stats().Entries) })
	s.metrics.GaugeFunc("spark_cache_bytes", "Memory that the answers in the cache take.", func() float64 { return float64(s.cache.Stats().Bytes) })
	for severity := errtrack.Low; severity <= errtrack.Critical; severity++ {
		s.metrics.CounterFunc("spark_errors_total", "Errors that were tracked, by severity.",
			func() float64 { return float64(s.errors.Stats().BySeverity[severity]) }, metrics.By("severity", severity.String()))
	}
	return nil
}

// newGate makes what decides who may come in, and with which headers they leave.
func (s *server) newGate() (err error) {
	s.store = auth.NewMemory()
	if s.cfg.keysFile != "" {
		s.store, err = auth.OpenFile(auth.FileConfig{Path: s.cfg.keysFile, OnReload: func(ctx context.Context, err error) {
			s.log.LogAttrs(ctx, slog.LevelWarn, "keys file read again", slog.Any("error", err))
		}})
		if err != nil {
			return err
		}
	}
	client := ratelimit.ClientIP{TrustedProxies: s.cfg.trustedProxies}
	s.auth, err = auth.New(auth.Config{
		Store:      s.store,
		MasterKeys: func() []string { return s.cfg.masterKeys },
		ClientIP:   func(r *http.Request) netip.Addr { return client.Addr(r) },
		OnAttempt:  s.observe.attempt,
		Logger:     s.log,
	})
	if err != nil {
		return err
	}
	s.headers, err = headers.New(headers.Config{TrustedProxies: s.cfg.trustedProxies, Strip: headers.Leaking()})
	return err
}

func (s *server) newLimits() (err error) {
	minute := func(name string, unit ratelimit.Unit, n int) ratelimit.Policy {
		return ratelimit.Policy{Name: name, Unit: unit, Limit: int64(n), Window: time.Minute}
	}
	requests := minute("requests", ratelimit.Requests, s.cfg.requestsPerMinute)
	s.limits, err = ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{requests},
		Endpoints: map[string][]ratelimit.Policy{"POST /api/spark/generate": {
			requests, minute("tokens", ratelimit.Tokens, s.cfg.tokensPerMinute),
			{Name: "concurrent", Unit: ratelimit.Concurrency, Limit: int64(s.cfg.concurrent)},
		}},
		Key:      func(r *http.Request) string { return user(r).User },
		Exempt:   func(r *http.Request, _ string) bool { return s.cfg.exemptMaster && user(r).Master },
		ClientIP: ratelimit.ClientIP{TrustedProxies: s.cfg.trustedProxies},
		Lease:    s.cfg.answerTimeout() + time.Minute,
		OnEvent:  s.observe.limit,
	})
	return err
}

func (s *server) newGuards() (err error) {
	guard := func(mode sanitize.Mode, fields ...string) (*sanitize.Guard, error) {
		return sanitize.NewGuard(sanitize.GuardConfig{
			Fields: fields,
			Mode:   func(*http.Request) sanitize.Mode { return mode },
			OnText: s.observe.prompt,
		})
	}
	if s.prompts, err = guard(s.cfg.sanitize, "/prompt"); err != nil {
		return err
	}
	// What is exported goes to no model: it is cleaned, not judged.
	s.exports, err = guard(sanitize.ModeOff, "/title", "/content")
	return err
}

func (s *server) newProviders() (err error) {
	cfg := s.cfg.breaker
	cfg.ProbeLease, cfg.OnOutcome, cfg.OnStateChange = s.cfg.providerTimeout, s.observe.call, s.observe.change
	s.breakers, err = breaker.NewGroup(breaker.GroupConfig{Names: s.cfg.providers, Breaker: cfg})
	if err != nil {
		return err
	}
	for _, name := range s.cfg.providers {
		b, err := s.breakers.Get(name)
		if err != nil {
			return err
		}
		table := breaker.Anthropic
		if name == "openai" {
			table = breaker.OpenAI
		}
		transport, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b, Provider: table, IdleTimeout: s.cfg.providerTimeout / 2})
		if err != nil {
			return err
		}
		s.providers[name] = s.cfg.newProvider(name, &http.Client{Transport: transport})
	}
	s.failover, err = breaker.NewFailover(breaker.FailoverConfig{Group: s.breakers, Order: s.cfg.providers})
	return err
}

func (s *server) newCache() (err error) {
	s.cache, err = cache.New(cache.Config{
		Scope: func(r *http.Request) (cache.Scope, error) { return cache.Tenant(user(r).User), nil },
		TTL:   s.cfg.cacheTTL, StaleIfError: s.cfg.cacheTTL,
		Timeout: s.cfg.answerTimeout(),
		OnEvent: s.observe.cache,
	})
	return err
}

func (s *server) newHealth() (err error) {
	s.health, err = health.New(health.Config{
		ServiceID: "generate",
		Checks: []health.Check{
			health.Breakers(s.breakerStates, false),
			health.Func("metrics:gather", s.metrics.Check),
			health.Func("keys:store", s.checkStore),
			{Name: "errors:reports", Run: s.checkErrors},
			{Name: "cache:entries", Run: func(context.Context) health.Result {
				stats := s.cache.Stats()
				return warnIf(stats.Errors > 0, "the cache's store failed", stats.Entries)
			}},
			{Name: "limits:store", Run: func(context.Context) health.Result {
				return warnIf(s.observe.limiterFailing(), "the limiter failed within the last minute", nil)
			}},
			health.Memory(0.9),
			health.Goroutines(100_000),
		},
		Authorized: func(r *http.Request) bool { id, ok := auth.FromContext(r.Context()); return ok && !id.Anonymous },
	})
	return err
}

func (s *server) breakerStates() map[string]string {
	states := map[string]string{}
	for _, b := range s.breakers.Status() {
		states[b.Name] = string(b.State)
	}
	return states
}

// checkStore looks for a key that nobody has: that it is not found is an answer.
func (s *server) checkStore(ctx context.Context) error {
	if _, err := s.store.Lookup(ctx, "health"); !errors.Is(err, auth.ErrNotFound) {
		return err
	}
	return nil
}

// checkErrors warns of reports that got lost and of errors that need somebody.
func (s *server) checkErrors(context.Context) health.Result {
	stats := s.errors.Stats()
	for _, g := range s.errors.Groups(errtrack.Query{MinSeverity: errtrack.Critical, Limit: 1}) {
		if g.LastMinute > 0 {
			return warnIf(true, "critical: "+g.Title, stats)
		}
	}
	return warnIf(stats.Dropped > 0 || stats.Failed > 0, "reports were lost", stats)
}

func warnIf(bad bool, output string, value any) health.Result {
	if bad {
		return health.Result{Status: health.Warn, Value: value, Output: output}
	}
	return health.Result{Status: health.Pass, Value: value}
}

// handler composes the chain. From outside in: a name for the request, metrics
// around everything so that refusals count, the headers that are on every
// response; then, where a key is needed, who it is before anything is read or
// spent, how often, what is in the body, and last what costs money.
func (s *server) handler() http.Handler {
	private := func(h http.Handler) http.Handler { return s.auth.Handler(s.limits.Handler(h)) }
	mux := http.NewServeMux()
	mux.Handle("POST /api/spark/generate", private(s.prompts.Handler(http.HandlerFunc(s.generate))))
	mux.Handle("POST /api/export", private(s.exports.Handler(http.HandlerFunc(export))))
	// A scrape has no limit: it must be possible when a user has used up his own.
	metrics := s.metrics.Endpoint()
	if !s.cfg.publicMetrics {
		metrics = s.auth.Handler(metrics)
	}
	mux.Handle("GET /api/metrics", metrics)
	mux.Handle("GET /api/errors", s.auth.RequireScopes("operator")(s.errors.Page()))
	mux.Handle("GET /api/spark/health", s.auth.Optional(s.health.Details()))
	mux.Handle("GET /livez", s.health.Live())
	mux.Handle("GET /readyz", s.health.Ready())
	mux.Handle("GET /startupz", s.health.Startup())
	return requestID(s.metrics.Handler(s.errors.Handler(s.headers.Handler(notFound(mux)))))
}

// notFound makes problem documents of what the mux answers by itself, 404 and 405.
func notFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			w = &refusal{ResponseWriter: w, r: r}
		}
		mux.ServeHTTP(w, r)
	})
}

// refusal is the response to a request that no route matches.
type refusal struct {
	http.ResponseWriter
	r       *http.Request
	written bool
}

func (f *refusal) WriteHeader(status int) {
	if status < 400 { // a redirect to a clean path
		f.ResponseWriter.WriteHeader(status)
		return
	}
	f.written = true
	problem.Write(f.ResponseWriter, f.r, &problem.Document{Status: status, Detail: map[int]string{
		http.StatusNotFound:         "Nothing is served at this path.",
		http.StatusMethodNotAllowed: "The path does not take this method: see the header Allow.",
	}[status]})
}

func (f *refusal) Write(b []byte) (int, error) {
	if f.written { // the mux's own text
		return len(b), nil
	}
	return f.ResponseWriter.Write(b)
}

// user is who has sent r.
func user(r *http.Request) auth.Identity {
	id, _ := auth.FromContext(r.Context())
	return id
}

// issue makes a key for whoever tries the server out.
func (s *server) issue(ctx context.Context) (string, error) {
	manager, err := auth.NewManager(auth.ManagerConfig{Store: s.store})
	if err != nil {
		return "", err
	}
	key, _, err := manager.Create(ctx, auth.KeyInfo{Owner: "demo", Name: "printed at start", Scopes: []string{"operator"}})
	if err != nil {
		return "", fmt.Errorf("issuing a key: %w", err)
	}
	return key.Reveal(), nil
}
