package errtrack

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxParsed bounds how much of a message is looked at, so that an error which
// repeats a whole document costs no more than any other.
const maxParsed = 4 << 10

// placeholders are what stands for what varies. They are left as they are, so
// that a text may be parameterized again.
var placeholders = [...]string{
	"<quoted>", "<secret>", "<url>", "<email>", "<ip>", "<uuid>", "<traceparent>", "<date>", "<duration>",
	"<number>", "<hash>", "<host>", "<path>", "<id>",
}

// parameterize replaces what varies from one occurrence of an error to the next
// by its kind: quoted strings, credentials, addresses, ids, hashes, dates,
// durations and numbers. It reads the text once, from left to right.
func parameterize(text string) string {
	if len(text) > maxParsed {
		text = text[:maxParsed]
	}
	s := scanner{text: strings.ToValidUTF8(text, "")}
	s.out.Grow(len(s.text))
	for s.text != "" {
		s.next()
	}
	out := strings.TrimRight(s.out.String(), " ")
	if len(out) > maxParsed {
		out = strings.ToValidUTF8(out[:maxParsed], "")
	}
	return out
}

// scanner reads a text.
type scanner struct {
	text    string // what is left
	out     strings.Builder
	name    string // the word before, if only space has come since
	joined  bool   // a placeholder stands right before
	noQuote bool   // no single quote is closed any more
}

// next reads what the text begins with: space, something quoted, or a word.
func (s *scanner) next() {
	if n := space(s.text); n > 0 {
		if s.out.Len() > 0 {
			s.out.WriteByte(' ')
		}
		s.text, s.joined = s.text[n:], false
		return
	}
	name := s.name
	s.name = ""
	if p := placeholder(s.text); p != "" {
		s.replace(len(p), p)
		return
	}
	if n := secretAfter(name, s.text); n > 0 {
		s.replace(n, "<secret>")
		return
	}
	if n := s.quoted(); n > 0 {
		s.replace(n, "<quoted>")
		return
	}
	if isHTTPDate(s.text) {
		s.replace(len(http.TimeFormat), "<date>")
		return
	}
	n := word(s.text)
	if s.joined = s.joined && s.text[0] == '/'; s.joined {
		n = 1 // what follows is no path: it has begun before
	}
	writeWord(&s.out, s.text[:n])
	s.text, s.name = s.text[n:], s.text[:n]
}

func (s *scanner) replace(n int, by string) {
	s.out.WriteString(by)
	s.text, s.joined = s.text[n:], true
}

func space(text string) int {
	n := 0
	for n < len(text) && (text[n] <= ' ' || text[n] == 0x7f) {
		n++
	}
	return n
}

func placeholder(text string) string {
	if text[0] == '<' {
		for _, p := range placeholders {
			if strings.HasPrefix(text, p) {
				return p
			}
		}
	}
	return ""
}

// closing returns what closes the quote that text begins with, or "".
func closing(text string) string {
	switch text[0] {
	case '"', '\'', '`':
		return text[:1]
	case 0xc2, 0xe2:
		for _, pair := range [...][2]string{{"“", "”"}, {"„", "“"}, {"«", "»"}, {"‘", "’"}} {
			if strings.HasPrefix(text, pair[0]) {
				return pair[1]
			}
		}
	}
	return ""
}

// quoted returns the length of the quoted string that the text begins with, or
// 0. What has no closing quote was cut off, except for a single quote: that is an
// apostrophe.
func (s *scanner) quoted() int {
	end := closing(s.text)
	if end == "" || end == "'" && (s.noQuote || s.joined) {
		return 0
	}
	for i := 1; i < len(s.text); i++ {
		if s.text[i] == '\\' {
			i++
		} else if rest, ok := strings.CutPrefix(s.text[i:], end); ok && (end != "'" || !letterAt(rest)) {
			return i + len(end)
		}
	}
	if end == "'" {
		s.noQuote = true
		return 0
	}
	return len(s.text)
}

// word returns the length of what is neither space nor the beginning of
// something quoted.
func word(text string) int {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c <= ' ', c == 0x7f:
			return i
		case c == '<' && placeholder(text[i:]) != "":
			return i
		case c == '\'':
			// It opens only after something like = ( [ :, not in "don't".
			if r, _ := utf8.DecodeLastRuneInString(text[:i]); !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return i
			}
		case closing(text[i:]) != "":
			return i
		}
	}
	return len(text)
}

func letterAt(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsLetter(r) || unicode.IsDigit(r) || text != "" && placeholder(text) != ""
}

// separators divide a word into parts that may each be a parameter, the first of
// them into the largest ones: key=value, a/b/c, host:port:what.
var separators = [...]string{"=,;()[]{}<>|&?!*+", "/", ":", "-_#@"}

// writeWord writes a word, or what kind of parameter it is.
func writeWord(out *strings.Builder, w string) {
	if len(w) < 16 && all(w, letter) {
		out.WriteString(w) // as most are
		return
	}
	lead := len(w) - len(strings.TrimLeft(w, "([{<,;=\"'`"))
	trail := len(strings.TrimRight(w[lead:], ".,:;)]}>!?\"'`")) + lead
	core := w[lead:trail]
	out.WriteString(w[:lead])
	if kind := kindOf(core); kind != "" {
		out.WriteString(kind)
	} else {
		writeParts(out, core)
	}
	out.WriteString(w[trail:])
}

func writeParts(out *strings.Builder, core string) {
	for _, seps := range separators {
		if strings.ContainsAny(core, seps) {
			writeSplit(out, core, seps)
			return
		}
	}
	out.WriteString(core)
}

func writeSplit(out *strings.Builder, core, seps string) {
	for core != "" {
		i := strings.IndexAny(core, seps)
		if i < 0 {
			writeWord(out, core)
			return
		}
		name, sep := core[:i], core[i]
		if i > 0 {
			writeWord(out, name)
		}
		out.WriteByte(sep)
		core = core[i+1:]
		if (sep == '=' || sep == ':') && isSecretName(name) {
			if n := valueLen(core); n > 0 {
				out.WriteString("<secret>")
				core = core[n:]
			}
		}
	}
}

// valueLen returns the length of the value that text begins with.
func valueLen(text string) int {
	for i := range len(text) {
		if c := text[i]; c == '&' || c == ',' || c == ';' {
			return i
		}
	}
	return len(text)
}

// isSecretName reports whether what is assigned to a name is a credential.
func isSecretName(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range [...]string{"password", "passwd", "pwd", "passphrase", "secret", "token", "key", "cookie", "session", "authorization", "signature"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// secretAfter returns the length of the credential that text begins with because
// of the word before it, or 0.
func secretAfter(name, text string) int {
	if closing(text) != "" {
		return 0
	}
	name = strings.ToLower(strings.Trim(name, "\"'([{=,;"))
	switch name {
	case "authorization:", "proxy-authorization:", "cookie:", "set-cookie:":
		if n := strings.IndexByte(text, '\n'); n > 0 {
			return n
		}
		return len(text)
	case "bearer", "basic":
		if n := word(text); n >= 8 {
			return n
		}
		return 0
	case "key:", "token:", "session:", "signature:":
		return 0 // what comes is what is wrong with it: "unexpected token: EOF"
	}
	if name, ok := strings.CutSuffix(name, ":"); ok && isSecretName(name) {
		return word(text)
	}
	return 0
}
