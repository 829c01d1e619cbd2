package auth

import (
	"context"
	"slices"
)

// masterUser is the User of every master key.
const masterUser = "master"

// Identity is whom a request comes from. It holds nothing of the key but its
// public id.
type Identity struct {
	// KeyID is the public id of the key; "master:1" for the first master key,
	// and so on; empty if the request is anonymous.
	KeyID string
	// User is the owner of the key, what limits and caches go by. It is the id
	// of the key if the store names no owner, "master" for every master key,
	// and empty only if the request is anonymous.
	User string
	// Plan is what the owner has booked, as the store has it.
	Plan string
	// Scopes are what the key may be used for. Read only. See Has.
	Scopes []string
	// Metadata is that of the key. Read only.
	Metadata map[string]string
	// Master says that the key is one of [Config.MasterKeys].
	Master bool
	// Anonymous says that the request came without a key, through
	// [Authenticator.Optional].
	Anonymous bool
}

// Has reports whether the identity has all the scopes. A master key has all
// there are; an anonymous one, and the zero Identity, don't even have none.
func (i *Identity) Has(scopes ...string) bool {
	if i.Master {
		return true
	}
	for _, s := range scopes {
		if !slices.Contains(i.Scopes, s) {
			return false
		}
	}
	return i.KeyID != ""
}

type contextKey struct{}

// identityContext carries an Identity in one allocation.
type identityContext struct {
	context.Context
	identity Identity
}

func (c *identityContext) Value(key any) any {
	if key == (contextKey{}) {
		return &c.identity
	}
	return c.Context.Value(key)
}

// NewContext returns a copy of ctx that carries an identity.
func NewContext(ctx context.Context, i Identity) context.Context {
	return &identityContext{ctx, i}
}

// FromContext returns the identity that ctx carries. It is there in every
// handler behind one of the middlewares of an [Authenticator]; false means that
// the handler isn't behind one.
func FromContext(ctx context.Context) (Identity, bool) {
	i, ok := ctx.Value(contextKey{}).(*Identity)
	if !ok {
		return Identity{}, false
	}
	return *i, true
}
