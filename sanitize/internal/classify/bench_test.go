package classify_test

import (
	"strings"
	"testing"

	"github.com/sparkhttp/spark/sanitize/internal/classify"
)

func BenchmarkScore(b *testing.B) {
	for name, view := range map[string]string{
		"question": harmless,
		"1 KiB":    strings.Repeat(harmless+" ", 18)[:1024],
	} {
		b.Run(name, func(b *testing.B) {
			v := []byte(view)
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				classify.Score(v)
			}
		})
	}
}
