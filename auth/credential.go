package auth

import (
	"net/http"
	"strings"
)

// maxCredential is the length up to which a credential is looked at, in bytes.
// A key has at most 74; the rest is for master keys.
const maxCredential = 512

// credential returns the one text that a request holds as its key. An error has
// the reason NoKey or TwoKeys. Keys in the query string are not looked at:
// addresses end up in logs and histories.
func credential(h http.Header) (string, *Error) {
	authorization, apiKey := h["Authorization"], h["X-Api-Key"]
	switch {
	case len(authorization)+len(apiKey) > 1:
		return "", &Error{Reason: TwoKeys}
	case len(apiKey) == 1:
		return apiKey[0], nil
	case len(authorization) == 1:
		return bearer(authorization[0])
	default:
		return "", &Error{Reason: NoKey}
	}
}

// bearer returns the token of "Bearer token" (RFC 6750, section 2.1, with the
// scheme in any case as RFC 9110, section 11.1, wants it).
func bearer(field string) (string, *Error) {
	const scheme = "Bearer"
	n := min(len(scheme), len(field))
	token := field[n:]
	if !strings.EqualFold(field[:n], scheme) || token != "" && token[0] != ' ' {
		// An unsupported method is answered like none (RFC 6750, section 3.1).
		return "", &Error{Reason: NoKey, Err: errScheme}
	}
	return strings.TrimLeft(token, " "), nil
}

// visible reports whether a text could be a key by its length and characters.
func visible(text string) bool {
	if text == "" || len(text) > maxCredential {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
