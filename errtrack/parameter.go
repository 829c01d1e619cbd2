package errtrack

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxParsed bounds how much of a message is looked at, so that an error which
// repeats a whole document costs no more than any other.
const maxParsed = 4 << 10

// maxQuote is how far apart two quotes may be that belong together.
const maxQuote = 512

// parameterize replaces what varies from one occurrence of an error to the next
// by its kind: quoted strings, addresses, ids, hashes, dates, durations and
// numbers. It reads the text once, from left to right.
func parameterize(text string) string {
	if len(text) > maxParsed {
		text = strings.ToValidUTF8(text[:maxParsed], "")
	}
	var out strings.Builder
	out.Grow(len(text))
	for text != "" {
		n := space(text)
		if n > 0 {
			out.WriteByte(' ')
			text = text[n:]
			continue
		}
		if n := quoted(text); n > 0 {
			out.WriteString("<quoted>")
			text = text[n:]
			continue
		}
		n = word(text)
		writeWord(&out, text[:n], 0)
		text = text[n:]
	}
	return strings.TrimSpace(out.String())
}

func space(text string) int {
	n := 0
	for n < len(text) && (text[n] <= ' ' || text[n] == 0x7f) {
		n++
	}
	return n
}

// quoted returns the length of the quoted string that text begins with, or 0.
// What has no closing quote nearby is an apostrophe.
func quoted(text string) int {
	quote := text[0]
	if quote != '"' && quote != '\'' && quote != '`' {
		return 0
	}
	for i := 1; i < min(len(text), maxQuote); i++ {
		switch text[i] {
		case '\\':
			i++
		case '\n':
			return 0
		case quote:
			return i + 1
		}
	}
	return 0
}

// word returns the length of what is neither space nor the beginning of
// something quoted.
func word(text string) int {
	for i := 1; i < len(text); i++ {
		if text[i] <= ' ' {
			return i
		}
		// A quote opens only after something like = ( [ :, not in "don't".
		if (text[i] == '"' || text[i] == '\'' || text[i] == '`') && !letterBefore(text[:i]) {
			return i
		}
	}
	return len(text)
}

