package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparkhttp/spark/health"
)

func Example() {
	h, err := health.New(health.Config{Checks: []health.Check{
		health.Breakers(func() map[string]string { return map[string]string{"claude": "open", "openai": "closed"} }, false),
		health.Memory(0.9),
	}})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /livez", h.Live())
	mux.Handle("GET /readyz", h.Ready())

	for _, path := range []string{"/livez", "/readyz"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 {"status":"pass"}
	// 200 {"status":"warn"}
}

func ExampleFunc() {
	h, err := health.New(health.Config{Checks: []health.Check{
		health.Func("keys", func(context.Context) error { return errors.New("file is corrupted") }),
	}})
	if err != nil {
		panic(err)
	}
	report := h.Report(context.Background())
	fmt.Println(report.Status, report.Checks["keys"][0].Output)
	// Output: fail file is corrupted
}

// Who is authorised sees what is wrong; before a shutdown the replica takes
// itself out of rotation.
func ExampleHealth() {
	h, err := health.New(health.Config{
		Version:    "1.4.0",
		Checks:     []health.Check{health.Goroutines(100_000)},
		Authorized: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" },
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/health", nil)
	w := httptest.NewRecorder()
	h.Details().ServeHTTP(w, r)
	fmt.Print(w.Body)

	h.Drain()
	r.Header.Set("Authorization", "Bearer key")
	w = httptest.NewRecorder()
	h.Details().ServeHTTP(w, r)
	fmt.Println(w.Code, strings.Contains(w.Body.String(), `"version":"1.4.0"`), strings.Contains(w.Body.String(), "draining"))
	// Output:
	// {"status":"pass"}
	// 503 true true
}
