package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
)

// minMaster is the length that a master key has at least.
const minMaster = 8

// master returns the number of the master key that a text is, counted from 1,
// or 0. Time tells nothing: every key is compared, as a hash, so that neither
// its length nor its place in the list shows.
func master(keys []string, text string) int {
	if len(text) < minMaster {
		return 0 // whatever the list has become since New looked at it
	}
	given, found := sha256.Sum256([]byte(text)), 0
	for i, key := range keys {
		want := sha256.Sum256([]byte(key))
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(given[:], want[:]), i+1, found)
	}
	return found
}

func masterIdentity(n int) Identity {
	return Identity{KeyID: masterUser + ":" + strconv.Itoa(n), User: masterUser, Master: true}
}

// checkMasters finds master keys that could never be used, without repeating
// any part of them.
func (a *Authenticator) checkMasters(keys []string) error {
	for i, key := range keys {
		if len(key) < minMaster || !visible(key) {
			return fmt.Errorf("auth: master key %d is not %d to %d visible ASCII characters", i+1, minMaster, maxCredential)
		}
		if a.isUserKey(key) {
			return fmt.Errorf("auth: master key %d has the form of a user key, want another random text", i+1)
		}
	}
	return nil
}

// isUserKey reports whether a text is a well-formed key of the prefix.
func (a *Authenticator) isUserKey(text string) bool {
	x := a.seal.get()
	defer a.seal.put(x)
	return a.parse(x, text)
}
