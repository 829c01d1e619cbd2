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
			ask.maxAge = shorter(ask.maxAge, seconds(value))
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
	shared := time.Duration(-1)
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
			shared = shorter(shared, seconds(value))
		case "max-age":
			c.lifetime = shorter(c.lifetime, seconds(value))
		}
	})
	switch {
	case shared >= 0:
		c.lifetime = shared
	case c.lifetime < 0:
		c.lifetime = expiry(h)
	}
	return c
}

// shorter returns the shorter of two times, of which a negative one is not said.
func shorter(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// expiry returns what Expires says (RFC 9111, section 5.3), negative if it is
// missing.
func expiry(h http.Header) time.Duration {
	if len(h["Expires"]) == 0 {
		return -1
	}
	at, err := http.ParseTime(h["Expires"][0])
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
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
