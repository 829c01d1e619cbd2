// Package detect finds prompt injection in text: rules that recognise how
// attacks are worded, and a score that weighs them together.
//
// A text is read through its normalised shadow (package shadow), so that a rule
// is written once, in plain lower-case words, and finds the same words in upper
// case, in full-width letters, with look-alikes, zero-width characters, spaces
// between the letters, or inside base64. One automaton holds the words of all
// rules and reads the text once; the time is linear in its length whatever it
// says. What a linear classifier (package classify) thinks of the text is one
// more piece of evidence.
//
// It is detection, not prevention: a text that no rule knows and that looks
// like harmless prose passes.
package detect

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// Config adapts the built-in rules. The zero value uses them as they are.
type Config struct {
	// Rules are added to the built-in ones. They can use their word lists.
	Rules []Rule
	// Disabled are ids of rules, or names of families, to leave out.
	Disabled []string
	// Weights are factors for the weight of a rule or of all rules of a family;
	// a rule's own factor goes before its family's. 0 leaves it out, 1 changes
	// nothing.
	Weights map[string]float64
	// Allow are phrases that are harmless here. What is found within one of them
	// does not count. They are compared in the shadow: case, accents and width
	// don't matter.
	Allow []string
}

// Finding is one rule that a text matches.
type Finding struct {
	// Rule and Family name the rule.
	Rule, Family string
	// Severity is the rule's.
	Severity Severity
	// Start and End are the bytes of the text that matched. For what was decoded
	// first they span what it was decoded from.
	Start, End int
	// Via tells how the words were hidden, such as "base64" or "reversed".
	// Empty: they stand in the text.
	Via string
	// Quoted tells that it stands in quotation marks. That lowers its weight in a
	// text about attacks.
	Quoted bool
	// Weight is the evidence in log-odds.
	Weight float64
}

// Engine scans texts. It is immutable and safe for concurrent use.
type Engine struct {
	rules []Rule
	prog  *program
	allow [][]byte
	byID  struct{ disguise, hiddenText, encoded int } // rules without patterns, -1 if left out
	pool  sync.Pool                                   // of *scratch
}

// New compiles the rules. It fails on a pattern that it can't read, an id that
// is there twice, and a name in Disabled or Weights that no rule has.
func New(cfg Config) (*Engine, error) {
	builtin, err := loadRules(ruleFiles)
	if err != nil {
		return nil, err
	}
	e := &Engine{}
	if e.rules, err = selectRules(append(builtin.rules, cfg.Rules...), cfg); err != nil {
		return nil, err
	}
	c := compiler{words: map[literal][]int32{}}
	for i := range e.rules {
		for _, s := range e.rules[i].Patterns {
			p, err := parsePattern(s, builtin.sets)
			if err != nil {
				return nil, fmt.Errorf("rule %s: %w", e.rules[i].ID, err)
			}
			c.add(int32(i), p) //nolint:gosec // a few hundred rules
		}
	}
	e.prog = c.program()
	e.byID.disguise = e.index("hidden.disguise")
	e.byID.hiddenText = e.index("hidden.text")
	e.byID.encoded = e.index("encoded.instruction")
	for _, phrase := range cfg.Allow {
		folded := shadow.FoldString(phrase)
		if folded == "" {
			return nil, errors.New("detect: Allow holds an empty phrase")
		}
		e.allow = append(e.allow, []byte(folded))
	}
	e.pool.New = func() any { return newScratch(e) }
	return e, nil
}

// selectRules applies Disabled and Weights and fills in defaults.
func selectRules(all []Rule, cfg Config) ([]Rule, error) {
	known := map[string]bool{}
	for i := range all {
		r := &all[i]
		if r.ID == "" || r.Family == "" || known[r.ID] {
			return nil, fmt.Errorf("detect: rule %q needs an ID of its own and a Family", r.ID)
		}
		known[r.ID] = true
	}
	for i := range all {
		known[all[i].Family] = true
	}
	for _, name := range cfg.Disabled {
		if !known[name] {
			return nil, fmt.Errorf("detect: Disabled names %q, which is no rule and no family", name)
		}
	}
	for name, w := range cfg.Weights {
		if !known[name] {
			return nil, fmt.Errorf("detect: Weights names %q, which is no rule and no family", name)
		}
		if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("detect: Weights[%q] is %v, want 0 or more", name, w)
		}
	}
	var rules []Rule
	for _, r := range all {
		factor := 1.0
		if w, ok := cfg.Weights[r.Family]; ok {
			factor = w
		}
		if w, ok := cfg.Weights[r.ID]; ok {
			factor = w
		}
		if factor == 0 || slices.Contains(cfg.Disabled, r.ID) || slices.Contains(cfg.Disabled, r.Family) {
			continue
		}
		if r.Severity == 0 {
			r.Severity = Medium
		}
		if r.Weight == 0 {
			r.Weight = defaultWeight
		}
		r.Weight *= factor
		rules = append(rules, r)
	}
	return rules, nil
}

// Rules lists the rules that the engine works with, by family and id.
func (e *Engine) Rules() []Rule {
	rules := slices.Clone(e.rules)
	slices.SortFunc(rules, func(a, b Rule) int {
		if c := strings.Compare(a.Family, b.Family); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return rules
}

// index returns the number of a rule, -1 if it is left out.
func (e *Engine) index(id string) int {
	return slices.IndexFunc(e.rules, func(r Rule) bool { return r.ID == id })
}

// allowed reports whether view[start:end] lies within an allowed phrase.
func (e *Engine) allowed(view []byte, start, end int) bool {
	for _, phrase := range e.allow {
		// An occurrence that covers the match begins at most len(phrase) before its end.
		from := max(0, end-len(phrase))
		to := min(len(view), start+len(phrase))
		for from < to {
			at := bytes.Index(view[from:to], phrase)
			if at < 0 {
				break
			}
			if from+at <= start && end <= from+at+len(phrase) {
				return true
			}
			from += at + 1
		}
	}
	return false
}
