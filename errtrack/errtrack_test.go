package errtrack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func newCollector(t testing.TB, cfg errtrack.Config) *errtrack.Collector {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := errtrack.New(cfg)
	require.NoError(t, err)
	return c
}

// events returns how many events were counted.
func events(c *errtrack.Collector) (n int) {
	for _, count := range c.Stats().BySeverity {
		n += int(count)
	}
	return n
}

// only returns the one group that there is.
func only(t testing.TB, c *errtrack.Collector) errtrack.Group {
	t.Helper()
	groups := c.Groups(errtrack.Query{})
	require.Len(t, groups, 1)
	return groups[0]
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  errtrack.Config
		want string
	}{
		{"groups", errtrack.Config{MaxGroups: -1}, "MaxGroups is -1"},
		{"samples", errtrack.Config{MaxSamples: -1}, "MaxSamples is -1"},
		{"message", errtrack.Config{MaxMessage: -1}, "MaxMessage is -1"},
		{"users", errtrack.Config{MaxUsers: -1}, "MaxUsers is -1"},
		{"first", errtrack.Config{FirstN: -1}, "FirstN is -1"},
		{"queue", errtrack.Config{Queue: -1}, "Queue is -1"},
		{"summaries", errtrack.Config{SummaryEvery: -1}, "SummaryEvery is -1ns"},
		{"timeout", errtrack.Config{ReportTimeout: -1}, "ReportTimeout is -1ns"},
		{"retries", errtrack.Config{RetryFor: -1}, "RetryFor is -1ns"},
		{"reporter", errtrack.Config{Reporters: []errtrack.Reporter{nil}}, "Reporters[0] is nil"},
		{"rule", errtrack.Config{Rules: []errtrack.Rule{{}}}, "Rules[0].Severity is 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := errtrack.New(tt.cfg)
			require.ErrorContains(t, err, "errtrack: "+tt.want)
		})
	}
}

func TestTrackPassesOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		event errtrack.Event
		want  int
	}{
		{"nothing", errtrack.Event{Provider: "x", Class: "y"}, 0},
		{"client gone", failure(fmt.Errorf("asking: %w", context.Canceled)), 0},
		{"shutdown", failure(fmt.Errorf("asking: %w", http.ErrServerClosed)), 0},
		{"timeout", failure(context.DeadlineExceeded), 1},
		{"message", errtrack.Event{Message: "x"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{})
			c.Track(t.Context(), tt.event)
			require.Equal(t, tt.want, events(c))
		})
	}
}

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, errtrack.Config{Release: "v1.2.3"})
		start := time.Now()
		for i := range 5 {
			c.Track(t.Context(), errtrack.Event{
				Err: fmt.Errorf("saving order %d: %w", i, &quotaError{"7"}), Method: "POST", Route: "POST /orders", Status: 500,
				User: strconv.Itoa(i % 2), RequestID: "r" + strconv.Itoa(i), Model: "m", Tags: map[string]string{"region": "eu"},
			})
			time.Sleep(10 * time.Second)
		}
		g := only(t, c)
		require.Equal(t, "*errtrack_test.quotaError: quota of user <number> is used up", g.Title)
		require.EqualValues(t, 5, g.Count)
		require.Equal(t, 2, g.Users)
		require.Equal(t, start, g.FirstSeen)
		require.Equal(t, start.Add(40*time.Second), g.LastSeen)
		require.Equal(t, []int{5, 5}, []int{g.LastMinute, g.LastHour})
		require.Equal(t, errtrack.High, g.Severity)
		require.Len(t, g.Samples, 3)
		require.Equal(t, []string{"r4", "r3", "r2"}, []string{g.Samples[0].RequestID, g.Samples[1].RequestID, g.Samples[2].RequestID})
		require.Equal(t, errtrack.Sample{
			Time: g.LastSeen, Severity: errtrack.High, Type: "*errtrack_test.quotaError", Message: "saving order <number>: quota of user <number> is used up",
			Model: "m", Method: "POST", Route: "POST /orders", Status: 500, RequestID: "r4", Tags: map[string]string{"region": "eu"},
		}, g.Samples[0])

		time.Sleep(50 * time.Second)
		g = only(t, c)
		require.Equal(t, []int{0, 5}, []int{g.LastMinute, g.LastHour})
		time.Sleep(time.Hour)
		require.Zero(t, only(t, c).LastHour)
	})
}

