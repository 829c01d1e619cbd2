package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// calibrate fits a and b so that a·z+b are the log-odds of the left-out texts (Platt's method, by Newton steps). Attacks that
// don't show are left out, and both sides weigh the same.
func calibrate(texts []*text) (a, b float64) {
	sides := map[bool]float64{}
	for _, t := range texts {
		if t.Tier != "B" {
			sides[t.attack]++
		}
	}
	a = 1
	for range 50 {
		var ga, gb, haa, hab, hbb float64
		for _, t := range texts {
			if t.Tier == "B" {
				continue
			}
			w := 1 / sides[t.attack]
			p := 1 / (1 + math.Exp(-(a*t.z + b)))
			d := p
			if t.attack {
				d--
			}
			ga += w * d * t.z
			gb += w * d
			h := w * max(p*(1-p), 1e-9)
			haa += h * t.z * t.z
			hab += h * t.z
			hbb += h
		}
		det := haa*hbb - hab*hab
		a -= (ga*hbb - gb*hab) / det
		b -= (gb*haa - ga*hab) / det
	}
	return a, b
}

// report prints the recall of attacks that show, by how many harmless texts may be accused.
func report(w io.Writer, texts []*text, verbose bool) {
	var harmless []float64
	for _, t := range texts {
		if !t.attack {
			harmless = append(harmless, t.z)
		}
	}
	slices.Sort(harmless)
	for _, rate := range []float64{0.001, 0.003, 0.005, 0.01, 0.03, 0.05} {
		least := harmless[len(harmless)-1-int(rate*float64(len(harmless)))]
		hit, all := recall(texts, least)
		mean, n := 0.0, 0.0
		for family, size := range all {
			if family != "" && size >= 10 {
				mean += hit[family] / size
				n++
			}
		}
		_, _ = fmt.Fprintf(w, "%4.1f%% of harmless texts accused: %5.1f%% of attacks found, %5.1f%% in the mean of %.0f families\n",
			100*rate, 100*hit[""]/all[""], 100*mean/n, n)
		if verbose && rate == 0.005 {
			details(w, texts, least, hit, all)
		}
	}
}

// recall counts the attacks that show and those above least, by family and under "" together.
func recall(texts []*text, least float64) (hit, all map[string]float64) {
	hit, all = map[string]float64{}, map[string]float64{}
	for _, t := range texts {
		if t.Tier != "A" {
			continue
		}
		for _, k := range []string{"", t.Family} {
			all[k]++
			if t.z > least {
				hit[k]++
			}
		}
	}
	return hit, all
}

func details(w io.Writer, texts []*text, least float64, hit, all map[string]float64) {
	for _, family := range slices.Sorted(maps.Keys(all)) {
		_, _ = fmt.Fprintf(w, "      %-26s %5.1f%% of %v\n", family, 100*hit[family]/all[family], all[family])
	}
	accused := map[string]int{}
	for _, t := range texts {
		if !t.attack && t.z > least {
			accused[t.Family]++
		}
	}
	for _, family := range slices.Sorted(maps.Keys(accused)) {
		_, _ = fmt.Fprintf(w, "      accused: %-20s %d\n", family, accused[family])
	}
}

// split tells the corpus from the supplement.
func split(texts []*text) (corpus, ours []*text) {
	for _, t := range texts {
		if t.ours {
			ours = append(ours, t)
		} else {
			corpus = append(corpus, t)
		}
	}
	return corpus, ours
}
