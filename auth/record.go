package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrNotFound is what a store says of an id it has no record of.
var ErrNotFound = errors.New("auth: no such key")

// KeyStore finds the record of a key. It is all that authenticating needs; a
// service that has its keys elsewhere implements it with one query.
//
// A KeyStore must be safe for use by several goroutines. Package authtest tests
// implementations.
type KeyStore interface {
	// Lookup returns the record of the key with an id, or an error for which
	// errors.Is says that it is [ErrNotFound]. Any other error means that the
	// store doesn't know, so the request is answered with 503. The caller
	// doesn't change the record: it may be shared.
	Lookup(ctx context.Context, id string) (*Record, error)
}

// Store is a KeyStore that can be written to, by a [Manager] and by
// [Authenticator.Run]. [Memory], [File] and [Cached] are Stores, and so is that
// of package sqlstore.
type Store interface {
	KeyStore

	// Update changes records, each in one atomic step: it calls change with a
	// copy of the record of an id, which change may modify, or with nil if
	// there is none, and stores what change returns; nil means no record. If
	// change fails, so does Update, with that error, and that record stays as
	// it is; whether others of the ids were updated is not said. A store that
	// retries may call change again, with the record as it is then. change
	// must not use the store.
	Update(ctx context.Context, change func(old *Record) (*Record, error), ids ...string) error

	// List returns all records, by ascending id. Those that are created or
	// removed meanwhile may or may not be among them. After an error it ends.
	// The caller doesn't change the records, but it may use the store.
	List(ctx context.Context) iter.Seq2[*Record, error]
}

// Record is what a store holds of a key: all but the key. Whoever reads it can't
// make a key from it.
type Record struct {
	KeyInfo
	// Current is the hash of the key that was issued last.
	Current Hash `json:"current"`
	// Previous is the hash of the key before, which is good until
	// PreviousExpires; the zero Hash if there is none.
	Previous Hash `json:"previous,omitzero"`
}

// Hash is the HMAC-SHA-256 of a key under a [Pepper], or its plain SHA-256 if
// the version is 0. The zero Hash is the hash of no key.
type Hash struct {
	Version int
	Sum     [sha256.Size]byte
}