// The rate is that of the last minute, to a twelfth.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, errtrack.Config{EscalateAt: -1})
		for range 600 { // 10 minutes, one a second
			c.Track(t.Context(), text("x"))
			time.Sleep(time.Second)
		}
		g := only(t, c)
		require.InDelta(t, 60, g.LastMinute, 5)
		require.Equal(t, 600, g.LastHour)
		require.Equal(t, g.LastMinute, c.Stats().LastMinute)
	})
}

// Nothing of what is secret is kept or shown, wherever the program puts it.
func TestRedaction(t *testing.T) {
	const prompt, key, cookie = "how do I poison my neighbour's dog", "sk-ant-api03-VerySecretKeyOfMine", "sid=topsecretsession"
	r := &recorder{}
	c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{r}, Logger: slog.New(slog.DiscardHandler)})
	log := slog.New(errtrack.NewSlogHandler(c, slog.DiscardHandler))
	h := c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(fmt.Sprintf("can't answer %q with %s", prompt, key)) }))
	for _, err := range []error{
		fmt.Errorf("provider refused %q", strings.Repeat(prompt+" ", 100)),
		fmt.Errorf(`provider said {"error":{"message":"no: %s"}}`, prompt),
		fmt.Errorf(`provider said {"error":{"message":"no: %s`, prompt), // cut off
		fmt.Errorf("key %s is invalid", key),
		fmt.Errorf("sent Authorization: Bearer %s", key),
		fmt.Errorf("sent x-api-key: %s", key),
		fmt.Errorf("sent Cookie: %s", cookie),
		fmt.Errorf("get https://example.com/?key=%s: refused", key),
		errors.Join(fmt.Errorf("prompt=%q", prompt), io.EOF),
	} {
		c.Track(t.Context(), errtrack.Event{Err: err, User: "ada@example.com"})
		log.Error("failed", "error", err, "prompt", prompt, "key", key)
	}
	request := newRequest(t, "POST /v1/x?key="+key, strings.NewReader(prompt))
	request.Header.Set("Cookie", cookie)
	request.Header.Set("Authorization", "Bearer "+key)
	serve(h, request)
	require.NoError(t, c.Flush(t.Context()))

	require.Greater(t, events(c), 9)
	require.NotEmpty(t, r.reports())
	page := serve(c.Page(), newRequest(t, "GET /errors", nil, "Accept", "text/html")).Body.String()
	asJSON := serve(c.Page(), newRequest(t, "GET /errors", nil)).Body.String()
	for _, where := range []string{page, asJSON, fmt.Sprintf("%+v", c.Groups(errtrack.Query{})), fmt.Sprintf("%+v", r.reports())} {
		for _, secret := range []string{"poison", "neighbour", "VerySecret", "topsecret", "ada@"} {
			require.NotContains(t, where, secret)
		}
	}
}

func TestInsecureMessages(t *testing.T) {
	c := newCollector(t, errtrack.Config{InsecureMessages: true})
	c.Track(t.Context(), text("no model %q", "x"))
	require.Equal(t, `no model "x"`, only(t, c).Samples[0].Message)
	require.Equal(t, "no model <quoted>", only(t, c).Title)
}

func TestNothingOfTheCallersIsKept(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	tags := map[string]string{"a": "1"}
	c.Track(t.Context(), errtrack.Event{Message: "x", Tags: tags})
	tags["a"] = "2"
	require.Equal(t, "1", only(t, c).Samples[0].Tags["a"])
}

func TestQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, errtrack.Config{})
		track := func(n int, title string, s errtrack.Severity, users int, provider string) {
			for i := range n {
				c.Track(t.Context(), errtrack.Event{Message: title, Severity: s, User: strconv.Itoa(i % users), Provider: provider})
			}
			time.Sleep(20 * time.Minute)
		}
		track(9, "old", errtrack.Low, 1, "claude")
		track(5, "middle", errtrack.Critical, 2, "openai")
		track(3, "new", errtrack.Medium, 3, "claude")
		track(1, "old", errtrack.Low, 1, "claude")
		for _, tt := range []struct {
			name string
			q    errtrack.Query
			want []string
		}{
			{"all", errtrack.Query{}, []string{"old", "new", "middle"}},
			{"first seen", errtrack.Query{Order: errtrack.ByFirstSeen}, []string{"new", "middle", "old"}},
			{"count", errtrack.Query{Order: errtrack.ByCount}, []string{"old", "middle", "new"}},
			{"rate", errtrack.Query{Order: errtrack.ByRate}, []string{"new", "old", "middle"}},
			{"severity", errtrack.Query{Order: errtrack.BySeverity}, []string{"middle", "new", "old"}},
			{"users", errtrack.Query{Order: errtrack.ByUsers}, []string{"new", "middle", "old"}},
			{"least severity", errtrack.Query{MinSeverity: errtrack.Medium}, []string{"new", "middle"}},
			{"provider", errtrack.Query{Provider: "openai"}, []string{"middle"}},
			{"limit", errtrack.Query{Limit: 1}, []string{"old"}},
		} {
			var got []string
			for _, g := range c.Groups(tt.q) {
				got = append(got, g.Title)
			}
			require.Equal(t, tt.want, got, tt.name)
		}
	})
}

