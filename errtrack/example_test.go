package errtrack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/sparkhttp/spark/errtrack"
)

func Example() {
	tracker, err := errtrack.New(errtrack.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for i := range 3 {
		tracker.Track(ctx, errtrack.Event{Err: fmt.Errorf("no model %q for user %d", "gpt-0", i), User: fmt.Sprint(i)})
	}
	tracker.Track(ctx, errtrack.Event{Err: io.ErrUnexpectedEOF, Provider: "claude", Class: "quota"})
	for _, g := range tracker.Groups(errtrack.Query{Order: errtrack.BySeverity}) {
		fmt.Println(g.Severity, g.Count, g.Users, g.Title)
	}
	// Output:
	// critical 1 0 claude: quota
	// medium 3 3 no model <quoted> for user <number>
}

func ExampleCollector_Handler() {
	tracker, err := errtrack.New(errtrack.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /answers/{id}", func(http.ResponseWriter, *http.Request) { panic("index is odd") })

	w := httptest.NewRecorder()
	tracker.Handler(mux).ServeHTTP(w, httptest.NewRequest("GET", "/answers/7", nil))
	fmt.Print(w.Code, " ", w.Body)
	g := tracker.Groups(errtrack.Query{})[0]
	fmt.Println(g.Severity, g.Count, g.Samples[0].Route, g.Samples[0].Message)
	// Output:
	// 500 {"status":500,"title":"Internal Server Error","type":"about:blank"}
	// high 1 GET /answers/{id} index is odd
}

func ExampleCollector_Page() {
	tracker, err := errtrack.New(errtrack.Config{Release: "v1.4.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	tracker.Page().ServeHTTP(w, httptest.NewRequest("GET", "/errors?order=count&limit=10", nil))
	fmt.Print(w.Body)
	// Output:
	// {"release":"v1.4.0","stats":{"groups":0,"evicted_groups":0,"by_severity":{"critical":0,"high":0,"low":0,"medium":0},"last_minute":0,"queued_reports":0,"dropped_reports":0,"failed_reports":0},"groups":[]}
}

func ExampleFingerprint() {
	for _, err := range []error{
		errors.New("peer 10.1.2.3:5432 closed after 1.5s"),
		errors.New("peer 10.9.9.9:5432 closed after 300ms"),
		errors.New("peer 10.1.2.3:5432 is unknown"),
	} {
		fmt.Println(errtrack.Fingerprint(errtrack.Event{Err: err}))
	}
	// Output:
	// v1:505d28dde0a51467 peer <ip> closed after <duration>
	// v1:505d28dde0a51467 peer <ip> closed after <duration>
	// v1:472ff5f3839b6fc6 peer <ip> is unknown
}

func ExampleRule() {
	tracker, err := errtrack.New(errtrack.Config{Rules: []errtrack.Rule{
		{Severity: errtrack.Critical, Route: "POST /payments*", MinStatus: 500},
		{Severity: errtrack.Low, Type: "*net.DNSError"},
		{Severity: errtrack.High, PerMinute: 10},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	tracker.Track(context.Background(), errtrack.Event{Err: io.EOF, Route: "POST /payments/{id}", Status: 502})
	fmt.Println(tracker.Groups(errtrack.Query{})[0].Severity)
	// Output: critical
}

// printer is a Reporter.
type printer struct{}

func (printer) Report(_ context.Context, r errtrack.Report) error {
	if r.Unreported > 0 {
		fmt.Printf("%s: %d more\n", r.Group.Title, r.Unreported)
		return nil
	}
	fmt.Printf("%s: %s\n", r.Group.Title, r.Sample.Severity)
	return nil
}

func ExampleReporter() {
	tracker, err := errtrack.New(errtrack.Config{Reporters: []errtrack.Reporter{printer{}}, FirstN: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background() // a program calls go tracker.Run(ctx)
	for range 20 {
		tracker.Track(ctx, errtrack.Event{Message: "out of memory"})
	}
	fmt.Println(tracker.Flush(ctx))
	// Output:
	// out of memory: medium
	// out of memory: medium
	// out of memory: 18 more
	// <nil>
}

func ExampleNewSlogHandler() {
	tracker, err := errtrack.New(errtrack.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(errtrack.NewSlogHandler(tracker, slog.DiscardHandler))
	log.Warn("slow")
	log.Error("saving failed", "error", io.ErrShortWrite, "order", 17)
	for _, g := range tracker.Groups(errtrack.Query{}) {
		fmt.Println(g.Count, g.Title)
	}
	// Output: 1 saving failed: short write
}

func ExampleWebhook() {
	secret := []byte("at least sixteen bytes")
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Println(err, errtrack.Verify(secret, r.Header.Get("X-Spark-Signature"), body, 0))
	}))
	defer receiver.Close()
	hook, err := errtrack.NewWebhook(errtrack.WebhookConfig{URL: receiver.URL, Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(hook.Report(context.Background(), errtrack.Report{Release: "v1.4.0"}))
	// Output:
	// <nil> true
	// <nil>
}

func ExampleSessionURL() {
	h := http.Header{}
	h.Set("X-LogRocket-URL", "https://app.logrocket.com/acme/web/s/5-0190")
	fmt.Println(errtrack.SessionURL(h))
	h.Set("X-LogRocket-URL", "https://app.logrocket.com.evil.example/")
	fmt.Printf("%q\n", errtrack.SessionURL(h))
	// Output:
	// https://app.logrocket.com/acme/web/s/5-0190
	// ""
}
