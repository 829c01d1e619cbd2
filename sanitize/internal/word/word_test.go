package word_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize/internal/word"
)

func TestAlnum(t *testing.T) {
	for b := range 256 {
		_, n := word.Alnum([]byte{byte(b)}, 0)
		require.Equal(t, b >= 'a' && b <= 'z' || b >= '0' && b <= '9', n == 1, "byte %#x", b)
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	for size := range len(letters) {
		for at := range 12 {
			for _, behind := range []string{"", " ", "\xff", "Ab", strings.Repeat("-", 20)} {
				text := []byte(strings.Repeat("\x80", at) + letters[:size] + behind)
				k, n := word.Alnum(text, at)
				require.Equal(t, min(size, word.Max+1), n)
				require.Equal(t, word.KeyOf(letters[:min(size, word.Max)]), k, "%q", text)
			}
		}
	}
}

func TestLetters(t *testing.T) {
	for b := range 256 {
		_, n := word.Letters([]byte{byte(b)}, 0)
		require.Equal(t, b >= 'a' && b <= 'z', n == 1, "byte %#x", b)
	}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	for size := range len(letters) {
		for at := range 12 {
			for _, behind := range []string{"", " ", "\xff", "0b", strings.Repeat("-", 20)} {
				text := []byte(strings.Repeat("\x80", at) + letters[:size] + behind)
				k, n := word.Letters(text, at)
				require.Equal(t, min(size, word.Max+1), n)
				require.Equal(t, word.KeyOf(letters[:min(size, word.Max)]), k, "%q", text)
			}
		}
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
