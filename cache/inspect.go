package cache

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sparkhttp/spark/internal/sse"
)

// seen is what a body says about itself.
type seen struct {
	skip          string // why it is not to be stored
	input, output int64
	total         int64
}

// tokens returns what the answer cost.
func (s *seen) tokens() int64 { return max(s.total, s.input+s.output) }

func (s *seen) refuse(why string) {
	if s.skip == "" {
		s.skip = why
	}
}

// inspect looks through a complete body for what keeps it from being used
// again. It knows the answers of Anthropic Messages, OpenAI Chat Completions and
// Responses, and what speaks like them; of others it only knows that they are
// whole.
func inspect(contentType string, body []byte) seen {
	var s seen
	switch {
	case isEvents(contentType):
		s.stream(body)
	case isJSON(contentType), json.Valid(body): // whatever it is called
		s.document(body)
	}
	return s
}

// stream looks at each event of a stream.
func (s *seen) stream(body []byte) {
	var end sse.Watcher
	_, _ = end.Write(body) // never fails
	switch {
	case end.Failed:
		s.refuse("error")
		return
	case !end.Terminal:
		s.refuse("truncated")
		return
	}
	var data []byte
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	for line := range bytes.Lines(bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		}
		if len(line) == 0 {
			s.event(data)
			data = data[:0]
		}
	}
	s.event(data) // not every client waits for the empty line
}

// event looks at the data of an event, which need not be JSON.
func (s *seen) event(data []byte) {
	if data = bytes.TrimSpace(data); bytes.HasPrefix(data, []byte("{")) {
		s.document(data)
	}
}

func (s *seen) document(text []byte) {
	var v any
	if json.Unmarshal(text, &v) != nil {
		s.refuse("malformed")
		return
	}
	messages, ok := v.([]any) // some stream so, without events
	if !ok {
		messages = []any{v}
	}
	for _, m := range messages {
		s.message(m)
	}
}

func (s *seen) message(v any) {
	top, _ := v.(map[string]any)
	if present(top["error"]) || top["type"] == "error" {
		s.refuse("error")
	}
	s.walk(v)
	// OpenAI's Responses may go on in the background after they were sent.
	if top["object"] == "response" && present(top["status"]) && top["status"] != "completed" {
		s.refuse("unfinished")
	}
}

// walk looks at all members, however deep. Text is only text: what an answer
// quotes does not count.
func (s *seen) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			s.walk(e)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			s.member(name, v[name])
			s.walk(v[name])
		}
	}
}

func (s *seen) member(name string, v any) {
	switch name {
	case "finish_reason", "stop_reason", "finishReason", "done_reason":
		if reason, ok := v.(string); ok {
			s.finish(reason)
		}
	case "incomplete_details":
		if present(v) {
			s.refuse("length")
		}
	case "tool_calls", "function_call", "functionCall":
		if present(v) {
			s.refuse("tool_calls")
		}
	case "refusal":
		if present(v) {
			s.refuse("refusal")
		}
	case "type":
		kind, _ := v.(string)
		switch {
		case strings.HasSuffix(kind, "tool_use"), strings.HasSuffix(kind, "_call"):
			s.refuse("tool_calls")
		case kind == "response.incomplete":
			s.refuse("length")
		}
	case "usage":
		if u, ok := v.(map[string]any); ok {
			s.usage(u)
		}
	}
}

// finish judges why the model stopped. A reason that is not known to be a
// natural end is none.
func (s *seen) finish(reason string) {
	switch strings.ToLower(reason) {
	case "stop", "end_turn", "stop_sequence", "completed", "complete":
	case "length", "max_tokens", "max_output_tokens", "model_context_window_exceeded":
		s.refuse("length")
	case "tool_calls", "tool_use", "function_call":
		s.refuse("tool_calls")
	case "refusal", "content_filter", "safety":
		s.refuse("refusal")
	default:
		s.refuse("finish_reason")
	}
}

// usage takes the largest counts: streams repeat them as they grow.
func (s *seen) usage(u map[string]any) {
	count := func(names ...string) (n int64) {
		for _, name := range names {
			if f, ok := u[name].(float64); ok && f > 0 && f < 1e15 {
				n = max(n, int64(f))
			}
		}
		return n
	}
	s.input = max(s.input, count("input_tokens", "prompt_tokens"))
	s.output = max(s.output, count("output_tokens", "completion_tokens"))
	s.total = max(s.total, count("total_tokens"))
}

// present reports whether a member says something: it is not null, empty or
// false.
func present(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	default:
		return true
	}
}
