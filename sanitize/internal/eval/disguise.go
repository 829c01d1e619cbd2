package main

import (
	"fmt"
	"io"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
)

// sampled is how many attacks and how many harmless texts are disguised.
const sampled = 300

// suspicious disguises accuse even harmless words: text that nobody can see, and
// a request to obey what is encoded.
var suspicious = map[string]bool{"tags": true, "base64 to decode": true}

// reportDisguises prints, for each disguise, how many of the attacks are still
// found, and how many harmless texts it makes look like one.
func reportDisguises(w io.Writer, engine *detect.Engine, lines []line, threshold float64) {
	attacks := sample(lines, func(l line) bool { return l.Label != "benign" && l.Tier == "A" && plain(l.Text) })
	harmless := sample(lines, func(l line) bool { return l.Label == "benign" && len(l.Text) < 600 })
	var kept, alarms float64
	base, plausible := 0.0, 0
	for i, d := range disguises {
		found := share(engine, attacks, d.apply, threshold)
		wrong := share(engine, harmless, d.apply, threshold)
		note := ""
		if suspicious[d.name] {
			note = " (not counted)"
		}
		fmt.Fprintf(w, "%-26s found %5.1f%%  false alarms %5.2f%%%s\n", d.name, 100*found, 100*wrong, note)
		if i == 0 {
			base = found
			continue
		}
		kept += found
		if !suspicious[d.name] {
			alarms += wrong
			plausible++
		}
	}
	n := float64(len(disguises) - 1)
	fmt.Fprintf(w, "%d disguises of %d attacks: found plain %.1f%%, disguised %.1f%%, kept %.1f%%; false alarms on %d harmless texts disguised %.2f%%\n",
		len(disguises)-1, len(attacks), 100*base, 100*kept/n, 100*kept/n/max(base, 1e-9), len(harmless), 100*alarms/float64(max(1, plausible)))
}

// sample takes texts evenly from the families, so that a large one doesn't
// decide alone.
func sample(lines []line, keep func(line) bool) []line {
	var order []string
	byFamily := map[string][]line{}
	for _, l := range lines {
		if keep(l) {
			if byFamily[l.Family] == nil {
				order = append(order, l.Family)
			}
			byFamily[l.Family] = append(byFamily[l.Family], l)
		}
	}
	var out []line
	for i := 0; len(out) < sampled; i++ {
		n := len(out)
		for _, f := range order {
			if i < len(byFamily[f]) && len(out) < sampled {
				out = append(out, byFamily[f][i])
			}
		}
		if len(out) == n {
			break
		}
	}
	return out
}

// plain reports whether a text is ASCII without digits in its words, that is,
// not disguised already.
func plain(s string) bool {
	digits := 0
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
		if '0' <= s[i] && s[i] <= '9' {
			digits++
		}
	}
	return len(s) < 1500 && digits*20 < len(s)
}

func share(engine *detect.Engine, lines []line, apply func(string) string, threshold float64) float64 {
	n := 0
	for _, l := range lines {
		if score, _ := engine.Scan(apply(l.Text)); score >= threshold {
			n++
		}
	}
	return float64(n) / float64(max(1, len(lines)))
}
