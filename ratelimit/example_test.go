package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/sparkhttp/spark/problem"
	"github.com/sparkhttp/spark/ratelimit"
)

func Example() {
	limit, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "requests", Limit: 2, Window: time.Minute}},
		Key:      func(r *http.Request) string { return r.Header.Get("X-User") }, // from your authentication
	})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))

	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-User", "ada")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%d %s %q\n", w.Code, w.Header().Get("RateLimit"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 "requests";r=1;t=30 ""
	// 200 "requests";r=0;t=30 ""
	// 429 "requests";r=0;t=30 "30"
}

// Tokens are reserved when the request has been read, and settled when the stream
// has ended, or when its reader has left.
func ExampleReservation() {
	limit, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{
			{Name: "tokens", Unit: ratelimit.Tokens, Limit: 1000, Window: 24 * time.Hour},
			{Name: "streams", Unit: ratelimit.Concurrency, Limit: 2},
		},
	})
	if err != nil {
		panic(err)
	}
	generate := func(w http.ResponseWriter, r *http.Request) {
		prompt, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err != nil {
			problem.Write(w, r, &problem.Document{Status: http.StatusRequestEntityTooLarge})
			return
		}
		quota, _ := ratelimit.FromContext(r.Context())
		input := int64(len(strings.Fields(string(prompt))))
		const maxTokens = 600
		if err := quota.Reserve(r.Context(), input+maxTokens); err != nil {
			problem.Write(w, r, err) // the headers are set
			return
		}
		quota.Use(input)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, token := range []string{"To", "be", "or", "not"} {
			fmt.Fprintf(w, "data: %s\n\n", token)
			if http.NewResponseController(w).Flush() != nil {
				return // what was used so far is what counts
			}
			quota.Use(1)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}
	h := limit.Handler(http.HandlerFunc(generate))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/generate", strings.NewReader("what is the question")))
		fmt.Println(w.Code, w.Result().Header.Get("RateLimit"))
	}
	// Output:
	// 200 "tokens";r=396;t=87, "streams";r=1
	// 200 "tokens";r=388;t=87, "streams";r=1
}

func ExampleReservation_Settle() {
	limit, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "tokens", Unit: ratelimit.Tokens, Limit: 1000, Window: 24 * time.Hour}},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	quota, err := limit.Reserve(ctx, "", "ada", 800)
	fmt.Println(err)
	_, err = limit.Reserve(ctx, "", "ada", 300)
	fmt.Println(err)
	quota.Settle(ctx, 120) // what the provider says that it was
	_, err = limit.Reserve(ctx, "", "ada", 300)
	fmt.Println(err)
	// Output:
	// <nil>
	// ratelimit: quota exceeded: tokens
	// <nil>
}

// Each endpoint can have its own policies, and each kind of customer.
func ExamplePlan() {
	perMinute := func(name string, n int64) ratelimit.Policy {
		return ratelimit.Policy{Name: name, Limit: n, Window: time.Minute}
	}
	limit, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{perMinute("requests", 60)},
		Endpoints: map[string][]ratelimit.Policy{
			"POST /export": {perMinute("requests", 60), perMinute("export", 5)},
			"GET /livez":   {}, // not limited
		},
		Plans: map[string]ratelimit.Plan{
			"pro": {Policies: []ratelimit.Policy{perMinute("requests", 600)}},
		},
		PlanOf: func(r *http.Request) string { return r.Header.Get("X-Plan") }, // from your authentication
	})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(http.NewServeMux())
	for _, call := range [][3]string{{"GET", "/", ""}, {"POST", "/export", ""}, {"GET", "/livez", ""}, {"GET", "/", "pro"}} {
		r := httptest.NewRequest(call[0], call[1], nil)
		r.Header.Set("X-Plan", call[2])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(call[0], call[1], w.Header().Values("RateLimit-Policy"))
	}
	// Output:
	// GET / ["requests";q=60;w=60]
	// POST /export ["requests";q=60;w=60, "export";q=5;w=60]
	// GET /livez []
	// GET / ["requests";q=600;w=60]
}

func ExampleClientIP() {
	client := ratelimit.ClientIP{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.7:41932"
	r.Header.Set("X-Forwarded-For", "1.2.3.4, 2001:db8:1:2:3:4:5:6") // the first entry is made up
	fmt.Println(client.Addr(r))
	fmt.Println(client.Key(r))
	// Output:
	// 2001:db8:1:2:3:4:5:6
	// ip:2001:db8:1:2::/64
}

// A policy that is a shadow shows what a new limit would do.
func ExampleEvent() {
	limit, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "stricter", Limit: 1, Window: time.Hour, Mode: ratelimit.Shadow}},
		OnEvent: func(_ context.Context, e ratelimit.Event) {
			fmt.Println(e.Kind, e.Policies)
		},
	})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code, w.Header())
	}
	// Output:
	// 404 map[]
	// would_refuse [stricter]
	// 404 map[]
}

// A client that is limited by somebody else keeps to the limit by itself.
func ExampleMiddleware_RoundTripper() {
	pace, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "outbound", Limit: 50, Window: time.Second, Burst: 1}},
	})
	if err != nil {
		panic(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer provider.Close()
	client := &http.Client{Transport: pace.RoundTripper(nil)}
	start := time.Now()
	for range 3 {
		resp, err := client.Get(provider.URL)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
	}
	fmt.Println(time.Since(start) >= 40*time.Millisecond)
	// Output: true
}

func ExampleMiddleware_Wait() {
	pace, err := ratelimit.New(ratelimit.Config{
		Policies: []ratelimit.Policy{{Name: "outbound", Limit: 1, Window: time.Hour}},
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = pace.Wait(ctx, "", "provider", 0)
	fmt.Println(err)
	_, err = pace.Wait(ctx, "", "provider", 0)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), err)
	// Output:
	// <nil>
	// true ratelimit: quota exceeded: outbound: context deadline exceeded
}

// Memory can be shared by several middlewares, or used alone.
func ExampleMemory() {
	limiter := ratelimit.NewMemory(100_000)
	perDay := &ratelimit.Policy{Name: "mails", Limit: 3, Window: 24 * time.Hour}
	mail := &ratelimit.Hold{Key: "ada", Charges: []ratelimit.Charge{{Policy: perDay, Cost: 2}}}
	for range 2 {
		granted, err := limiter.Take(context.Background(), mail)
		fmt.Println(granted, mail.Charges[0].Remaining, mail.Charges[0].Wait.Round(time.Hour), err)
	}
	// Output:
	// true 1 0s <nil>
	// false 1 8h0m0s <nil>
}
