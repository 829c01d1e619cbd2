package cache

import (
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
	rules := headerRules{stored: []string{"Content-Type"}}
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
