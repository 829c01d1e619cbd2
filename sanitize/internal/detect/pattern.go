package detect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// A pattern is a sequence of elements with a bounded number of words between
// them. See rules/README.md for the notation.
type pattern struct {
	elements []element
	guard    *guard
}

// element is filled by any one of its literals.
type element struct {
	literals []literal
	gap      int  // words that may stand between it and the element before
	bol      bool // only as the first word of a line
}

// guard keeps a pattern from matching when one of its literals stands at most
// within words before the match.
type guard struct {
	literals []literal
	within   int
}

type literal struct {
	text string // folded
	open bool   // a prefix (word*), or ends in punctuation
}

// maxGap bounds the words between two elements, so that what is reported as one
// finding was written as one sentence.
const maxGap = 32

// clauseEnd stands for the end of a sentence, a clause, a line or the text. No
// view has it: control characters are folded away.
const clauseEnd = "\x01"

// sets are the named word lists that patterns share.
type sets map[string][]literal

// parsePattern reads one line of pattern notation.
func parsePattern(s string, named sets) (pattern, error) {
	var p pattern
	gap, bol := 0, false
	var pending *guard
	for rest := strings.TrimSpace(s); rest != ""; rest = strings.TrimSpace(rest) {
		switch {
		case rest[0] == '!':
			n, after, err := parseGap(rest[1:])
			if err != nil || len(p.elements) > 0 {
				return p, fmt.Errorf("detect: pattern %q: !{n} stands first", s)
			}
			pending, rest = &guard{within: n}, after
			continue
		case rest[0] == '{':
			n, after, err := parseGap(rest)
			if err != nil {
				return p, fmt.Errorf("detect: pattern %q: %w", s, err)
			}
			gap, rest = n, after
			continue
		case rest[0] == '^':
			bol, rest = true, rest[1:]
			continue
		}
		lits, after, err := parseElement(rest, named)
		if err != nil {
			return p, fmt.Errorf("detect: pattern %q: %w", s, err)
		}
		rest = after
		if pending != nil {
			pending.literals = lits
			p.guard, pending = pending, nil
			continue
		}
		p.elements = append(p.elements, element{literals: lits, gap: gap, bol: bol})
		gap, bol = 0, false
	}
	if len(p.elements) == 0 {
		return p, fmt.Errorf("detect: pattern %q is empty", s)
	}
	if gap != 0 || bol {
		return p, fmt.Errorf("detect: pattern %q ends where a word is due", s)
	}
	return p, nil
}

// parseGap reads {n}.
func parseGap(s string) (int, string, error) {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, "{") || end < 0 {
		return 0, s, errors.New("want {n}")
	}
	n, err := strconv.Atoi(s[1:end])
	if err != nil || n < 0 || n > maxGap {
		return 0, s, fmt.Errorf("gap %s, want 0 to %d words", s[:end+1], maxGap)
	}
	return n, s[end+1:], nil
}

// parseElement reads @set, "phrase", (a|b|@c) or a word.
func parseElement(s string, named sets) ([]literal, string, error) {
	switch s[0] {
	case '(':
		return parseAlternatives(s[1:], named)
	case '"':
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil || len(quoted) < 3 {
			return nil, s, errors.New("unclosed or empty quote")
		}
		text, err := strconv.Unquote(quoted)
		return []literal{newPhrase(text)}, s[len(quoted):], err
	}
	end := strings.IndexAny(s, " \t|)")
	if end < 0 {
		end = len(s)
	}
	word, after := s[:end], s[end:]
	if name, ok := strings.CutPrefix(word, "@"); ok {
		lits, known := named[name]
		if !known {
			return nil, s, fmt.Errorf("unknown set @%s", name)
		}
		return lits, after, nil
	}
	if word == "" {
		return nil, s, errors.New("empty alternative")
	}
	return []literal{newLiteral(word)}, after, nil
}

func parseAlternatives(s string, named sets) ([]literal, string, error) {
	var lits []literal
	for {
		s = strings.TrimSpace(s)
		if s == "" {
			return nil, s, errors.New("unclosed (")
		}
		one, after, err := parseElement(s, named)
		if err != nil {
			return nil, s, err
		}
		lits = append(lits, one...)
		s = strings.TrimSpace(after)
		switch {
		case strings.HasPrefix(s, "|"):
			s = s[1:]
		case strings.HasPrefix(s, ")"):
			return lits, s[1:], nil
		}
	}
}

// parseSet reads the words and "quoted phrases" of a set; @other includes one.
func parseSet(s string, named sets) ([]literal, error) {
	var lits []literal
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		one, after, err := parseElement(s, named)
		if err != nil {
			return nil, err
		}
		lits, s = append(lits, one...), after
	}
	return lits, nil
}

// newLiteral reads a word: $ is the end of a clause.
func newLiteral(s string) literal {
	if s == "$" {
		return literal{text: clauseEnd, open: true}
	}
	return newPhrase(s)
}

// newPhrase folds words or marks as text is folded. A trailing * makes them a
// prefix.
func newPhrase(s string) literal {
	prefix, open := strings.CutSuffix(s, "*")
	if prefix == "" {
		prefix = s
	}
	text := shadow.FoldString(prefix)
	return literal{text: text, open: open || !endsInWord(text)}
}
