// Package sentrytrack reports what errtrack groups to Sentry, or to what speaks
// its protocol.
//
// Sentry groups by the fingerprints of errtrack, so that both show the same
// groups. Each report is one event with its level, release, route, tags, stack
// and trace; the number of events that were only counted comes along.
//
// It has a transport of its own: the global hub of sentry-go is neither used nor
// changed, nothing is read from the environment, and no integration adds what
// errtrack leaves out. A report that Sentry did not take is an error, which
// errtrack tries again; it keeps its event id, so that it makes no second event.
//
//	sentry, err := sentrytrack.New(sentrytrack.Config{DSN: dsn, Environment: "production"})
//	if err != nil {
//		return err
//	}
//	tracker, err := errtrack.New(errtrack.Config{Reporters: []errtrack.Reporter{sentry}})
package sentrytrack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/sparkhttp/spark/errtrack"
)

// Config says where events go.
type Config struct {
	// DSN names the project and its key, as Sentry shows it. Required.
	DSN string
	// Environment is that of the events, as "production". Optional.
	Environment string
	// ServerName names the machine. Empty means that it is not told.
	ServerName string
	// MinSeverity leaves out what is less severe. 0 means all.
	MinSeverity errtrack.Severity
	// Client sends. Redirects are not followed. Nil means a client with
	// [http.DefaultTransport].
	Client *http.Client
}

// Reporter is an [errtrack.Reporter] that sends reports to Sentry. It is safe for
// concurrent use.
type Reporter struct {
	cfg       Config
	transport *sentry.HTTPSyncTransport
}

// New returns a Reporter for cfg.
func New(cfg Config) (*Reporter, error) {
	if _, err := sentry.NewDsn(cfg.DSN); err != nil {
		return nil, errors.New("sentrytrack: Config.DSN is no DSN") // err may hold the key
	}
	client := http.Client{}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport = observed{cmp.Or(client.Transport, http.DefaultTransport)}
	r := &Reporter{cfg: cfg, transport: sentry.NewHTTPSyncTransport()}
	r.transport.Configure(sentry.ClientOptions{Dsn: cfg.DSN, HTTPClient: &client})
	return r, nil
}

// Report implements [errtrack.Reporter]. A status of 300 to 499, except 408 and
// 429, is an answer that does not change.
func (r *Reporter) Report(ctx context.Context, report errtrack.Report) error {
	if report.Sample.Severity < r.cfg.MinSeverity {
		return nil
	}
	var o outcome
	r.transport.SendEventWithContext(context.WithValue(ctx, outcomeKey{}, &o), r.event(&report))
	switch {
	case o.err != nil:
		return fmt.Errorf("sentrytrack: Sentry could not be reached: %w", o.err)
	case o.status == 0:
		// sentry-go obeys what Sentry said before.
		return errors.New("sentrytrack: Sentry limits the rate of events")
	case o.status < 300:
		return nil
	}
	err := fmt.Errorf("sentrytrack: Sentry answered with status %d", o.status)
	if o.status < 500 && o.status != http.StatusTooManyRequests && o.status != http.StatusRequestTimeout {
		return errtrack.Permanent(err)
	}
	return err
}

// observed tells how requests ended, which the transport of sentry-go keeps to
// itself.
type observed struct{ next http.RoundTripper }

type outcomeKey struct{}

type outcome struct {
	status int
	err    error
}

// RoundTrip implements [http.RoundTripper].
func (t observed) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if o, ok := r.Context().Value(outcomeKey{}).(*outcome); ok {
		if o.err = err; err == nil {
			o.status = resp.StatusCode
		}
	}
	return resp, err
}

// event returns a report as Sentry has it.
func (r *Reporter) event(report *errtrack.Report) *sentry.Event {
	s, g := &report.Sample, &report.Group
	e := &sentry.Event{
		EventID:     eventID(report),
		Timestamp:   s.Time,
		Level:       level(s.Severity),
		Platform:    "go",
		Logger:      "errtrack",
		Release:     report.Release,
		Environment: r.cfg.Environment,
		ServerName:  r.cfg.ServerName,
		Transaction: s.Route,
		Fingerprint: []string{g.ID},
		Tags:        tags(report),
		Sdk:         sentry.SdkInfo{Name: "sentry.go.sparktrack", Version: sentry.SDKVersion},
		Exception:   []sentry.Exception{{Type: cmp.Or(s.Type, g.Title), Value: s.Message, Stacktrace: stack(s.Stack)}},
		Contexts: map[string]sentry.Context{"errtrack": {
			"count": g.Count, "unreported": report.Unreported, "dropped_reports": report.Dropped, "users": g.Users,
			"last_minute": g.LastMinute, "last_hour": g.LastHour, "first_seen": g.FirstSeen.UTC().Format(time.RFC3339),
		}},
	}
	if report.Unreported > 0 {
		e.Exception[0].Value = fmt.Sprintf("%s (and %d more like it)", s.Message, report.Unreported-1)
	}
	if s.TraceID != "" {
		// A span is required. Who knows none gets one that nobody has.
		e.Contexts["trace"] = sentry.Context{"trace_id": s.TraceID, "span_id": cmp.Or(s.SpanID, string(e.EventID[:16]))}
	}
	if s.SessionURL != "" {
		e.Contexts["session"] = sentry.Context{"url": s.SessionURL}
	}
	return e
}

// eventID is the same for each attempt at a report.
func eventID(r *errtrack.Report) sentry.EventID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d", r.Group.ID, r.Sample.Time.UnixNano(), r.Group.Count, r.Unreported))
	return sentry.EventID(hex.EncodeToString(sum[:16]))
}

func level(s errtrack.Severity) sentry.Level {
	switch s {
	case errtrack.Critical:
		return sentry.LevelFatal
	case errtrack.High:
		return sentry.LevelError
	case errtrack.Medium:
		return sentry.LevelWarning
	default:
		return sentry.LevelInfo
	}
}

// tags returns what is known of an event, over what the program tells by tags of
// the same names.
func tags(r *errtrack.Report) map[string]string {
	t := map[string]string{}
	for name, value := range r.Sample.Tags {
		t[tagName(name)] = strings.Join(strings.Fields(value), " ")
	}
	s := &r.Sample
	for name, value := range map[string]string{
		"severity": s.Severity.String(), "provider": s.Provider, "class": s.Class, "model": s.Model,
		"method": s.Method, "route": s.Route, "request_id": s.RequestID,
	} {
		if value != "" {
			t[name] = value
		}
	}
	if s.Status != 0 {
		t["status"] = strconv.Itoa(s.Status)
	}
	if r.Escalated {
		t["escalated"] = "true"
	}
	if r.Unreported > 0 {
		t["summary"] = "true"
	}
	return t
}

// tagName returns name as Sentry takes it: at most 32 letters, digits and "_.:-".
func tagName(name string) string {
	name = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.:-", c) {
			return c
		}
		return '_'
	}, name)
	return name[:min(len(name), 32)]
}

// stack returns frames in Sentry's order: the innermost last.
func stack(frames []errtrack.Frame) *sentry.Stacktrace {
	if len(frames) == 0 {
		return nil
	}
	st := &sentry.Stacktrace{}
	for _, f := range slices.Backward(frames) {
		module, function := "", f.Function
		slash := strings.LastIndexByte(function, '/') + 1
		if dot := strings.IndexByte(function[slash:], '.'); dot >= 0 {
			module, function = function[:slash+dot], function[slash+dot+1:]
		}
		st.Frames = append(st.Frames, sentry.Frame{Module: module, Function: function, InApp: f.InApp})
	}
	return st
}
