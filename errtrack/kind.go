package errtrack

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// kindOf returns what kind of parameter w is, or "". The order matters: a UUID
// begins like a number, an address like a host.
func kindOf(w string) string {
	switch {
	case w == "":
		return ""
	case isURL(w):
		return "<url>"
	case isSecret(w):
		return "<secret>"
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
	case isPath(w):
		return "<path>"
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
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	return ok && local != "" && len(last) >= 2 && len(last) < len(domain) && !strings.ContainsAny(domain, ":/@")
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

// domains are the last labels by which a name is taken for that of a host. There
// are more, but names of fields, files and packages have dots as well, and what
// is not recognized here makes two groups of one, not one of two.
const domains = " com org net io dev ai app co cloud info eu de fr uk us ch at nl it es ru cn jp in br gov edu mil int me tv xyz" +
	" local localhost internal intern lan corp home arpa cluster svc test example invalid onion "

// isHost takes names of at least two labels with a usual last one, and maybe a
// port.
func isHost(w string) bool {
	host, port, ok := strings.Cut(w, ":")
	if ok && !digits(port) {
		return false
	}
	if ok && host == "localhost" {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.LastIndexByte(host, '.')
	if last <= 0 || len(host) > 253 || strings.Contains(host, "..") || !strings.Contains(domains, " "+host[last+1:]+" ") {
		return false
	}
	return all(host[:last], func(c byte) bool { return lower(c) || digit(c) || c == '-' || c == '.' || c == '_' })
}

// isPath takes absolute paths below the usual folders, and source files.
func isPath(w string) bool {
	file, _, _ := strings.Cut(w, ":")
	if strings.HasSuffix(file, ".go") && strings.Contains(file, "/") {
		return true
	}
	if len(w) > 3 && w[1] == ':' && w[2] == '\\' && letter(w[0]) {
		return true
	}
	first, rest, ok := strings.Cut(strings.TrimPrefix(w, "/"), "/")
	return ok && rest != "" && w[0] == '/' && first != "" && !strings.Contains(first, " ") &&
		strings.Contains(" home root Users tmp private var usr etc opt mnt srv run proc sys dev build go workspace data ", " "+first+" ")
}

// isSecret takes what looks like a key of one of the usual issuers, or a JWT.
func isSecret(w string) bool {
	if len(w) < 16 || strings.ContainsAny(w, "/:") {
		return false
	}
	for _, prefix := range [...]string{"sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "ASIA", "AIza", "eyJ"} {
		if strings.HasPrefix(w, prefix) {
			return true
		}
	}
	return false
}

// isHTTPDate reports whether text begins with a date as HTTP has it.
func isHTTPDate(text string) bool {
	if len(text) < len(http.TimeFormat) || text[3] != ',' {
		return false
	}
	_, err := time.Parse(time.RFC1123, text[:len(http.TimeFormat)])
	return err == nil
}

// isID takes words with so many digits, or so many capitals, among the letters
// that a program must have made them: req_011CSHoEeqs5C35K2UUqR7Fy, user1234. It
// leaves order-12345 to be a word and a number, as order-7 is.
func isID(w string) bool {
	count, capitals, letters, mixed := 0, 0, 0, false
	for i := range len(w) {
		c := w[i]
		switch {
		case digit(c):
			count++
		case lower(c):
			letters++
		case c >= 'A' && c <= 'Z':
			letters++
			capitals++
		case c == '_', c == '-':
		default:
			return false
		}
		mixed = mixed || i > 0 && letter(c) && digit(w[i-1]) || i > 0 && digit(c) && letter(w[i-1])
	}
	if mixed && count >= 4 || len(w) >= 20 && mixed && count >= 2 {
		return true
	}
	return len(w) >= 20 && letters > 0 && letters+count == len(w) && 3*capitals >= len(w)
}

func all(w string, is func(byte) bool) bool {
	for i := range len(w) {
		if !is(w[i]) {
			return false
		}
	}
	return true
}

func letter(c byte) bool   { return lower(c | 0x20) }
func digit(c byte) bool    { return c >= '0' && c <= '9' }
func lower(c byte) bool    { return c >= 'a' && c <= 'z' }
func hexDigit(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
