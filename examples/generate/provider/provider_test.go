package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/examples/generate/internal/stub"
	"github.com/sparkhttp/spark/examples/generate/provider"
	"github.com/sparkhttp/spark/problem"
)

func generate(ctx context.Context, p provider.Provider, stream bool) (string, provider.Answer, error) {
	var text strings.Builder
	answer, err := p.Generate(ctx, provider.Ask{Prompt: "say hi to me", Model: "model-1", MaxTokens: 50, Temperature: new(0.5), Stream: stream},
		func(piece string) error { text.WriteString(piece); return nil })
	return text.String(), answer, err
}

// each runs test for the official SDKs against the stub, streaming and not.
func each(t *testing.T, test func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool)) {
	for _, stream := range []bool{false, true} {
		for _, name := range []string{"claude", "openai"} {
			t.Run(name+map[bool]string{false: " whole", true: " stream"}[stream], func(t *testing.T) {
				srv := stub.New(t)
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				var p provider.Provider = provider.NewClaude("key-1", srv.URL, "", client)
				if name == "openai" {
					p = provider.NewOpenAI("key-1", srv.URL+"/v1", "", client)
				}
				test(t, p, srv, stream)
			})
		}
	}
}

func TestAnswers(t *testing.T) {
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool) {
		text, answer, err := generate(t.Context(), p, stream)
		require.NoError(t, err)
		require.Equal(t, "Echo: say hi to me", text)
		require.Equal(t, provider.Answer{Model: "model-1", FinishReason: "stop", Usage: provider.Usage{Input: 7, Output: 5}}, answer)
		require.NotEmpty(t, p.Model())

		calls := srv.Calls()
		require.Len(t, calls, 1)
		key := calls[0].Header.Get("X-Api-Key")
		if key == "" {
			key = strings.TrimPrefix(calls[0].Header.Get("Authorization"), "Bearer ")
		}
		require.Equal(t, "key-1", key)
		require.InDelta(t, 0.5, calls[0].Body["temperature"], 1e-9)
	})
}

// An answer with an error status is an Error, and the SDK doesn't try again.
func TestRefusals(t *testing.T) {
	tests := map[int]int{400: 422, 401: 502, 404: 422, 413: 422, 429: 503, 500: 502, 503: 503, 529: 503}
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool) {
		calls := 0
		for status, shown := range tests {
			srv.Set(stub.Fault{Status: status, Header: http.Header{"Retry-After": {"7"}}})
			_, _, err := generate(t.Context(), p, stream)
			e, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok, "%d: %v", status, err)
			require.Equal(t, status, e.Status)
			require.Equal(t, "7", e.Header.Get("Retry-After"))
			require.Contains(t, string(e.Body), `"stub"`)
			require.NotContains(t, e.Error(), "stub")
			require.Equal(t, shown, problem.Of(err).Status)
			calls++
			require.Len(t, srv.Calls(), calls)
		}
	})
}

func TestBrokenStreams(t *testing.T) {
	tests := []struct {
		name  string
		fault stub.Fault
		cut   bool
	}{
		{"connection breaks", stub.Fault{CutAfter: 2}, true},
		{"ends without saying so", stub.Fault{NoEnd: true}, true},
		{"error event", stub.Fault{ErrorAfter: 2}, false},
	}
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool) {
		if !stream {
			return
		}
		for _, tt := range tests {
			srv.Set(tt.fault)
			text, _, err := generate(t.Context(), p, true)
			require.Error(t, err, tt.name)
			require.True(t, strings.HasPrefix(text, "Echo: say "), "%s: %q", tt.name, text)
			require.Equal(t, tt.cut, errors.Is(err, io.ErrUnexpectedEOF), "%s: %v", tt.name, err)
			if !tt.cut {
				e, ok := errors.AsType[*provider.Error](err)
				require.True(t, ok, "%s: %T %v", tt.name, err, err)
				require.Zero(t, e.Status)
				require.NotEmpty(t, e.Body)
			}
		}
	})
}

func TestCancelled(t *testing.T) {
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool) {
		srv.Set(stub.Fault{Hang: true})
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		_, _, err := generate(ctx, p, stream)
		require.ErrorIs(t, err, why)
	})
}

func TestEmitEndsTheCall(t *testing.T) {
	each(t, func(t *testing.T, p provider.Provider, _ *stub.Server, stream bool) {
		full := errors.New("full")
		_, err := p.Generate(t.Context(), provider.Ask{Prompt: "x", Model: "m", MaxTokens: 5, Stream: stream}, func(string) error { return full })
		require.ErrorIs(t, err, full)
	})
}

func TestLocal(t *testing.T) {
	tests := []struct {
		name   string
		faults provider.Faults
		max    int
		text   string
		reason string
		err    error
		took   time.Duration
	}{
		{name: "answer", max: 50, text: "You said: say hi to me", reason: "stop"},
		{name: "length", max: 3, text: "You said: say ", reason: "length"},
		{name: "slow", faults: provider.Faults{Latency: time.Second, Gap: 100 * time.Millisecond}, max: 50, text: "You said: say hi to me", reason: "stop", took: 1500 * time.Millisecond},
		{name: "cut", faults: provider.Faults{CutAfter: 2}, max: 50, text: "You said: ", err: io.ErrUnexpectedEOF},
		{name: "hang", faults: provider.Faults{Hang: true}, max: 50, err: context.DeadlineExceeded, took: time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				var text strings.Builder
				answer, err := provider.NewLocal(tt.faults).Generate(ctx, provider.Ask{Prompt: "say hi to me", Model: "echo-1", MaxTokens: tt.max},
					func(piece string) error { text.WriteString(piece); return nil })
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.text, text.String())
				if err == nil {
					require.Equal(t, tt.reason, answer.FinishReason)
					require.Equal(t, "echo-1", answer.Model)
				}
				require.Equal(t, tt.took, time.Since(start))
			})
		})
	}
}

func TestLocalShare(t *testing.T) {
	p := provider.NewLocal(provider.Faults{Status: 503, Share: 0.5})
	failed := 0
	for range 1000 {
		if _, _, err := generate(t.Context(), p, false); err != nil {
			failed++
		}
	}
	require.InDelta(t, 500, failed, 150)
}
