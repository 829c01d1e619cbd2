package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
)

// leftOut returns a scanner that takes the opinion of the classifier from a file.
func leftOut(engine *detect.Engine, path string, lines []line) (scanner, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	byID := map[string]float64{}
	in := bufio.NewScanner(f)
	for in.Scan() {
		var id string
		var logOdds float64
		if _, err := fmt.Sscan(in.Text(), &id, &logOdds); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(byID)+1, err)
		}
		byID[id] = logOdds
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	opinions := map[string]float64{}
	for _, l := range lines {
		logOdds, ok := byID[l.ID]
		if !ok {
			return nil, fmt.Errorf("%s: no line for %s", path, l.ID)
		}
		opinions[l.Text] = logOdds
	}
	return func(text string) (float64, []detect.Finding) {
		return engine.ScanWith(text, opinions[text])
	}, nil
}

// thread is how many mails make a long document.
const thread = 5

// embedded puts each attack of the family indirect in the middle of a harmless mail,
// and in the middle of a thread of them, and adds as many threads without.
func embedded(lines []line) []line {
	var mails, attacks, all []line
	for _, l := range lines {
		switch {
		case l.Family == "mail" && l.Label == "benign":
			mails = append(mails, l)
		case l.Family == "indirect" && l.Label != "benign":
			attacks = append(attacks, l)
		}
	}
	if len(mails) == 0 {
		return nil
	}
	for i, a := range attacks {
		var parts []string
		for k := range thread {
			parts = append(parts, mails[(i*31+k*17)%len(mails)].Text)
		}
		long := strings.Join(parts, "\n\n")
		all = append(all,
			line{a.ID + "-mail", within(parts[0], a.Text), a.Label, "indirect, in a mail", a.Tier, a.Source},
			line{a.ID + "-thread", within(long, a.Text), a.Label, "indirect, in a thread", a.Tier, a.Source},
			line{a.ID + "-clean", long, "benign", "thread of mails", "-", a.Source})
	}
	return all
}

// within puts a sentence behind the first sentence or line that ends in the second
// half of a text.
func within(text, sentence string) string {
	half := len(text) / 2
	at := strings.IndexAny(text[half:], ".!?\n")
	if at < 0 {
		return text + " " + sentence
	}
	at += half + 1
	return text[:at] + " " + sentence + " " + text[at:]
}
