package detect

import (
	"math"
	"slices"

	"github.com/sparkhttp/spark/sanitize/internal/classify"
	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// Thresholds for the score. At BlockThreshold the figures in README.md hold; from
// WarnThreshold on, a second look is worth its price.
const (
	WarnThreshold  = 0.35
	BlockThreshold = 0.75
)

const (
	defaultWeight = 2.0
	// The evidence e becomes the score 1/(1+exp(-slope*(e-midpoint))). Both were
	// fitted on texts whose sources, or whose lines, the classifier had not seen.
	slope    = 1.35
	midpoint = 2.45
	// minHidden is how many bytes make a hidden text.
	minHidden = 4
	// quotedFactor is what a quotation is worth in a text about attacks.
	quotedFactor = 0.15
	// mentionedFactor is what any other match loses there, for each of up to two
	// signs that the text is about attacks.
	mentionedFactor = 0.25
	// classifierInContext is what the opinion of the classifier is worth there: it
	// tells words of attacks, not who means them.
	classifierInContext = 0.4
	// The log-odds of the classifier are cut off at both ends: it must not outvote
	// a clear rule. Its opinion is reported from reportClassifier on.
	minClassifier    = -3
	maxClassifier    = 6
	reportClassifier = 1
)

// scratch is what one scan needs.
type scratch struct {
	text    shadow.Text
	m       *matcher
	found   []Finding
	byRule  []bool
	opinion float64 // of the classifier, in weighted log-odds
	weights []familyWeight
}

type familyWeight struct {
	family string
	weight float64
}

func newScratch(e *Engine) *scratch {
	s := &scratch{m: newMatcher(e.prog, len(e.rules)), byRule: make([]bool, len(e.rules))}
	if len(e.allow) > 0 {
		s.m.allowed = e.allowed
	}
	return s
}

// Scan returns how likely it is, from 0 to 1, that text tries to inject
// instructions, and why: one finding for each rule, the weightiest first. It
// allocates only when there is a finding. text need not be valid UTF-8.
func (e *Engine) Scan(text string) (float64, []Finding) { return e.scan(text, math.NaN()) }

// ScanWith is Scan with logOdds for the opinion of the classifier. It is for
// measuring with classifiers that have not seen the text.
func (e *Engine) ScanWith(text string, logOdds float64) (float64, []Finding) {
	return e.scan(text, logOdds)
}

func (e *Engine) scan(text string, logOdds float64) (float64, []Finding) {
	s := e.pool.Get().(*scratch) //nolint:errcheck,forcetypeassert // the pool holds nothing else
	defer e.pool.Put(s)
	s.found = s.found[:0]
	clear(s.byRule)
	s.text.Fold(text)
	for i := range s.text.Len() {
		e.scanView(s, i)
	}
	e.observe(s)
	if math.IsNaN(logOdds) {
		logOdds = logit(&s.text)
	}
	e.classify(s, logOdds)
	score := e.score(s)
	s.found = slices.DeleteFunc(s.found, func(f Finding) bool { return f.Weight <= 0 })
	if len(s.found) == 0 {
		return score, nil
	}
	slices.SortStableFunc(s.found, func(a, b Finding) int {
		switch {
		case a.Weight > b.Weight:
			return -1
		case a.Weight < b.Weight:
			return 1
		}
		return a.Start - b.Start
	})
	return score, slices.Clone(s.found)
}

// scanView adds what the rules find in one view. A rule that was found in an
// earlier view is not reported again.
func (e *Engine) scanView(s *scratch, i int) {
	v := s.text.View(i)
	s.m.scan(v.Bytes)
	for _, h := range s.m.hits {
		if s.byRule[h.rule] || e.rules[h.rule].Weight == 0 {
			continue
		}
		s.byRule[h.rule] = true
		r := &e.rules[h.rule]
		f := Finding{Rule: r.ID, Family: r.Family, Severity: r.Severity, Weight: r.Weight, Quoted: h.quoted}
		f.Start, f.End = s.text.Span(i, int(h.start), int(h.end))
		if i > 0 {
			f.Via = v.Kind.String()
		}
		s.found = append(s.found, f)
	}
}

// observe adds what is no pattern of words: how the words were written.
func (e *Engine) observe(s *scratch) {
	sig := s.text.Signals()
	if sig.Disguised > 0 {
		e.add(s, e.byID.disguise, 0)
	}
	if sig.Escaped > 0 {
		e.add(s, e.byID.escaped, 0)
	}
	for i := 1; i < s.text.Len(); i++ {
		switch v := s.text.View(i); v.Kind {
		case shadow.Tags, shadow.Selectors, shadow.ZeroWidth:
			if len(v.Bytes) >= minHidden {
				e.add(s, e.byID.hiddenText, i)
			}
		}
	}
	for i := range s.found {
		if s.found[i].Via != "" {
			e.add(s, e.byID.encoded, 0)
			break
		}
	}
}

// logit asks the classifier about every view and returns its worst opinion. Of a
// text that is mostly an encoding it sees what that encodes and not the encoding,
// which would tell it nothing.
func logit(text *shadow.Text) float64 {
	worst := math.Inf(-1)
	hidden := 0
	for i := 1; i < text.Len(); i++ {
		v := text.View(i)
		if v.Depth == 1 {
			hidden = max(hidden, v.End-v.Start)
		}
		worst = max(worst, classify.Logit(v.Bytes))
	}
	if main := text.View(0); 2*hidden < main.End-main.Start || text.Len() == 1 {
		worst = max(worst, classify.Logit(main.Bytes))
	}
	return worst
}

// classify takes note of the opinion of the classifier.
func (e *Engine) classify(s *scratch, logOdds float64) {
	r := &e.rules[e.byID.classifier]
	s.opinion = r.Weight * min(max(logOdds, minClassifier), maxClassifier)
	if s.opinion >= reportClassifier {
		e.add(s, e.byID.classifier, 0)
		s.found[len(s.found)-1].Weight = s.opinion
	}
}

// add reports a rule that has no patterns, for the whole of a view.
func (e *Engine) add(s *scratch, rule, view int) {
	if s.byRule[rule] || e.rules[rule].Weight == 0 {
		return
	}
	s.byRule[rule] = true
	r, v := &e.rules[rule], s.text.View(view)
	s.found = append(s.found, Finding{Rule: r.ID, Family: r.Family, Severity: r.Severity, Weight: r.Weight, Start: v.Start, End: v.End})
}

// score adds up the evidence. Rules of one family mostly see the same thing
// twice, so each further one of a family counts half of the one before.
func (e *Engine) score(s *scratch) float64 {
	evidence := 0.0
	if s.opinion < reportClassifier { // else it is among the findings
		evidence = s.opinion
	}
	s.weights = s.weights[:0]
	context := 0 // rules that say the text is about attacks
	for i := range s.found {
		if s.found[i].Weight < 0 {
			context++
		}
	}
	for i := range s.found {
		f := &s.found[i]
		if context > 0 && f.Rule == e.rules[e.byID.classifier].ID {
			f.Weight *= classifierInContext
		} else if context > 0 && f.Weight > 0 && (f.Quoted || f.Via == shadow.Fragments.String()) {
			f.Weight *= quotedFactor
		} else if context > 0 && f.Weight > 0 && f.Via == "" {
			f.Weight *= 1 - float64(min(context, 2))*mentionedFactor
		}
		s.weights = append(s.weights, familyWeight{f.Family, f.Weight})
	}
	slices.SortFunc(s.weights, func(a, b familyWeight) int {
		switch {
		case a.family < b.family:
			return -1
		case a.family > b.family:
			return 1
		case a.weight > b.weight:
			return -1
		}
		return 1
	})
	factor := 1.0
	for i, w := range s.weights {
		if i > 0 && w.family == s.weights[i-1].family {
			factor /= 2
		} else {
			factor = 1
		}
		evidence += factor * w.weight
	}
	return 1 / (1 + math.Exp(-slope*(evidence-midpoint)))
}
