package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/ratelimit"
)

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func from(remote string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestClientIP(t *testing.T) {
	const xff, fwd = "X-Forwarded-For", "Forwarded"
	private := prefixes("10.0.0.0/8", "fd00::/8")
	proxied := ratelimit.ClientIP{TrustedProxies: private}
	standard := ratelimit.ClientIP{TrustedProxies: private, Header: "forwarded"}
	single := ratelimit.ClientIP{TrustedProxies: private, Header: "CF-Connecting-IP"}
	unix := ratelimit.ClientIP{TrustUnixSocket: true}
	for _, tt := range []struct {
		name string
		c    ratelimit.ClientIP
		r    *http.Request
		want string
	}{
		// The address of the connection.
		{"IPv4", ratelimit.ClientIP{}, from("192.0.2.1:1234"), "ip:192.0.2.1"},
		{"IPv6 by /64", ratelimit.ClientIP{}, from("[2001:db8:1:2:3:4:5:6]:1"), "ip:2001:db8:1:2::/64"},
		{"IPv6 by /56", ratelimit.ClientIP{IPv6Bits: 56}, from("[2001:db8:1:2ff::6]:1"), "ip:2001:db8:1:200::/56"},
		{"IPv6 by /128", ratelimit.ClientIP{IPv6Bits: 128}, from("[2001:db8::6]:1"), "ip:2001:db8::6/128"},
		{"zone", ratelimit.ClientIP{}, from("[fe80::1%eth0]:1"), "ip:fe80::/64"},
		{"IPv4 in IPv6", ratelimit.ClientIP{}, from("[::ffff:192.0.2.1]:1"), "ip:192.0.2.1"},
		{"no port", ratelimit.ClientIP{}, from("192.0.2.1"), "ip:192.0.2.1"},
		{"garbage", ratelimit.ClientIP{}, from("gar:bage"), "ip:unknown"},
		{"Unix socket", ratelimit.ClientIP{}, from("@"), "ip:unknown"},
		{"no trust, no header", ratelimit.ClientIP{}, from("192.0.2.1:1", xff, "198.51.100.7"), "ip:192.0.2.1"},

		// Spoofing through X-Forwarded-For.
		{"client is not a proxy", proxied, from("192.0.2.1:1", xff, "198.51.100.7"), "ip:192.0.2.1"},
		{"one proxy", proxied, from("10.0.0.1:1", xff, "198.51.100.7"), "ip:198.51.100.7"},
		{"no header", proxied, from("10.0.0.1:1"), "ip:10.0.0.1"},
		{"empty header", proxied, from("10.0.0.1:1", xff, ""), "ip:10.0.0.1"},
		{"made-up first entry", proxied, from("10.0.0.1:1", xff, "1.1.1.1, 198.51.100.7"), "ip:198.51.100.7"},
		{"made-up trusted entry", proxied, from("10.0.0.1:1", xff, "1.1.1.1, 10.9.9.9, 198.51.100.7"), "ip:198.51.100.7"},
		{"two proxies", proxied, from("10.0.0.1:1", xff, "1.1.1.1, 198.51.100.7,10.0.0.2"), "ip:198.51.100.7"},
		{"several lines", proxied, from("10.0.0.1:1", xff, "1.1.1.1", xff, "198.51.100.7", xff, "10.0.0.2"), "ip:198.51.100.7"},
		{"made-up line", proxied, from("10.0.0.1:1", xff, "198.51.100.7, 10.0.0.3", xff, "198.51.100.8"), "ip:198.51.100.8"},
		{"all trusted", proxied, from("10.0.0.1:1", xff, "10.0.0.3, 10.0.0.2"), "ip:10.0.0.3"},
		{"garbage stops", proxied, from("10.0.0.1:1", xff, "1.1.1.1, evil, 10.0.0.2"), "ip:10.0.0.2"},
		{"garbage last", proxied, from("10.0.0.1:1", xff, "1.1.1.1, <script>"), "ip:10.0.0.1"},
		{"empty entry", proxied, from("10.0.0.1:1", xff, "1.1.1.1,"), "ip:10.0.0.1"},
		{"leading zero", proxied, from("10.0.0.1:1", xff, "010.1.1.1"), "ip:10.0.0.1"},
		{"with port", proxied, from("10.0.0.1:1", xff, "198.51.100.7:4711"), "ip:198.51.100.7"},
		{"IPv6", proxied, from("10.0.0.1:1", xff, "2001:db8::1"), "ip:2001:db8::/64"},
		{"IPv6 in brackets", proxied, from("[fd00::1]:1", xff, "[2001:db8::1]"), "ip:2001:db8::/64"},
		{"IPv6 with port", proxied, from("[fd00::1]:1", xff, "[2001:db8::1]:443"), "ip:2001:db8::/64"},
		{"proxy as IPv4 in IPv6", proxied, from("[::ffff:10.0.0.1]:1", xff, "::ffff:198.51.100.7"), "ip:198.51.100.7"},
		{"prefix as IPv4 in IPv6", ratelimit.ClientIP{TrustedProxies: prefixes("::ffff:10.0.0.0/104")}, from("10.0.0.1:1", xff, "1.1.1.1"), "ip:1.1.1.1"},
		{"more hops than can be", proxied, from("10.0.0.1:1", xff, "1.1.1.1"+strings.Repeat(",10.0.0.2", 40)), "ip:10.0.0.2"},
		{"another header is not read", proxied, from("10.0.0.1:1", "X-Real-Ip", "1.1.1.1", fwd, "for=1.1.1.1"), "ip:10.0.0.1"},

		// Forwarded.
		{"forwarded", standard, from("10.0.0.1:1", fwd, "for=198.51.100.7;proto=https;by=203.0.113.43"), "ip:198.51.100.7"},
		{"forwarded, case and spaces", standard, from("10.0.0.1:1", fwd, `proto=https; FOR="198.51.100.7:80"`), "ip:198.51.100.7"},
		{"forwarded IPv6", standard, from("10.0.0.1:1", fwd, `For="[2001:db8:cafe::17]:4711"`), "ip:2001:db8:cafe::/64"},
		{"forwarded, hidden port", standard, from("10.0.0.1:1", fwd, `for="198.51.100.7:_x"`), "ip:198.51.100.7"},
		{"forwarded list", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1, for=198.51.100.7, for=10.0.0.2`), "ip:198.51.100.7"},
		{"forwarded lines", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1`, fwd, `for=198.51.100.7`), "ip:198.51.100.7"},
		{"forwarded unknown", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1, for=unknown`), "ip:10.0.0.1"},
		{"forwarded name", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1, for=_hidden`), "ip:10.0.0.1"},
		{"forwarded without for", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1, proto=https`), "ip:10.0.0.1"},
		{"forwarded twice for", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1;for=2.2.2.2`), "ip:10.0.0.1"},
		{"forwarded, comma in quotes", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1, for=198.51.100.7;host="a, for=6.6.6.6"`), "ip:198.51.100.7"},
		{"forwarded, semicolon in quotes", standard, from("10.0.0.1:1", fwd, `host="x;for=6.6.6.6\";for=7.7.7.7";for=198.51.100.7`), "ip:198.51.100.7"},
		{"forwarded, open quote", standard, from("10.0.0.1:1", fwd, `for=1.1.1.1;host="x, for=6.6.6.6`), "ip:10.0.0.1"},
		{"forwarded, IPv6 without brackets", standard, from("10.0.0.1:1", fwd, `for="2001:db8::1"`), "ip:10.0.0.1"},
		{"forwarded, IPv4 in brackets", standard, from("10.0.0.1:1", fwd, `for="[1.1.1.1]"`), "ip:10.0.0.1"},
		{"forwarded, half a bracket", standard, from("10.0.0.1:1", fwd, `for="[2001:db8::1"`), "ip:10.0.0.1"},
		{"forwarded, empty", standard, from("10.0.0.1:1", fwd, `for=`), "ip:10.0.0.1"},
		{"forwarded, empty quotes", standard, from("10.0.0.1:1", fwd, `for=""`), "ip:10.0.0.1"},
		{"forwarded, one quote", standard, from("10.0.0.1:1", fwd, `for="`), "ip:10.0.0.1"},
		{"forwarded, rest behind the brackets", standard, from("10.0.0.1:1", fwd, `for="[2001:db8::1]x"`), "ip:10.0.0.1"},

		// One address in a header of its own.
		{"single", single, from("10.0.0.1:1", "Cf-Connecting-Ip", " 198.51.100.7 "), "ip:198.51.100.7"},
		{"single, not from the proxy", single, from("192.0.2.1:1", "Cf-Connecting-Ip", "198.51.100.7"), "ip:192.0.2.1"},
		{"single, twice", single, from("10.0.0.1:1", "Cf-Connecting-Ip", "1.1.1.1", "Cf-Connecting-Ip", "198.51.100.7"), "ip:10.0.0.1"},
		{"single, list", single, from("10.0.0.1:1", "Cf-Connecting-Ip", "1.1.1.1, 2.2.2.2"), "ip:10.0.0.1"},
		{"single, missing", single, from("10.0.0.1:1", xff, "1.1.1.1"), "ip:10.0.0.1"},

		// A proxy on a Unix socket.
		{"Unix socket, trusted", unix, from("@", xff, "1.1.1.1, 198.51.100.7"), "ip:198.51.100.7"},
		{"Unix socket without name, trusted", unix, from("", xff, "198.51.100.7"), "ip:198.51.100.7"},
		{"Unix socket with a path, trusted", unix, from("/run/p.sock", xff, "198.51.100.7"), "ip:198.51.100.7"},
		{"Unix socket, trusted, no header", unix, from("@"), "ip:unknown"},
		{"garbage is no Unix socket", unix, from("gar:bage", xff, "198.51.100.7"), "ip:unknown"},
		{"TCP is no Unix socket", unix, from("192.0.2.1:1", xff, "198.51.100.7"), "ip:192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.c.Validate())
			require.Equal(t, tt.want, tt.c.Key(tt.r))
			if a := tt.c.Addr(tt.r); a.IsValid() {
				require.True(t, tt.c.Prefix(tt.r).Contains(a))
			} else {
				require.Equal(t, netip.Prefix{}, tt.c.Prefix(tt.r))
			}
		})
	}
}

func TestClientIPValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    ratelimit.ClientIP
		err  string
	}{
		{"bits", ratelimit.ClientIP{IPv6Bits: 129}, "IPv6Bits is 129"},
		{"negative bits", ratelimit.ClientIP{IPv6Bits: -1}, "IPv6Bits is -1"},
		{"prefix", ratelimit.ClientIP{TrustedProxies: []netip.Prefix{{}}}, "TrustedProxies"},
		{"header", ratelimit.ClientIP{Header: "X Real"}, `Header is "X Real"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, tt.c.Validate(), tt.err)
			_, err := ratelimit.New(ratelimit.Config{
				Policies: []ratelimit.Policy{{Name: "p", Limit: 1, Window: 1e9}}, ClientIP: tt.c,
			})
			require.ErrorContains(t, err, tt.err)
		})
	}
}

// FuzzClientIP says that whatever a client sends in front of what the proxy
// appends, the client stays the one that the proxy saw.
func FuzzClientIP(f *testing.F) {
	for _, s := range []string{"", "1.1.1.1", "1.1.1.1, ", `for="`, `for="\`, `for=1.1.1.1, for="[::1]`, ",,,", "10.0.0.1", strings.Repeat("10.0.0.1,", 50)} {
		f.Add(s)
	}
	trusted := prefixes("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sent string) {
		list := ratelimit.ClientIP{TrustedProxies: trusted}
		require.Equal(t, "ip:198.51.100.7", list.Key(from("10.0.0.1:1", "X-Forwarded-For", sent+", 198.51.100.7")))
		require.Equal(t, "ip:198.51.100.7", list.Key(from("10.0.0.1:1", "X-Forwarded-For", sent, "X-Forwarded-For", "198.51.100.7")))

		std := ratelimit.ClientIP{TrustedProxies: trusted, Header: "Forwarded"}
		require.Equal(t, "ip:198.51.100.7", std.Key(from("10.0.0.1:1", "Forwarded", sent, "Forwarded", "for=198.51.100.7")))
		// On one line, an open quote can swallow what the proxy appended; then
		// the client is the proxy, never one that the client chose.
		got := std.Key(from("10.0.0.1:1", "Forwarded", sent+", for=198.51.100.7"))
		require.Contains(t, []string{"ip:198.51.100.7", "ip:10.0.0.1"}, got)
	})
}
