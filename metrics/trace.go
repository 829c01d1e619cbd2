package metrics

import "net/http"

// traceID returns the trace id of a sampled request, or "". It reads the
// traceparent header as strictly as the W3C Trace Context recommendation,
// section 3.2, tells to: one header, lower-case hexadecimal digits, no id of
// zeros, version ff refused, and later versions read as far as they are known.
// A trace that nobody records would be an exemplar that leads nowhere.
func traceID(h http.Header) string {
	values := h["Traceparent"]
	if len(values) != 1 {
		return ""
	}
	const size = 55 // version "-" trace-id "-" parent-id "-" trace-flags
	v := values[0]
	if len(v) < size || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return ""
	}
	version, trace, parent, flags := v[:2], v[3:35], v[36:52], v[53:55]
	switch {
	case !lowerHex(version), !lowerHex(trace), !lowerHex(parent), !lowerHex(flags):
		return ""
	case version == "ff", zeros(trace), zeros(parent):
		return ""
	case len(v) > size && (version == "00" || v[size] != '-'):
		return ""
	case unhex(flags[1])&1 == 0:
		return "" // not sampled
	}
	return trace
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
