package cache

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// headerRules are the header names that matter to Handler, in canonical form.
type headerRules struct {
	key    []string // of requests, on which answers depend
	stored []string // of responses
}

func newHeaderRules(key, stored []string) (headerRules, error) {
	if key == nil {
		key = []string{
			"Accept", "Content-Type", "Anthropic-Version", "Anthropic-Beta",
			"OpenAI-Beta", "OpenAI-Organization", "OpenAI-Project",
		}
	}
	if stored == nil {
		stored = []string{"Content-Language", "Content-Disposition"}
	}
	rules := headerRules{stored: []string{"Content-Type", "Location", "Retry-After", "Retry-After-Ms", "X-Should-Retry"}}
	for _, name := range key {
		rules.key = append(rules.key, http.CanonicalHeaderKey(name))
	}
	for _, name := range stored {
		name = http.CanonicalHeaderKey(name)
		if name == "Set-Cookie" {
			return rules, fmt.Errorf("cache: Headers has %s, which is never stored", name)
		}
		if !slices.Contains(rules.stored, name) {
			rules.stored = append(rules.stored, name)
		}
	}
	return rules, nil
}

// covers reports whether everything that a Vary header names is part of the key.
func (h *headerRules) covers(vary []string) bool {
	for _, line := range vary {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name != "" && !slices.Contains(h.key, name) {
				return false
			}
		}
	}
	return true
}

// head is what stands before the body of a response: what is kept of it for
// readers other than the first.
type head struct {
	meta    string // what it was read from
	status  int
	pattern string // the route that a mux behind the cache matched
	fields  []string
	events  bool // the body is a stream of server-sent events
}

// encode returns the head as meta of an answer: each part with its length.
func (h *headerRules) encode(status int, pattern string, header http.Header) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 128), uint64(status)) // #nosec G115 -- three digits
	part := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	part(pattern)
	for _, name := range h.stored {
		for _, value := range header[name] {
			part(name)
			part(value)
		}
	}
	return b
}

// head returns what meta says, or nil. Most answers have the same, so the last
// one is kept.
func (c *Cache) head(meta []byte) *head {
	if last := c.lastHead.Load(); last != nil && last.meta == string(meta) {
		return last
	}
	h, ok := decodeHead(meta)
	if !ok {
		return nil
	}
	c.lastHead.Store(h)
	return h
}

// decodeHead reads meta. Its strings share one allocation.
func decodeHead(meta []byte) (*head, bool) {
	status, width := binary.Uvarint(meta)
	if width <= 0 || status < 200 || status > 999 {
		return nil, false
	}
	h := &head{meta: string(meta), status: int(status)}
	text, at := h.meta, width
	next := func() (string, bool) {
		chunk, _, ok := cutChunk(meta[at:])
		if !ok {
			return "", false
		}
		start := at + chunkSize(chunk) - len(chunk)
		at = start + len(chunk)
		return text[start:at], true
	}
	var ok bool
	if h.pattern, ok = next(); !ok {
		return nil, false
	}
	h.fields = make([]string, 0, 4)
	for at < len(meta) {
		field, ok := next()
		if !ok {
			return nil, false
		}
		h.fields = append(h.fields, field)
	}
	for i := 0; i+1 < len(h.fields); i += 2 {
		h.events = h.events || h.fields[i] == "Content-Type" && isEvents(h.fields[i+1])
	}
	return h, len(h.fields)%2 == 0
}

// apply sets the fields on a response. Others are given the same slices, so it is
// for nobody to change their elements; who changes a header sets it anew.
func (h *head) apply(to http.Header) {
	for i := 0; i+1 < len(h.fields); i += 2 {
		name, value := h.fields[i], h.fields[i+1:i+2:i+2]
		if i >= 2 && h.fields[i-2] == name {
			to[name] = append(to[name], value...)
			continue
		}
		to[name] = value // no allocation: a slice of the fields
	}
}
