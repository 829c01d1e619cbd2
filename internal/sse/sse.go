// Package sse reads server-sent events as they pass, to learn how a stream ends.
//
// It follows the parsing rules of the HTML standard, section 9.2.6
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as
// the name and the beginning of the data of each event are concerned. It keeps
// no more than a few dozen bytes of a stream of any length.
package sse

import "bytes"

// keep is how many bytes of a line are looked at. What a stream ends with is
// said at the beginning of a line in every protocol known here.
const keep = 160

// Watcher follows one stream of events. Its zero value is ready to use. It is
// not safe for concurrent use.
type Watcher struct {
	line    [keep]byte
	n       int  // bytes of line in use; keep when the line is longer
	cr      bool // the last byte was a carriage return
	begun   bool // the first line has ended
	event   string
	seen    bool // the event has data
	expects bool

	Events   int  // events that had data
	Terminal bool // an event that ends the stream in good order was seen
	Failed   bool // an error event was seen
}

// Truncated reports whether the stream spoke a protocol that says when it is
// over, and has not said so.
func (w *Watcher) Truncated() bool { return w.expects && !w.Terminal && !w.Failed }

// Write follows p, the next bytes of the stream. It never fails.
func (w *Watcher) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if w.cr {
			w.cr = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			w.collect(p)
			break
		}
		w.collect(p[:end])
		w.endLine()
		w.cr = p[end] == '\r'
		p = p[end+1:]
	}
	return total, nil
}

func (w *Watcher) collect(p []byte) {
	w.n += copy(w.line[w.n:], p)
}

func (w *Watcher) endLine() {
	line := w.line[:w.n]
	w.n = 0
	if !w.begun {
		w.begun = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if len(line) == 0 {
		w.endEvent()
		return
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "event":
		w.event = name(value)
	case "data":
		w.data(value)
	}
}

// data looks at one data line. The names are those of the Anthropic Messages,
// OpenAI Chat Completions and OpenAI Responses streams.
func (w *Watcher) data(value []byte) {
	first := !w.seen
	w.seen = true
	switch {
	case !first:
	case bytes.Equal(value, []byte("[DONE]")):
		w.Terminal = true
	case isError(value):
		w.Failed = true
	case bytes.Contains(value, []byte(`"chat.completion.chunk"`)):
		w.expects = true
	case w.event == "":
		w.event = typeOf(value)
	}
}

// isError reports whether data begins with a member "error" that says something.
func isError(value []byte) bool {
	rest, ok := bytes.CutPrefix(value, []byte(`{"error":`))
	return ok && !bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("null"))
}

func (w *Watcher) endEvent() {
	if !w.seen {
		w.event = ""
		return
	}
	switch w.event {
	case "error", "response.failed":
		w.Failed = true
	case "message_stop", "response.completed", "response.incomplete", "done":
		w.Terminal = true
	case "message_start", "response.created", "delta":
		w.expects = true
	}
	w.Events++
	w.event, w.seen = "", false
}

// names holds the event names that mean something here, so that following a
// stream does not allocate.
var names = [...]string{
	"error", "response.failed", "message_stop", "response.completed",
	"response.incomplete", "done", "message_start", "response.created", "delta",
}

func name(value []byte) string {
	for _, n := range names {
		if n == string(value) {
			return n
		}
	}
	return "other"
}

// typeOf returns the event name that an OpenAI Responses or Anthropic event
// repeats as its "type", which counts where the event line is missing.
func typeOf(value []byte) string {
	for _, prefix := range [...]string{`{"type":"`, `{"type": "`} {
		if rest, ok := bytes.CutPrefix(value, []byte(prefix)); ok {
			kind, _, _ := bytes.Cut(rest, []byte(`"`))
			return name(kind)
		}
	}
	return ""
}
