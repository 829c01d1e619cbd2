package main

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// disguise is a way to write a text so that a reader, or a model, still
// understands it and a list of words doesn't.
type disguise struct {
	name  string
	apply func(string) string
}

// disguises begins with the one that changes nothing.
var disguises = slices.Concat(
	[]disguise{{"identity", func(s string) string { return s }}},
	letterDisguises, joinDisguises, markupDisguises, typoDisguises, orderDisguises, encodings, wrappers,
)

var letterDisguises = []disguise{
	{"upper case", strings.ToUpper},
	{"alternating case", eachLetter(func(i int, r rune) string {
		if i%2 == 0 {
			return string(unicode.ToUpper(r))
		}
		return string(unicode.ToLower(r))
	})},
	{"full width", shifted(0xFF41, 0xFF21)},
	{"bold", shifted(0x1D41A, 0x1D400)},
	{"bold script", shifted(0x1D4EA, 0x1D4D0)},
	{"bold fraktur", shifted(0x1D586, 0x1D56C)},
	{"double struck sans", shifted(0x1D5BA, 0x1D5A0)},
	{"monospace", shifted(0x1D68A, 0x1D670)},
	{"circled", shifted(0x24D0, 0x24B6)},
	{"squared", shifted(0x1F130, 0x1F130)},
	{"regional indicators", shifted(0x1F1E6, 0x1F1E6)},
	{"tags", shifted(0xE0061, 0xE0041)},
	{"small capitals", mapped("abcdefghijklmnopqrstuvwxyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ")},
	{"superscript", mapped("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")},
	{"cyrillic look-alikes", mapped("aceopxyijs", "асеорхуіјѕ")},
	{"greek look-alikes", mapped("aoinuvtkx", "αοιηυντκχ")},
	{"half cyrillic", mapped("aeo", "аео")},
	{"accents", mapped("aeioucnsy", "áéíóúçñšý")},
	{"leet", mapped("aeiost", "431057")},
	{"light leet", mapped("eio", "310")},
	{"heavy leet", mapped("abegiostz", "4836!0$72")},
	{"upside down", mapped("abcdefghijklmnopqrtuvwy", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹʇnʌʍʎ")},
	{"zalgo", eachLetter(func(i int, r rune) string { return string(r) + "\u0336\u0301\u0323"[:2+2*(i%3)] })},
	{"struck through", eachLetter(func(_ int, r rune) string { return string(r) + "\u0336" })},
	{"underlined", eachLetter(func(_ int, r rune) string { return string(r) + "\u0332" })},
}

var joinDisguises = []disguise{
	{"zero-width spaces", between("\u200b")},
	{"zero-width joiners", between("\u200d")},
	{"word joiners", between("\u2060")},
	{"soft hyphens", between("\u00ad")},
	{"byte order marks", between("\ufeff")},
	{"right-to-left override", func(s string) string { return "\u202e" + s + "\u202c" }},
	{"spaced letters", func(s string) string {
		return strings.ReplaceAll(strings.Join(strings.Split(s, ""), " "), "   ", "   ")
	}},
	{"spaced letters, even", func(s string) string { return strings.Join(strings.Split(strings.ReplaceAll(s, " ", ""), ""), " ") }},
	{"dotted letters", between(".")},
	{"dashed letters", between("-")},
	{"underscored letters", between("_")},
	{"words joined by _", func(s string) string { return strings.ReplaceAll(s, " ", "_") }},
	{"words joined by -", func(s string) string { return strings.ReplaceAll(s, " ", "-") }},
	{"words joined by .", func(s string) string { return strings.ReplaceAll(s, " ", ".") }},
	{"no spaces", func(s string) string { return strings.ReplaceAll(s, " ", "") }},
	{"camel case", eachWord(func(w string) string { return strings.ToUpper(w[:1]) + strings.ToLower(w[1:]) }, "")},
	{"many spaces", func(s string) string { return strings.ReplaceAll(s, " ", "   \t ") }},
	{"a word a line", func(s string) string { return strings.ReplaceAll(s, " ", "\n") }},
	{"no-break spaces", func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") }},
	{"emoji between words", func(s string) string { return strings.ReplaceAll(s, " ", " 🔥 ") }},
	{"split words", eachWord(func(w string) string { return half(w, " ") }, " ")},
	{"hyphenated words", eachWord(func(w string) string { return half(w, "-") }, " ")},
}

var markupDisguises = []disguise{
	{"html in words", eachWord(func(w string) string { return half(w, "<b></b>") }, " ")},
	{"html comments in words", eachWord(func(w string) string { return half(w, "<!-- x -->") }, " ")},
	{"markdown in words", eachWord(func(w string) string { return half(w, "**") }, " ")},
	{"ansi in words", eachWord(func(w string) string { return half(w, "\x1b[31m") }, " ")},
	{"bold words", eachWord(func(w string) string { return "**" + w + "**" }, " ")},
	{"quoted words", eachWord(func(w string) string { return `"` + w + `"` }, " ")},
	{"bracketed words", eachWord(func(w string) string { return "[" + w + "]" }, " ")},
}

var typoDisguises = []disguise{
	{"scrambled middles", eachWord(scramble, " ")},
	{"swapped letters", eachWord(func(w string) string { return edit(w, func(a, b string) string { return b + a }) }, " ")},
	{"missing letters", eachWord(func(w string) string { return edit(w, func(a, _ string) string { return a }) }, " ")},
	{"doubled letters", eachWord(func(w string) string { return edit(w, func(a, b string) string { return a + a + b }) }, " ")},
	{"drawn out", eachWord(func(w string) string { return edit(w, func(a, b string) string { return a + b + b + b + b }) }, " ")},
}

var orderDisguises = []disguise{
	{"reversed", func(s string) string {
		r := []rune(s)
		slices.Reverse(r)
		return string(r)
	}},
	{"reversed words", eachWord(func(w string) string {
		r := []rune(w)
		slices.Reverse(r)
		return string(r)
	}, " ")},
	{"rot13", rotated(13)},
	{"caesar 3", rotated(3)},
	{"atbash", mapped("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba")},
	{"pig latin", eachWord(func(w string) string { return w[1:] + w[:1] + "ay" }, " ")},
}

var encodings = []disguise{
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64, url", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
	{"base64, twice", func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(s))))
	}},
	{"base64 to decode", func(s string) string {
		return "Decode this and do what it says: " + base64.StdEncoding.EncodeToString([]byte(s))
	}},
	{"base32", func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) }},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
	{"hex, spaced", func(s string) string { return fmt.Sprintf("% x", s) }},
	{"url", func(s string) string { return eachByte(s, "%%%02X") }},
	{"url query", url.QueryEscape},
	{"html entities", func(s string) string { return eachByte(s, "&#%d;") }},
	{"html escaped", html.EscapeString},
	{"\\x escapes", func(s string) string { return eachByte(s, `\x%02x`) }},
	{"\\u escapes", func(s string) string { return eachByte(s, `\u%04x`) }},
	{"binary", func(s string) string { return eachByte(s, "%08b ") }},
	{"decimal", func(s string) string { return eachByte(s, "%d ") }},
}

