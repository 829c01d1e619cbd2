package errtrack_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/sparkhttp/spark/errtrack"
)

var quiet = slog.New(slog.DiscardHandler)

func BenchmarkTrack(b *testing.B) {
	for _, bb := range []struct {
		name  string
		event errtrack.Event
	}{
		{"Message", errtrack.Event{Message: "item 17 of user1234 is gone"}},
		{"Provider", errtrack.Event{Err: io.ErrUnexpectedEOF, Provider: "claude", Class: "overloaded", Route: "POST /v1/x", Status: 503}},
		{"Tree", failure(fmt.Errorf("saving: %w", dial("10.0.0.1:5432", syscall.ECONNREFUSED)))},
		{"Stack", failure(load(0))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := newCollector(b, errtrack.Config{Logger: quiet})
			b.ReportAllocs()
			for b.Loop() {
				c.Track(b.Context(), bb.event)
			}
		})
	}
}

func BenchmarkTrackParallel(b *testing.B) {
	c := newCollector(b, errtrack.Config{Logger: quiet})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Track(b.Context(), errtrack.Event{Message: "item 17 of user1234 is gone", User: "u"})
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	e := failure(fmt.Errorf("saving: %w", dial("10.0.0.1:5432", syscall.ECONNREFUSED)))
	b.ReportAllocs()
	for b.Loop() {
		errtrack.Fingerprint(e)
	}
}

// BenchmarkHandler compares requests without, and with, a Collector around.
func BenchmarkHandler(b *testing.B) {
	c := newCollector(b, errtrack.Config{Logger: quiet})
	good := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	panicking := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("oops")) })
	for _, bb := range []struct {
		name string
		h    http.Handler
	}{{"Bare", good}, {"Good", c.Handler(good)}, {"Failing", c.Handler(failing)}, {"Panicking", c.Handler(panicking)}} {
		b.Run(bb.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			w := &sink{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				bb.h.ServeHTTP(w, r)
			}
		})
	}
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}
