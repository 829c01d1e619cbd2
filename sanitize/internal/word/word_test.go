package word_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize/internal/word"
)

func TestRuns(t *testing.T) {
	const letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	for _, tt := range []struct {
		name string
		read func([]byte, int) (word.Key, int)
		runs string // of these
		stop string // and not of this
	}{
		{"Alnum", word.Alnum, letters + digits, "Ab"},
		{"Letters", word.Letters, letters, "0b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for b := range 256 {
				_, n := tt.read([]byte{byte(b)}, 0)
				require.Equal(t, strings.IndexByte(tt.runs, byte(b)) >= 0, n == 1, "byte %#x", b)
			}
			for size := range len(tt.runs) {
				for at := range 12 {
					for _, behind := range []string{"", " ", "\xff", tt.stop, strings.Repeat("-", 20)} {
						text := []byte(strings.Repeat("\x80", at) + tt.runs[:size] + behind)
						k, n := tt.read(text, at)
						require.Equal(t, min(size, word.Max+1), n)
						require.Equal(t, word.KeyOf(tt.runs[:min(size, word.Max)]), k, "%q", text)
					}
				}
			}
		})
	}
}

func TestJoin(t *testing.T) {
	const w = "abcdefghijklmnop"
	for n := range len(w) + 1 {
		for m := range len(w) - n + 1 {
			require.Equal(t, word.KeyOf(w[:n+m]), word.KeyOf(w[:n]).Join(n, word.KeyOf(w[n:n+m])), "%d and %d", n, m)
		}
	}
}

func TestHashesDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, w := range []string{"", "a", "b", "ab", "ba", "abcdefgh", "abcdefghi", "abcdefghiabcdefg", "aaaaaaaa", "aaaaaaaaaaaaaaaa"} {
		h := word.KeyOf(w).Hash()
		require.Empty(t, seen[h], "%q has the hash of another word", w)
		seen[h] = w + "!"
	}
}

func FuzzAlnum(f *testing.F) {
	f.Add([]byte("ignore all"), 0)
	f.Add([]byte("\xe5\xbf\xbdabc\x00"), 2)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		if at < 0 || at > len(text) {
			return
		}
		end := at
		for end < len(text) && (text[end]-'a' < 26 || text[end]-'0' < 10) {
			end++
		}
		k, n := word.Alnum(text, at)
		require.Equal(t, min(end-at, word.Max+1), n)
		require.Equal(t, word.KeyOf(string(text[at:min(end, at+word.Max)])), k)
	})
}
