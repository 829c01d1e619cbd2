package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// tally counts what was found, for each family.
type tally struct {
	counts map[key]*[2]int // found, all
}

type key struct{ label, tier, family string }

func (t *tally) add(l line, found bool) {
	if t.counts == nil {
		t.counts = map[key]*[2]int{}
	}
	k := key{l.Label, l.Tier, l.Family}
	if t.counts[k] == nil {
		t.counts[k] = new([2]int)
	}
	if found {
		t.counts[k][0]++
	}
	t.counts[k][1]++
}

func (t *tally) keys() []key {
	return slices.SortedFunc(maps.Keys(t.counts), func(a, b key) int {
		return strings.Compare(a.label+a.tier+a.family, b.label+b.tier+b.family)
	})
}

// recall is the mean over the families of a tier that have ten texts or more.
func (t *tally) recall(tier string) float64 {
	var sum float64
	n := 0
	for k, c := range t.counts {
		if k.label != "benign" && k.tier == tier && c[1] >= 10 {
			sum += float64(c[0]) / float64(c[1])
			n++
		}
	}
	return sum / float64(max(1, n))
}

// alarms is the share of all harmless texts that were accused.
func (t *tally) alarms() (share float64, found, all int) {
	for k, c := range t.counts {
		if k.label == "benign" {
			found += c[0]
			all += c[1]
		}
	}
	return float64(found) / float64(max(1, all)), found, all
}

func (t *tally) print(w io.Writer) {
	for _, k := range t.keys() {
		c := t.counts[k]
		fmt.Fprintf(w, "%-10s %-2s %-28s %6.2f%% %5d\n", k.label, k.tier, k.family, 100*float64(c[0])/float64(c[1]), c[1])
	}
	share, found, all := t.alarms()
	fmt.Fprintf(w, "tier A: mean recall %.1f%%; false alarms %.2f%% (%d of %d)\n", 100*t.recall("A"), 100*share, found, all)
}

// ruleCounts counts, for each rule, the attacks and the harmless texts it matched.
type ruleCounts map[string]*[2]int

func (r ruleCounts) add(id string, harmless bool) {
	if r[id] == nil {
		r[id] = new([2]int)
	}
	if harmless {
		r[id][1]++
	} else {
		r[id][0]++
	}
}

func (r ruleCounts) print(w io.Writer) {
	for _, id := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(w, "rule %-32s attacks %5d  harmless %4d\n", id, r[id][0], r[id][1])
	}
}
