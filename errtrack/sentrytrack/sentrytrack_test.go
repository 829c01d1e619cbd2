package sentrytrack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
	"github.com/sparkhttp/spark/errtrack/sentrytrack"
)

// ingest takes envelopes as Sentry does, and refuses what it would refuse.
type ingest struct {
	mu     sync.Mutex
	status int // what it answers, if not 200
	header http.Header
	bad    []error
	events []event
	hits   int
}

type event struct {
	EventID     string    `json:"event_id"`
	Timestamp   time.Time `json:"timestamp"`
	Level       string
	Platform    string
	Release     string
	Environment string
	Transaction string
	ServerName  string `json:"server_name"`
	Fingerprint []string
	Tags        map[string]string
	User        map[string]any
	Request     map[string]any
	Modules     map[string]string
	Contexts    map[string]map[string]any
	Exception   []struct {
		Type, Value string
		Stacktrace  struct {
			Frames []struct {
				Module, Function string
				InApp            bool `json:"in_app"`
				Lineno           int
				AbsPath          string `json:"abs_path"`
			}
		}
	}
	raw string
}

func (s *ingest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits++
	body, err := io.ReadAll(r.Body)
	if err == nil && s.status == 0 {
		var e event
		if e, err = parse(r, body); err == nil {
			s.events = append(s.events, e)
		}
	}
	if err != nil {
		s.bad = append(s.bad, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	maps.Copy(w.Header(), s.header)
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	_, _ = io.WriteString(w, `{"id":"x"}`)
}

func (s *ingest) answer(status int, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.header = status, header
}

// took returns the events, and fails the test if anything else came.
func (s *ingest) took(t *testing.T) []event {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Empty(t, s.bad)
	return append([]event(nil), s.events...)
}

// parse reads an envelope: a header, then for each item a header and a payload of
// the length it says.
func parse(r *http.Request, body []byte) (e event, err error) {
	if r.Method != http.MethodPost || r.URL.Path != "/api/42/envelope/" || !strings.Contains(r.Header.Get("X-Sentry-Auth"), "sentry_key=publickey") {
		return e, fmt.Errorf("%s %s with %q", r.Method, r.URL.Path, r.Header.Get("X-Sentry-Auth"))
	}
	in := bufio.NewReader(bytes.NewReader(body))
	line := func(into any) error {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		return json.Unmarshal(text, into)
	}
	var envelope struct {
		EventID string    `json:"event_id"`
		SentAt  time.Time `json:"sent_at"`
	}
	var item struct {
		Type   string
		Length int
	}
	if err := errors.Join(line(&envelope), line(&item)); err != nil {
		return e, err
	}
	payload := make([]byte, item.Length)
	if _, err := io.ReadFull(in, payload); err != nil {
		return e, err
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return e, err
	}
	rest, err := io.ReadAll(in)
	e.raw = string(body)
	switch {
	case err != nil:
		return e, err
	case strings.TrimSpace(string(rest)) != "":
		return e, errors.New("more than one item")
	case item.Type != "event", e.EventID != envelope.EventID, len(e.EventID) != 32, envelope.SentAt.IsZero():
		return e, fmt.Errorf("item %+v in envelope %+v", item, envelope)
	}
	return e, nil
}

func start(t *testing.T, cfg sentrytrack.Config) (*ingest, *sentrytrack.Reporter) {
	t.Helper()
	s := &ingest{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg.DSN = strings.Replace(server.URL, "://", "://publickey@", 1) + "/42"
	r, err := sentrytrack.New(cfg)
	require.NoError(t, err)
	return s, r
}

func newCollector(t *testing.T, cfg errtrack.Config) *errtrack.Collector {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	c, err := errtrack.New(cfg)
	require.NoError(t, err)
	return c
}

func TestEvent(t *testing.T) {
	hub := sentry.CurrentHub()
	t.Setenv("SENTRY_RELEASE", "of the environment")
	t.Setenv("SENTRY_ENVIRONMENT", "of the environment")
	s, r := start(t, sentrytrack.Config{Environment: "staging", ServerName: "web-1"})
	c := newCollector(t, errtrack.Config{Release: "v1.2.3", Reporters: []errtrack.Reporter{r}})
	pcs := make([]uintptr, 10)
	pcs = pcs[:runtime.Callers(1, pcs)]
	before := time.Now()
	c.Track(t.Context(), errtrack.Event{
		Err: fmt.Errorf("saving %q: %w", "the prompt", io.ErrNoProgress), Stack: pcs, Severity: errtrack.High, User: "ada@example.com",
		Provider: "claude", Model: "claude-5", Method: "POST", Route: "POST /v1/x", Status: 502, RequestID: "req-1",
		TraceID: "0af7651916cd43dd8448eb211c80319c", SpanID: "b7ad6b7169203331", SessionURL: "https://app.logrocket.com/a/b",
		Tags: map[string]string{"region": "eu", "a bad name that is much longer than allowed": "two\nlines", "provider": "mine"},
	})
	require.NoError(t, c.Flush(t.Context()))
	events := s.took(t)
	require.Len(t, events, 1)
	e := events[0]
	g := c.Groups(errtrack.Query{})[0]
	require.Equal(t, []string{g.ID}, e.Fingerprint)
	require.Equal(t, []string{"error", "go", "v1.2.3", "staging", "POST /v1/x", "web-1"}, []string{e.Level, e.Platform, e.Release, e.Environment, e.Transaction, e.ServerName})
	require.WithinRange(t, e.Timestamp, before.Add(-time.Second), time.Now().Add(time.Second))
	require.Equal(t, map[string]string{
		"severity": "high", "provider": "claude", "model": "claude-5", "method": "POST", "route": "POST /v1/x", "status": "502", "request_id": "req-1",
		"region": "eu", "a_bad_name_that_is_much_longer_t": "two lines",
	}, e.Tags)
	require.Equal(t, map[string]any{"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}, e.Contexts["trace"])
	require.Equal(t, map[string]any{"url": "https://app.logrocket.com/a/b"}, e.Contexts["session"])
	require.EqualValues(t, 1, e.Contexts["errtrack"]["count"])
	require.EqualValues(t, 1, e.Contexts["errtrack"]["users"])
	require.Len(t, e.Exception, 1)
	require.Equal(t, "saving <quoted>: multiple Read calls return no data or error", e.Exception[0].Value)
	frames := e.Exception[0].Stacktrace.Frames
	require.NotEmpty(t, frames)
	last := frames[len(frames)-1]
	require.Equal(t, []any{"github.com/sparkhttp/spark/errtrack/sentrytrack_test", "TestEvent", true}, []any{last.Module, last.Function, last.InApp})
	require.Zero(t, last.Lineno)
	require.Empty(t, last.AbsPath)

	// Nothing that errtrack leaves out, and nothing of the process.
	require.Empty(t, e.User)
	require.Empty(t, e.Request)
	require.Empty(t, e.Modules)
	require.Len(t, e.Contexts, 3)
	for _, secret := range []string{"the prompt", "ada@", "of the environment"} {
		require.NotContains(t, e.raw, secret)
	}
	require.Same(t, hub, sentry.CurrentHub())
	require.False(t, sentry.CurrentHub().Client().IsEnabled())
}

func TestLevels(t *testing.T) {
	s, r := start(t, sentrytrack.Config{MinSeverity: errtrack.Medium})
	c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{r}})
	for severity := errtrack.Low; severity <= errtrack.Critical; severity++ {
		c.Track(t.Context(), errtrack.Event{Message: severity.String(), Severity: severity})
	}
	require.NoError(t, c.Flush(t.Context()))
	var got []string
	for _, e := range s.took(t) {
		got = append(got, e.Exception[0].Value+" "+e.Level)
	}
	require.Equal(t, []string{"medium warning", "high error", "critical fatal"}, got)

	all, r := start(t, sentrytrack.Config{})
	require.NoError(t, r.Report(t.Context(), errtrack.Report{Sample: errtrack.Sample{Severity: errtrack.Low}}))
	require.Equal(t, "info", all.took(t)[0].Level)
}

// What was only counted is told as a number, in an event of its own.
func TestUnreported(t *testing.T) {
	s, r := start(t, sentrytrack.Config{})
	c := newCollector(t, errtrack.Config{FirstN: 1, EscalateAt: 10, Reporters: []errtrack.Reporter{r}})
	for range 20 {
		c.Track(t.Context(), errtrack.Event{Message: "storm", TraceID: "0af7651916cd43dd8448eb211c80319c"})
	}
	require.NoError(t, c.Flush(t.Context()))
	events := s.took(t)
	require.Len(t, events, 3)
	require.Equal(t, events[0].Fingerprint, events[2].Fingerprint)
	require.NotEqual(t, events[0].EventID, events[1].EventID)
	require.Equal(t, "true", events[1].Tags["escalated"])
	require.Equal(t, "error", events[1].Level, "a step above warning")
	require.Equal(t, "true", events[2].Tags["summary"])
	require.EqualValues(t, 18, events[2].Contexts["errtrack"]["unreported"])
	require.EqualValues(t, 20, events[2].Contexts["errtrack"]["count"])
	require.Equal(t, "storm (and 17 more like it)", events[2].Exception[0].Value)
	require.Len(t, events[2].Contexts["trace"]["span_id"], 16, "a trace needs one")
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		status    int
		failed    bool
		permanent bool
	}{{200, false, false}, {400, true, true}, {401, true, true}, {403, true, true}, {413, true, true}, {302, true, true}, {408, true, false}, {429, true, false}, {500, true, false}, {503, true, false}} {
		t.Run(strconv.Itoa(tt.status), func(t *testing.T) {
			s, r := start(t, sentrytrack.Config{})
			if tt.status != 200 {
				s.answer(tt.status, http.Header{"Location": {"/elsewhere"}})
			}
			c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{r}})
			c.Track(t.Context(), errtrack.Event{Message: "x"})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if tt.failed && !tt.permanent {
				require.ErrorIs(t, c.Flush(ctx), context.DeadlineExceeded)
				require.Equal(t, 1, c.Stats().Queued, "to be tried again")
				return
			}
			require.NoError(t, c.Flush(ctx))
			require.Equal(t, tt.permanent, c.Stats().Failed == 1)
			require.Equal(t, 1, s.hits)
		})
	}
}

