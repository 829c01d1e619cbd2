package sanitize_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/sanitize"
)

func TestCleanRemoves(t *testing.T) {
	tests := []struct {
		name, text, want string
		removed          []sanitize.Removal
	}{
		{"NUL and C0", "a\x00b\x01\x1bc", "abc", []sanitize.Removal{{"control", 3, 1}}},
		{"DEL and C1", "a\x7fb\u0085c\u009b", "abc", []sanitize.Removal{{"control", 3, 1}}},
		{"overrides", "abc \u202edcba\u202c", "abc dcba", []sanitize.Removal{{"bidi", 2, 4}}},
		{"override in Hebrew", "שלום \u202e", "שלום ", []sanitize.Removal{{"bidi", 1, 9}}},
		{"isolates in Latin", "if \u2066admin\u2069", "if admin", []sanitize.Removal{{"bidi", 2, 3}}},
		{"direction marks as a code", "א\u200e\u200f\u200e\u200f", "א\u200e\u200f", []sanitize.Removal{{"bidi", 2, 8}}},
		{"tags", "hi\U000E0048\U000E0049 there", "hi there", []sanitize.Removal{{"tag", 2, 2}}},
		{"language tag", "\U000E0001a", "a", []sanitize.Removal{{"tag", 1, 0}}},
		{"tags behind a flag", "🏴\U000E0069\U000E0067\U000E006E\U000E006F\U000E0072\U000E007F", "🏴", []sanitize.Removal{{"tag", 6, 4}}},
		{"digits behind a flag", "🏴\U000E0075\U000E0073\U000E0031\U000E0032\U000E007F", "🏴", []sanitize.Removal{{"tag", 5, 4}}},
		{"flag without end", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067!", "🏴!", []sanitize.Removal{{"tag", 5, 4}}},
		{"bytes in variation selectors", "😀\ufe0f\U000E0158\U000E0155\U000E015C", "😀\ufe0f", []sanitize.Removal{{"variation_selector", 3, 7}}},
		{"selector behind a letter", "a\ufe0fb\ufe01", "ab", []sanitize.Removal{{"variation_selector", 2, 1}}},
		{"selector behind a digit", "1\ufe0f.", "1.", []sanitize.Removal{{"variation_selector", 1, 1}}},
		{"selector that Han has not", "葛\U000E01EF", "葛", []sanitize.Removal{{"variation_selector", 1, 3}}},
		{"zero width in a word", "ig\u200bno\u200cre\u200d \u2060a\ufeffll", "ignore all", []sanitize.Removal{{"zero_width", 5, 2}}},
		{"joiner at the end of an emoji", "😀\u200d ok", "😀 ok", []sanitize.Removal{{"zero_width", 1, 4}}},
		{"two joiners", "می\u200c\u200c\u200dخواهم", "می\u200cخواهم", []sanitize.Removal{{"zero_width", 2, 7}}},
		{"soft hyphen behind each letter", "i\u00adg\u00adn\u00adore", "ignore", []sanitize.Removal{{"zero_width", 3, 1}}},
		{"invisible operators", "f\u2061(x)\u2064", "f(x)", []sanitize.Removal{{"zero_width", 2, 1}}},
		{"fillers", "a\u3164b\uffa0c\u115fd\u1160", "abcd", []sanitize.Removal{{"filler", 4, 1}}},
		{"noncharacters", "a\ufdd0b\uffffc\U0010FFFF", "abc", []sanitize.Removal{{"noncharacter", 3, 1}}},
		{"Latin-1", "caf\xe9 ol\xe9", "caf? ol?", []sanitize.Removal{{"invalid_utf8", 2, 3}}},
		{"overlong, long enough", "a\xf0\x80\x80\xafb", "a\ufffdb", []sanitize.Removal{{"invalid_utf8", 4, 1}}},
		{"half a surrogate pair", "\xed\xa0\x80", "\ufffd", []sanitize.Removal{{"invalid_utf8", 3, 0}}},
		{"cut in a character", "naïve 😀"[:8], "naïve ?", []sanitize.Removal{{"invalid_utf8", 1, 7}}},
		{"kinds in one text", "\x00a\u200b\u202e\x01", "a", []sanitize.Removal{{"control", 2, 0}, {"bidi", 1, 5}, {"zero_width", 1, 2}}},
		{"everything", "\u200b\u200b\u200b", "", []sanitize.Removal{{"zero_width", 3, 0}}},
		{"behind seven characters", "1234567\x02", "1234567", []sanitize.Removal{{"control", 1, 7}}},
		{"behind eight characters", "12345678\x7f", "12345678", []sanitize.Removal{{"control", 1, 8}}},
		{"behind a newline", "\n\x01 234567", "\n 234567", []sanitize.Removal{{"control", 1, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, removed := sanitize.Clean(tt.text)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.removed, removed)
		})
	}
}

// TestCleanKeeps holds what looks like the texts above and is not.
func TestCleanKeeps(t *testing.T) {
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"ASCII", "Hello, world!\r\n\tHow are you? ~"},
		{"letters of all lengths", "é ß 中 𝒳 ½ ﬁ 　\u00a0\u2003\u2028"},
		{"replacement character", "\ufffd"},
		{"family", "👨\u200d👩\u200d👧\u200d👦 👩🏽\u200d🚒 ❤️\u200d🔥 🏳️\u200d⚧️ 🏴\u200d☠️ 🐻\u200d❄ 🧑🏿\u200d🤝\u200d🧑🏻"},
		{"flags", "🇩🇪🇮🇷 🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F 🏴\U000E0075\U000E0073\U000E0074\U000E0078\U000E007F"},
		{"keycaps", "1️⃣ #️⃣ *️⃣ 3⃣"},
		{"text presentation", "☎︎ ♀︎ ©️"},
		{"Persian", "می\u200cخواهم کتاب\u200cهای PDF\u200cها را"},
		{"Hijri year", "۱۴۰۲ ه\u200d.ش"},
		{"Kurdish and Urdu", "ده\u200cكه\u200cم اسے\u200c"},
		{"Hindi", "क्\u200dष क्\u200cष"},
		{"Bengali", "র\u200c্যাডিক্স"},
		{"Malayalam chillu", "അവന്\u200d പറഞ്ഞു"},
		{"Sinhala", "ශ්\u200dරී ලංකා"},
		{"soft hyphens", "Donau\u00addampf\u00adschiff und in\u00adter\u00adna\u00adtio\u00adnal"},
		{"Khmer words", "ភាសា\u200bខ្មែរ"},
		{"Thai words", "ภาษา\u200bไทย"},
		{"Mongolian", "ᠠ᠋ᠮᠣᠩ\u180eᠠ"},
		{"ideographic variation", "葛\U000E0100飾区 邉\U000E010C"},
		{"CJK compatibility form", "神\ufe00"},
		{"marks in Hebrew", "מחיר: 5 $\u200f, C++\u200f"},
		{"embedding in Arabic", "وجه | \u202bوجه ناعس\u202c"},
		{"isolate in Arabic", "اسم المنتج \u2066Spark 2\u2069 جديد"},
		{"conjoining jamo", "\u115f\u1161 \u1100\u1160\u11a8"},
		{"grapheme joiner", "אָ\u034f\u05b4"},
		{"private use", "\ue000 \U000F0001"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, removed := sanitize.Clean(tt.text)
			require.Equal(t, tt.text, got)
			require.Nil(t, removed)
		})
	}
}

