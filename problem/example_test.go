package problem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/sparkhttp/spark/problem"
)

func ExampleWrite() {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	problem.Write(w, r, errors.New("dial tcp 10.0.0.7:5432: connection refused"))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Print(w.Body)
	// Output:
	// 500 application/problem+json
	// {"status":500,"title":"Internal Server Error","type":"about:blank"}
}

func ExampleDocument() {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	problem.Write(w, r, &problem.Document{
		Status:  http.StatusNotFound,
		Detail:  "There is no model of this name.",
		Members: map[string]any{"model": "gpt-0"},
	})
	fmt.Print(w.Body)
	// Output:
	// {"detail":"There is no model of this name.","model":"gpt-0","status":404,"title":"Not Found","type":"about:blank"}
}

// overloaded is an error of a program's own that knows what clients may see.
type overloaded struct{ backend string }

func (o overloaded) Error() string { return o.backend + " is overloaded" }

func (o overloaded) Problem() *problem.Document {
	return &problem.Document{Status: http.StatusServiceUnavailable, Detail: "Too busy. Try again soon."}
}

func ExampleShower() {
	err := fmt.Errorf("asking for an answer: %w", overloaded{"gpu-7"})
	fmt.Println(err)
	fmt.Println(problem.Of(err).Detail)
	// Output:
	// asking for an answer: gpu-7 is overloaded
	// Too busy. Try again soon.
}

func ExampleWith() {
	timeout := &problem.Document{Status: http.StatusGatewayTimeout, Detail: "The model took too long. Try again."}
	err := problem.With(context.DeadlineExceeded, timeout)
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), problem.Of(err).Detail)
	// Output:
	// context deadline exceeded
	// true The model took too long. Try again.
}
