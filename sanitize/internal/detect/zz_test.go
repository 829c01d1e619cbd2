package detect

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// dump: id, rule sum without classifier, rules
func TestDump(t *testing.T) {
	e, _ := New(Config{})
	f, _ := os.Open("/work/shared/sanitize/dev.jsonl")
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	o, _ := os.Create("/tmp/sanitize/dump.tsv")
	w := bufio.NewWriter(o)
	for sc.Scan() {
		var d struct{ ID, Text string }
		json.Unmarshal(sc.Bytes(), &d)
		s := newScratch(e)
		s.text.Fold(d.Text)
		for i := range s.text.Len() {
			e.scanView(s, i)
		}
		e.observe(s)
		fmt.Fprintf(w, "%s", d.ID)
		for _, f := range s.found {
			q := 0
			if f.Quoted || f.Via == "fragments" {
				q = 1
			}
			fmt.Fprintf(w, "\t%s:%d", f.Rule, q)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}