var wrappers = []disguise{
	{"in a mail", func(s string) string {
		return "Hi Anna,\n\nthanks for the figures. The meeting is on Tuesday at ten, room 4, and lunch is on us.\n\n" + s + "\n\nBest regards\nPaul"
	}},
	{"in json", func(s string) string { return fmt.Sprintf(`{"id": 7, "name": "Ada", "note": %q}`, s) }},
	{"in a code block", func(s string) string { return "```\n" + s + "\n```" }},
	{"in an html comment", func(s string) string { return "<p>Opening hours: 9 to 17</p><!-- " + s + " --><p>Closed on Monday</p>" }},
	{"in a long text", func(s string) string {
		filler := strings.Repeat("The river rises in the hills north of the town and reaches the sea after forty miles. ", 20)
		return filler + s + " " + filler
	}},
}

// eachLetter replaces every letter of a to z in either case.
func eachLetter(f func(int, rune) string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		n := 0
		for _, r := range s {
			if r < 0x80 && unicode.IsLetter(r) {
				b.WriteString(f(n, r))
				n++
				continue
			}
			b.WriteRune(r)
		}
		return b.String()
	}
}

// shifted moves the letters to where another alphabet begins.
func shifted(lower, upper rune) func(string) string {
	return eachLetter(func(_ int, r rune) string {
		if r >= 'a' {
			return string(lower + r - 'a')
		}
		return string(upper + r - 'A')
	})
}

func mapped(from, to string) func(string) string {
	table := map[rune]rune{}
	targets := []rune(to)
	for i, r := range []rune(from) {
		table[r] = targets[i]
	}
	return eachLetter(func(_ int, r rune) string {
		if t, ok := table[unicode.ToLower(r)]; ok {
			return string(t)
		}
		return string(r)
	})
}

func rotated(n rune) func(string) string {
	return eachLetter(func(_ int, r rune) string {
		if r >= 'a' {
			return string('a' + (r-'a'+n)%26)
		}
		return string('A' + (r-'A'+n)%26)
	})
}

// between puts sep between the letters of each word.
func between(sep string) func(string) string {
	return eachWord(func(w string) string { return strings.Join(strings.Split(w, ""), sep) }, " ")
}

func eachWord(f func(string) string, sep string) func(string) string {
	return func(s string) string {
		words := strings.Fields(s)
		for i, w := range words {
			words[i] = f(w)
		}
		return strings.Join(words, sep)
	}
}

func eachByte(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

// half puts sep into the middle of words of four letters and more.
func half(w, sep string) string {
	if len(w) < 4 {
		return w
	}
	return w[:len(w)/2] + sep + w[len(w)/2:]
}

// edit changes two letters in the middle of words of five letters and more.
func edit(w string, f func(a, b string) string) string {
	if len(w) < 5 {
		return w
	}
	i := len(w)/2 - 1
	return w[:i] + f(w[i:i+1], w[i+1:i+2]) + w[i+2:]
}

// scramble turns the middle of a word around.
func scramble(w string) string {
	end := len(w)
	for end > 0 && !unicode.IsLetter(rune(w[end-1])) {
		end--
	}
	if end < 4 {
		return w
	}
	b := []byte(w)
	slices.Reverse(b[1 : end-1])
	return string(b)
}
