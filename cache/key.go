package cache

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"sync"
)

// keyVersion is part of every key. It changes when the meaning of a key or the
// format of an entry does, so that what an older version stored is not found.
const keyVersion = "spark/cache/1"

// Call describes what an answer depends on. Two calls have the same key exactly
// if all of it means the same.
type Call struct {
	// Method and Route say what was asked for, as in "POST" and the pattern or
	// path of the route. Optional.
	Method, Route string
	// Provider is who answers. Optional.
	Provider string
	// Model is the model that answers, after aliases are resolved. Optional;
	// [Cache.PurgeModel] goes by it.
	Model string
	// Params is the JSON text of all generation parameters: the prompt, system
	// prompt, tools, sampling, whatever the provider is sent. Order of members,
	// white space, escapes and the way numbers are written don't matter; every
	// member counts, known or not. Leave out what does not change the answer,
	// such as whether it is streamed, if the program can serve both from one.
	Params []byte
	// Extra is what else the answer depends on, such as the values of API
	// version headers, always in the same order. Optional.
	Extra []string
	// Header is that of the request, whose Cache-Control directives no-store,
	// no-cache, max-age and only-if-cached are followed (RFC 9111, section
	// 5.2.1). It is no part of the key. Optional.
	Header http.Header
}

// Key names one answer in one scope. Its zero value names nothing and is
// refused by [Cache.Do].
//
// A Key refers to the Params, Extra and Header of its call, which must not
// change as long as it is used. Two keys of one call are not equal in the sense
// of ==; their strings are.
type Key struct{ *keyed }

// keyed is what a Key knows.
type keyed struct {
	id      string
	scope   Scope
	call    Call
	ask     requestControl
	sampled bool
}

// NewKey returns the key of a call in a scope: a SHA-256 over all parts, each
// preceded by its length. It fails with [ErrNoScope] if the scope is the zero
// one, and with [ErrParams] if the Params of the call are not JSON that has
// one meaning.
func NewKey(scope Scope, call Call) (Key, error) {
	k := new(keyed)
	if err := k.set(scope, call, call.Extra, nil); err != nil {
		return Key{}, err
	}
	return Key{k}, nil
}

// set makes k the key of a call with this Extra, which is not kept. resolve, if
// there is one, says who answers, by the name of the model in the parameters.
func (k *keyed) set(scope Scope, call Call, extra []string, resolve func(name string) (provider, model string)) error {
	if scope.IsZero() {
		return ErrNoScope
	}
	by := keyers.Get().(*keyer) //nolint:forcetypeassert // the pool holds nothing else
	defer by.release()
	if err := by.json.parse(call.Params); err != nil {
		return err
	}
	if resolve != nil {
		call.Provider, call.Model = resolve(by.json.modelName(by.lastModel))
	}
	k.id = by.id(scope, &call, extra)
	k.scope, k.call = scope, call
	k.ask, k.sampled = parseRequestControl(call.Header), by.json.sampled
	return nil
}

// String returns the key as stores see it: three parts of letters, digits, "-"
// and "_", divided by dots. The first stands for the scope, the second for the
// model, and the third for everything together. None of them shows what it was
// made from.
func (k Key) String() string {
	if k.keyed == nil {
		return ""
	}
	return k.id
}

// Scope returns the scope of the key.
func (k Key) Scope() Scope {
	if k.keyed == nil {
		return Scope{}
	}
	return k.scope
}

// Lengths of the parts of a key.
const (
	scopeBytes, modelBytes, sumBytes = 16, 8, sha256.Size
	scopeChars, modelChars, sumChars = 22, 11, 43
	keyChars                         = scopeChars + 1 + modelChars + 1 + sumChars
)

// keyer makes keys. It holds the buffers for that, and the parts of the last key
// that the next one may share.
type keyer struct {
	json      canonical
	buf       []byte
	text      [keyChars]byte
	lastScope Scope
	lastModel string
}

var keyers = sync.Pool{New: func() any {
	k := new(keyer)
	k.model("")
	return k
}}

func (k *keyer) release() {
	const large = 1 << 20
	if cap(k.buf) < large && cap(k.json.out) < large {
		keyers.Put(k)
	}
}

func (k *keyer) id(scope Scope, call *Call, extra []string) string {
	if scope != k.lastScope { // the zero one never comes here
		k.scope(scope)
	}
	k.text[scopeChars] = '.'
	if call.Model != k.lastModel {
		k.model(call.Model)
	}
	k.text[scopeChars+1+modelChars] = '.'
	k.sum(scope, call, extra)
	return string(k.text[:])
}

func (k *keyer) scope(scope Scope) {
	k.lastScope = scope
	k.buf = append(k.buf[:0], byte(scope.kind))
	sum := sha256.Sum256(append(k.buf, scope.id...))
	base64.RawURLEncoding.Encode(k.text[:], sum[:scopeBytes])
}

func (k *keyer) model(name string) {
	k.lastModel = name
	sum := sha256.Sum256(append(k.buf[:0], name...))
	base64.RawURLEncoding.Encode(k.text[scopeChars+1:], sum[:modelBytes])
}

func (k *keyer) sum(scope Scope, call *Call, extra []string) {
	b := append(k.buf[:0], byte(scope.kind))
	for _, part := range [...]string{keyVersion, scope.id, call.Method, call.Route, call.Provider, call.Model} {
		b = append(appendLength(b, len(part)), part...)
	}
	b = appendLength(b, len(extra))
	for _, part := range extra {
		b = append(appendLength(b, len(part)), part...)
	}
	b = appendLength(b, len(k.json.out))
	b = append(b, k.json.out...)
	k.buf = b
	sum := sha256.Sum256(b)
	base64.RawURLEncoding.Encode(k.text[scopeChars+modelChars+2:], sum[:])
}

// appendLength is binary.AppendUvarint, inlined for what is short.
func appendLength(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	return binary.AppendUvarint(b, uint64(n)) // #nosec G115 -- not negative
}

// scopePattern matches the keys of a scope.
func scopePattern(scope Scope) string {
	var k keyer
	k.scope(scope)
	return string(k.text[:scopeChars]) + ".*"
}

// modelPattern matches the keys of a model.
func modelPattern(model string) string {
	var k keyer
	k.model(model)
	return "*." + string(k.text[scopeChars+1:scopeChars+1+modelChars]) + ".*"
}

// sameScope reports whether two keys agree in all but their last part: they
// belong to one scope and one model.
func sameScope(a, b string) bool {
	const shared = scopeChars + 1 + modelChars + 1
	return len(a) == keyChars && len(b) == keyChars && a[:shared] == b[:shared]
}

// matches reports whether a key fits a pattern, in which "*" stands for any
// run of characters.
func matches(pattern, key string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == key
	}
	key, ok := strings.CutPrefix(key, first)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(key, part)
		}
		i := strings.Index(key, part)
		if i < 0 {
			return false
		}
		key, rest = key[i+len(part):], after
	}
}
