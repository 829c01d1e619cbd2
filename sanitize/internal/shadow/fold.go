package shadow

import (
	"bytes"
	"unicode/utf8"
)

// lower maps ASCII to what stands for it; zero asks for a closer look (white space, controls, anything longer).
var lower = func() (t [256]byte) {
	for c := byte('!'); c < 0x7F; c++ {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c | 0x20
	}
	return t
}()

// foldRunes folds the characters of v.raw one by one into v.buf.
func (t *Text) foldRunes(v *view) {
	raw := v.raw
	f := folder{t: t, v: v, latin: -1}
	for i := 0; i < len(raw); {
		if raw[i] < utf8.RuneSelf {
			i = f.plain(i)
		} else {
			i = f.letters(i)
		}
		if i < len(raw) && lower[raw[i]] == 0 {
			i = f.step(i)
			v.jump(i)
		}
	}
	f.flush(len(raw))
	if n := len(v.buf); n > 0 && v.buf[n-1] <= ' ' {
		v.cut(n - 1)
	}
}

// A folder holds what folding one text has to remember between characters.
type folder struct {
	t       *Text
	v       *view
	latin   int // 1 if most letters of the text are Latin, 0 if not, -1 if not counted yet
	done    int // words are settled up to this byte of raw
	bound   int // and no word reaches back beyond this byte of the view
	secrets []byte
	kind    Kind
	first   int // where the run of secrets starts
	next    int // and where it would go on
	after   rune
	stack   int // accents in a row
}

// step folds the character at raw[i], which is not a plain ASCII one, and returns where the next one starts.
func (f *folder) step(i int) int {
	raw := f.v.raw
	if c := raw[i]; c < utf8.RuneSelf {
		switch c {
		case '\n', '\r', '\v', '\f':
			f.gap('\n', i)
			return f.blanks(i + 1)
		case ' ', '\t':
			f.gap(' ', i)
			return f.blanks(i + 1)
		case 0x1B:
			f.t.signals.Marks++
			return f.terminal(i)
		}
		return i + 1
	}
	r, n := decode(raw[i:])
	cl, plain, _ := lookup(r)
	if cl != mark {
		f.stack = 0
	}
	switch cl {
	case mark:
		if f.stack++; f.stack == 2 {
			f.t.signals.Marks++
		}
	case invisible, bidi, shifter, tag:
		f.unseen(r, cl, i)
	case space:
		f.gap(' ', i)
	case newline:
		f.gap('\n', i)
	case foreign, loosely:
		if i >= f.done {
			if end := f.word(i); end > i {
				return end
			}
		}
		f.emit(r, plain, i, n)
	case styled:
		f.t.signals.Styled++
		f.emit(r, plain, i, n)
	case flipped:
		f.t.signals.Flipped++
		f.emit(r, plain, i, n)
	case symbol:
		f.emit(r, plain, i, n)
		f.bound = len(f.v.buf)
	case letter, latin, digit:
		f.emit(r, plain, i, n)
	}
	return i + n
}

// emit appends what stands for r, the n bytes at raw[i].
func (f *folder) emit(r rune, plain string, i, n int) {
	f.flush(i)
	f.after = r
	switch {
	case r == 0x3099 || r == 0xFF9E || r == 0x309A || r == 0xFF9F:
		if f.voice(r == 0x309A || r == 0xFF9F) {
			return
		}
	case r >= 0x1100 && r <= 0x11FF && f.jamo(r):
		return
	}
	if plain != "" {
		f.v.put(plain, i)
		return
	}
	f.v.jump(i)
	f.v.buf = append(f.v.buf, f.v.raw[i:i+n]...)
}

// gap appends white space unless some stands there; a line break wins over a space.
func (f *folder) gap(c byte, src int) {
	f.flush(src)
	v := f.v
	if n := len(v.buf); n > 0 {
		switch last := v.buf[n-1]; {
		case last > ' ':
			v.jump(src)
			v.buf = append(v.buf, c)
		case c == '\n':
			v.buf[n-1] = c
		}
	}
}

// blanks returns where the spaces and tabs from raw[i] on end: after white space they say nothing.
func (f *folder) blanks(i int) int {
	raw := f.v.raw
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t') {
		i++
	}
	return i
}

// terminal skips an escape sequence of a terminal (ECMA-48).
func (f *folder) terminal(i int) int {
	raw := f.v.raw
	i++
	if i >= len(raw) {
		return i
	}
	switch raw[i] {
	case '[':
		for i++; i < len(raw) && raw[i] >= 0x20 && raw[i] < 0x40; {
			i++
		}
		if i < len(raw) && raw[i] < 0x7F {
			i++
		}
	case ']':
		end := bytes.IndexAny(raw[i:min(len(raw), i+256)], "\a\x1b")
		if end < 0 {
			return i + 1
		}
		i += end + 1
		if raw[i-1] == 0x1B && i < len(raw) && raw[i] == '\\' {
			i++
		}
	default:
		if raw[i] < utf8.RuneSelf {
			i++
		}
	}
	return i
}