// What the program's functions do is their own affair, but for the events.
func TestPanickingFunctions(t *testing.T) {
	oops := func() { panic("oops") }
	for _, tt := range []struct {
		name string
		cfg  errtrack.Config
		want int // events and reports of two
	}{
		{"describe", errtrack.Config{Describe: func(context.Context, *errtrack.Event) { oops() }}, 2},
		{"rule", errtrack.Config{Rules: []errtrack.Rule{{Severity: errtrack.Low, Match: func(errtrack.Event) bool { oops(); return true }}}}, 2},
		{"event", errtrack.Config{OnEvent: func(context.Context, string, errtrack.Severity) { oops() }}, 2},
		{"in app", errtrack.Config{InApp: func(string) bool { oops(); return true }}, 0}, // without it there is no group
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			r := &recorder{}
			tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			tt.cfg.Reporters = []errtrack.Reporter{r}
			c := newCollector(t, tt.cfg)
			require.NotPanics(t, func() { c.Track(t.Context(), failure(load(0))) })
			require.Contains(t, log.String(), "a function or error panicked")
			w := serve(c.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") })), newRequest(t, "GET /", nil))
			require.Equal(t, 500, w.Code)
			require.Equal(t, tt.want, events(c)) // and no lock is held
			require.NoError(t, c.Flush(t.Context()))
			require.Len(t, r.reports(), tt.want)
		})
	}
}

// A program may log from within the functions that it gave, by a logger whose
// errors are tracked.
func TestTrackInside(t *testing.T) {
	var log *slog.Logger
	c := newCollector(t, errtrack.Config{
		Describe: func(ctx context.Context, _ *errtrack.Event) { log.ErrorContext(ctx, "describing") },
		OnEvent:  func(ctx context.Context, _ string, _ errtrack.Severity) { log.ErrorContext(ctx, "an error occurred") },
	})
	log = slog.New(errtrack.NewSlogHandler(c, slog.DiscardHandler))
	c.Track(t.Context(), text("x"))
	require.Equal(t, "x", only(t, c).Title)
}

func TestDescribe(t *testing.T) {
	type key struct{}
	c := newCollector(t, errtrack.Config{Describe: func(ctx context.Context, e *errtrack.Event) {
		e.Provider, e.Class = ctx.Value(key{}).(string), "overloaded"
	}})
	c.Track(context.WithValue(t.Context(), key{}, "claude"), text("x"))
	require.Equal(t, "claude: overloaded", only(t, c).Title)
}

// However many goroutines track, each event is counted once and reported once,
// by itself or in a summary.
func TestParallel(t *testing.T) {
	r := &recorder{}
	c := newCollector(t, errtrack.Config{MaxGroups: 20, FirstN: 3, Queue: 1 << 20, SummaryEvery: time.Millisecond, Reporters: []errtrack.Reporter{r}})
	stop := running(t, c)
	const goroutines, each = 8, 500
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				c.Track(t.Context(), errtrack.Event{Message: "kind " + word(i*(g+1)%50), User: word(i)})
				if i%100 == 0 {
					c.Groups(errtrack.Query{Order: errtrack.ByCount})
					c.Stats()
				}
			}
		})
	}
	wg.Wait()
	stop()
	require.NoError(t, c.Flush(t.Context()))
	require.Equal(t, goroutines*each, events(c))
	s := c.Stats()
	require.Equal(t, 20, s.Groups)
	require.Zero(t, s.Queued+int(s.Dropped)+int(s.Failed))
	told := 0
	for _, report := range r.reports() {
		told += max(int(report.Unreported), 1)
	}
	require.Equal(t, goroutines*each, told)
}
