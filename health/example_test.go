package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

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
