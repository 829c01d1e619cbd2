package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/auth"
)

func TestKey(t *testing.T) {
	for _, prefix := range []string{"", "p", "spark_test", "a1_b2_c3", strings.Repeat("x", 24)} {
		key, err := auth.NewKey(prefix)
		require.NoError(t, err)
		if prefix == "" {
			prefix = auth.DefaultPrefix
		}
		require.Equal(t, prefix, key.Prefix())
		require.Len(t, key.ID(), 12)
		require.True(t, auth.ValidID(key.ID()))
		require.True(t, strings.HasPrefix(key.Reveal(), prefix+"_"+key.ID()+"_"))
		parsed, err := auth.ParseKey(key.Reveal())
		require.NoError(t, err)
		require.Equal(t, key, parsed)
	}
	for _, prefix := range []string{"_", "a_", "_a", "a__b", "A", "ä", "a b", "a-b", strings.Repeat("x", 25)} {
		_, err := auth.NewKey(prefix)
		require.Error(t, err, prefix)
		_, err = auth.Scanner(prefix)
		require.Error(t, err, prefix)
	}
}

// The form of a key is a promise to scanners: it doesn't change unnoticed.
func TestKeyForm(t *testing.T) {
	const body = "spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST"
	crc, digits := crc32.ChecksumIEEE([]byte(body)), ""
	for range 6 {
		digits = string("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[crc%62]) + digits
		crc /= 62
	}
	require.Equal(t, "3YF18D", digits)
	key, err := auth.ParseKey(body + digits)
	require.NoError(t, err)
	require.Equal(t, "0123456789AB", key.ID())
}

func TestParseKeyRefuses(t *testing.T) {
	key, err := auth.NewKey("")
	require.NoError(t, err)
	good := key.Reveal()
	for name, text := range map[string]string{
		"empty": "", "prefix only": "spark_live_", "no prefix": good[len("spark_live_"):], "cut": good[:len(good)-1], "longer": good + "0",
		"space before": " " + good, "space after": good + " ", "twice": good + good, "very long": strings.Repeat("a", 1<<20),
		"other prefix": "spark_test" + good[len("spark_live"):], "upper case": strings.ToUpper(good), "not ASCII": good[:30] + "é" + good[32:],
	} {
		_, err := auth.ParseKey(text)
		require.ErrorIs(t, err, auth.ErrMalformed, name)
	}
	for i := range good { // a mistyped character is always found
		for _, c := range "aZ0_" {
			if text := good[:i] + string(c) + good[i+1:]; text != good {
				_, err := auth.ParseKey(text)
				require.ErrorIs(t, err, auth.ErrMalformed, text)
			}
		}
	}
}

// Keys are random in every place, with every character.
func TestKeysAreRandom(t *testing.T) {
	const n = 5000
	seen := make(map[string]bool)
	counts := make(map[rune]int)
	for range n {
		key, err := auth.NewKey("p")
		require.NoError(t, err)
		require.False(t, seen[key.ID()])
		seen[key.ID()] = true
		for _, c := range key.Reveal()[2+12+1 : 2+12+1+30] {
			counts[c]++
		}
	}
	require.Len(t, counts, 62)
	for c, got := range counts {
		require.InDelta(t, n*30/62, got, 400, "%c", c) // eight standard deviations
	}
}

// Whatever prints, logs or encodes a key, or something that holds one, doesn't
// show its secret.
func TestKeyRedacts(t *testing.T) {
	key, err := auth.NewKey("")
	require.NoError(t, err)
	pepper := auth.Pepper{Version: 7, Secret: []byte("sixteen bytes and more")}
	type holder struct {
		Key    auth.Key
		hidden auth.Key
		Any    any
		Pepper auth.Pepper
	}
	h := holder{key, key, &key, pepper}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10s", "%-10v"} {
		for _, v := range []any{key, &key, h, &h, []auth.Key{key}, map[string]auth.Key{"k": key}, pepper, &pepper} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, key, h, []any{key, pepper})
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		logger.Info("key", "key", key, "pointer", &key, "holder", h, "pepper", pepper, "list", []auth.Key{key})
	}
	encoded, err := json.Marshal(map[string]any{"key": key, "holder": h, "pepper": pepper})
	require.NoError(t, err)
	out.Write(encoded)
	text, secret := out.String(), key.Reveal()[len("spark_live_")+13:]
	require.Contains(t, text, "spark_live_"+key.ID()+"_[redacted]")
	for _, s := range []string{secret[:8], secret[20:], fmt.Sprintf("%x", secret[:8]), fmt.Sprintf("%X", secret[:8]), "sixteen", fmt.Sprintf("%x", "sixteen"), "[115 105"} {
		require.NotContains(t, text, s)
	}
	require.Equal(t, "pepper 7 [redacted]", pepper.String())
	var zero auth.Key
	require.Empty(t, zero.String()+zero.ID()+zero.Prefix()+zero.Reveal()+fmt.Sprint(zero))
}

func TestScanner(t *testing.T) {
	key, err := auth.NewKey("spark_test")
	require.NoError(t, err)
	scan, err := auth.Scanner("spark_test")
	require.NoError(t, err)
	for _, text := range []string{"%s", `key = "%s"`, "https://x.example/?key=%s&more", "Bearer %s\n", "KEY=%s,"} {
		require.Equal(t, key.Reveal(), scan.FindString(fmt.Sprintf(text, key.Reveal())))
	}
	for _, text := range []string{"x%s", "%sx", "_%s"} {
		require.Empty(t, scan.FindString(fmt.Sprintf(text, key.Reveal())))
	}
	other, err := auth.NewKey("")
	require.NoError(t, err)
	require.False(t, scan.MatchString(other.Reveal()))
}

func FuzzParseKey(f *testing.F) {
	f.Add("spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST3YF18D")
	f.Add("spark_live_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST000000")
	f.Add("_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRST000000")
	f.Add("\x00\xff__")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := auth.ParseKey(text)
		if err != nil {
			require.ErrorIs(t, err, auth.ErrMalformed)
			require.Empty(t, key.Reveal())
			return
		}
		require.Equal(t, text, key.Reveal())
		require.True(t, strings.HasPrefix(text, key.Prefix()+"_"+key.ID()+"_"))
		scan, err := auth.Scanner(key.Prefix())
		require.NoError(t, err)
		require.Equal(t, text, scan.FindString(text))
		require.NotContains(t, key.String(), text[len(text)-36:])
	})
}
