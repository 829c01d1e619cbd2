package sanitize

import (
	"bytes"
	"math/bits"
)

const (
	ruleCanary     = "prompt.canary"
	rulePrivateKey = "secret.private-key"
)

// secret is the shape of one kind of secret: a prefix, and at least min bytes
// behind it.
type secret struct {
	rule   string
	prefix string
	min    int
	mixed  bool // digits and letters of both cases, so that no word matches
	dashes bool // - and _ occur in it
	fold   bool // of the prefix, the case makes no difference
	key    bool // a private key, which has lines
}

// secrets are the formats that their issuers document for being found.
var secrets = []secret{
	{rule: "secret.anthropic", prefix: "sk-ant-", min: 24, dashes: true},
	{rule: "secret.openai", prefix: "sk-", min: 32, mixed: true, dashes: true},
	{rule: "secret.aws", prefix: "AKIA", min: 16},
	{rule: "secret.aws", prefix: "ASIA", min: 16},
	{rule: "secret.github", prefix: "ghp_", min: 36},
	{rule: "secret.github", prefix: "gho_", min: 36},
	{rule: "secret.github", prefix: "ghu_", min: 36},
	{rule: "secret.github", prefix: "ghs_", min: 36},
	{rule: "secret.github", prefix: "ghr_", min: 36},
	{rule: "secret.github", prefix: "github_pat_", min: 60, dashes: true},
	{rule: "secret.gitlab", prefix: "glpat-", min: 20, dashes: true},
	{rule: "secret.google", prefix: "AIza", min: 35, dashes: true},
	{rule: "secret.slack", prefix: "xoxb-", min: 24, dashes: true},
	{rule: "secret.slack", prefix: "xoxp-", min: 24, dashes: true},
	{rule: "secret.slack", prefix: "xoxa-", min: 24, dashes: true},
	{rule: "secret.slack", prefix: "xoxr-", min: 24, dashes: true},
	{rule: "secret.stripe", prefix: "sk_live_", min: 16},
	{rule: "secret.stripe", prefix: "rk_live_", min: 16},
	{rule: "secret.npm", prefix: "npm_", min: 36},
	{rule: "secret.huggingface", prefix: "hf_", min: 30},
	{rule: rulePrivateKey, prefix: "-----BEGIN ", key: true},
}

// Where a byte may be the first of a secret.
const (
	atWord   = 1 << iota // at the beginning of a word
	anywhere             // and within words, too
)

// secret looks for a secret that text begins with. If that is within a word, only
// a canary can be.
func (w *window) secret(text []byte, inWord, final bool) match {
	var m match
	for i := range w.o.secrets {
		s := &w.o.secrets[i]
		if inWord && !s.fold {
			continue
		}
		n, maybe := s.find(text, final)
		if n > 0 {
			return match{rule: s.rule, n: n, open: s}
		}
		m.maybe = m.maybe || maybe
	}
	return m
}

// find returns how many bytes of the secret text begins with, or whether more
// text may make it one.
func (s *secret) find(text []byte, final bool) (n int, maybe bool) {
	if len(text) < len(s.prefix) {
		return 0, !final && s.begins(s.prefix[:len(text)], text)
	}
	if !s.begins(s.prefix, text[:len(s.prefix)]) {
		return 0, false
	}
	rest := text[len(s.prefix):]
	if s.key {
		n, maybe = keyHeader(rest)
	} else {
		n, maybe = s.body(rest)
	}
	if n >= 0 {
		return len(s.prefix) + n, false
	}
	return 0, maybe && !final
}

func (s *secret) begins(prefix string, text []byte) bool {
	if !s.fold {
		return string(text) == prefix
	}
	for i, b := range text {
		if lower(b) != prefix[i] {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b |= 0x20
	}
	return b
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// body returns how much of rest belongs to a secret whose prefix came before; -1
// if it is none.
func (s *secret) body(rest []byte) (n int, maybe bool) {
	for n < len(rest) && s.part(rest[n]) {
		n++
	}
	if n >= s.min && (s.min == 0 || s.random(rest[:n])) {
		return n, false
	}
	return -1, n == len(rest) && n < s.min+64
}

// part reports whether b may be in the secret behind its prefix.
func (s *secret) part(b byte) bool {
	return s.min > 0 && (alnum(b) || s.dashes && (b == '-' || b == '_'))
}

// random tells a secret from a placeholder such as sk-xxxxxxxx, and from words.
func (s *secret) random(body []byte) bool {
	var seen [4]uint64
	var digits, upper, lower int
	for _, b := range body {
		seen[b>>6] |= 1 << (b & 63)
		switch {
		case b >= '0' && b <= '9':
			digits++
		case b >= 'a' && b <= 'z':
			lower++
		case b >= 'A' && b <= 'Z':
			upper++
		}
	}
	distinct := 0
	for _, x := range seen {
		distinct += bits.OnesCount64(x)
	}
	return distinct >= 8 && (!s.mixed || digits >= 2 && upper > 0 && lower > 0)
}

// goesOn returns how many bytes at the beginning of text belong to the secret
// that was found in front of it, or whether more text decides that, and whether
// it ends with them.
func (s *secret) goesOn(text []byte, final bool) (n int, maybe, ends bool) {
	if s.key {
		return keyBody(text, final)
	}
	for n < len(text) && s.part(text[n]) {
		n++
	}
	return n, false, n < len(text)
}

// keyHeader reads the rest of the first line of a private key and the beginning
// of its second (RFC 7468): prose that names the line is no key.
func keyHeader(rest []byte) (n int, maybe bool) {
	const label, dashes, enough, most = "PRIVATE KEY", "-----", 16, 120
	for n < len(rest) && n < most/2 && (rest[n] >= 'A' && rest[n] <= 'Z' || rest[n] == ' ') {
		n++
	}
	if tail := rest[n:min(n+len(dashes), len(rest))]; string(tail) != dashes {
		return -1, n+len(tail) == len(rest) && string(tail) == dashes[:len(tail)]
	}
	if !bytes.HasSuffix(bytes.TrimSuffix(rest[:n], []byte(" BLOCK")), []byte(label)) {
		return -1, false
	}
	n += len(dashes)
	for found := 0; n < len(rest) && n < most; n++ {
		switch b := rest[n]; {
		case base64Byte(b):
			if found++; found >= enough {
				return n + 1, false
			}
		case b != '\n' && b != '\r' || found > 0:
			return -1, false
		}
	}
	return -1, n < most
}

// keyBody reads on in a private key, to the end of its last line.
func keyBody(text []byte, final bool) (n int, maybe, ends bool) {
	const last = "-----END "
	for n < len(text) && (base64Byte(text[n]) || text[n] == '\n' || text[n] == '\r') {
		n++
	}
	if n > 0 || text[0] != '-' {
		return n, false, n < len(text) && text[n] != '-'
	}
	if len(text) < len(last) {
		maybe = !final && string(text) == last[:len(text)]
		return 0, maybe, !maybe
	}
	if string(text[:len(last)]) != last {
		return 0, false, true
	}
	line := text[len(last):min(len(text), 64)]
	if at := bytes.Index(line, []byte("-----")); at >= 0 {
		return len(last) + at + len("-----"), false, true
	}
	maybe = !final && len(text) < 64
	return 0, maybe, !maybe
}

func base64Byte(b byte) bool { return alnum(b) || b == '+' || b == '/' || b == '=' }

func alnum(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' }