// A Sentry that was down gets everything once it is back, each event once.
func TestSentryDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &ingest{}
		up := time.Now().Add(time.Minute)
		var ids []string
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			e, err := parse(r, body)
			if err != nil {
				return nil, err
			}
			ids = append(ids, e.EventID)
			if time.Now().Before(up) {
				return nil, errors.New("connection refused")
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w.Result(), nil
		})}
		r, err := sentrytrack.New(sentrytrack.Config{DSN: "https://publickey@sentry.example/42", Client: client})
		require.NoError(t, err)
		c := newCollector(t, errtrack.Config{Reporters: []errtrack.Reporter{r}})
		for _, kind := range []string{"ape", "bee", "cat"} {
			c.Track(t.Context(), errtrack.Event{Message: kind})
		}
		require.NoError(t, c.Flush(t.Context()))
		require.GreaterOrEqual(t, time.Now(), up)
		require.Len(t, s.took(t), 3)
		require.Greater(t, len(ids), 3)
		require.Equal(t, ids[0], ids[len(ids)-3], "the same event each time")
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// While Sentry asks for a pause, it is not bothered, and nothing counts as sent.
func TestRateLimit(t *testing.T) {
	s, r := start(t, sentrytrack.Config{})
	s.answer(http.StatusTooManyRequests, http.Header{"Retry-After": {"60"}})
	report := errtrack.Report{Group: errtrack.Group{ID: "v1:x"}}
	require.ErrorContains(t, r.Report(t.Context(), report), "status 429")
	s.answer(0, nil)
	require.ErrorContains(t, r.Report(t.Context(), report), "limits the rate")
	require.Equal(t, 1, s.hits)
	require.Empty(t, s.took(t))
}

func TestReportObeysItsContext(t *testing.T) {
	_, r := start(t, sentrytrack.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Report(ctx, errtrack.Report{}), context.Canceled)
}

func TestNewRefuses(t *testing.T) {
	t.Setenv("SENTRY_DSN", "https://publickey@sentry.example/42") // is not asked
	for _, tt := range []struct{ name, dsn string }{
		{"nothing", ""}, {"no key", "https://sentry.example/42"}, {"no project", "https://secretkey@sentry.example"}, {"no URL", "secretkey"}, {"another scheme", "ftp://secretkey@sentry.example/42"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sentrytrack.New(sentrytrack.Config{DSN: tt.dsn})
			require.EqualError(t, err, "sentrytrack: Config.DSN is no DSN")
		})
	}
}
