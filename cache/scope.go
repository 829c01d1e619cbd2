package cache

import "errors"

// ErrNoScope is what everything returns that was asked without a [Scope].
var ErrNoScope = errors.New("cache: no scope: use Tenant with an id that is not empty, or Public")

// Scope says whose answers are looked at and kept. Nothing ever crosses from
// one scope to another. The zero Scope belongs to nobody and is refused
// everywhere, so that forgetting it is an error and never a leak.
type Scope struct {
	kind scopeKind
	id   string
}

type scopeKind byte

const (
	noScope scopeKind = iota
	tenantScope
	publicScope
)

// Tenant returns the scope of the tenant id: a customer, a user, an API key,
// whoever may see each other's answers. An empty id gives the zero Scope, which
// is refused.
func Tenant(id string) Scope {
	if id == "" {
		return Scope{}
	}
	return Scope{tenantScope, id}
}

// Public returns the scope that everybody shares. It is for answers that
// depend on nothing but the request and hold nothing that belongs to anybody.
func Public() Scope { return Scope{kind: publicScope} }

// IsZero reports whether s is the zero Scope.
func (s Scope) IsZero() bool { return s.kind == noScope }

// String returns the id of the tenant, "public", or "" for the zero Scope.
// A tenant may be named "public" as well: compare scopes, not their strings.
func (s Scope) String() string {
	if s.kind == publicScope {
		return "public"
	}
	return s.id
}
