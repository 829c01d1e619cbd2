package auth

import (
	"net/http"
	"strings"
)

// maxCredential is the length up to which a credential is looked at, in bytes.
// A key has at most 74; the rest is for master keys.
const maxCredential = 512

// credential returns the one key that a request holds. An error is an [*Error]
// with the reason NoKey, TwoKeys or Malformed. Keys in the query string are not
// looked at: addresses end up in logs and histories.
func credential(h http.Header) (string, *Error) {
	authorization, apiKey := h["Authorization"], h["X-Api-Key"]
	switch {
	case len(authorization)+len(apiKey) > 1:
		return "", &Error{Reason: TwoKeys}
	case len(apiKey) == 1:
		return visible(apiKey[0])
	case len(authorization) == 1:
		return bearer(authorization[0])
	default:
		return "", &Error{Reason: NoKey}
	}
}

// bearer returns the token of "Bearer token" (RFC 6750, section 2.1, with the
// scheme in any case as RFC 9110, section 11.1, wants it).
func bearer(field string) (string, *Error) {
	scheme, token, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		// An unsupported method is answered like none (RFC 6750, section 3.1).
		return "", &Error{Reason: NoKey, Err: errScheme}
	}
	return visible(strings.TrimLeft(token, " "))
}

// visible refuses what is no key by its characters alone.
func visible(token string) (string, *Error) {
	if token == "" || len(token) > maxCredential {
		return "", &Error{Reason: Malformed}
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", &Error{Reason: Malformed}
		}
	}
	return token, nil
}
