package detect

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed rules/*.txt
var ruleFiles embed.FS

// Severity tells how bad it would be if the model obeyed.
type Severity uint8

// Severities, from a sign that means little alone to what no harmless text holds.
const (
	Low Severity = iota + 1
	Medium
	High
	Critical
)

var severityNames = [...]string{"", "low", "medium", "high", "critical"}

// String returns the name in lower case.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return "severity(" + strconv.Itoa(int(s)) + ")"
}

// MarshalText writes the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func parseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if i > 0 && n == name {
			return Severity(i), nil //nolint:gosec // 1 to 4
		}
	}
	return 0, fmt.Errorf("detect: severity is %q, want low, medium, high or critical", name)
}

// Rule is one kind of attack that is recognised by its words.
type Rule struct {
	// ID is stable from release to release, such as "override.ignore-previous".
	ID string
	// Family groups rules, such as "instruction-override". Required.
	Family string
	// Severity is what a finding of the rule reports. Zero means Medium.
	Severity Severity
	// Weight is the evidence that a match is; the evidence of several rules adds
	// up, those of one family with diminishing returns. Whatever the classifier
	// thinks of the text, 3.5 alone warns and 5 alone blocks, by the default
	// thresholds. Zero means 2. A rule with a negative weight says that the text
	// speaks of attacks: it is not reported, and all other evidence in the text
	// counts less, most of all what stands in quotation marks.
	Weight float64
	// Description says in one sentence what the rule finds.
	Description string
	// Patterns are alternatives, in the notation of rules/README.md. Required
	// for the rules of a caller.
	Patterns []string
	// Examples are texts that the rule must find, Counterexamples texts that it
	// must not. New checks neither; a test does for the built-in rules.
	Examples, Counterexamples []string
}

// ruleSet is what a directory of rule files holds.
type ruleSet struct {
	sets  sets
	typos []literal
	rules []Rule
}

// loadRules reads every rule file in the order of their names; words.txt comes
// first because the others use its sets.
func loadRules(files fs.FS) (*ruleSet, error) {
	rs := &ruleSet{sets: sets{}}
	names, err := fs.Glob(files, "rules/*.txt")
	if err != nil {
		return nil, err
	}
	ordered := []string{"rules/words.txt"}
	for _, n := range names {
		if n != ordered[0] {
			ordered = append(ordered, n)
		}
	}
	for _, n := range ordered {
		if err := rs.load(files, n); err != nil {
			return nil, err
		}
	}
	return rs, nil
}

func (rs *ruleSet) load(files fs.FS, name string) error {
	f, err := files.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if err := rs.line(key, strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return lines.Err()
}

// line reads one line of a rule file. Every line after "rule" belongs to it.
func (rs *ruleSet) line(key, value string) error {
	switch key {
	case "set":
		return rs.set(value)
	case "typos":
		lits, err := parseSet(value, rs.sets)
		rs.typos = append(rs.typos, lits...)
		return err
	case "rule":
		rs.rules = append(rs.rules, Rule{ID: value})
		return nil
	}
	if len(rs.rules) == 0 {
		return fmt.Errorf("%q before the first rule", key)
	}
	r := &rs.rules[len(rs.rules)-1]
	var err error
	switch key {
	case "family":
		r.Family = value
	case "severity":
		r.Severity, err = parseSeverity(value)
	case "weight":
		r.Weight, err = strconv.ParseFloat(value, 64)
	case "about":
		r.Description = value
	case "match":
		r.Patterns = append(r.Patterns, value)
	case "yes", "no":
		value = unescape(value)
		if key == "yes" {
			r.Examples = append(r.Examples, value)
		} else {
			r.Counterexamples = append(r.Counterexamples, value)
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return err
}

// set reads "@name = words"; a set that is defined again grows.
func (rs *ruleSet) set(value string) error {
	name, body, ok := strings.Cut(value, "=")
	name, at := strings.CutPrefix(strings.TrimSpace(name), "@")
	if !ok || !at || name == "" {
		return errors.New("want set @name = words")
	}
	lits, err := parseSet(body, rs.sets)
	if err != nil {
		return err
	}
	rs.sets[name] = append(rs.sets[name], lits...)
	return nil
}

// unescape reads an example: \n stands for the end of a line, and a line that is
// a Go string in quotes may hold every escape.
func unescape(s string) string {
	if u, err := strconv.Unquote(s); err == nil && s[0] == '"' {
		return u
	}
	return strings.ReplaceAll(s, `\n`, "\n")
}