// KeyInfo describes a key without giving anything away that helps to use it.
// Times are UTC and precise to the microsecond; the zero time means that there is
// none.
type KeyInfo struct {
	// ID is the public part of the key, 12 characters.
	ID string `json:"id"`
	// Prefix is what the key begins with.
	Prefix string `json:"prefix"`
	// Name is what its owner calls the key, at most 256 bytes. Optional.
	Name string `json:"name,omitempty"`
	// Owner is the user or the service that the key acts for, 1 to 256 bytes.
	// It becomes [Identity.User]. "master" is reserved.
	Owner string `json:"owner"`
	// Plan names what the owner has booked, at most 256 bytes. Optional.
	Plan string `json:"plan,omitempty"`
	// Scopes are what the key may be used for, as RFC 6750 section 3 spells
	// scopes; at most 64 of at most 128 bytes. None means that it opens only
	// what needs no scope.
	Scopes []string `json:"scopes,omitempty"`
	// Metadata is for the service's own use; at most 64 entries of at most 128
	// and 1024 bytes.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Disabled refuses the key until it is false again.
	Disabled bool `json:"disabled,omitempty"`
	// Expires is when the key ends to be valid; the zero time if it never does.
	Expires time.Time `json:"expires,omitzero"`
	// Revoked is when the key was revoked, which is for good.
	Revoked time.Time `json:"revoked,omitzero"`
	// PreviousExpires is when the key from before the last rotation ends to be
	// valid.
	PreviousExpires time.Time `json:"previous_expires,omitzero"`
	// Created is when the key was issued first.
	Created time.Time `json:"created"`
	// Rotated is when the key was replaced last.
	Rotated time.Time `json:"rotated,omitzero"`
	// LastUsed is when the key was used last, give or take a minute or two.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// Status says what a key is good for at a time: "active", "revoked", "disabled"
// or "expired".
func (k *KeyInfo) Status(at time.Time) string {
	switch k.refusal(at) {
	case Revoked:
		return "revoked"
	case Disabled:
		return "disabled"
	case Expired:
		return "expired"
	default:
		return "active"
	}
}

// refusal returns why the key is not valid at a time, or "".
func (k *KeyInfo) refusal(at time.Time) Reason {
	switch {
	case !k.Revoked.IsZero():
		return Revoked
	case k.Disabled:
		return Disabled
	case !k.Expires.IsZero() && !at.Before(k.Expires):
		return Expired
	default:
		return ""
	}
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Scopes = slices.Clone(r.Scopes)
	c.Metadata = maps.Clone(r.Metadata)
	return &c
}

// Validate says what is wrong with a record, if anything. A store calls it to
// refuse what nothing of this package has written.
func (r *Record) Validate() error {
	switch {
	case !ValidID(r.ID):
		return fmt.Errorf("auth: ID is %q, want %d of 0-9, A-Z and a-z", r.ID, idLen)
	case r.Current == Hash{}:
		return fmt.Errorf("auth: record %s has no hash", r.ID)
	case r.Created.IsZero():
		return fmt.Errorf("auth: record %s has no time of creation", r.ID)
	}
	if err := checkPrefix(r.Prefix); err != nil {
		return err
	}
	return r.validate()
}

// validate checks what the caller of a Manager says about a key.
func (k *KeyInfo) validate() error {
	switch {
	case k.Owner == "":
		return errors.New("auth: Owner is required")
	case k.Owner == masterUser:
		return fmt.Errorf("auth: Owner is %q, which is reserved", masterUser)
	case len(k.Scopes) > 64:
		return fmt.Errorf("auth: %d Scopes, want at most 64", len(k.Scopes))
	case len(k.Metadata) > 64:
		return fmt.Errorf("auth: %d entries of Metadata, want at most 64", len(k.Metadata))
	}
	for _, f := range [...]struct{ name, text string }{{"Owner", k.Owner}, {"Name", k.Name}, {"Plan", k.Plan}} {
		if err := checkText(f.name, f.text, 256); err != nil {
			return err
		}
	}
	for name, value := range k.Metadata {
		if err := errors.Join(checkText("a name in Metadata", name, 128), checkText("a value in Metadata", value, 1024)); err != nil {
			return err
		}
	}
	return checkScopes(k.Scopes)
}

// checkScopes holds scopes to the grammar of RFC 6750, section 3.
func checkScopes(scopes []string) error {
	for i, scope := range scopes {
		valid := scope != "" && len(scope) <= 128
		for _, c := range []byte(scope) {
			valid = valid && c > ' ' && c <= '~' && c != '"' && c != '\\'
		}
		if !valid {
			return fmt.Errorf("auth: scope %q is not 1 to 128 visible ASCII characters without \" and \\", scope)
		}
		if slices.Contains(scopes[:i], scope) {
			return fmt.Errorf("auth: scope %q is there twice", scope)
		}
	}
	return nil
}

// checkText refuses what would make lists and logs unreadable.
func checkText(name, text string, most int) error {
	if len(text) > most || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("auth: %s is not valid UTF-8 of at most %d bytes without control characters", name, most)
	}
	return nil
}

// MarshalText encodes a hash as version:base64.
func (h Hash) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d:%s", h.Version, base64.RawStdEncoding.EncodeToString(h.Sum[:])), nil
}

// UnmarshalText decodes what MarshalText encodes.
func (h *Hash) UnmarshalText(text []byte) error {
	version, sum, _ := strings.Cut(string(text), ":")
	raw, err := base64.RawStdEncoding.Strict().DecodeString(sum)
	n, err2 := parseVersion(version)
	if err != nil || err2 != nil || len(raw) != sha256.Size {
		return errors.New("auth: malformed hash")
	}
	*h = Hash{Version: n, Sum: [sha256.Size]byte(raw)}
	return nil
}