func TestCleanKeepsTheSequencesOfUnicode(t *testing.T) {
	for _, name := range []string{"emoji.txt", "cldr.txt"} {
		for _, line := range readLines(t, name) {
			got, removed := sanitize.Clean(line)
			require.Equal(t, line, got, name)
			require.Nil(t, removed)
			// Beside other text as well as alone.
			within := "so " + line + "? " + line + line + "é"
			got, _ = sanitize.Clean(within)
			require.Equal(t, within, got, name)
		}
	}
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	require.Greater(t, len(lines), 700)
	return lines
}

func TestCleanRemovesPrivateUseOnRequest(t *testing.T) {
	s, err := sanitize.New(sanitize.Config{RemovePrivateUse: true})
	require.NoError(t, err)
	r, err := s.Clean("a\ue000b\uf8ffc\U000F0000\U0010FFFDd")
	require.NoError(t, err)
	require.Equal(t, "abcd", r.Text)
	require.Equal(t, []sanitize.Removal{{Kind: "private_use", Count: 4, Offset: 1}}, r.Removed)
}

// TestCleanOfEveryCharacter takes the short way for valid text and the long one,
// which a byte that is not UTF-8 leads to.
func TestCleanOfEveryCharacter(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0x20000 && r < 0xE0000 || r > 0xE1000 && r&0xFFF != 0xFFF {
			continue
		}
		text := "a" + string(r) + "b"
		short, _ := sanitize.Clean(text)
		long, _ := sanitize.Clean(text + "\xff")
		if short+"?" != long {
			require.Failf(t, "two ways, two answers", "%U: %q, %q", r, short, long)
		}
	}
}

