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
// like harmless prose passes. README.md has the figures, rules/README.md the
// notation of rules.
//
//	engine, err := detect.New(detect.Config{})
//	…
//	score, findings := engine.Scan(text)
//	if score >= detect.BlockThreshold {
//		refuse(findings[0].Family)
//	}
package detect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
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
	// Quoted tells that at least a part of it stands in quotation marks. That
	// lowers its weight in a text about attacks.
	Quoted bool
	// Weight is the evidence in log-odds.
	Weight float64
}

// Engine scans texts. It is immutable and safe for concurrent use.
type Engine struct {
	rules []Rule // with their final weights; a rule that is left out has none
	prog  *program
	allow [][]byte
	byID  struct{ disguise, escaped, hiddenText, encoded, classifier int } // rules without patterns
	pool  sync.Pool                                                        // of *scratch
}

// New compiles the rules. It fails on a pattern that it can't read, an id that
// is there twice, a rule without patterns, and a name in Disabled or Weights that no rule has. Without
// Config.Rules it is cheap: the built-in rules are compiled once in a process.
func New(cfg Config) (*Engine, error) {
	lib, err := builtin()
	if err != nil {
		return nil, err
	}
	e := &Engine{rules: slices.Concat(lib.rules, cfg.Rules), prog: lib.prog}
	for _, r := range cfg.Rules {
		if len(r.Patterns) == 0 {
			return nil, fmt.Errorf("detect: rule %q has no Patterns", r.ID)
		}
	}
	if len(cfg.Rules) > 0 {
		more, err := lib.parse(cfg.Rules)
		if err != nil {
			return nil, err
		}
		e.prog = lib.compile(more)
	}
	if err := e.adapt(cfg); err != nil {
		return nil, err
	}
	for _, phrase := range cfg.Allow {
		folded := shadow.FoldString(phrase)
		if folded == "" {
			return nil, errors.New("detect: Allow holds an empty phrase")
		}
		e.allow = append(e.allow, []byte(folded))
	}
	e.byID.disguise = e.index("hidden.disguise")
	e.byID.escaped = e.index("hidden.escaped")
	e.byID.hiddenText = e.index("hidden.text")
	e.byID.encoded = e.index("encoded.instruction")
	e.byID.classifier = e.index("classifier.words")
	e.pool.New = func() any { return newScratch(e) }
	return e, nil
}

// adapt fills in defaults and applies Disabled and Weights.
func (e *Engine) adapt(cfg Config) error {
	known := map[string]bool{}
	for i := range e.rules {
		r := &e.rules[i]
		if r.ID == "" || r.Family == "" || known[r.ID] {
			return fmt.Errorf("detect: rule %q needs an ID of its own and a Family", r.ID)
		}
		if math.IsNaN(r.Weight) || math.IsInf(r.Weight, 0) {
			return fmt.Errorf("detect: Weight of rule %q is %v", r.ID, r.Weight)
		}
		known[r.ID] = true
		r.Severity = cmp.Or(r.Severity, Medium)
		r.Weight = cmp.Or(r.Weight, defaultWeight)
	}
	for i := range e.rules {
		known[e.rules[i].Family] = true
	}
	if err := cfg.check(known); err != nil {
		return err
	}
	for i := range e.rules {
		e.rules[i].Weight *= cfg.factor(&e.rules[i])
	}
	return nil
}

// check finds names that no rule and no family has, and factors that are none.
func (cfg *Config) check(known map[string]bool) error {
	for _, name := range cfg.Disabled {
		if !known[name] {
			return fmt.Errorf("detect: Disabled names %q, which is no rule and no family", name)
		}
	}
	for name, w := range cfg.Weights {
		if !known[name] {
			return fmt.Errorf("detect: Weights names %q, which is no rule and no family", name)
		}
		if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
			return fmt.Errorf("detect: Weights[%q] is %v, want 0 or more", name, w)
		}
	}
	return nil
}

// factor is what the weight of a rule is multiplied with.
func (cfg *Config) factor(r *Rule) float64 {
	if slices.Contains(cfg.Disabled, r.ID) || slices.Contains(cfg.Disabled, r.Family) {
		return 0
	}
	if w, ok := cfg.Weights[r.ID]; ok {
		return w
	}
	if w, ok := cfg.Weights[r.Family]; ok {
		return w
	}
	return 1
}

// Rules lists the rules that the engine works with, by family and id.
func (e *Engine) Rules() []Rule {
	rules := slices.DeleteFunc(slices.Clone(e.rules), func(r Rule) bool { return r.Weight == 0 })
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.ID, b.ID))
	})
	for i := range rules { // the library is shared by all engines
		r := &rules[i]
		r.Patterns, r.Examples, r.Counterexamples = slices.Clone(r.Patterns), slices.Clone(r.Examples), slices.Clone(r.Counterexamples)
	}
	return rules
}

// index returns the number of a rule.
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
