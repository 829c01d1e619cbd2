// Package traceparent reads the header that connects a request to a trace.
package traceparent

import "net/http"

// Of returns the ids in the traceparent header of h and whether the trace is
// recorded, or empty ids if there is not exactly one that [Parse] takes.
func Of(h http.Header) (trace, parent string, sampled bool) {
	values := h["Traceparent"]
	if len(values) != 1 {
		return "", "", false
	}
	return Parse(values[0])
}

// Parse returns the ids in a traceparent and whether the trace is recorded, or
// empty ids. It is as strict as the W3C Trace Context recommendation, section
// 3.2: lower-case hexadecimal digits, no id of zeros, version ff refused, and
// later versions read as far as they are known.
func Parse(v string) (trace, parent string, sampled bool) {
	const size = 55 // version "-" trace-id "-" parent-id "-" trace-flags
	if len(v) < size || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return "", "", false
	}
	version, flags := v[:2], v[53:55]
	trace, parent = v[3:35], v[36:52]
	switch {
	case !lowerHex(version), !lowerHex(trace), !lowerHex(parent), !lowerHex(flags),
		version == "ff", zeros(trace), zeros(parent),
		len(v) > size && (version == "00" || v[size] != '-'):
		return "", "", false
	}
	return trace, parent, unhex(flags[1])&1 == 1
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// unhex returns the value of a digit that lowerHex accepted.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}