// word settles the word around raw[i], which has a letter that looks like a Latin one. If the word mixes it with Latin letters,
// or has nothing but look-alikes in a Latin text, all of it is folded to Latin, and the end of the word is returned.
func (f *folder) word(i int) int {
	v := f.v
	start := len(v.buf)
	for start > f.bound && (isAlnum(v.buf[start-1]) || v.buf[start-1] >= utf8.RuneSelf) {
		start--
	}
	from := i
	if start < len(v.buf) {
		from = v.origin(start)
	}
	if from < f.done {
		return i
	}
	c := f.census(from)
	f.done = max(c.end, i+1)
	switch {
	case c.other > 0:
		return i
	case c.latin == 0 && (c.loose > 0 || !f.mostlyLatin()):
		return i
	}
	f.t.signals.Mixed++
	v.cut(start)
	f.latinise(from, c.end)
	return c.end
}

// A census counts the letters of a word.
type census struct {
	end                  int // of the word in raw
	latin, strict, loose int // Latin letters, look-alikes by confusables.txt and by our list
	other                int // letters that look like no Latin one
}

// census counts the letters of the word that starts at raw[from].
func (f *folder) census(from int) census {
	raw := f.v.raw
	c := census{end: from}
	for c.end < len(raw) {
		if b := raw[c.end]; b < utf8.RuneSelf {
			if !isAlnum(lower[b]) {
				return c
			}
			if lower[b] >= 'a' {
				c.latin++
			}
			c.end++
			continue
		}
		r, n := decode(raw[c.end:])
		switch cl, plain, _ := lookup(r); cl {
		case foreign:
			c.strict++
		case loosely:
			c.loose++
		case latin, styled, flipped:
			c.latin++
		case letter:
			c.other++
		case symbol:
			if plain != "" || r > 0x2000 {
				return c
			}
		case space, newline:
			return c
		case mark, invisible, digit, bidi, shifter, tag:
		}
		c.end += n
	}
	return c
}

// latinise folds the word raw[from:end] to Latin letters.
func (f *folder) latinise(from, end int) {
	raw, v := f.v.raw, f.v
	for at := from; at < end; {
		if c := raw[at]; c < utf8.RuneSelf {
			v.jump(at)
			v.buf = append(v.buf, lower[c])
			at++
			continue
		}
		r, n := decode(raw[at:])
		cl, plain, like := lookup(r)
		switch {
		case cl == invisible || cl == bidi || cl == shifter || cl == tag:
			f.unseen(r, cl, at)
		case cl == mark:
		case like != "":
			v.put(like, at)
		case plain != "":
			v.put(plain, at)
		default:
			v.jump(at)
			v.buf = append(v.buf, raw[at:at+n]...)
		}
		at += n
	}
	f.flush(end)
}

// mostlyLatin reports whether the text has more Latin letters than letters of the scripts that look like them.
func (f *folder) mostlyLatin() bool {
	if f.latin < 0 {
		ascii, other := 0, 0
		for _, c := range f.v.raw {
			switch {
			case c|0x20 >= 'a' && c|0x20 <= 'z':
				ascii++
			case c >= 0xCD && c < 0xF0:
				other++
			}
		}
		f.latin = 0
		if ascii > other {
			f.latin = 1
		}
	}
	return f.latin == 1
}

// voice turns the kana before it into its voiced form, which Unicode has next to it.
func (f *folder) voice(half bool) bool {
	b := f.v.buf
	r, n := utf8.DecodeLastRune(b)
	if r < 0x304B || r > 0x307B && r < 0x30AB || r > 0x30DB {
		return false
	}
	if r++; half {
		r++
	}
	copy(b[len(b)-n:], string(r))
	return true
}

// jamo joins the conjoining letter r to the syllable before it (Unicode, section 3.12).
func (f *folder) jamo(r rune) bool {
	b := f.v.buf
	last, n := utf8.DecodeLastRune(b)
	switch {
	case r >= 0x1161 && r <= 0x1175 && last >= 0x1100 && last <= 0x1112:
		r = 0xAC00 + ((last-0x1100)*21+(r-0x1161))*28
	case r > 0x11A7 && r <= 0x11C2 && last >= 0xAC00 && last <= 0xD7A3 && (last-0xAC00)%28 == 0:
		r = last + r - 0x11A7
	default:
		return false
	}
	copy(b[len(b)-n:], string(r))
	return true
}

func isAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
