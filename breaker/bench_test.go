package breaker_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/breaker"
)

// BenchmarkClosed compares a call through a closed breaker with one through a bare
// gobreaker.
func BenchmarkClosed(b *testing.B) {
	b.Run("gobreaker", func(b *testing.B) {
		cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{})
		call := func() (any, error) { return nil, nil }
		b.ReportAllocs()
		for b.Loop() {
			_, _ = cb.Execute(call)
		}
	})
	b.Run("gobreaker two-step", func(b *testing.B) {
		cb := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{})
		b.ReportAllocs()
		for b.Loop() {
			done, _ := cb.Allow()
			done(nil)
		}
	})
	b.Run("Do", func(b *testing.B) {
		br, ctx := newBreaker(b, breaker.Config{}), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Do(ctx, succeed)
		}
	})
	b.Run("Allow", func(b *testing.B) {
		br := newBreaker(b, breaker.Config{})
		b.ReportAllocs()
		for b.Loop() {
			done, _ := br.Allow()
			done(breaker.Success)
		}
	})
	b.Run("Do with slowness", func(b *testing.B) {
		br, ctx := newBreaker(b, breaker.Config{SlowCall: time.Minute, SlowFirstToken: time.Minute}), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Do(ctx, succeed)
		}
	})
	b.Run("Do with hook", func(b *testing.B) {
		br, ctx := newBreaker(b, breaker.Config{OnOutcome: func(context.Context, breaker.Event) {}}), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Do(ctx, succeed)
		}
	})
}

func BenchmarkClosedParallel(b *testing.B) {
	b.Run("gobreaker", func(b *testing.B) {
		cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{})
		call := func() (any, error) { return nil, nil }
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = cb.Execute(call)
			}
		})
	})
	b.Run("Do", func(b *testing.B) {
		br, ctx := newBreaker(b, breaker.Config{}), context.Background()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = br.Do(ctx, succeed)
			}
		})
	})
}

func BenchmarkOpen(b *testing.B) {
	b.Run("gobreaker", func(b *testing.B) {
		cb := gobreaker.NewCircuitBreaker[any](gobreaker.Settings{ReadyToTrip: func(gobreaker.Counts) bool { return true }})
		call := func() (any, error) { return nil, errDown }
		_, _ = cb.Execute(call)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = cb.Execute(call)
		}
	})
	b.Run("Do", func(b *testing.B) {
		br, ctx := opened(b, breaker.Config{}), context.Background()
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Do(ctx, succeed)
		}
	})
}

func BenchmarkFailover(b *testing.B) {
	group, err := breaker.NewGroup(breaker.GroupConfig{Names: []string{"claude", "openai"}})
	require.NoError(b, err)
	f, err := breaker.NewFailover(breaker.FailoverConfig{Group: group, Order: []string{"claude", "openai"}})
	require.NoError(b, err)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = f.Do(ctx, func(context.Context, string) error { return nil })
	}
}

// canned answers with a stream without a network.
type canned string

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body:   io.NopCloser(strings.NewReader(string(c))),
	}, nil
}

func BenchmarkTransport(b *testing.B) {
	stream := canned(strings.Repeat("data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n", 100) + "data: [DONE]\n\n")
	guarded, err := breaker.NewTransport(breaker.TransportConfig{Breaker: newBreaker(b, breaker.Config{}), Base: stream})
	require.NoError(b, err)
	for _, bm := range []struct {
		name string
		rt   http.RoundTripper
	}{{"bare", stream}, {"guarded", guarded}} {
		b.Run(bm.name, func(b *testing.B) {
			req := httptest.NewRequest(http.MethodPost, "http://provider/v1", nil)
			buf := make([]byte, 1024)
			b.ReportAllocs()
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				resp, err := bm.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				_ = resp.Body.Close()
			}
		})
	}
}
