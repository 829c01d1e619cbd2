package ratelimit

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ClientIP finds the address of the client of a request. The zero value is the
// address of the connection: what a client says of itself is not believed.
//
// If the connection comes from a proxy that is trusted, the header that the
// proxies append to is read from its end, and the first address which is not that
// of a trusted proxy is the client. What lies before that may be made up. If an
// entry can't be read, nothing before it counts, and the proxy that it was
// received from is taken for the client.
type ClientIP struct {
	// TrustedProxies are the networks of the proxies in front. Empty means that
	// there are none, and no header is read. A prefix for everybody, like
	// 0.0.0.0/0, lets clients choose their address.
	TrustedProxies []netip.Prefix
	// TrustUnixSocket also trusts peers on a Unix socket, which have no address.
	TrustUnixSocket bool
	// Header is where the proxies put the address: "X-Forwarded-For", "Forwarded"
	// (RFC 7239), or any other that holds nothing but one address, such as
	// "CF-Connecting-IP". Only this one is read. A single-valued one must be set,
	// not passed on, by the proxy. Empty means "X-Forwarded-For".
	Header string
	// IPv6Bits is how many bits of an IPv6 address stand for one client, who has
	// a whole network of them. Zero means 64.
	IPv6Bits int
}

const (
	xForwardedFor = "X-Forwarded-For"
	forwarded     = "Forwarded"
	maxHops       = 32 // more proxies in a row than that are made up
)

// Validate reports a field that can't be used.
func (c ClientIP) Validate() error {
	if c.IPv6Bits < 0 || c.IPv6Bits > 128 {
		return fmt.Errorf("ratelimit: ClientIP.IPv6Bits is %d, want 0 to 128", c.IPv6Bits)
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() {
			return fmt.Errorf("ratelimit: ClientIP.TrustedProxies has %v, want a network like 10.0.0.0/8", p)
		}
	}
	if strings.ContainsFunc(c.Header, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("ratelimit: ClientIP.Header is %q, want the name of a header", c.Header)
	}
	return nil
}

// Addr returns the address of the client, without zone and with IPv4 as IPv4. It
// is the zero Addr if the connection has none.
func (c ClientIP) Addr(r *http.Request) netip.Addr {
	peer, ok := parsePeer(r.RemoteAddr)
	if !ok && !(c.TrustUnixSocket && isUnix(r.RemoteAddr)) || ok && !c.trusts(peer) {
		return peer
	}
	switch name := http.CanonicalHeaderKey(c.Header); name {
	case "", xForwardedFor:
		return c.walk(peer, r.Header[xForwardedFor], lastListed)
	case forwarded:
		return c.walk(peer, r.Header[forwarded], lastForwarded)
	default:
		if lines := r.Header[name]; len(lines) == 1 {
			if a, ok := parseHop(strings.TrimSpace(lines[0])); ok {
				return a
			}
		}
		return peer
	}
}

// Prefix returns the network that stands for the client: its IPv4 address, or
// IPv6Bits bits of its IPv6 address. It is the zero Prefix if Addr is zero.
func (c ClientIP) Prefix(r *http.Request) netip.Prefix {
	a := c.Addr(r)
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
		if c.IPv6Bits > 0 {
			bits = min(c.IPv6Bits, 128)
		}
	}
	p, _ := a.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

// Key returns Prefix as a key for a limiter, like "ip:192.0.2.1" or
// "ip:2001:db8::/64". All clients without an address share one.
func (c ClientIP) Key(r *http.Request) string {
	p := c.Prefix(r)
	var buf [64]byte
	b := append(buf[:0], prefixIP...)
	switch {
	case !p.IsValid():
		b = append(b, "unknown"...)
	case p.Addr().Is4():
		b = p.Addr().AppendTo(b)
	default:
		b = p.AppendTo(b)
	}
	return string(b)
}

func (c ClientIP) trusts(a netip.Addr) bool {
	for _, p := range c.TrustedProxies {
		if p.Contains(a) {
			return true
		}
		// A prefix may be written as IPv4 in IPv6.
		if p.Addr().Is4In6() && p.Bits() >= 96 && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Contains(a) {
			return true
		}
	}
	return false
}

// walk goes through the entries of all lines of a header from the last to the
// first. next splits the last entry off a line; what it can't read is not ok.
func (c ClientIP) walk(peer netip.Addr, lines []string, next func(string) (rest string, a netip.Addr, ok bool)) netip.Addr {
	hops := 0
	for _, line := range slices.Backward(lines) {
		for rest := line; rest != ""; hops++ {
			var hop netip.Addr
			var ok bool
			if rest, hop, ok = next(rest); !ok || hops == maxHops {
				return peer
			}
			peer = hop
			if !c.trusts(hop) {
				return hop
			}
		}
	}
	return peer
}

// lastListed splits the last entry off a line of X-Forwarded-For.
func lastListed(line string) (rest string, a netip.Addr, ok bool) {
	i := strings.LastIndexByte(line, ',')
	a, ok = parseHop(strings.Trim(line[i+1:], " \t"))
	return line[:max(0, i)], a, ok
}

// parsePeer reads RemoteAddr, as net/http writes it.
func parsePeer(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return clean(ap.Addr()), true
	}
	a, err := netip.ParseAddr(s) // some middlewares leave no port
	return clean(a), err == nil
}

// isUnix reports whether s is the name of a Unix socket; most clients have none.
func isUnix(s string) bool { return s == "" || s[0] == '@' || s[0] == '/' }

// parseHop reads an address as proxies write it: with or without a port, IPv6
// with or without brackets.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return clean(a), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return clean(ap.Addr()), true
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			a, err := netip.ParseAddr(inner)
			return clean(a), err == nil && a.Is6()
		}
	}
	return netip.Addr{}, false
}

func clean(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
