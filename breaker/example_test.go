package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sparkhttp/spark/breaker"
)

func Example() {
	claude, err := breaker.New(breaker.Config{Name: "claude", ConsecutiveFailures: 2})
	if err != nil {
		panic(err)
	}
	for range 3 {
		err := claude.Do(context.Background(), func(context.Context) error {
			return io.ErrUnexpectedEOF // the provider cut its answer
		})
		if refused, ok := errors.AsType[*breaker.OpenError](err); ok {
			fmt.Println(refused, refused.RetryAfter > 20*time.Second)
		}
	}
	fmt.Println(claude.State())
	// Output:
	// breaker: claude is open true
	// open
}

// Calls that are no function ask first, and say later how they ended.
func ExampleBreaker_Allow() {
	b, err := breaker.New(breaker.Config{})
	if err != nil {
		panic(err)
	}
	done, err := b.Allow()
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	done(breaker.Failure)
	done(breaker.Success) // counts no more
	fmt.Printf("%+v\n", b.Counts())
	// Output: {Successes:0 Failures:1 Ignored:0 Consecutive:1 SlowCalls:0 SlowFirstTokens:0 SlowGaps:0}
}

// An operator takes a provider out of service, for an hour at most.
func ExampleBreaker_ForceOpen() {
	b, err := breaker.New(breaker.Config{Name: "openai"})
	if err != nil {
		panic(err)
	}
	b.ForceOpen(time.Hour)
	s := b.Status()
	fmt.Println(s.Name, s.State, s.Reason, s.RetryAfter.Round(time.Minute))
	b.Release()
	fmt.Println(b.State())
	// Output:
	// openai open forced 1h0m0s
	// closed
}

func ExampleBreaker_Handler() {
	b, err := breaker.New(breaker.Config{})
	if err != nil {
		panic(err)
	}
	b.ForceOpen(90 * time.Second)
	h := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Retry-After"))
	// Output: 503 90
}

// The errors of an SDK are given a meaning where they are known.
func ExampleWithOutcome() {
	sdk := errors.New("429 Too Many Requests")
	header := http.Header{"Retry-After": {"7"}}
	err := breaker.WithOutcome(sdk, breaker.Anthropic(429, header, nil))

	o := breaker.Classify(context.Background(), err)
	fmt.Println(err, "means", o.Verdict, "for", o.RetryAfter)
	// Output: 429 Too Many Requests means cooldown for 7s
}

func ExampleClassify() {
	b, err := breaker.New(breaker.Config{
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, errNoAnswer) {
				return breaker.Outcome{Verdict: breaker.Ignored}
			}
			return breaker.Classify(ctx, err)
		},
	})
	if err != nil {
		panic(err)
	}
	_ = b.Do(context.Background(), func(context.Context) error { return errNoAnswer })
	_ = b.Do(context.Background(), func(context.Context) error { return context.DeadlineExceeded })
	fmt.Println(b.Counts().Ignored, b.Counts().Failures)
	// Output: 1 1
}

var errNoAnswer = errors.New("no answer, but nobody's fault")

func ExampleGroup() {
	group, err := breaker.NewGroup(breaker.GroupConfig{
		Names: []string{"claude", "openai", "openai:gpt-5"}, // an allow-list
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"openai:gpt-5", "openai:some-other", "made-up"} {
		if b, err := group.Get(name); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(b.Name())
		}
	}
	for _, s := range group.Status() {
		fmt.Println(s.Name, s.State)
	}
	// Output:
	// openai:gpt-5
	// openai
	// breaker: name is not in the group
	// openai closed
	// openai:gpt-5 closed
}

func ExampleFailover() {
	group, err := breaker.NewGroup(breaker.GroupConfig{Names: []string{"claude", "openai"}})
	if err != nil {
		panic(err)
	}
	failover, err := breaker.NewFailover(breaker.FailoverConfig{Group: group, Order: []string{"claude", "openai"}, Retries: -1})
	if err != nil {
		panic(err)
	}
	result, err := failover.Do(context.Background(), func(ctx context.Context, provider string) error {
		if provider == "claude" {
			return breaker.WithOutcome(errors.New("overloaded"), breaker.Anthropic(529, nil, nil))
		}
		breaker.Commit(ctx) // from here on the client sees output: no other attempt
		fmt.Println("answer of", provider)
		return nil
	})
	fmt.Println(result.Provider, err)
	for _, a := range result.Attempts {
		fmt.Println(a.Provider, a.Outcome.Verdict, a.Outcome.Reason)
	}
	// Output:
	// answer of openai
	// openai <nil>
	// claude failure overloaded
	// openai success
}

// A stream that breaks off is a failure, though its status was 200.
func ExampleTransport() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\"}\n\n")
	}))
	defer provider.Close()
	b, err := breaker.New(breaker.Config{
		OnOutcome: func(_ context.Context, e breaker.Event) { fmt.Println(e.Verdict, e.Reason) },
	})
	if err != nil {
		panic(err)
	}
	rt, err := breaker.NewTransport(breaker.TransportConfig{Breaker: b, Provider: breaker.Anthropic})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: rt} // for an SDK, too
	resp, err := client.Get(provider.URL)
	if err != nil {
		panic(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, err)
	// Output:
	// failure truncated
	// 200 unexpected EOF
}
