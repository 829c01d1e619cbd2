// Command train makes the weights of package classify.
//
//	go run ./train -corpus corpus.jsonl -supplement train/supplement.jsonl -out model.bin
//
// The corpus has a JSON object a line: {"id","text","label","family","tier","source"}; label is injection or benign, tier is A
// for attacks that show in the text itself, B for those that don't (they are left out of training). It is folded by package
// shadow, as every text is later.
//
// The supplement has texts of our own in the same form; they weigh more than those of the corpus, are in every training but that
// of the eighth they belong to, and are not among the figures of the corpus.
//
// First each group of sources is left out once and judged by a model trained on the others: the figures that it prints, and
// the calibration, come from there. Then a model is trained on everything and written. The same corpus gives the same file.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
)

func main() {
	o := defaults
	corpus := flag.String("corpus", "", "corpus, JSON lines")
	supplement := flag.String("supplement", "", "texts of our own, JSON lines of the same form")
	test := flag.String("test", "", "texts to judge by the model that is trained on everything, JSON lines of the same form")
	out := flag.String("out", "", "file for the weights; empty: figures only")
	logits := flag.String("logits", "", "file for the log-odds that each text got when its group was left out")
	flag.IntVar(&o.epochs, "epochs", o.epochs, "passes over the corpus")
	flag.Float64Var(&o.rate, "rate", o.rate, "learning rate")
	flag.Float64Var(&o.l2, "l2", o.l2, "pull of weights towards zero")
	flag.Float64Var(&o.offset, "offset", o.offset, "words added to the length of a window")
	flag.IntVar(&o.minDocs, "mindocs", o.minDocs, "texts that a feature must be in")
	flag.Float64Var(&o.share, "share", o.share, "how much less a text of a large source weighs: 1 makes sources equal, 0 texts")
	flag.Float64Var(&o.margin, "margin", o.margin, "by how much a short window has to look worse than a long one")
	flag.Float64Var(&o.length, "length", o.length, "by how much the windows of a text e times as long have to look worse")
	flag.Float64Var(&o.ours, "ours", o.ours, "how much more a text of the supplement weighs")
	random := flag.Bool("random", false, "leave out random texts instead of sources: what the figures would look like if sources leaked")
	verbose := flag.Bool("v", false, "print families and false alarms")
	flag.Parse()
	texts, err := read(*corpus, *supplement)
	if err != nil {
		log.Fatal(err)
	}
	if *random {
		for i := range texts {
			texts[i].group = i * 7919 % 8
		}
	}
	leaveOut(texts, o)
	a, b := calibrate(texts)
	theirs, ours := split(texts)
	report(os.Stdout, theirs, *verbose)
	if len(ours) > 0 {
		fmt.Println("the supplement, eighths left out:")
		report(os.Stdout, ours, *verbose)
	}
	fmt.Printf("calibration: log-odds = %.3f·z %+.3f\n", a, b)
	m := fit(texts, -1, o)
	if *test != "" {
		unseen, err := read(*test, "")
		must(err)
		for _, t := range unseen {
			t.z = m.score(t)
		}
		fmt.Println("texts for testing:")
		report(os.Stdout, unseen, *verbose)
		texts = append(texts, unseen...)
	}
	if *logits != "" {
		must(writeFile(*logits, func(w io.Writer) error { return writeLogits(w, texts, a, b) }))
	}
	if *out != "" {
		must(writeFile(*out, func(w io.Writer) error { return m.write(w, a, b) }))
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// leaveOut judges each text by a model that was trained without the group of its source.
func leaveOut(texts []*text, o options) {
	groups := 0
	for _, t := range texts {
		groups = max(groups, t.group+1)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2)
	for g := range groups {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			m := fit(texts, g, o)
			for _, t := range texts {
				if t.group == g {
					t.z = m.score(t)
				}
			}
		})
	}
	wg.Wait()
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func writeLogits(w io.Writer, texts []*text, a, b float64) error {
	for _, t := range texts {
		if _, err := fmt.Fprintf(w, "%s\t%.4f\n", t.ID, a*t.z+b); err != nil {
			return err
		}
	}
	return nil
}
