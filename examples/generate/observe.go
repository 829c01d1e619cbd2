package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/cache"
	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/sanitize"
)

// observer hears of what the packages do, and counts and logs it. This is where
// they meet: none of them knows of metrics.
type observer struct {
	log    *slog.Logger
	errors errtrack.Tracker

	refusedKeys, limited, prompts           *metrics.Counter
	outcomes, changes, cached, cachedTokens *metrics.Counter
	breakerOpen                             *metrics.Gauge
	limiterFailed                           atomic.Int64 // Unix time in seconds
}

func newObserver(m *metrics.Metrics, errors errtrack.Tracker, log *slog.Logger, providers []string) *observer {
	kinds := []string{
		string(cache.Hit), string(cache.Miss), string(cache.Coalesced), string(cache.Stale), string(cache.Bypass),
		string(cache.Stored), string(cache.Skipped), string(cache.Evicted), string(cache.Poisoned), string(cache.Purged), string(cache.Broken),
	}
	provider := metrics.By("provider", providers...)
	return &observer{
		log: log, errors: errors,
		refusedKeys: m.Counter("spark_auth_refused_total", "Requests without a valid API key, by reason.",
			metrics.By("reason", "no_key", "two_keys", "malformed", "unknown_key", "wrong_secret", "revoked", "disabled", "expired", "scope", "blocked", "unavailable")),
		limited: m.Counter("spark_ratelimit_events_total", "Requests that a limit refused or would have refused, and failures of the limiter.",
			metrics.By("kind", string(ratelimit.Refused), string(ratelimit.WouldRefuse), string(ratelimit.LimiterFailed), string(ratelimit.SettleFailed))),
		prompts: m.Counter("spark_sanitize_texts_total", "Texts that were checked, by verdict.", metrics.By("verdict", "allow", "warn", "block")),
		outcomes: m.Counter("spark_breaker_outcomes_total", "Calls of providers, by what they mean for the breaker.",
			provider, metrics.By("verdict", "success", "failure", "ignored", "cooldown")),
		changes:      m.Counter("spark_breaker_opened_total", "How often the breaker of a provider opened.", provider),
		breakerOpen:  m.Gauge("spark_breaker_open", "Whether the breaker of a provider is not closed.", provider),
		cached:       m.Counter("spark_cache_events_total", "What the cache did.", metrics.By("kind", kinds...)),
		cachedTokens: m.Counter("spark_cache_saved_tokens_total", "Tokens that answers from the cache would have cost."),
	}
}

func (o *observer) attempt(ctx context.Context, a auth.Attempt) {
	if a.Refused == "" {
		return
	}
	o.refusedKeys.Inc(string(a.Refused))
	level := slog.LevelInfo
	if a.Refused == "unavailable" || a.Exhausted {
		level = slog.LevelWarn
	}
	o.log.LogAttrs(ctx, level, "key refused", slog.String("reason", string(a.Refused)), slog.Any("client", a.Client), slog.Any("error", a.Err))
}

func (o *observer) limit(ctx context.Context, e ratelimit.Event) {
	o.limited.Inc(string(e.Kind))
	if e.Kind == ratelimit.LimiterFailed || e.Kind == ratelimit.SettleFailed {
		o.limiterFailed.Store(time.Now().Unix())
	}
	o.log.LogAttrs(ctx, slog.LevelInfo, "rate limit", slog.String("kind", string(e.Kind)), slog.Any("policies", e.Policies), slog.Any("error", e.Err))
}

// limiterFailing reports for a minute that the store of the limits has failed.
func (o *observer) limiterFailing() bool {
	return time.Since(time.Unix(o.limiterFailed.Load(), 0)) < time.Minute
}

func (o *observer) prompt(ctx context.Context, e sanitize.TextEvent) {
	o.prompts.Inc(e.Verdict.String())
	if e.Verdict != sanitize.Allow {
		o.log.LogAttrs(ctx, slog.LevelInfo, "suspicious prompt", slog.String("verdict", e.Verdict.String()), slog.Float64("score", e.Score))
	}
}

func (o *observer) call(ctx context.Context, e breaker.Event) {
	o.outcomes.Inc(e.Breaker, e.Verdict.String())
	if e.Verdict == breaker.Failure || e.Severity != "" {
		event := errtrack.Event{Err: e.Err, Provider: e.Breaker, Class: e.Reason}
		_ = event.Severity.UnmarshalText([]byte(e.Severity)) // "high" and "critical" are severities
		o.errors.Track(ctx, event)
	}
	level := slog.LevelInfo
	if e.Severity != "" {
		level = slog.LevelError
	}
	o.log.LogAttrs(ctx, level, "provider called", slog.String("provider", e.Breaker), slog.String("verdict", e.Verdict.String()),
		slog.String("reason", e.Reason), slog.Duration("took", e.Duration))
}

func (o *observer) change(ctx context.Context, c breaker.StateChange) {
	open := 0.0
	if c.To != breaker.Closed {
		open = 1
	}
	o.breakerOpen.Set(open, c.Breaker)
	if c.To == breaker.Open {
		o.changes.Inc(c.Breaker)
	}
	o.log.LogAttrs(ctx, slog.LevelWarn, "breaker", slog.String("provider", c.Breaker), slog.String("from", string(c.From)),
		slog.String("to", string(c.To)), slog.String("reason", c.Reason), slog.Duration("open_for", c.OpenFor))
}

func (o *observer) cache(_ context.Context, e cache.Event) {
	o.cached.Inc(string(e.Kind))
	if e.Kind == cache.Hit || e.Kind == cache.Coalesced || e.Kind == cache.Stale {
		o.cachedTokens.Add(float64(e.Tokens))
	}
}

type requestIDKey struct{}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestID names each request. A name that the client brings is kept if it is
// of a form that can't hurt a log.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestIDForm.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// idLogger adds the request's id to what is logged in its context.
type idLogger struct{ slog.Handler }

func (l idLogger) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	return l.Handler.Handle(ctx, r)
}

func (l idLogger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return idLogger{l.Handler.WithAttrs(attrs)}
}
func (l idLogger) WithGroup(name string) slog.Handler { return idLogger{l.Handler.WithGroup(name)} }
