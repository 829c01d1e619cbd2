package cache

import (
	"context"
	"time"
)

// Store keeps entries as bytes. [Memory] is the one that comes with the
// package; package cachetest has the tests that every implementation must pass.
// Methods are called from many goroutines at once.
//
// A store over a network bounds the time of its own calls: a lookup stands
// before every answer. An error never fails an answer; it counts as a miss and
// is reported as an event.
type Store interface {
	// Get returns the value of a key, or nil if there is none or its time is
	// over. Reading does not prolong it. The caller does not change the value.
	Get(ctx context.Context, key string) ([]byte, error)
	// Set keeps a value for ttl, which is positive, and replaces an older one.
	// The store may drop it earlier. The caller does not change the value
	// afterwards.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Delete removes the keys that match a pattern, in which "*" stands for any
	// run of characters, and returns how many. All other characters stand for
	// themselves; keys are made of letters, digits, "-", "_" and ".". When it
	// returns, the values are really gone: it is what a request for deletion
	// by a data subject ends in.
	Delete(ctx context.Context, pattern string) (int, error)
}

// Matcher finds stored answers to calls that are not the same but near enough,
// for instance by comparing embeddings. It is asked after the exact key was not
// found, once for all identical calls at a time, and only about the scope and
// model of the call: what it names outside of them is not looked at.
//
// There is none by default. An answer to another question is a risk that a
// program has to take by itself: wrong answers, and answers planted by others of
// the same scope. A purge of the cache does not reach what a Matcher keeps by
// itself.
type Matcher interface {
	// Match returns the key, as [Query.Key], of an answer that serves q as
	// well, or "".
	Match(ctx context.Context, q Query) (key string, err error)
	// Learn is told that an answer to q was stored.
	Learn(ctx context.Context, q Query) error
}

// Query is what a [Matcher] goes by.
type Query struct {
	Key   string // the exact key
	Scope Scope
	Call  Call
}
