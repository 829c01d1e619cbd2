// Command eval measures the detector on a labelled corpus: recall for each family
// of attacks, false alarms for each family of harmless texts, and what disguises
// leave of both.
//
//	go run ./sanitize/internal/eval corpus.jsonl
//	go run ./sanitize/internal/eval -disguise corpus.jsonl
//	go run ./sanitize/internal/eval -logits left-out.tsv corpus.jsonl
//	go run ./sanitize/internal/eval -embed sanitize/internal/detect/testdata/unseen.jsonl
//
// With -logits the classifier's opinion is read from a file that its training wrote:
// what a classifier said of each text that had not seen its source. With -embed
// attacks of the family indirect are also put in the middle of harmless mails.
//
// A line of the corpus is an object with "id", "text", "label" (injection or
// benign), "family", "tier" and "source".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
)

// line is one text of the corpus.
type line struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Label  string `json:"label"`
	Family string `json:"family"`
	Tier   string `json:"tier"`
	Source string `json:"source"`
}

func main() {
	log.SetFlags(0)
	threshold := flag.Float64("threshold", detect.BlockThreshold, "score from which a text counts as found")
	disguises := flag.Bool("disguise", false, "measure every disguise instead")
	disabled := flag.String("disabled", "", "rules or families to leave out, by commas, such as classifier")
	show := flag.String("show", "", "list what is wrong in families with this in their name")
	source := flag.String("source", "", "only sources that contain one of these, by commas; with a leading ! all others")
	logits := flag.String("logits", "", "take the classifier's log-odds from this file: lines of an id, a tab, a number")
	embed := flag.Bool("embed", false, "add mails with attacks in the middle, and mails without")
	predictions := flag.String("predictions", "", "write a line for each text to this file")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: eval [flags] corpus.jsonl")
	}
	lines, err := read(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	var cfg detect.Config
	if *disabled != "" {
		cfg.Disabled = strings.Split(*disabled, ",")
	}
	engine, err := detect.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	lines = fromSources(lines, *source)
	if *embed {
		lines = append(lines, embedded(lines)...)
	}
	scan := engine.Scan
	if *logits != "" {
		if scan, err = leftOut(engine, *logits, lines); err != nil {
			log.Fatal(err)
		}
	}
	if *disguises {
		reportDisguises(os.Stdout, engine, lines, *threshold)
		return
	}
	out := io.Discard
	if *predictions != "" {
		f, err := os.Create(*predictions)
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		out = f
	}
	report(os.Stdout, out, scan, lines, *threshold, *show)
}

func read(path string) ([]line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []line
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, in.Err()
}

// fromSources keeps the lines whose source contains one of the names.
func fromSources(lines []line, names string) []line {
	if names == "" {
		return lines
	}
	names, others := strings.CutPrefix(names, "!")
	var kept []line
	for _, l := range lines {
		match := false
		for n := range strings.SplitSeq(names, ",") {
			match = match || strings.Contains(l.Source, n)
		}
		if match != others {
			kept = append(kept, l)
		}
	}
	return kept
}

// prediction is one line for another scorer.
type prediction struct {
	ID      string   `json:"id"`
	Flagged bool     `json:"flagged"`
	Score   float64  `json:"score"`
	Rules   []string `json:"rules"`
	Micros  float64  `json:"us"`
}

// A scanner judges a text.
type scanner func(text string) (float64, []detect.Finding)

// report scans every line, writes what it finds to out, and sums up to w.
func report(w, out io.Writer, scan scanner, lines []line, threshold float64, show string) {
	var families tally
	rules := ruleCounts{}
	for _, l := range lines {
		began := time.Now()
		score, findings := scan(l.Text)
		p := prediction{ID: l.ID, Flagged: score >= threshold, Score: score, Micros: float64(time.Since(began).Nanoseconds()) / 1e3}
		for _, f := range findings {
			rules.add(f.Rule, l.Label == "benign")
			name := f.Rule
			if f.Via != "" {
				name += "/" + f.Via
			}
			p.Rules = append(p.Rules, name)
		}
		families.add(l, p.Flagged)
		_ = json.NewEncoder(out).Encode(p)
		if show != "" && strings.Contains(l.Family, show) && p.Flagged == (l.Label == "benign") {
			explain(w, l, p, findings)
		}
	}
	families.print(w)
	rules.print(w)
}

// explain prints a text that was judged wrong, and why.
func explain(w io.Writer, l line, p prediction, findings []detect.Finding) {
	fmt.Fprintf(w, "%s %s %.2f %v %q\n", l.ID, l.Family, p.Score, p.Rules, cut(l.Text))
	if l.Label != "benign" {
		return
	}
	for _, f := range findings {
		fmt.Fprintf(w, "      %s %q\n", f.Rule, cut(l.Text[f.Start:f.End]))
	}
}

func cut(s string) string {
	if len(s) > 300 {
		return s[:300]
	}
	return s
}