func TestCleanDoesNotAllocateForCleanText(t *testing.T) {
	if raceEnabled {
		return // the detector allocates on its own account
	}
	text := strings.Repeat("Ein ganz gewöhnlicher Satz 😀 mit می\u200cخواهم.\n", 50)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if got, removed := sanitize.Clean(text); len(got) != len(text) || removed != nil {
			panic("changed")
		}
	}))
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"", "plain", "a\x00b", "caf\xe9", "\xf0\x9f\x98", "e\u200d\u200d\u200de", "👨\u200d\u200b\u200d👩",
		"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F\U000E007F", "1\ufe0f\u20e3", "1\ufe0f\u200b\u20e3",
		"می\u200c\u200cخ", "aa\u00ad\u00adbb", "aa\u00ad\u200bbb", "א\u200f\u202e\u200f\u200f", "葛\U000E0100\U000E0101",
		"\u115f\u1160\u1161", "\u1100\u1160\u200b\u11a8", "ᠠ\u180b\u180b\u180eᠠ", "ก\u200b\u200bก", "\u202b\xff\xff\u05d0",
		"\U0001D15F\U0001D173\U0001D174", "a\u034f\u0301", "\ufdd0\ufffe",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, removed := sanitize.Clean(text)
		require.True(t, utf8.ValidString(got))
		require.LessOrEqual(t, len(got), len(text))
		require.Equal(t, got == text, removed == nil)
		again, rest := sanitize.Clean(got)
		require.Equal(t, got, again, "idempotent")
		require.Nil(t, rest)
		for _, r := range removed {
			require.NotEmpty(t, r.Kind)
			require.Positive(t, r.Count)
			require.Less(t, r.Offset, len(text))
		}
		if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			require.Equal(t, text, got)
		}
	})
}

// TestCleanOfMixtures puts characters beside each other that decide over one
// another, which a fuzzer of bytes seldom does.
func TestCleanOfMixtures(t *testing.T) {
	alphabet := []string{
		"a", "1", "\n", "\x00", "\u0085", "\xff", "\xed\xa0", "é", "\u00ad", "\u034f", "\u0301", "א", "\u05b4", "ب", "\u200c", "\u200d",
		"\u200b", "\u200e", "\u200f", "\u061c", "\u202a", "\u202b", "\u202c", "\u202e", "\u2066", "\u2069", "क", "\u094d", "ก", "ខ",
		"ᠠ", "\u180b", "\u180e", "\u115f", "\u1160", "\u1161", "\u11a8", "\u1100", "\u3164", "葛", "\u3001", "\ufe00", "\ufe01", "\ufe0f",
		"\ufe0e", "\u20e3", "#", "😀", "👩", "🏽", "❤", "🏴", "\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067", "\U000E007F", "\U000E0100",
		"\U000E01EF", "\U0001D15F", "\U0001D173", "\ufeff", "\ufffe", "\ue000", "∩", "မ",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(8) {
			b.WriteString(alphabet[rnd.IntN(len(alphabet))])
		}
		text := b.String()
		got, removed := sanitize.Clean(text)
		again, rest := sanitize.Clean(got)
		if !utf8.ValidString(got) || len(got) > len(text) || again != got || rest != nil || (got == text) != (removed == nil) {
			require.Failf(t, "broken promise", "%q became %q, then %q", text, got, again)
		}
	}
}
