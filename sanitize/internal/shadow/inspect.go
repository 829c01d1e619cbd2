package shadow

import (
	"bytes"
	"unicode/utf8"

	"github.com/sparkhttp/spark/sanitize/internal/word"
)

// enough points for words that make sense once a cipher is undone: a keyword has 2, a common word 1.
const enough = 3

// inspect looks for texts hidden in v. Which decoders run was found when its words were read.
func (t *Text) inspect(v *view) {
	f := v.found
	if v.depth >= maxDepth {
		return
	}
	if v.depth == 0 && bytes.Count(v.raw, []byte{'\\'}) >= manyEscaped {
		t.signals.Escaped = slashed(v.raw)
	}
	if f.long {
		t.tokens(v)
	}
	if f.dense {
		t.eightyFive(v)
	}
	if (f.escape < 2 || !t.escapes(v)) && f.digits.most >= 8 {
		t.lists(v)
	}
	if f.dots >= 4 {
		t.morse(v)
	}
	t.ciphers(v, &f)
	if f.swords.most >= 6 {
		t.swords(v)
	}
	if f.quotes >= 4 && f.added {
		t.fragments(v)
	}
	if v.depth == 0 && t.signals.Flipped >= 4 {
		t.out = backwards(t.out[:0], v.buf)
		for i, c := range t.out {
			t.out[i] = turned[c]
		}
		t.reveal(Flipped, v, 0, len(v.buf), t.out)
	}
}

// turned are the letters that are other letters upside down.
var turned = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for _, p := range []string{"un", "bq", "dp"} {
		t[p[0]], t[p[1]] = p[1], p[0]
	}
	return t
}()

// conceal reveals a text that was spelled by invisible characters: raw bytes from to to of v.
func (t *Text) conceal(v *view, kind Kind, from, to int, text []byte) {
	start, end := v.start, v.end
	if v.traced {
		start, end = from, to
	}
	t.add(kind, v.depth+1, start, end, text)
}

// ciphers undoes what was done to the alphabet or the order of letters.
func (t *Text) ciphers(v *view, f *findings) {
	if f.turned > 0 && v.kind != Reordered && v.kind != Mirrored && v.kind != Reversed {
		t.tmp.buf = backwards(t.tmp.buf[:0], v.buf)
		t.out = mirror(t.out[:0], t.tmp.buf)
		t.reveal(Reordered, v, 0, len(v.buf), t.out)
	}
	if !f.gated {
		return
	}
	least := uint8(min(100, enough+len(v.buf)>>10)) //nolint:gosec // at most 100; long texts have some by chance
	best := 1
	for k := 2; k < 26; k++ {
		if f.gate[k] > f.gate[best] {
			best = k
		}
	}
	if f.gate[best] >= least && v.kind != Rot {
		t.substitute(Rot, v, func(i byte) byte { return (i + byte(best)) % 26 })
	}
	if f.gate[gateAtbash] >= least && v.kind != Atbash {
		t.substitute(Atbash, v, func(i byte) byte { return 25 - i })
	}
	if f.gate[gateBack] >= least && v.kind != Reversed && v.kind != Mirrored {
		t.out = backwards(t.out[:0], v.buf)
		t.reveal(Reversed, v, 0, len(v.buf), t.out)
		t.out = mirror(t.out[:0], v.buf)
		t.reveal(Mirrored, v, 0, len(v.buf), t.out)
	}
	if f.gate[gatePig] >= least && v.kind != PigLatin {
		t.out = t.unpig(t.out[:0], v.buf)
		t.reveal(PigLatin, v, 0, len(v.buf), t.out)
	}
	if f.gate[gateNato] >= 5 {
		t.nato(v)
	}
}

// substitute reveals v with other letters: f gives the place in the alphabet of what stands for a letter.
func (t *Text) substitute(kind Kind, v *view, f func(byte) byte) {
	t.out = append(t.out[:0], v.buf...)
	for i, c := range t.out {
		if kinds[c] == isLetter {
			t.out[i] = 'a' + f(c-'a')
		}
	}
	t.reveal(kind, v, 0, len(v.buf), t.out)
}

// backwards appends the characters of b in opposite order.
func backwards(out, b []byte) []byte {
	for len(b) > 0 {
		_, n := utf8.DecodeLastRune(b)
		out = append(out, b[len(b)-n:]...)
		b = b[:len(b)-n]
	}
	return out
}

// mirror appends b with each word backwards.
func mirror(out, b []byte) []byte {
	for i := 0; i < len(b); {
		from := i
		for i < len(b) && b[i] > ' ' {
			i++
		}
		out = backwards(out, b[from:i])
		if i < len(b) {
			out = append(out, b[i])
			i++
		}
	}
	return out
}

