package sanitize

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/sparkhttp/spark/problem"
)

// Limits bounds one text, as it is after its JSON escapes are decoded and before
// anything is cleaned from it. The zero value is the default of each limit; a
// negative one means none.
type Limits struct {
	// Runes is the most characters (Unicode code points, not bytes). Default 10,000.
	Runes int
	// Bytes is the most bytes of UTF-8. Default none: it follows from Runes.
	Bytes int
	// LineRunes is the most characters between two line breaks. Default none.
	LineRunes int
}

// DefaultRunes is the limit of characters where none is set.
const DefaultRunes = 10_000

// Limit names what a [LimitError] is about.
type Limit string

// The limits of texts and of request bodies.
const (
	LimitRunes  Limit = "runes"  // characters of a text
	LimitBytes  Limit = "bytes"  // bytes of a text
	LimitLine   Limit = "line"   // characters of a line
	LimitBody   Limit = "body"   // bytes of a request body, after decompression
	LimitDepth  Limit = "depth"  // nested arrays and objects of JSON
	LimitValues Limit = "values" // values in all of a JSON document
	LimitTotal  Limit = "total"  // characters of all strings in a JSON document
)

// LimitError is returned for what is over a limit. Its problem document has the
// status 413 if that is the size of the body (RFC 9110, section 15.5.14), else
// 422, with the limit and its value as members "limit" and "max".
type LimitError struct {
	// Limit is the limit that was exceeded.
	Limit Limit
	// Max is its value.
	Max int
	// Pointer is where in the JSON body, if that is known (see [Passage]).
	Pointer string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("sanitize: over the limit of %s, %d", e.Limit, e.Max)
}

// Problem implements [problem.Shower].
func (e *LimitError) Problem() *problem.Document {
	d := &problem.Document{
		Status:  http.StatusUnprocessableEntity,
		Detail:  fmt.Sprintf(limitSentence[e.Limit], e.Max),
		Members: map[string]any{"limit": string(e.Limit), "max": e.Max},
	}
	if e.Limit == LimitBody {
		d.Status = http.StatusRequestEntityTooLarge
	}
	if e.Pointer != "" {
		d.Members["pointer"] = e.Pointer
	}
	return d
}

var limitSentence = map[Limit]string{
	LimitRunes:  "The text is longer than %d characters.",
	LimitBytes:  "The text is longer than %d bytes.",
	LimitLine:   "A line of the text is longer than %d characters.",
	LimitBody:   "The request body is larger than %d bytes.",
	LimitDepth:  "The JSON is nested deeper than %d levels.",
	LimitValues: "The JSON has more than %d values.",
	LimitTotal:  "The texts in the JSON are longer than %d characters together.",
}

func (l Limits) withDefaults() Limits {
	if l.Runes == 0 {
		l.Runes = DefaultRunes
	}
	return l
}

// check returns the limit that text is over, or nil.
func (l Limits) check(text string) error {
	switch {
	case l.Bytes > 0 && len(text) > l.Bytes:
		return &LimitError{Limit: LimitBytes, Max: l.Bytes}
	case l.Runes > 0 && longer(text, l.Runes):
		return &LimitError{Limit: LimitRunes, Max: l.Runes}
	case l.LineRunes > 0 && longLine(text, l.LineRunes):
		return &LimitError{Limit: LimitLine, Max: l.LineRunes}
	}
	return nil
}

// longer reports whether text has more than limit characters. It counts only
// where the number of bytes leaves it open.
func longer(text string, limit int) bool {
	if len(text) <= limit {
		return false
	}
	return len(text) > utf8.UTFMax*limit || utf8.RuneCountInString(text) > limit
}

func longLine(text string, limit int) bool {
	for len(text) > limit {
		line := text
		if end := strings.IndexAny(text, "\r\n"); end >= 0 {
			line = text[:end]
		}
		if longer(line, limit) {
			return true
		}
		text = text[min(len(line)+1, len(text)):]
	}
	return false
}
