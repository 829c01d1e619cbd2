package detect

import (
	"bufio"
	"fmt"
	"github.com/sparkhttp/spark/sanitize/internal/shadow"
	"os"
	"testing"
)

func TestZZ(t *testing.T) {
	e, _ := New(Config{})
	f, _ := os.Open("/tmp/sanitize/in.txt")
	sc := bufio.NewScanner(f)
	var x shadow.Text
	for sc.Scan() {
		s := unescape(sc.Text())
		x.Fold(s)
		sco, fi := e.Scan(s)
		fmt.Printf("%.2f %q\n   %+v\n", sco, x.Bytes(), x.Signals())
		for _, q := range fi {
			fmt.Printf("      %s %.1f %q %s\n", q.Rule, q.Weight, s[q.Start:q.End], q.Via)
		}
	}
}
