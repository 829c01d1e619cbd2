package provider_test

import (
	"context"
	"errors"
	"fmt"
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
			h := http.Header{}
			e.SetHeader(h)
			require.Equal(t, "7", h.Get("Retry-After"))
			require.NotContains(t, fmt.Sprintf("%+v", e), "stub", "what the provider says is not kept")
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
			}
		}
	})
}

// What comes back on the wire is not always text with all that belongs to it.
func TestOddAnswers(t *testing.T) {
	const claude, openai = 0, 1
	whole := [2]string{
		`{"id":"m","type":"message","role":"assistant","model":"m","content":[%s],"stop_reason":%s,"usage":{"input_tokens":3,"output_tokens":2}}`,
		`{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant",%s},"finish_reason":%s}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`,
	}
	stream := [2]string{
		`event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}

%s` + `event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":%s},"usage":{"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}

`, `data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant",%s},"finish_reason":null}]}

data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":%s}]}

data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}

data: [DONE]

`,
	}
	delta := func(data string) string {
		return "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":" + data + "}\n\n"
	}
	tests := []struct {
		name         string
		of           int
		content      string // in an answer that is no stream
		deltas       string // and in one that is
		reason       string
		text, finish string
		cut          bool
	}{
		{name: "text", of: claude, content: `{"type":"text","text":"hi"}`, deltas: delta(`{"type":"text_delta","text":"hi"}`), reason: `"stop_sequence"`, text: "hi", finish: "stop"},
		{name: "thinking, then text", of: claude, content: `{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"hi"}`, deltas: delta(`{"type":"thinking_delta","thinking":"hm"}`) + delta(`{"type":"text_delta","text":"hi"}`), reason: `"end_turn"`, text: "hi", finish: "stop"},
		{name: "no content", of: claude, reason: `"end_turn"`, finish: "stop"},
		{name: "limit", of: claude, content: `{"type":"text","text":"h"}`, deltas: delta(`{"type":"text_delta","text":"h"}`), reason: `"max_tokens"`, text: "h", finish: "length"},
		{name: "tool", of: claude, content: `{"type":"tool_use","id":"t","name":"f","input":{}}`, deltas: delta(`{"type":"input_json_delta","partial_json":"{}"}`), reason: `"tool_use"`, finish: "tool_use"},
		{name: "refusal", of: claude, reason: `"refusal"`, finish: "refusal"},
		{name: "no reason", of: claude, content: `{"type":"text","text":"hi"}`, deltas: delta(`{"type":"text_delta","text":"hi"}`), reason: `null`, text: "hi", cut: true},
		{name: "text", of: openai, content: `"content":"hi"`, reason: `"stop"`, text: "hi", finish: "stop"},
		{name: "no content", of: openai, content: `"content":null`, reason: `"stop"`, finish: "stop"},
		{name: "limit", of: openai, content: `"content":"h"`, reason: `"length"`, text: "h", finish: "length"},
		{name: "tool", of: openai, content: `"content":null`, reason: `"tool_calls"`, finish: "tool_calls"},
		{name: "refusal", of: openai, content: `"content":null,"refusal":"I can't."`, reason: `"stop"`, text: "I can't.", finish: "refusal"},
		{name: "filter", of: openai, content: `"content":""`, reason: `"content_filter"`, finish: "content_filter"},
		{name: "no reason", of: openai, content: `"content":"hi"`, reason: `null`, text: "hi", cut: true},
	}
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, streamed bool) {
		_, isOpenAI := p.(*provider.OpenAI)
		for _, tt := range tests {
			if (tt.of == openai) != isOpenAI {
				continue
			}
			content, header := tt.content, http.Header{}
			format := whole[tt.of]
			if streamed {
				format, header = stream[tt.of], http.Header{"Content-Type": {"text/event-stream"}}
				if tt.of == claude {
					content = tt.deltas
				}
			}
			srv.Set(stub.Fault{Header: header, Body: fmt.Sprintf(format, content, tt.reason)})
			text, answer, err := generate(t.Context(), p, streamed)
			if tt.cut {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, tt.name)
				continue
			}
			require.NoError(t, err, tt.name)
			require.Equal(t, tt.text, text, tt.name)
			require.Equal(t, provider.Answer{Model: "m", FinishReason: tt.finish, Usage: provider.Usage{Input: 3, Output: 2}}, answer, tt.name)
		}
	})
}

// What is no answer at all is the provider's failure, never ours.
func TestNoAnswer(t *testing.T) {
	each(t, func(t *testing.T, p provider.Provider, srv *stub.Server, stream bool) {
		for _, fault := range []stub.Fault{
			{Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>a proxy's page</html>"},
			{Body: `{"half": `},
			{Body: "\n"},
		} {
			srv.Set(fault)
			_, _, err := generate(t.Context(), p, stream)
			require.Error(t, err, fault.Body)
			require.Equal(t, http.StatusBadGateway, problem.Of(err).Status, "%q: %v", fault.Body, err)
		}
	})
	for name, p := range map[string]provider.Provider{
		"claude": provider.NewClaude("k", "http://127.0.0.1:1", "", &http.Client{}),
		"openai": provider.NewOpenAI("k", "http://127.0.0.1:1", "", &http.Client{}),
	} {
		_, _, err := generate(t.Context(), p, true)
		require.Error(t, err, name)
		require.Equal(t, http.StatusBadGateway, problem.Of(err).Status, "nobody listens there")
	}
}

func TestOwner(t *testing.T) {
	for model, want := range map[string]string{
		"claude-x": "claude", "gpt-x": "openai", "chatgpt-x": "openai", "o1": "openai", "o3-mini": "openai", "o4-mini": "openai", "o2": "", "echo-1": "", "": "",
	} {
		require.Equal(t, want, provider.Owner(model), model)
	}
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
	for spared, delta := range map[float64]float64{0: 0, 0.5: 150, 1: 0} {
		p := provider.NewLocal(provider.Faults{Status: 503, Spared: spared})
		failed := 0
		for range 1000 {
			if _, _, err := generate(t.Context(), p, false); err != nil {
				failed++
			}
		}
		require.InDelta(t, 1000*(1-spared), failed, delta)
	}
}
