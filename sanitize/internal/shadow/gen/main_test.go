package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table in the repository is the one that its sources give.
func TestTableIsCurrent(t *testing.T) {
	like, err := readConfusables("confusables.txt")
	require.NoError(t, err)
	require.Greater(t, len(like), 1500)
	want, err := build(like)
	require.NoError(t, err)
	got, err := os.ReadFile("../fold.bin")
	require.NoError(t, err)
	require.True(t, string(want) == string(got), "fold.bin is out of date: run go generate ./...")
}

func TestReadConfusables(t *testing.T) {
	for _, c := range []struct {
		name, row, want string
		from            rune
		fails           bool
	}{
		{name: "Cyrillic", row: "0430 ;\t0061 ;\tMA\t# CYRILLIC SMALL LETTER A", from: 'а', want: "a"},
		{name: "two letters", row: "01C4 ;\t0044 017D ;\tMA", from: 'Ǆ', want: "dz"},
		{name: "target beyond ASCII", row: "0431 ; 03B4 ; MA", from: 'б', want: ""},
		{name: "comment", row: "# 0430 ; 0061 ; MA", from: 'а', want: ""},
		{name: "no code point", row: "04X0 ; 0061 ; MA", fails: true},
		{name: "no target", row: "0430 ; 00G1 ; MA", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := t.TempDir() + "/confusables.txt"
			require.NoError(t, os.WriteFile(name, []byte(c.row+"\n"), 0o600))
			like, err := readConfusables(name)
			if c.fails {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, like[c.from])
		})
	}
	_, err := readConfusables(t.TempDir() + "/none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// No row says more than a rune takes in UTF-8 five times, and none would break a folded text.
func TestRecordsAreSound(t *testing.T) {
	like, err := readConfusables("confusables.txt")
	require.NoError(t, err)
	for r := rune(0x80); r < limit; r++ {
		rec := classify(r, like)
		require.LessOrEqual(t, len(rec.plain), 15, "%U", r)
		require.LessOrEqual(t, len(rec.like), 15, "%U", r)
		require.False(t, strings.ContainsAny(rec.plain+rec.like, "\x00\t\n\r\x1b"), "%U", r)
		require.Equal(t, strings.ToLower(rec.plain), rec.plain, "%U", r)
	}
}
