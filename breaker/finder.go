package breaker

import (
	"bytes"
	"strings"
)

// finder looks for a word in what passes, across the borders of pieces. A quote
// within a JSON string is escaped, so that a word in quotes is found only where
// it is a key.
type finder struct {
	word string
	// quoted makes it look for the word followed by the beginning of a JSON
	// string, so that "finish_reason":null is not it.
	quoted bool
	at     int // how much of the word the last pieces ended with
	found  bool
}

// follow reports whether p, the next piece, completes the word.
func (f *finder) follow(p []byte) bool {
	hit := false
	for len(p) > 0 {
		switch {
		case f.at == len(f.word): // it wants a string now
			rest := bytes.TrimLeft(p, " ")
			if len(rest) == 0 {
				return hit
			}
			hit = hit || rest[0] == '"'
			f.at, p = 0, rest
		case f.at > 0:
			n := min(len(f.word)-f.at, len(p))
			if string(p[:n]) != f.word[f.at:f.at+n] {
				f.at = 0 // the words looked for don't begin again within themselves
				continue
			}
			f.at, p = f.at+n, p[n:]
		default:
			i := bytes.Index(p, []byte(f.word))
			if i < 0 {
				f.at, p = f.tail(p), nil
				continue
			}
			f.at, p = len(f.word), p[i+len(f.word):]
		}
		if f.at == len(f.word) && !f.quoted {
			hit, f.at = true, 0
		}
	}
	f.found = f.found || hit
	return hit
}

// jsonEnd finds the end of a JSON object or array in what passes. Who decodes one
// stops there, and does not read on to see that nothing follows.
type jsonEnd struct {
	depth         int
	text, escaped bool // within a string; after its backslash
	over          bool
}

func (j *jsonEnd) follow(p []byte) {
	for _, c := range p {
		switch {
		case j.escaped:
			j.escaped = false
		case j.text:
			j.text, j.escaped = c != '"', c == '\\'
		case c == '"':
			j.text = true
		case c == '{', c == '[':
			j.depth++
			j.over = false
		case c == '}', c == ']':
			j.depth--
			j.over = j.depth == 0
		}
	}
}

// tail returns how many bytes at the end of p are the beginning of the word.
func (f *finder) tail(p []byte) int {
	for n := min(len(f.word)-1, len(p)); n > 0; n-- {
		if strings.HasPrefix(f.word, string(p[len(p)-n:])) {
			return n
		}
	}
	return 0
}
