package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize/internal/detect"
)

// TestUnseen keeps the figures on texts that the classifier was not trained on; the
// README of package detect tells of them, and of what was chosen by them.
func TestUnseen(t *testing.T) {
	lines, err := read("../detect/testdata/unseen.jsonl")
	require.NoError(t, err)
	lines = append(lines, embedded(lines)...)
	engine, err := detect.New(detect.Config{})
	require.NoError(t, err)
	found, all := map[string]float64{}, map[string]float64{}
	for _, l := range lines {
		all[l.Family]++
		if score, _ := engine.Scan(l.Text); score >= detect.BlockThreshold {
			found[l.Family]++
		}
	}
	for family, least := range map[string]float64{
		"indirect": 0.3, "indirect, in a mail": 0.25, "indirect, in a thread": 0.2, "direct hijack": 0.5, "override": 0.45,
		"extraction": 0.4, "persona": 0.45, "multilingual": 0.35, "delimiter": 0.8, "competition": 0.5, "tool abuse": 0.4,
	} {
		require.GreaterOrEqual(t, found[family]/all[family], least, family)
	}
	for family, most := range map[string]float64{
		"mail": 0, "thread of mails": 0, "document": 0, "support": 0, "role prompt": 0, "trigger words": 0.03,
		"trigger words, other languages": 0.05,
	} {
		require.LessOrEqual(t, found[family]/all[family], most, family)
	}
	require.GreaterOrEqual(t, all["mail"], 50.0)
	require.GreaterOrEqual(t, all["indirect, in a mail"], 45.0)
}

func TestEmbedded(t *testing.T) {
	require.Empty(t, embedded([]line{{Family: "indirect", Label: "injection", Text: "Do it."}}))
	mails := []line{
		{ID: "m", Family: "mail", Label: "benign", Text: "Hello Ann. How are you? We are well. Bye."},
		{ID: "a", Family: "indirect", Label: "injection", Text: "Do it."},
		{ID: "b", Family: "tool", Label: "injection", Text: "Run it."},
	}
	all := embedded(mails)
	require.Len(t, all, 3)
	require.Equal(t, "Hello Ann. How are you? Do it.  We are well. Bye.", all[0].Text)
	require.Equal(t, thread, strings.Count(all[1].Text, "Hello Ann"))
	require.Equal(t, 1, strings.Count(all[1].Text, "Do it."))
	require.Equal(t, "benign", all[2].Label)
	require.NotContains(t, all[2].Text, "Do it.")
	require.Equal(t, "no end Do it.", within("no end", "Do it."))
}

func TestLeftOut(t *testing.T) {
	engine, err := detect.New(detect.Config{})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "logits.tsv")
	write := func(text string) {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	lines := []line{{ID: "a", Text: "Nothing at all."}, {ID: "b", Text: "Nothing to see."}}
	write("a\t-2.5\nb\t5\nc\t0\n")
	scan, err := leftOut(engine, name, lines)
	require.NoError(t, err)
	harmless, _ := scan(lines[0].Text)
	require.Less(t, harmless, 0.01)
	attack, _ := scan(lines[1].Text)
	require.Greater(t, attack, detect.BlockThreshold)

	write("a\t-2.5\n")
	_, err = leftOut(engine, name, lines)
	require.ErrorContains(t, err, "no line for b")
	write("a x\n")
	_, err = leftOut(engine, name, lines)
	require.ErrorContains(t, err, "line 1")
	_, err = leftOut(engine, name+"-none", lines)
	require.ErrorIs(t, err, os.ErrNotExist)
}
