package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
	"github.com/sparkhttp/spark/breaker"
	"github.com/sparkhttp/spark/examples/generate/internal/stub"
	"github.com/sparkhttp/spark/examples/generate/provider"
)

// limitless are the flags for tests in which the limits are in the way.
var limitless = []string{"-requests-per-minute", "1000000", "-tokens-per-minute", "100000000", "-concurrent-requests", "100000"}

// withStubs starts a server on stand-ins for both providers.
func withStubs(t *testing.T, args ...string) (c *service, claude, openai *stub.Server) {
	t.Helper()
	claude, openai = stub.New(t), stub.New(t)
	c = start(t, []string{
		"ANTHROPIC_API_KEY=a", "ANTHROPIC_BASE_URL=" + claude.URL,
		"OPENAI_API_KEY=o", "OPENAI_BASE_URL=" + openai.URL + "/v1",
	}, append(args, limitless...)...)
	return c, claude, openai
}

func TestProvidersInOrder(t *testing.T) {
	c, claude, openai := withStubs(t)
	r := c.prompt("hello")
	require.Equal(t, "claude", r.json["provider"], r.text)
	require.Equal(t, "Echo: hello", r.json["text"])
	require.Equal(t, "openai", c.post("/api/spark/generate", `{"prompt":"hello","provider":"openai"}`).json["provider"])
	require.Equal(t, "openai", c.post("/api/spark/generate", `{"prompt":"hello","model":"gpt-x"}`).json["provider"], "by the model's name")
	require.Equal(t, "gpt-x", openai.Calls()[1].Body["model"])
	require.Len(t, claude.Calls(), 1)
}

func TestFallbackAndRecovery(t *testing.T) {
	c, claude, openai := withStubs(t, "-breaker-open", "200ms")
	claude.Set(stub.Fault{Status: 529})
	for i := range 5 {
		r := c.prompt(fmt.Sprint("question ", i))
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		require.Equal(t, "openai", r.json["provider"])
	}
	require.EqualValues(t, 1, c.metric("spark_breaker_opened_total", `provider="claude"`))
	asked := len(claude.Calls())
	require.Equal(t, "openai", c.prompt("one more").json["provider"])
	require.Len(t, claude.Calls(), asked, "a provider whose breaker is open is left alone")

	r := c.post("/api/spark/generate", `{"prompt":"just you","provider":"claude"}`)
	r.problem(t, http.StatusServiceUnavailable)
	require.Equal(t, "1", r.Header.Get("Retry-After"), "rounded up")

	claude.Set(stub.Fault{})
	n := 0
	eventually(t, func() bool { n++; return c.prompt(fmt.Sprint("again ", n)).json["provider"] == "claude" }, "claude is asked again")
	require.EqualValues(t, 0, c.metric("spark_breaker_open", `provider="claude"`))
	require.NotEmpty(t, openai.Calls())
}

// What is the caller's fault is not asked of another provider, and what a
// provider thinks of our key is our trouble.
func TestNoFallback(t *testing.T) {
	c, claude, openai := withStubs(t)
	claude.Set(stub.Fault{Status: 400})
	c.prompt("too long for you").problem(t, http.StatusUnprocessableEntity)
	require.Empty(t, openai.Calls())
	require.Len(t, claude.Calls(), 1, "nor is it tried again")

	claude.Set(stub.Fault{Status: 401})
	openai.Set(stub.Fault{Status: 401})
	c.prompt("hello").problem(t, http.StatusBadGateway)
	require.Equal(t, breaker.Closed, c.s.breakers.Status()[0].State)
	require.EqualValues(t, 1, c.metric("spark_errors_total", `severity="critical"`))
}

// What a provider says about money and about haste is understood, streaming or not.
func TestQuotaAndRateLimit(t *testing.T) {
	quota := stub.Fault{Status: 429, Body: `{"error":{"message":"stub","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`}
	limit := stub.Fault{Status: 429, Header: http.Header{"Retry-After": {"17"}}}
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprint("stream ", stream), func(t *testing.T) {
			c, claude, openai := withStubs(t, "-providers", "openai")
			ask := func(prompt string) *response {
				return c.post("/api/spark/generate", map[string]any{"prompt": prompt, "stream": stream})
			}
			openai.Set(quota)
			ask("hello").problem(t, http.StatusServiceUnavailable)
			require.Len(t, openai.Calls(), 1, "to ask again is no use")
			require.EqualValues(t, 1, c.metric("spark_breaker_outcomes_total", `provider="openai"`, `verdict="ignored"`))
			require.EqualValues(t, 1, c.metric("spark_errors_total", `severity="high"`), "somebody has to raise it")
			openai.Set(limit)
			for range 2 { // the one who was refused by the provider, and those who come after
				r := ask("hello again")
				r.problem(t, http.StatusServiceUnavailable)
				require.Equal(t, "17", r.Header.Get("Retry-After"))
			}
			require.Len(t, openai.Calls(), 2, "it is left alone")
			require.EqualValues(t, 1, c.metric("spark_breaker_outcomes_total", `provider="openai"`, `verdict="cooldown"`))
			require.Empty(t, claude.Calls())
		})
	}
}

