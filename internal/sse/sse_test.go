package sse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/internal/sse"
)

func TestWatcher(t *testing.T) {
	tests := []struct {
		name, stream                string
		terminal, failed, truncated bool
		events                      int
	}{
		{name: "empty"},
		{name: "comment only", stream: ": ping\n\n"},
		{name: "unknown protocol", stream: "data: tick\n\ndata: tock\n\n", events: 2},
		{
			name: "chat whole", terminal: true, events: 2,
			stream: "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\"}\n\ndata: [DONE]\n\n",
		},
		{
			name: "chat cut", truncated: true, events: 1,
			stream: "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\"}\n\n",
		},
		{
			name: "chat failed", failed: true, events: 2,
			stream: "data: {\"object\":\"chat.completion.chunk\"}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\n",
		},
		{
			name: "messages whole", terminal: true, events: 2,
			stream: "event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		},
		{
			name: "messages cut inside the last event", truncated: true, events: 1,
			stream: "event: message_start\ndata: {}\n\nevent: message_stop\ndata: {}\n",
		},
		{
			name: "messages failed", failed: true, events: 2,
			stream: "event: message_start\ndata: {}\n\nevent: error\ndata: {\"type\":\"error\"}\n\n",
		},
		{
			name: "responses without event lines", terminal: true, events: 2,
			stream: "data: {\"type\": \"response.created\"}\n\ndata: {\"type\":\"response.completed\"}\n\n",
		},
		{
			name: "carriage returns", terminal: true, events: 2,
			stream: "event: message_start\r\ndata: {}\r\n\r\nevent: message_stop\rdata: {}\r\r",
		},
		{
			name: "text that speaks of errors", truncated: true, events: 1,
			stream: "event: delta\ndata: {\"text\":\"event: error [DONE]\"}\n\n",
		},
		{
			name: "byte order mark", terminal: true, events: 1,
			stream: "\ufeffevent: done\ndata: {}\n\n",
		},
		{
			name: "text with a line that looks like the end", truncated: true, events: 1,
			stream: "event: delta\ndata: it ends with\ndata: [DONE]\n\n",
		},
		{
			name: "no error", truncated: true, events: 2,
			stream: "data: {\"error\":null,\"object\":\"x\"}\n\ndata: {\"error\": null,\"object\":\"chat.completion.chunk\"}\n\n",
		},
		{name: "event without data is no event", stream: "event: error\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 3, len(tt.stream) + 1} {
				var w sse.Watcher
				for s := tt.stream; s != ""; {
					n := min(size, len(s))
					_, err := w.Write([]byte(s[:n]))
					require.NoError(t, err)
					s = s[n:]
				}
				require.Equal(t, tt.terminal, w.Terminal, "terminal, in pieces of %d", size)
				require.Equal(t, tt.failed, w.Failed, "failed, in pieces of %d", size)
				require.Equal(t, tt.truncated, w.Truncated(), "truncated, in pieces of %d", size)
				require.Equal(t, tt.events, w.Events, "events, in pieces of %d", size)
			}
		})
	}
}

// However a stream is cut into pieces, the verdict about it is the same.
func FuzzWatcher(f *testing.F) {
	f.Add("event: delta\ndata: {}\n\nevent: done\ndata: {}\n\n", uint8(3))
	f.Add("data: {\"error\":1}\r\n\r\n", uint8(1))
	f.Add("data: "+strings.Repeat("x", 500)+"\n\ndata: [DONE]\n\n", uint8(7))
	f.Fuzz(func(t *testing.T, stream string, size uint8) {
		var whole, pieces sse.Watcher
		_, _ = whole.Write([]byte(stream))
		n := int(size%16) + 1
		for s := stream; s != ""; s = s[min(n, len(s)):] {
			_, _ = pieces.Write([]byte(s[:min(n, len(s))]))
		}
		require.Equal(t, whole.Events, pieces.Events)
		require.Equal(t, whole.Terminal, pieces.Terminal)
		require.Equal(t, whole.Failed, pieces.Failed)
		require.Equal(t, whole.Truncated(), pieces.Truncated())
	})
}

func BenchmarkWatcher(b *testing.B) {
	event := []byte("event: delta\ndata: {\"text\":\"" + strings.Repeat("word ", 10) + "\"}\n\n")
	var w sse.Watcher
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(event)
	}
}
