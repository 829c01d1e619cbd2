// Package stub speaks the wire formats of Anthropic's Messages API and OpenAI's
// Chat Completions API, as far as the providers of the generate server use them,
// and fails on demand as the real ones do.
package stub

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what a call meets.
type Fault struct {
	Status     int           // answer with this status
	Header     http.Header   // beside it
	Body       string        // and with this; empty: the provider's usual body for the status; alone, it is what a 200 has
	Delay      time.Duration // before anything is sent
	Gap        time.Duration // between the events of a stream
	CutAfter   int           // break the connection after so many pieces of text
	ErrorAfter int           // send an error event after so many pieces of text
	NoEnd      bool          // end the stream cleanly, but without saying so
	Hang       bool          // send nothing until the client leaves
}

// Call is a request as it arrived.
type Call struct {
	Path   string
	Header http.Header
	Body   map[string]any
}

// Server is both providers.
type Server struct {
	URL string

	mu    sync.Mutex
	fault Fault
	calls []Call
}

// New starts a Server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", s.handle(anthropic{}))
	mux.HandleFunc("POST /v1/chat/completions", s.handle(openai{}))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// Set makes calls from now on meet f.
func (s *Server) Set(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Calls returns the calls so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// format is the wire format of a provider.
type format interface {
	failure(status int) string
	whole(text, model string, tokens int) any
	begin(send func(event string, data any), model string)
	piece(send func(event string, data any), text, model string)
	end(send func(event string, data any), model string, tokens int)
	failed(send func(event string, data any))
}

func (s *Server) handle(f format) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, f.failure(http.StatusBadRequest), http.StatusBadRequest)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices when the client leaves
		s.mu.Lock()
		s.calls = append(s.calls, Call{r.URL.Path, r.Header.Clone(), body})
		fault := s.fault
		s.mu.Unlock()
		if fault.Hang {
			<-r.Context().Done()
			return
		}
		pause(r, fault.Delay)
		w.Header().Set("Request-Id", "req_stub")
		if fault.Status >= 400 || fault.Body != "" {
			fault.answer(w, f)
			return
		}
		model, _ := body["model"].(string)
		pieces := strings.SplitAfter("Echo: "+prompt(body), " ")
		if stream, _ := body["stream"].(bool); stream {
			fault.stream(w, r, f, model, pieces)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(f.whole(strings.Join(pieces, ""), model, len(pieces)))
	}
}

func (fault *Fault) answer(w http.ResponseWriter, f format) {
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), fault.Header)
	w.WriteHeader(max(fault.Status, http.StatusOK))
	if fault.Body == "" {
		fault.Body = f.failure(fault.Status)
	}
	_, _ = io.WriteString(w, fault.Body)
}

func (fault *Fault) stream(w http.ResponseWriter, r *http.Request, f format, model string, pieces []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(event string, data any) {
		if event != "" {
			_, _ = fmt.Fprintf(w, "event: %s\n", event)
		}
		b, _ := json.Marshal(data)
		_, _ = fmt.Fprintf(w, "data: %s\n\n", b)
		_ = http.NewResponseController(w).Flush()
	}
	f.begin(send, model)
	for i, text := range pieces {
		switch {
		case fault.CutAfter > 0 && i == fault.CutAfter:
			panic(http.ErrAbortHandler)
		case fault.ErrorAfter > 0 && i == fault.ErrorAfter:
			f.failed(send)
			return
		}
		if i > 0 {
			pause(r, fault.Gap)
		}
		if r.Context().Err() != nil {
			return
		}
		f.piece(send, text, model)
	}
	if fault.NoEnd {
		return
	}
	f.end(send, model, len(pieces))
	if _, ok := f.(openai); ok {
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}
}

func pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// prompt is the text of the last message, as a string or in parts.
func prompt(body map[string]any) string {
	messages, _ := body["messages"].([]any)
	if len(messages) == 0 {
		return ""
	}
	message, _ := messages[len(messages)-1].(map[string]any)
	switch content := message["content"].(type) {
	case string:
		return content
	case []any:
		part, _ := content[0].(map[string]any)
		text, _ := part["text"].(string)
		return text
	}
	return ""
}

type object = map[string]any

type anthropic struct{}

func (anthropic) failure(status int) string {
	kind := map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
	}[status]
	if kind == "" {
		kind = "api_error"
	}
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":"stub"},"request_id":"req_stub"}`, kind)
}

func (anthropic) message(model, text string, output int, reason any) object {
	content := []any{}
	if text != "" {
		content = append(content, object{"type": "text", "text": text})
	}
	return object{
		"id": "msg_stub", "type": "message", "role": "assistant", "model": model, "content": content,
		"stop_reason": reason, "stop_sequence": nil, "usage": object{"input_tokens": 7, "output_tokens": output},
	}
}

func (a anthropic) whole(text, model string, tokens int) any {
	return a.message(model, text, tokens, "end_turn")
}

func (a anthropic) begin(send func(string, any), model string) {
	send("message_start", object{"type": "message_start", "message": a.message(model, "", 1, nil)})
	send("content_block_start", object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}})
	send("ping", object{"type": "ping"})
}

func (anthropic) piece(send func(string, any), text, _ string) {
	send("content_block_delta", object{"type": "content_block_delta", "index": 0, "delta": object{"type": "text_delta", "text": text}})
}

func (anthropic) end(send func(string, any), _ string, tokens int) {
	send("content_block_stop", object{"type": "content_block_stop", "index": 0})
	send("message_delta", object{"type": "message_delta", "delta": object{"stop_reason": "end_turn", "stop_sequence": nil}, "usage": object{"output_tokens": tokens}})
	send("message_stop", object{"type": "message_stop"})
}

func (anthropic) failed(send func(string, any)) {
	send("error", object{"type": "error", "error": object{"type": "overloaded_error", "message": "Overloaded"}})
}

type openai struct{}

func (openai) failure(status int) string {
	kind, code := "server_error", "null"
	switch status {
	case 400, 404:
		kind = "invalid_request_error"
	case 401:
		kind, code = "invalid_request_error", `"invalid_api_key"`
	case 429:
		kind, code = "requests", `"rate_limit_exceeded"`
	}
	return fmt.Sprintf(`{"error":{"message":"stub","type":%q,"param":null,"code":%s}}`, kind, code)
}

func (openai) whole(text, model string, tokens int) any {
	return object{
		"id": "chatcmpl-stub", "object": "chat.completion", "created": 1, "model": model,
		"choices": []any{object{"index": 0, "message": object{"role": "assistant", "content": text}, "finish_reason": "stop"}},
		"usage":   object{"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens},
	}
}

func (openai) chunk(model string, delta object, reason any) object {
	return object{
		"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1, "model": model,
		"choices": []any{object{"index": 0, "delta": delta, "finish_reason": reason}},
	}
}

func (o openai) begin(send func(string, any), model string) {
	send("", o.chunk(model, object{"role": "assistant", "content": ""}, nil))
}

func (o openai) piece(send func(string, any), text, model string) {
	send("", o.chunk(model, object{"content": text}, nil))
}

func (o openai) end(send func(string, any), model string, tokens int) {
	send("", o.chunk(model, object{}, "stop"))
	send("", object{
		"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": []any{},
		"usage": object{"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens},
	})
}

func (openai) failed(send func(string, any)) {
	send("", object{"error": object{"message": "stub", "type": "server_error", "param": nil, "code": nil}})
}