// A provider that nobody can reach has failed; that is not our error.
func TestUnreachableProvider(t *testing.T) {
	c := start(t, []string{"ANTHROPIC_API_KEY=a", "ANTHROPIC_BASE_URL=http://127.0.0.1:1"})
	r := c.prompt("hello")
	r.problem(t, http.StatusBadGateway)
	require.Positive(t, c.metric("spark_breaker_outcomes_total", `verdict="failure"`))
}

// Once a client has seen the beginning of an answer, no other provider goes on.
func TestNoFallbackAfterTheFirstByte(t *testing.T) {
	c, claude, openai := withStubs(t)
	for _, fault := range []stub.Fault{{CutAfter: 2}, {ErrorAfter: 2}, {NoEnd: true}} {
		claude.Set(fault)
		resp := c.stream(t.Context(), "one two three")
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a truncated answer looks truncated: %s", text)
		require.Contains(t, string(text), "event: error")
		require.NotContains(t, string(text), "event: done")
		require.Empty(t, openai.Calls())
	}
	require.Zero(t, c.s.cache.Stats().Entries)
	claude.Set(stub.Fault{Status: 500})
	resp := c.stream(t.Context(), "one two three")
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(text), `"provider":"openai"`, "before the first byte one does")
}

func TestClientLeavesAStream(t *testing.T) {
	c, claude, _ := withStubs(t)
	claude.Set(stub.Fault{Gap: 20 * time.Millisecond})
	ctx, leave := context.WithCancel(t.Context())
	resp := c.stream(ctx, strings.Repeat("word ", 1000))
	_, err := io.ReadFull(resp.Body, make([]byte, 100))
	require.NoError(t, err)
	leave()
	_ = resp.Body.Close()
	eventually(t, func() bool {
		return c.metric("http_server_request_duration_seconds_count", `error_type="client_gone"`) == 1
	}, "metrics know")
	eventually(t, func() bool { return c.metric("spark_breaker_outcomes_total", `verdict="ignored"`) == 1 }, "the provider is not blamed")
	require.Zero(t, c.metric("spark_errors_total"))
}

// A provider that fails slowly, half of the time, opens its breaker though each
// call takes longer than the window; it recovers with the provider.
func TestSlowFailuresOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, append(limitless, "-local-latency", "2s", "-local-status", "503", "-local-share", "0.5", "-breaker-window", "1s")...)
		defer c.stop()
		for round := 0; c.s.breakers.Status() == nil || c.s.breakers.Status()[0].State == breaker.Closed; round++ {
			require.Less(t, round, 20, "it opens in the end")
			inParallel(40, func(i int) { c.prompt(fmt.Sprint("question ", round, i)) })
		}
		r := c.prompt("while it is open")
		r.problem(t, http.StatusServiceUnavailable)
		wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
		require.NoError(t, err)
		require.Positive(t, wait)

		c.s.providers["local"] = provider.NewLocal(provider.Faults{})
		time.Sleep(time.Duration(wait) * time.Second)
		r = c.prompt("when it may be asked again")
		require.Equal(t, http.StatusOK, r.StatusCode, r.text)
		require.Equal(t, breaker.Closed, c.s.breakers.Status()[0].State)
	})
}

// A provider that hangs opens its breaker, and a probe that hangs opens it again.
func TestHangingProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, append(limitless, "-local-hang", "-provider-timeout", "10s")...)
		defer c.stop()
		inParallel(5, func(i int) { c.prompt(fmt.Sprint("question ", i)).problem(t, http.StatusGatewayTimeout) })
		state := func() breaker.State { return c.s.breakers.Status()[0].State }
		require.Equal(t, breaker.Open, state())
		time.Sleep(time.Minute)
		began := time.Now()
		r := c.prompt("probe")
		require.Equal(t, http.StatusGatewayTimeout, r.StatusCode, r.text)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, breaker.Open, state())
	})
}

// stuck is a provider that hangs and does not even notice that nobody waits for
// it any more.
type stuck struct {
	provider.Provider
	release chan struct{}
}

func (s stuck) Generate(context.Context, provider.Ask, func(string) error) (provider.Answer, error) {
	<-s.release
	return provider.Answer{}, io.ErrUnexpectedEOF
}

// A probe that never returns holds its place no longer than its lease.
func TestLeaseOfAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, append(limitless, "-local-status", "500", "-provider-timeout", "10s", "-breaker-open", "20s")...)
		defer c.stop()
		for i := 0; c.s.breakers.Status()[0].State == breaker.Closed; i++ {
			require.Less(t, i, 10)
			c.prompt(fmt.Sprint("question ", i)).problem(t, http.StatusBadGateway)
		}
		time.Sleep(time.Minute)
		local := c.s.providers["local"]
		release := make(chan struct{})
		defer close(release)
		c.s.providers["local"] = stuck{local, release}
		probe := make(chan *response)
		go func() { probe <- c.prompt("probe") }()
		time.Sleep(10*time.Second - time.Millisecond)
		require.Equal(t, breaker.HalfOpen, c.s.breakers.Status()[0].State)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		status := c.s.breakers.Status()[0]
		require.Equal(t, breaker.Open, status.State)
		require.Equal(t, "probe failed", status.Reason)
		(<-probe).problem(t, http.StatusGatewayTimeout) // the cache doesn't wait for it either

		c.s.providers["local"] = provider.NewLocal(provider.Faults{})
		time.Sleep(time.Minute)
		require.Equal(t, http.StatusOK, c.prompt("again").StatusCode)
		require.Equal(t, breaker.Closed, c.s.breakers.Status()[0].State)
	})
}

func inParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// A thousand clients who ask the same at once cost one call, also if the first
// of them leaves.
func TestThousandAskTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, append(limitless, "-local-latency", "1s", "-local-gap", "1s")...)
		defer c.stop()
		ctx, leave := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			resp, err := c.client.Do(c.request(ctx, http.MethodPost, "/api/spark/generate", `{"prompt":"the same"}`))
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			first <- err
		}()
		synctest.Wait()
		time.AfterFunc(2*time.Second, leave)
		var mu sync.Mutex
		texts := map[any]int{}
		inParallel(1000, func(int) {
			r := c.prompt("the same")
			mu.Lock()
			texts[r.json["text"]]++
			mu.Unlock()
		})
		require.ErrorIs(t, <-first, context.Canceled)
		require.Equal(t, map[any]int{"You said: the same": 1000}, texts)
		require.EqualValues(t, 1, c.metric("gen_ai_client_operation_duration_seconds_count"), "calls of the provider")
	})
}

func TestCache(t *testing.T) {
	c := start(t, nil, "-local-gap", "1ms")
	calls := func() float64 { return c.metric("gen_ai_client_operation_duration_seconds_count") }
	require.Equal(t, false, c.prompt("hello").json["cached"])
	r := c.prompt("hello")
	require.Equal(t, true, r.json["cached"])
	require.Contains(t, r.Header.Get("Cache-Status"), "hit")
	require.Equal(t, "0", r.Header.Get("Age"))
	require.Equal(t, true, c.post("/api/spark/generate", `{ "max_tokens":4096, "prompt":"hello" }`).json["cached"], "written otherwise, it is the same")
	require.EqualValues(t, 1, calls())

	resp := c.stream(t.Context(), "hello")
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(text), `"cached":true`, "one entry serves both")

	for body, want := range map[string]bool{
		`{"prompt":"hello","max_tokens":4095}`:     false,
		`{"prompt":"hello","temperature":0.7}`:     false,
		`{"prompt":"hello","provider":"local"}`:    true,
		`{"prompt":"hello","model":"other"}`:       false,
		`{"prompt":"hello, hello","stream":false}`: false,
	} {
		r := c.post("/api/spark/generate", body)
		if body != `{"prompt":"hello","provider":"local"}` {
			require.Equal(t, want, r.json["cached"], body)
		}
	}
	require.Equal(t, false, c.post("/api/spark/generate", `{"prompt":"hello","temperature":0.7}`).json["cached"], "sampled answers differ each time")
	require.Equal(t, false, c.post("/api/spark/generate", `{"prompt":"one two three four","max_tokens":3}`).json["cached"])
	require.Equal(t, false, c.post("/api/spark/generate", `{"prompt":"one two three four","max_tokens":3}`).json["cached"], "an answer that was cut at its limit is not kept")
}

// What one user has asked for is never shown to another.
func TestTenants(t *testing.T) {
	c := start(t, nil)
	require.Equal(t, false, c.prompt("hello").json["cached"])
	manager, err := auth.NewManager(auth.ManagerConfig{Store: c.s.store})
	require.NoError(t, err)
	other, _, err := manager.Create(t.Context(), auth.KeyInfo{Owner: "another"})
	require.NoError(t, err)
	c.key = other.Reveal()
	require.Equal(t, false, c.prompt("hello").json["cached"])
	require.Equal(t, true, c.prompt("hello").json["cached"])
	require.EqualValues(t, 2, c.metric("gen_ai_client_operation_duration_seconds_count"))

	key := c.key
	for _, c.key = range []string{"", "sk_wrong"} { // the cache stands behind authentication
		r := c.prompt("hello")
		r.problem(t, http.StatusUnauthorized)
		require.Empty(t, r.Header.Get("Cache-Status"))
	}
	c.key = key
}

// When the provider fails, an answer that is too old serves.
func TestStaleAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startPiped(t, "-cache-ttl", "1m")
		defer c.stop()
		require.Equal(t, http.StatusOK, c.prompt("hello").StatusCode)
		c.s.providers["local"] = provider.NewLocal(provider.Faults{Status: 503})
		time.Sleep(90 * time.Second)
		r := c.prompt("hello")
		require.Equal(t, "You said: hello", r.json["text"], r.text)
		require.Equal(t, true, r.json["cached"])
		require.Equal(t, "90", r.Header.Get("Age"))
		require.Contains(t, r.Header.Get("Cache-Status"), "stale-if-error")
	})
}
