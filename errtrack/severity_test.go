package errtrack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func TestSeverity(t *testing.T) {
	rules := []errtrack.Rule{
		{Severity: errtrack.Low, Provider: "test"},
		{Severity: errtrack.Critical, Route: "POST /pay*", MinStatus: 500},
		{Severity: errtrack.High, Route: "GET /exact"},
		{Severity: errtrack.Critical, Is: io.ErrClosedPipe},
		{Severity: errtrack.Low, Type: "*net.DNSError"},
		{Severity: errtrack.Low, MinStatus: 501, MaxStatus: 501},
		{Severity: errtrack.Critical, Class: "corrupt"},
		{Severity: errtrack.Critical, Match: func(e errtrack.Event) bool { return e.Tags["vip"] == "yes" }},
	}
	for _, tt := range []struct {
		name  string
		event errtrack.Event
		want  errtrack.Severity
	}{
		{"by hand", errtrack.Event{Err: io.ErrClosedPipe, Severity: errtrack.Medium}, errtrack.Medium},
		{"rule by provider", errtrack.Event{Err: io.EOF, Provider: "test", Class: "quota"}, errtrack.Low},
		{"rule by route and status", errtrack.Event{Err: io.EOF, Route: "POST /pay/card", Status: 503}, errtrack.Critical},
		{"rule by route, another status", errtrack.Event{Err: io.EOF, Route: "POST /pay/card", Status: 404}, errtrack.Low},
		{"rule by exact route", errtrack.Event{Err: io.EOF, Route: "GET /exact"}, errtrack.High},
		{"rule by exact route, a longer one", errtrack.Event{Err: io.EOF, Route: "GET /exact/2"}, errtrack.Medium},
		{"rule by error", failure(fmt.Errorf("x: %w", io.ErrClosedPipe)), errtrack.Critical},
		{"rule by type", failure(fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: &net.DNSError{}})), errtrack.Low},
		{"rule by status", errtrack.Event{Err: io.EOF, Status: 501}, errtrack.Low},
		{"rule by class", errtrack.Event{Err: io.EOF, Class: "corrupt"}, errtrack.Critical},
		{"rule by function", errtrack.Event{Err: io.EOF, Tags: map[string]string{"vip": "yes"}}, errtrack.Critical},
		{"quota of a provider", errtrack.Event{Err: io.EOF, Provider: "claude", Class: "insufficient_quota"}, errtrack.Critical},
		{"key of a provider", errtrack.Event{Err: io.EOF, Provider: "claude", Class: "Authentication_error"}, errtrack.Critical},
		{"quota of nobody", errtrack.Event{Err: io.EOF, Class: "quota"}, errtrack.Medium},
		{"busy provider", errtrack.Event{Err: io.EOF, Provider: "claude", Class: "overloaded"}, errtrack.Medium},
		{"panic", errtrack.Event{Err: io.EOF, Panic: true}, errtrack.High},
		{"timeout", errtrack.Event{Err: context.DeadlineExceeded, Status: 500}, errtrack.Medium},
		{"gateway", errtrack.Event{Err: io.EOF, Status: 502}, errtrack.Medium},
		{"unavailable", errtrack.Event{Err: io.EOF, Status: 503}, errtrack.Low},
		{"client's mistake", errtrack.Event{Err: io.EOF, Status: 400}, errtrack.Low},
		{"defect", errtrack.Event{Err: io.EOF, Status: 500}, errtrack.High},
		{"unknown", failure(io.EOF), errtrack.Medium},
		{"no such severity", errtrack.Event{Err: io.EOF, Severity: 9}, errtrack.Medium},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told errtrack.Severity
			c := newCollector(t, errtrack.Config{Rules: rules, OnEvent: func(_ context.Context, _ string, s errtrack.Severity) { told = s }})
			c.Track(t.Context(), tt.event)
			require.Equal(t, tt.want, only(t, c).Severity)
			require.Equal(t, tt.want, told)
			require.EqualValues(t, 1, c.Stats().BySeverity[tt.want])
		})
	}
}

func TestSeverityByRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t, errtrack.Config{Rules: []errtrack.Rule{{Severity: errtrack.Critical, PerMinute: 3}, {Severity: errtrack.Low}}})
		for range 4 {
			c.Track(t.Context(), text("x"))
		}
		c.Track(t.Context(), text("y"))
		require.Equal(t, map[errtrack.Severity]uint64{errtrack.Low: 3, errtrack.Medium: 0, errtrack.High: 0, errtrack.Critical: 2}, c.Stats().BySeverity)
		time.Sleep(2 * time.Minute)
		c.Track(t.Context(), text("x"))
		require.EqualValues(t, 4, c.Stats().BySeverity[errtrack.Low])
	})
}

func TestSeverityText(t *testing.T) {
	for s := errtrack.Low; s <= errtrack.Critical; s++ {
		b, err := s.MarshalText()
		require.NoError(t, err)
		var again errtrack.Severity
		require.NoError(t, again.UnmarshalText(b))
		require.Equal(t, s, again)
	}
	var s errtrack.Severity
	require.ErrorContains(t, s.UnmarshalText([]byte("dire")), `"dire"`)
	require.Equal(t, "Severity(9)", errtrack.Severity(9).String())
}

// A group that gets worse is reported once, and calms down by itself.
func TestEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c := newCollector(t, errtrack.Config{EscalateAt: 10, FirstN: 1, Reporters: []errtrack.Reporter{r}})
		defer running(t, c)()
		for range 9 {
			c.Track(t.Context(), text("x"))
		}
		require.Equal(t, errtrack.Medium, only(t, c).Severity)
		c.Track(t.Context(), text("x"))
		g := only(t, c)
		require.Equal(t, errtrack.High, g.Severity)
		require.True(t, g.Escalated)
		require.EqualValues(t, 1, c.Stats().BySeverity[errtrack.High])
		synctest.Wait()
		require.Len(t, r.reports(), 2, "the first one and the escalation")
		require.True(t, r.reports()[1].Escalated)
		require.Equal(t, errtrack.High, r.reports()[1].Sample.Severity)

		// About the threshold, for ten minutes: that is one escalation.
		for range 100 {
			time.Sleep(6*time.Second + 200*time.Millisecond)
			c.Track(t.Context(), text("x"))
		}
		synctest.Wait()
		escalations := 0
		for _, report := range r.reports() {
			if report.Escalated {
				escalations++
			}
		}
		require.Equal(t, 1, escalations)

		time.Sleep(2 * time.Minute) // without any event
		g = only(t, c)
		require.False(t, g.Escalated)
		require.Equal(t, errtrack.Medium, g.Severity)
	})
}

func TestEscalationOfTheWorst(t *testing.T) {
	c := newCollector(t, errtrack.Config{EscalateAt: 1})
	c.Track(t.Context(), errtrack.Event{Message: "x", Severity: errtrack.Critical})
	require.Equal(t, errtrack.Critical, only(t, c).Severity)
}
