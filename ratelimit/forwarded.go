package ratelimit

import (
	"net/netip"
	"strings"
)

// lastForwarded splits the last element off a line of Forwarded (RFC 7239,
// section 4) and reads its "for". An element without one, or one that hides who
// it is for ("unknown", "_name"), is not ok.
func lastForwarded(line string) (rest string, a netip.Addr, ok bool) {
	start, ok := lastElement(line)
	if !ok {
		return "", a, false
	}
	node, ok := forOf(line[start:])
	if !ok {
		return "", a, false
	}
	a, ok = parseNode(node)
	return line[:max(0, start-1)], a, ok
}

// lastElement returns where the last element of a list begins. Commas in quoted
// strings separate nothing, so it has to look from the start.
func lastElement(line string) (start int, ok bool) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			start = i + 1
		}
	}
	return start, !quoted
}

// forOf returns the value of the parameter "for", unquoted. More than one is an
// error.
func forOf(element string) (value string, ok bool) {
	for element != "" {
		var pair string
		pair, element = cutPair(element)
		name, v, found := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !found || !strings.EqualFold(name, "for") {
			continue
		}
		if ok {
			return "", false
		}
		if value, ok = unquote(v); !ok {
			return "", false
		}
	}
	return value, ok
}

// cutPair cuts at the first semicolon that is not in a quoted string.
func cutPair(s string) (pair, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote reads a token or a quoted string. No address needs an escape.
func unquote(s string) (string, bool) {
	if len(s) == 0 || s[0] != '"' {
		return s, s != "" && !strings.ContainsAny(s, "\" \t")
	}
	if len(s) < 2 || s[len(s)-1] != '"' || strings.ContainsAny(s[1:len(s)-1], `"\`) {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// parseNode reads a node (RFC 7239, section 6): unlike elsewhere, an IPv6 address
// has to be in brackets, and a port may be hidden.
func parseNode(s string) (netip.Addr, bool) {
	host, port, bracket := s, "", false
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok = strings.Cut(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		bracket = true
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if port != "" && (len(port) < 2 || port[0] != ':') {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Is6() != bracket {
		return netip.Addr{}, false
	}
	return clean(a), true
}