// unpig appends b with the words of Pig Latin put right: eviouspray, ignoreway.
func (t *Text) unpig(out, b []byte) []byte {
	for i := 0; i < len(b); {
		from := i
		for i < len(b) && kinds[b[i]] == isLetter {
			i++
		}
		w := b[from:i]
		if n := len(w); n > 3 && w[n-2] == 'a' && w[n-1] == 'y' {
			out = t.unpigWord(out, w[:n-2])
		} else {
			out = append(out, w...)
		}
		for i < len(b) && kinds[b[i]] != isLetter {
			out = append(out, b[i])
			i++
		}
	}
	return out
}

// unpigWord puts the last consonants of a word first, as many as give a known word.
func (t *Text) unpigWord(out, w []byte) []byte {
	n := len(w)
	if w[n-1] == 'w' || w[n-1] == 'y' {
		return append(out, w[:n-1]...)
	}
	take := 1
	for k := 1; k <= 3 && k < n; k++ {
		front, back := word.KeyOf(string(w[n-k:])), word.KeyOf(string(w[:min(n-k, word.Max)]))
		if t.words.lex.find(encode(front.Join(k, back)).hash()).worth != 0 {
			take = k
			break
		}
	}
	out = append(out, w[n-take:]...)
	return append(out, w[:n-take]...)
}

// nato reads the words of the radio alphabet as letters.
func (t *Text) nato(v *view) {
	out := t.out[:0]
	count := 0
	for i := 0; i < len(v.buf); {
		from := i
		k, n := word.Letters(v.buf, i)
		for i += n; i < len(v.buf) && kinds[v.buf[i]] == isLetter; {
			i++
		}
		switch g := t.words.lex.find(encode(k).hash()).gate; {
		case i > from && g>>2 == gateNato:
			out = append(out, v.buf[from])
			count++
		case i > from:
			out = append(out, ' ')
			out = append(out, v.buf[from:i]...)
			out = append(out, ' ')
		}
		gap := i
		for i < len(v.buf) && kinds[v.buf[i]] != isLetter {
			i++
		}
		if i-gap > 1 || i < len(v.buf) && i > gap && v.origin(i)-v.origin(gap) > 1 {
			out = append(out, ' ')
		}
	}
	if t.out = out; count >= 5 {
		t.reveal(Nato, v, 0, len(v.buf), out)
	}
}

// swords undoes ROT47, which turns letters into signs and signs into letters.
func (t *Text) swords(v *view) {
	out := append(t.out[:0], v.raw...)
	for i, c := range out {
		out[i] = rot47[c] | 0x20
	}
	if t.out = out; t.known(out) < enough {
		return
	}
	for i, c := range v.raw {
		out[i] = rot47[c]
	}
	t.reveal(Rot47, v, 0, len(v.buf), out)
}

// rot47 moves what can be seen of ASCII by half of itself.
var rot47 = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for c := byte('!'); c <= '~'; c++ {
		t[c] = '!' + (c-'!'+47)%94
	}
	return t
}()

// known adds up what the words of b are worth.
func (t *Text) known(b []byte) (sum int) {
	for i := 0; i < len(b); {
		if kinds[b[i]] != isLetter {
			i++
			continue
		}
		k, n := word.Letters(b, i)
		if n >= 4 {
			sum += int(t.words.lex.find(encode(k).hash()).worth)
		}
		for i += n; i < len(b) && kinds[b[i]] == isLetter; {
			i++
		}
	}
	return sum
}

// fragments puts string literals together that are added up: "ig" + "nore".
func (t *Text) fragments(v *view) {
	out := t.out[:0]
	glued := 0
	end := -1 // of the literal before
	b := v.buf
	for i := 0; i < len(b); i++ {
		q := b[i]
		if kinds[q] != isQuote {
			continue
		}
		n := 1
		for i+n < len(b) && b[i+n] != q && b[i+n] != '\n' && n < 64 {
			n++
		}
		if i+n >= len(b) || b[i+n] != q {
			continue
		}
		switch {
		case end >= 0 && adds(b[end:i]):
			glued++
		case len(out) > 0:
			out = append(out, ' ')
		}
		out = append(out, b[i+1:i+n]...)
		i += n
		end = i + 1
	}
	if t.out = out; glued > 0 {
		t.reveal(Fragments, v, 0, len(b), out)
	}
}

// adds reports whether a gap between two literals puts them together.
func adds(gap []byte) bool {
	if len(gap) > 6 {
		return false
	}
	sign := false
	for _, c := range gap {
		switch c {
		case '+', '.', '&', '|', '~':
			sign = true
		case ' ', '\n':
		default:
			return false
		}
	}
	return sign
}
