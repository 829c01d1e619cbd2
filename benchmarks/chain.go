package main

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-chi/httprate"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/unrolled/secure"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/benchmarks/internal/harness"
	"github.com/sparkhttp/spark/headers"
	"github.com/sparkhttp/spark/metrics"
	"github.com/sparkhttp/spark/ratelimit"
	"github.com/sparkhttp/spark/sanitize"
)

// chainGroups measures what a service has around a handler: security headers, a
// rate limit with its header fields, metrics, API keys, and a bound on the body.
func chainGroups() []harness.Group {
	return []harness.Group{{
		Name: "headers, metrics, API key, rate limit and body limit around a trivial handler",
		Note: "Typical: unrolled/secure, promhttp (counter and duration), a map of hashed keys, httprate, MaxBytesReader. " +
			"Ours reads the body and finds it to be one JSON value; the others leave that to the handler.",
		Base: "typical",
		Cases: []harness.Case{
			{Name: "no middleware", New: func() (func(int), func()) { return chainOp(trivial, "none"), nil }},
			{Name: "spark", Ours: true, New: sparkChain},
			{Name: "spark, without the JSON check", Ours: true, New: sparkChainUnread},
			{Name: "typical", New: typicalChain},
		},
	}}
}

// trivial is a handler that reads its request and answers.
var trivial = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = w.Write([]byte(`{"text":"ok"}`))
})

// chainOp serves the same request again and again, with a fresh body each time.
func chainOp(h http.Handler, key string) func(int) {
	const body = `{"prompt":"Explain in one paragraph what a circuit breaker is."}`
	mux := http.NewServeMux()
	mux.Handle("POST /v1/answer", h)
	reader := strings.NewReader(body)
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/answer", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	serve := harness.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reader.Reset(body)
		r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
		mux.ServeHTTP(w, r)
	}), r)
	return serve
}

func sparkChain() (func(int), func()) {
	limit := must(sanitize.NewBodyLimit(sanitize.BodyLimitConfig{}))
	return sparkAround(limit.Handler(trivial))
}

func sparkChainUnread() (func(int), func()) {
	return sparkAround(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		trivial(w, r)
	}))
}

func sparkAround(h http.Handler) (func(int), func()) {
	store := auth.NewMemory()
	manager := must(auth.NewManager(auth.ManagerConfig{Store: store}))
	key, _, err := manager.Create(context.Background(), auth.KeyInfo{Owner: "ada"})
	if err != nil {
		panic(err)
	}
	gate := must(auth.New(auth.Config{Store: store}))
	limits := must(ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "requests", Limit: 900_000_000, Window: time.Minute}},
		Key:      func(r *http.Request) string { id, _ := auth.FromContext(r.Context()); return id.User },
	}))
	secure := must(headers.New(headers.Config{}))
	m := must(metrics.New(metrics.Config{Registerer: prometheus.NewRegistry()}))
	return chainOp(m.Handler(secure.Handler(gate.Handler(limits.Handler(h)))), key.Reveal()), nil
}

func typicalChain() (func(int), func()) {
	const key = "a-key-of-forty-characters-0123456789abcd"
	keys := map[[sha256.Size]byte]string{sha256.Sum256([]byte(key)): "ada"}
	keyed := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if _, ok := keys[sha256.Sum256([]byte(sent))]; !ok {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	limited := httprate.LimitBy(900_000_000, time.Minute, func(r *http.Request) (string, error) {
		return r.Header.Get("Authorization"), nil
	})
	bounded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		trivial(w, r)
	})
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, []string{"code", "method"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "duration_seconds"}, []string{"code", "method"})
	s := secure.New(secure.Options{
		STSSeconds: 63072000, STSIncludeSubdomains: true, FrameDeny: true, ContentTypeNosniff: true,
		ContentSecurityPolicy: "default-src 'none'; frame-ancestors 'none'", ReferrerPolicy: "no-referrer",
		PermissionsPolicy: "camera=()", CrossOriginOpenerPolicy: "same-origin", CrossOriginResourcePolicy: "same-origin",
		XDNSPrefetchControl: "off", XPermittedCrossDomainPolicies: "none",
	})
	chain := s.Handler(promhttp.InstrumentHandlerCounter(total, promhttp.InstrumentHandlerDuration(seconds, keyed(limited(bounded)))))
	return chainOp(chain, key), nil
}

// must ends the program: nothing can be measured without what v is.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
