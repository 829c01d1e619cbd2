package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// DefaultPrefix begins the keys of a [Config] or [ManagerConfig] that names no
// other prefix.
const DefaultPrefix = "spark_live"

const (
	idLen       = 12 // base62: 71 bits, so that ids don't collide
	secretLen   = 30 // base62: 178 bits, so that secrets can't be guessed
	checksumLen = 6  // base62: holds any CRC-32
	tailLen     = 1 + idLen + 1 + secretLen + checksumLen
	maxPrefix   = 24
	maxKeyLen   = maxPrefix + tailLen
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ErrMalformed is what [ParseKey] says of a text that can't be a key: a wrong
// length, a character outside base62, a checksum that doesn't fit.
var ErrMalformed = errors.New("auth: malformed key")

// Key is an API key, as its owner holds it:
//
//	spark_live_4fGx0aT9QkLm_Zr81…30 characters…kV0 + 6 of checksum
//	└ prefix ┘ └   id     ┘ └ secret, 178 random bits ┘
//
// The id is public: it names the key in lists and logs, and finds its record.
// The checksum is the CRC-32 of all that precedes it, in base62: a mistyped or
// invented key is told from a real one without asking a store, and a scanner of
// source code hardly ever reports what is no key (see [Scanner]).
//
// A Key redacts itself wherever it is printed, logged or encoded; only Reveal
// gives it away. The zero Key is no key.
type Key struct {
	// A pointer, since fmt prints the unexported fields of a struct that holds
	// a Key without asking any method; of a pointer it prints the address.
	text *string
}

// NewKey makes a random key. An empty prefix means [DefaultPrefix]; any other
// must be 1 to 24 of a–z and 0–9 in words joined by single underscores.
//
// A [Manager] makes keys and stores them too.
func NewKey(prefix string) (Key, error) {
	return newKey(prefix, random(idLen))
}

// newKey makes a key with a new secret for an id.
func newKey(prefix, id string) (Key, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if err := checkPrefix(prefix); err != nil {
		return Key{}, err
	}
	text := prefix + "_" + id + "_" + random(secretLen)
	sum := checksum([]byte(text))
	text += string(sum[:])
	return Key{&text}, nil
}

// ParseKey checks the form of a key and its checksum; whether there is such a
// key is not its business. The error is [ErrMalformed].
func ParseKey(s string) (Key, error) {
	prefix := len(s) - tailLen
	if prefix < 1 || checkPrefix(s[:prefix]) != nil {
		return Key{}, ErrMalformed
	}
	var buf [maxKeyLen]byte
	if !wellFormed(buf[:copy(buf[:], s)], prefix) {
		return Key{}, ErrMalformed
	}
	return Key{&s}, nil
}

// wellFormed reports whether text is a key whose prefix has the given length.
// That the prefix is the right one is for the caller to check.
func wellFormed(text []byte, prefix int) bool {
	if len(text) != prefix+tailLen || text[prefix] != '_' || text[prefix+1+idLen] != '_' {
		return false
	}
	id, secret, body := text[prefix+1:prefix+1+idLen], text[prefix+2+idLen:], len(text)-checksumLen
	all := byte(0) // has the bit of notDigit if one of them has
	for _, c := range id {
		all |= digits[c]
	}
	for _, c := range secret {
		all |= digits[c]
	}
	if all >= notDigit {
		return false
	}
	sum := uint64(0)
	for _, c := range text[body:] {
		sum = sum*62 + uint64(digits[c])
	}
	return sum == uint64(crc32.ChecksumIEEE(text[:body]))
}

// ID returns the public part that names the key; it is empty for the zero Key.
func (k Key) ID() string {
	if k.text == nil {
		return ""
	}
	prefix := len(*k.text) - tailLen
	return (*k.text)[prefix+1 : prefix+1+idLen]
}

// Prefix returns what the key begins with, without the underscore after it.
func (k Key) Prefix() string {
	if k.text == nil {
		return ""
	}
	return (*k.text)[:len(*k.text)-tailLen]
}

// Reveal returns the key itself. Show it to its owner once, and to nobody else.
func (k Key) Reveal() string {
	if k.text == nil {
		return ""
	}
	return *k.text
}

// String returns the key without its secret.
func (k Key) String() string {
	if k.text == nil {
		return ""
	}
	return k.Prefix() + "_" + k.ID() + "_[redacted]"
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue implements [slog.LogValuer] with what String returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText implements [encoding.TextMarshaler], and so JSON, with what
// String returns: it can't be turned back into the key.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Scanner returns the expression that finds keys of a prefix in source code and
// logs, for a secret scanner. An empty prefix means [DefaultPrefix]. What it
// finds is a key if [ParseKey] agrees.
func Scanner(prefix string) (*regexp.Regexp, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	return regexp.Compile(fmt.Sprintf(`\b%s_[0-9A-Za-z]{%d}_[0-9A-Za-z]{%d}\b`, prefix, idLen, secretLen+checksumLen))
}

func checkPrefix(prefix string) error {
	valid := len(prefix) <= maxPrefix
	for word := range strings.SplitSeq(prefix, "_") {
		valid = valid && word != ""
		for _, c := range []byte(word) {
			valid = valid && base62(c) && (c < 'A' || c > 'Z')
		}
	}
	if !valid {
		return fmt.Errorf("auth: Prefix is %q, want at most %d of a-z and 0-9 in words joined by underscores", prefix, maxPrefix)
	}
	return nil
}

// ValidID reports whether a text can be the id of a key: 12 of 0–9, A–Z and a–z.
func ValidID(id string) bool {
	for i := range len(id) {
		if !base62(id[i]) {
			return false
		}
	}
	return len(id) == idLen
}

func base62(c byte) bool { return digits[c] < notDigit }

// digits are the values of the characters of base62.
var digits = func() (values [256]byte) {
	for i := range values {
		values[i] = notDigit
	}
	for value, c := range []byte(alphabet) {
		values[c] = byte(value)
	}
	return values
}()

const notDigit = 0x80

// checksum returns the CRC-32 (IEEE) of text in base62, its most significant
// digit first.
func checksum(text []byte) (sum [checksumLen]byte) {
	crc := crc32.ChecksumIEEE(text)
	for i := range sum {
		sum[checksumLen-1-i] = alphabet[crc%62]
		crc /= 62
	}
	return sum
}

// random returns n random characters of base62, each with the same likelihood.
func random(n int) string {
	text, buf := make([]byte, 0, n), make([]byte, 2*n)
	for {
		_, _ = rand.Read(buf) // it never fails: it ends the program instead
		for _, b := range buf {
			if b >= 4*62 {
				continue // 256 is no multiple of 62: the first few would come more often
			}
			if text = append(text, alphabet[b%62]); len(text) == n {
				return string(text)
			}
		}
	}
}
