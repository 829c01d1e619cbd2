package auth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// authenticate is Authenticate with an error of its own type. It applies the
// budget, and tells the observer.
func (a *Authenticator) authenticate(r *http.Request) (Identity, *Error) {
	now := time.Now()
	var at Attempt
	id, err := a.decide(r, now, &at)
	if a.cfg.OnAttempt == nil && err == nil {
		return id, nil
	}
	if err != nil && err.guess() && a.budget != nil {
		if !at.Client.IsValid() {
			at.Client = a.cfg.ClientIP(r)
		}
		if at.Client.IsValid() {
			at.Exhausted = a.budget.spend(network(at.Client), now)
		}
	}
	if err != nil {
		// A copy of the id, since it is a part of the key until now.
		at.Refused, at.Err, at.KeyID = err.Reason, err, strings.Clone(at.KeyID)
	}
	a.notify(r.Context(), at)
	return id, err
}

func (a *Authenticator) decide(r *http.Request, now time.Time, at *Attempt) (Identity, *Error) {
	text, err := credential(r.Header)
	if err != nil {
		return Identity{}, err
	}
	if a.budget != nil && a.budget.count.Load() > 0 {
		at.Client = a.cfg.ClientIP(r)
		if wait := a.wait(at.Client, now); wait > 0 {
			return Identity{}, &Error{Reason: Blocked, RetryAfter: wait}
		}
	}
	x := a.seal.get()
	defer a.seal.put(x)
	if a.parse(x, text) {
		return a.verify(r.Context(), x, text, now, at)
	}
	if a.cfg.MasterKeys != nil && visible(text) {
		if n := master(a.cfg.MasterKeys(), text); n > 0 {
			id := masterIdentity(n)
			at.KeyID, at.User = id.KeyID, id.User
			return id, nil
		}
	}
	return Identity{}, &Error{Reason: Malformed}
}

func (a *Authenticator) wait(client netip.Addr, now time.Time) time.Duration {
	if !client.IsValid() {
		return 0
	}
	return a.budget.wait(network(client), now)
}

// parse copies text to x, if it is a well-formed key of the prefix.
func (a *Authenticator) parse(x *scratch, text string) bool {
	prefix := len(a.cfg.Prefix)
	if len(text) != prefix+tailLen || text[:prefix] != a.cfg.Prefix {
		return false
	}
	return wellFormed(x.text[:copy(x.text[:], text)], prefix)
}

// verify checks a well-formed key, which x holds too. It does the same whatever
// the record says, and if there is none: one lookup, one hash per pepper, two
// comparisons per pepper.
func (a *Authenticator) verify(ctx context.Context, x *scratch, text string, now time.Time, at *Attempt) (Identity, *Error) {
	prefix := len(a.cfg.Prefix)
	at.KeyID = text[prefix+1 : prefix+1+idLen]
	rec, err := a.cfg.Store.Lookup(ctx, at.KeyID)
	unknown := errors.Is(err, ErrNotFound)
	if unknown {
		rec, err = &a.dummy, nil
	} else if err == nil && rec == nil {
		err = errNoRecord
	} else if err == nil && rec.Owner == masterUser {
		err = errReserved
	}
	if err != nil {
		return Identity{}, &Error{Reason: Unavailable, RetryAfter: storeRetry, Err: err}
	}
	// All that is needed of the record is read before the hash is computed, so
	// that the processor fetches it from memory at once: with many keys that is
	// what takes the time.
	stored, reason, until := [2]Hash{rec.Current, rec.Previous}, rec.refusal(now), rec.PreviousExpires
	x.sum(len(text))
	current, previous := x.match(&stored[0]), x.match(&stored[1])
	previous = previous && !current // a store of somebody else's may have one hash twice
	if previous && reason == "" && !now.Before(until) {
		reason = Expired
	}
	switch {
	case unknown:
		reason = UnknownKey
	case !current && !previous:
		reason = WrongSecret
	default:
		at.User = rec.user()
	}
	if reason != "" {
		return Identity{}, &Error{Reason: reason}
	}
	at.KeyID, at.Superseded = rec.ID, previous
	a.noteUse(x, rec, now, previous)
	return Identity{KeyID: rec.ID, User: rec.user(), Plan: rec.Plan, Scopes: rec.Scopes, Metadata: rec.Metadata}, nil
}

// user returns whom the key of a record acts for.
func (k *KeyInfo) user() string {
	if k.Owner == "" {
		return k.ID
	}
	return k.Owner
}

// noteUse notes that a key was used, and what its hash should be.
func (a *Authenticator) noteUse(x *scratch, rec *Record, now time.Time, previous bool) {
	old := &rec.Current
	if previous {
		old = &rec.Previous
	}
	version := a.seal.peppers[0].Version
	if !a.used.wants(rec, now, old.Version == version) {
		return
	}
	sum := *old
	if old.Version != version {
		sum = Hash{Version: version, Sum: x.sums[0]}
	}
	a.used.note(rec, use{now, *old, sum})
}