func letterBefore(text string) bool {
	r, _ := utf8.DecodeLastRuneInString(text)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// separators divide a word into parts that may each be a parameter.
const separators = "=,;()[]{}<>|&?!*+"

// writeWord writes a word, or what kind of parameter it is.
func writeWord(out *strings.Builder, w string, depth int) {
	lead := len(w) - len(strings.TrimLeft(w, "([{<,;=\"'`"))
	trail := len(strings.TrimRight(w[lead:], ".,:;)]}>!?\"'`")) + lead
	core := w[lead:trail]
	out.WriteString(w[:lead])
	defer out.WriteString(w[trail:])
	if kind := kindOf(core); kind != "" {
		out.WriteString(kind)
		return
	}
	// The parts in turn: key=value, a/b/c, host:port:what.
	for _, seps := range [...]string{separators, "/", ":", "-_#@"} {
		if i := strings.IndexAny(core, seps); i >= 0 && depth < 4 {
			writeParts(out, core, seps, depth+1)
			return
		}
	}
	out.WriteString(core)
}

func writeParts(out *strings.Builder, core, seps string, depth int) {
	for core != "" {
		i := strings.IndexAny(core, seps)
		if i < 0 {
			i = len(core)
		}
		if i > 0 {
			writeWord(out, core[:i], depth)
		}
		if i < len(core) {
			out.WriteByte(core[i])
			i++
		}
		core = core[i:]
	}
}

// kindOf returns what kind of parameter w is, or "". The order matters: a UUID
// begins like a number, a date like a duration.
func kindOf(w string) string {
	switch {
	case w == "":
		return ""
	case isURL(w):
		return "<url>"
	case isEmail(w):
		return "<email>"
	case isIP(w):
		return "<ip>"
	case isHex(w, 8, 4, 4, 4, 12):
		return "<uuid>"
	case isHex(w, 2, 32, 16, 2):
		return "<traceparent>"
	case isDate(w):
		return "<date>"
	case isDuration(w):
		return "<duration>"
	case isNumber(w):
		return "<number>"
	case isHash(w):
		return "<hash>"
	case isHost(w):
		return "<host>"
	case isID(w):
		return "<id>"
	}
	return ""
}

func isURL(w string) bool {
	scheme, rest, ok := strings.Cut(w, "://")
	return ok && rest != "" && scheme != "" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") == ""
}

func isEmail(w string) bool {
	local, domain, ok := strings.Cut(w, "@")
	return ok && local != "" && strings.Contains(domain, ".") && isHost(domain)
}

func isIP(w string) bool {
	if !strings.ContainsAny(w, ".:") || strings.ContainsAny(w, "ghijklmnopqrstuvwyzGHIJKLMNOPQRSTUVWYZ/") && !strings.Contains(w, "%") {
		return false
	}
	if _, err := netip.ParseAddrPort(w); err == nil {
		return true
	}
	_, err := netip.ParseAddr(w)
	return err == nil
}

// isHex reports whether w is groups of hexadecimal digits of these lengths.
func isHex(w string, groups ...int) bool {
	for i, n := range groups {
		if i > 0 {
			if w == "" || w[0] != '-' {
				return false
			}
			w = w[1:]
		}
		if len(w) < n || !all(w[:n], hexDigit) {
			return false
		}
		w = w[n:]
	}
	return w == ""
}

// isDate takes 2026-11-23, with a time after T, and 10:15:30.
func isDate(w string) bool {
	date, clock, both := strings.Cut(w, "T")
	if shape(date, "0000-00-00") || shape(date, "0000/00/00") {
		return !both || isClock(clock)
	}
	return !both && isClock(w)
}

func isClock(w string) bool {
	w = strings.TrimSuffix(w, "Z")
	if i := strings.LastIndexAny(w, "+-"); i > 0 && shape(w[i+1:], "00:00") {
		w = w[:i]
	}
	clock, fraction, ok := strings.Cut(w, ".")
	return shape(clock, "00:00:00") && (!ok || fraction != "" && all(fraction, digit))
}

// shape reports whether w looks like pattern, in which 0 is any digit.
func shape(w, pattern string) bool {
	if len(w) != len(pattern) {
		return false
	}
	for i := range len(w) {
		if pattern[i] == '0' && !digit(w[i]) || pattern[i] != '0' && w[i] != pattern[i] {
			return false
		}
	}
	return true
}

// isDuration takes 1.5s, 300ms, 1h2m3.5s.
func isDuration(w string) bool {
	w = strings.TrimLeft(w, "+-")
	if w == "" || !digit(w[0]) {
		return false
	}
	for w != "" {
		n := len(w) - len(strings.TrimLeft(w, "0123456789."))
		if n == 0 {
			return false
		}
		w = w[n:]
		unit := 0
		for _, u := range [...]string{"ns", "µs", "μs", "us", "ms", "s", "m", "h", "d"} {
			if strings.HasPrefix(w, u) {
				unit = len(u)
				break
			}
		}
		if unit == 0 {
			return false
		}
		w = w[unit:]
	}
	return true
}

// isNumber takes 42, -1.5e-7, 0x1f, 50%, 10KiB and 1,000.
func isNumber(w string) bool {
	w = strings.TrimLeft(w, "+-#$")
	if rest, ok := strings.CutPrefix(strings.ToLower(w), "0x"); ok {
		return rest != "" && all(rest, hexDigit)
	}
	n := len(w) - len(strings.TrimLeft(w, "0123456789.,"))
	if n == 0 || !strings.ContainsAny(w[:n], "0123456789") {
		return false
	}
	unit := w[n:]
	if e := strings.TrimLeft(unit, "eE"); len(e) == len(unit)-1 {
		e = strings.TrimLeft(e, "+-")
		return e != "" && all(e, digit)
	}
	switch strings.ToLower(unit) {
	case "", "%", "b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "k", "x", "px", "st", "nd", "rd", "th":
		return true
	}
	return false
}

// isHash takes digests and revisions: at least seven hexadecimal digits with a
// decimal one among them, so that "facade" stays a word.
func isHash(w string) bool {
	return len(w) >= 7 && all(w, hexDigit) && strings.ContainsAny(w, "0123456789") && (len(w) >= 16 || strings.ContainsAny(w, "abcdefABCDEF"))
}

// isHost takes names of at least two labels of which the last has only letters,
// and maybe a port. Names of files and packages look the same; they vary as
// little as they matter.
func isHost(w string) bool {
	if host, port, ok := strings.Cut(w, ":"); ok {
		if port == "" || !all(port, digit) {
			return false
		}
		if host == "localhost" {
			return true
		}
		w = host
	}
	last := strings.LastIndexByte(w, '.')
	if last <= 0 || len(w)-last < 3 || strings.Contains(w, "..") {
		return false
	}
	tld := w[last+1:]
	if !all(tld, lower) || strings.Contains(" go json html txt yaml yml toml md py js ts css log sum mod tmp proto ", " "+tld+" ") {
		return false
	}
	return all(w[:last], func(c byte) bool { return lower(c) || digit(c) || c == '-' || c == '.' || c == '_' })
}

// isID takes words with so many digits among the letters that a program must
// have made them: req_011CSHoEeqs5C35K2UUqR7Fy, user1234, a1b2c3d4e5.
func isID(w string) bool {
	digits, letters := 0, 0
	for i := range len(w) {
		switch c := w[i]; {
		case digit(c):
			digits++
		case lower(c), c >= 'A' && c <= 'Z':
			letters++
		case c == '_', c == '-':
		default:
			return false
		}
	}
	return digits >= 4 && letters > 0 || len(w) >= 20 && digits >= 2 && letters > 0
}

func all(w string, is func(byte) bool) bool {
	for i := range len(w) {
		if !is(w[i]) {
			return false
		}
	}
	return true
}

func digit(c byte) bool    { return c >= '0' && c <= '9' }
func lower(c byte) bool    { return c >= 'a' && c <= 'z' }
func hexDigit(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
