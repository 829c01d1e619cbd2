package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requestControl is what a request says with Cache-Control (RFC 9111, section
// 5.2.1).
type requestControl struct {
	noStore, noCache, onlyIfCached bool
	maxAge                         time.Duration // negative: not said
}

func parseRequestControl(h http.Header) requestControl {
	ask := requestControl{maxAge: -1}
	values := h["Cache-Control"]
	if len(values) == 0 {
		ask.noCache = strings.EqualFold(first(h["Pragma"]), "no-cache") // RFC 9111, section 5.4
		return ask
	}
	directives(values, func(name, value, _ string) {
		switch name {
		case "no-store":
			ask.noStore = true
		case "no-cache":
			ask.noCache = true
		case "only-if-cached":
			ask.onlyIfCached = true
		case "max-age":
			ask.maxAge = seconds(value)
		}
	})
	return ask
}

// responseControl is what a response says with Cache-Control (RFC 9111, section
// 5.2.2). This cache is a shared one in the sense of the RFC: a tenant may be
// many people.
type responseControl struct {
	noStore, noCache, private, revalidate bool
	lifetime                              time.Duration // negative: not said
}

func parseResponseControl(h http.Header) responseControl {
	c := responseControl{lifetime: -1}
	shared := false
	directives(h["Cache-Control"], func(name, value, _ string) {
		switch name {
		case "no-store":
			c.noStore = true
		case "no-cache":
			c.noCache = true
		case "private":
			c.private = true
		case "must-revalidate", "proxy-revalidate":
			c.revalidate = true
		case "s-maxage":
			shared, c.lifetime = true, seconds(value)
		case "max-age":
			if !shared {
				c.lifetime = seconds(value)
			}
		}
	})
	return c
}

// directives calls each with the directives of Cache-Control in order: name and
// value to compare with, and the text as it is. A quoted value with a comma in
// it falls apart, into pieces that mean nothing here.
func directives(values []string, each func(name, value, field string)) {
	for _, line := range values {
		for field := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(field, "=")
			each(strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`), strings.TrimSpace(field))
		}
	}
}

// seconds reads delta-seconds (RFC 9111, section 1.2.2). What can't be read
// counts as zero: stale, the careful reading of section 4.2.1.
func seconds(value string) time.Duration {
	const most = 1 << 31 // what the RFC has recipients treat as "forever"
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err == nil && n < most:
		return time.Duration(n) * time.Second
	case err != nil && !isDigits(value):
		return 0
	default:
		return most * time.Second
	}
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// keepPrivate tells caches further out that this answer is for one client
// only, whatever else the handler said about it.
func keepPrivate(h http.Header) {
	values := h["Cache-Control"]
	if len(values) == 0 {
		h["Cache-Control"] = private
		return
	}
	var kept []string
	restricted := false
	directives(values, func(name, _, field string) {
		switch name {
		case "public", "s-maxage", "":
			return
		case "private", "no-store":
			restricted = true
		}
		kept = append(kept, field)
	})
	if !restricted {
		kept = append(kept, "private")
	}
	h["Cache-Control"] = []string{strings.Join(kept, ", ")}
}

// private is shared by all responses: whoever changes a header sets it anew.
var private = []string{"private"}
