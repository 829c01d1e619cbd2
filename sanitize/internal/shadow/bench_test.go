package shadow_test

import (
	"strings"
	"testing"

	"github.com/sparkhttp/spark/sanitize/internal/shadow"
)

// worst are 10,000 characters each, chosen to cost as much as possible.
var worst = map[string]string{
	"base64":      strings.Repeat("SWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnMg", 240)[:10000],
	"look-alikes": strings.Repeat("ignоrе ", 1430)[:10000],
	"all foreign": strings.Repeat("рох", 3333),
	"styled":      strings.Repeat("𝐚", 10000),
	"accents":     strings.Repeat("a\u0300", 5000),
	"leetspeak":   strings.Repeat("1gn0r3 ", 1430)[:10000],
	"spaced":      strings.Repeat("i ", 5000),
	"digits":      strings.Repeat("73 ", 3333),
	"escapes":     strings.Repeat(`\x41`, 2500),
	"ROT13":       strings.Repeat("vtaber cerivbhf ", 625),
	"reversed":    strings.Repeat("erongi suoiverp ", 625),
	"markup":      strings.Repeat("a<b>", 2500),
	"open markup": strings.Repeat("a<", 5000),
	"signs":       strings.Repeat("a:", 5000),
	"morse":       strings.Repeat(". ", 5000),
	"quotes":      strings.Repeat(`"a"+`, 2500),
	"zero-width":  strings.Repeat("a\u200b", 5000),
	"tags":        strings.Repeat("\U000E0061", 10000),
	"one word":    strings.Repeat("a", 10000),
	"lines":       strings.Repeat("a\n", 5000),
}

func BenchmarkFold(b *testing.B) {
	plain := strings.Repeat("The quick brown fox jumps over the lazy dog, and then it runs. Can you tell me what is next? ", 12)
	run := func(name, text string) {
		b.Run(name, func(b *testing.B) {
			var x shadow.Text
			x.Fold(text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				x.Fold(text)
			}
		})
	}
	run("1 KiB of ASCII", plain[:1024])
	run("a question", plain[63:94])
	run("1 KiB of Russian", strings.Repeat("Съешь же ещё этих мягких французских булок, да выпей чаю. ", 12)[:1024])
	for name, text := range worst {
		run("10,000 "+name, text)
	}
}
