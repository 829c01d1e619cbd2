package sentrytrack_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/errtrack/sentrytrack"
)

func Example() {
	// A stand-in for Sentry.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Println(r.URL.Path, err, strings.Contains(string(body), `"level":"fatal"`))
	}))
	defer server.Close()

	sentry, err := sentrytrack.New(sentrytrack.Config{
		DSN:         strings.Replace(server.URL, "://", "://publickey@", 1) + "/42",
		Environment: "production",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tracker, err := errtrack.New(errtrack.Config{Reporters: []errtrack.Reporter{sentry}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	tracker.Track(ctx, errtrack.Event{Err: io.ErrUnexpectedEOF, Provider: "claude", Class: "quota"})
	fmt.Println(tracker.Flush(ctx)) // a program calls go tracker.Run(ctx), and Flush at its end
	// Output:
	// /api/42/envelope/ <nil> true
	// <nil>
}
