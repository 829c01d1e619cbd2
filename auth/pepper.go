package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Pepper is a secret of the service that stored hashes of keys depend on: with
// a copy of the store alone, nobody can check a key or make a record of one.
// Keep it where the store is not: in the environment, in a secret manager.
//
// The version says with which pepper a hash was made, so that peppers can be
// replaced: put the new one first, under a new version, and keep the old one
// after it. Old hashes are verified with the old one, and are written anew with
// the first when their keys are used (see [Authenticator.Run]).
//
// Version 0 has no secret and stands for plain SHA-256. That is what no peppers
// at all mean, and it is safe: the secret of a key has 178 random bits, so there
// is nothing to guess from its hash. For the same reason a fast hash is the
// right one. A slow one (bcrypt, Argon2) makes up for what passwords lack in
// randomness, at a price per request that would be the best way to bring the
// service down.
//
// A Pepper doesn't show its secret when it is printed, logged or encoded.
type Pepper struct {
	// Version is 0 to 2147483647, unique in its list.
	Version int
	// Secret is 16 to 1024 bytes; 32 random ones are best. Empty for version 0.
	Secret []byte
}

// ParsePeppers reads peppers as they stand in an environment variable: a list
// of version:secret, separated by commas, with the secret in base64 (standard
// or URL alphabet, padding optional). "0:" stands for plain SHA-256. An empty
// text is an empty list. No error repeats any part of the text.
func ParsePeppers(s string) ([]Pepper, error) {
	var peppers []Pepper
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(s, ",") {
		version, secret, found := strings.Cut(strings.TrimSpace(item), ":")
		n, err := parseVersion(version)
		if !found || err != nil {
			return nil, fmt.Errorf("auth: pepper %d is not of the form version:base64", len(peppers)+1)
		}
		url := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(secret, "="))
		raw, err := base64.RawURLEncoding.DecodeString(url)
		if err != nil {
			return nil, fmt.Errorf("auth: pepper %d is not of the form version:base64", len(peppers)+1)
		}
		peppers = append(peppers, Pepper{Version: n, Secret: raw})
	}
	return peppers, checkPeppers(peppers)
}

// String returns the version only.
func (p Pepper) String() string { return "pepper " + strconv.Itoa(p.Version) + " [redacted]" }

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (p Pepper) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// LogValue implements [slog.LogValuer] with what String returns.
func (p Pepper) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText implements [encoding.TextMarshaler], and so JSON, with what
// String returns.
func (p Pepper) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func checkPeppers(peppers []Pepper) error {
	seen := make(map[int]bool)
	for i, p := range peppers {
		switch {
		case p.Version < 0 || p.Version > 1<<31-1:
			return fmt.Errorf("auth: Peppers[%d] has version %d, want 0 to 2147483647", i, p.Version)
		case seen[p.Version]:
			return fmt.Errorf("auth: Peppers[%d] has version %d, which another one has too", i, p.Version)
		case p.Version == 0 && len(p.Secret) > 0:
			return fmt.Errorf("auth: Peppers[%d] has version 0, which means no secret, and a secret", i)
		case p.Version > 0 && (len(p.Secret) < 16 || len(p.Secret) > 1024):
			return fmt.Errorf("auth: Peppers[%d] has a secret of %d bytes, want 16 to 1024", i, len(p.Secret))
		}
		same := func(q Pepper) bool { return bytes.Equal(p.Secret, q.Secret) }
		if slices.ContainsFunc(peppers[:i], same) {
			return fmt.Errorf("auth: Peppers[%d] has the secret of another one", i)
		}
		seen[p.Version] = true
	}
	return nil
}

// sealer hashes keys with each of its peppers.
type sealer struct {
	peppers []Pepper // never empty
	digest  func() hash.Hash
	pool    sync.Pool // of *scratch
}

// scratch is what hashing a key needs, kept so that it isn't allocated anew.
type scratch struct {
	text [maxKeyLen]byte
	macs []hash.Hash
	sums [][sha256.Size]byte // of the key in text, in the order of the peppers
}

func newSealer(peppers []Pepper) (*sealer, error) {
	if err := checkPeppers(peppers); err != nil {
		return nil, err
	}
	s := &sealer{peppers: slices.Clone(peppers), digest: sha256.New}
	if len(peppers) == 0 {
		s.peppers = []Pepper{{}}
	}
	s.pool.New = func() any { return s.newScratch() }
	return s, nil
}

func (s *sealer) newScratch() *scratch {
	x := &scratch{sums: make([][sha256.Size]byte, len(s.peppers))}
	for _, p := range s.peppers {
		if p.Version == 0 {
			x.macs = append(x.macs, s.digest())
		} else {
			x.macs = append(x.macs, hmac.New(s.digest, p.Secret))
		}
	}
	return x
}

func (s *sealer) get() *scratch {
	x, ok := s.pool.Get().(*scratch)
	if !ok {
		return s.newScratch()
	}
	return x
}

// put gives x back, without the key and what was made of it.
func (s *sealer) put(x *scratch) {
	clear(x.text[:])
	clear(x.sums)
	s.pool.Put(x)
}

// sum hashes the first n bytes of x.text with every pepper, whichever of them
// will be needed: the time it takes says nothing about the record of a key.
func (x *scratch) sum(n int) {
	// The checksum follows from the rest. Without it a key of the usual length
	// fits into one block of SHA-256.
	text := x.text[:n-checksumLen]
	for i, h := range x.macs {
		h.Reset()
		_, _ = h.Write(text) // a hash never fails
		h.Sum(x.sums[i][:0])
	}
}

// seal returns the hash of a key with the current pepper, for a record.
func (s *sealer) seal(k Key) Hash {
	x := s.get()
	defer s.put(x)
	x.sum(copy(x.text[:], k.Reveal()))
	return Hash{Version: s.peppers[0].Version, Sum: x.sums[0]}
}

// match reports in constant time whether h is a hash of the key in x, under any
// of the peppers: no two of them make the same hash of anything. A hash that is
// not there, or whose pepper is gone, matches nothing.
func (x *scratch) match(h *Hash) bool {
	found := 0
	for i := range x.sums {
		found |= subtle.ConstantTimeCompare(x.sums[i][:], h.Sum[:])
	}
	return found == 1
}

// parseVersion reads the version of a pepper in its only spelling.
func parseVersion(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err == nil && (n < 0 || strconv.FormatInt(n, 10) != s) {
		err = strconv.ErrSyntax
	}
	return int(n), err
}
