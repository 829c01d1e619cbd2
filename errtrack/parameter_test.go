package errtrack_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func TestParameterize(t *testing.T) {
	long := strings.Repeat("tell me a secret ", 60)
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"plain words", "connection refused", "connection refused"},
		{"space", "  a \t\n b  ", "a b"},
		{"punctuation stays", "failed (again): why?", "failed (again): why?"},
		{"apostrophe", "can't do what you don't", "can't do what you don't"},

		{"number", "got 3 of 17 items", "got <number> of <number> items"},
		{"number with a sign, a fraction, an exponent", "-1.5e-7 +2 3.25", "<number> <number> <number>"},
		{"hexadecimal number", "addr=0xc000123abc", "addr=<number>"},
		{"size", "10KiB of 1.5 GB", "<number> of <number> GB"},
		{"thousands", "1,000 times", "<number> times"},
		{"percent and rank", "50% are #3", "<number> are <number>"},
		{"types and protocols are no numbers", "int64 utf8 sha256 http2 v1 5xx", "int64 utf8 sha256 http2 v1 5xx"},

		{"uuid", "job 0b1f6a6e-9c5d-4b0e-8f2c-2f6d1c1e7a90 died", "job <uuid> died"},
		{"traceparent", "in 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "in <traceparent>"},
		{"sha-256", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "sha256:<hash>"},
		{"revision", "at 9d9c93e", "at <hash>"},
		{"word of hexadecimal letters", "facade decade", "facade decade"},
		{"request id", "req_011CSHoEeqs5C35K2UUqR7Fy failed", "<id> failed"},
		{"user with a number", "user1234 is unknown", "<id> is unknown"},
		{"id without digits", "id QxZvKfTbWmRLpNsHgDcYJ", "id <id>"},
		{"identifier is no id", "UnsupportedMediaTypeException", "UnsupportedMediaTypeException"},

		{"date", "since 2026-11-23", "since <date>"},
		{"RFC 3339", "at 2026-11-23T10:15:30.123Z", "at <date>"},
		{"RFC 3339 with a zone", "at 2026-11-23T10:15:30+01:00.", "at <date>."},
		{"log date", "2026/11/23 10:15:30 started", "<date> <date> started"},
		{"HTTP date", "expired Mon, 23 Nov 2026 10:15:30 GMT", "expired <date>"},
		{"duration", "after 1h2m3.5s, 300ms, 20µs", "after <duration>, <duration>, <duration>"},

		{"IPv4", "from 10.1.2.3", "from <ip>"},
		{"IPv4 with a port", "dial tcp 10.1.2.3:5432: refused", "dial tcp <ip>: refused"},
		{"IPv6", "from 2001:db8::1", "from <ip>"},
		{"IPv6 with a port", "dial [2001:db8::1]:443", "dial [<ip>]:<number>"},
		{"two addresses", "read tcp 10.0.0.7:41234->10.0.0.8:443: reset", "read tcp <ip>:<number>-><ip>: reset"},
		{"email", "to Ada.Lovelace+x@Example.COM", "to <email>"},
		{"url", "GET https://api.example.com/v1?key=abc#x: EOF", "GET <url>: EOF"},
		{"dsn", "postgres://app:hunter2@db:5432/x failed", "<url> failed"},
		{"host", "lookup api.example.com: no such host", "lookup <host>: no such host"},
		{"host with a port", "localhost:8080 redis.svc:6379", "<host> <host>"},
		{"field is no host", "field request.prompt of type string", "field request.prompt of type string"},
		{"path", "open /var/lib/app/users.db: permission denied", "open <path>: permission denied"},
		{"source file", "/home/ci/build/main.go:42 and ./cmd/x.go:7", "<path> and <path>"},
		{"path on Windows", `open C:\\Users\\ada\\x.txt: denied`, "open <path>: denied"},
		{"no duration", "1h2 1x2", "1h2 1x2"},
		{"route is no path", "POST /v1/messages failed", "POST /v1/messages failed"},

		{"double quotes", `no model "gpt \"x\" 4" here`, "no model <quoted> here"},
		{"single quotes", "invalid character 'x' in 'it's here'", "invalid character <quoted> in <quoted>"},
		{"backquotes", "run `rm -rf`", "run <quoted>"},
		{"typographic quotes", "said “go away” and „weg“ and «va»", "said <quoted> and <quoted> and <quoted>"},
		{"quotes after a colon", `{"prompt":"my secret","n":3}`, "{<quoted>:<quoted>,<quoted>:<number>}"},
		{"long quote", `bad prompt "` + long + `" refused`, "bad prompt <quoted> refused"},
		{"quote over lines", "bad prompt \"a\nb\" refused", "bad prompt <quoted> refused"},
		{"quote that was cut off", `bad prompt "` + long, "bad prompt <quoted>"},

		{"bearer token", "sent Bearer abcdefghijkl to", "sent Bearer <secret> to"},
		{"authorization", "Authorization: Digest a b c\nnext", "Authorization: <secret> next"},
		{"cookie", "Cookie: session=abc; theme=dark", "Cookie: <secret>"},
		{"key of an issuer", "invalid key sk-ant-api-abcdefghijklmnop", "invalid key <secret>"},
		{"jwt", "token eyJhbGciOi.eyJzdWIi.abc-def_ghi is expired", "token <secret> is expired"},
		{"password assigned", "connect host=db password=hunter;two user=app", "connect host=db password=<secret>;two user=app"},
		{"password named", "password: hunter", "password: <secret>"},
		{"credentials named", "apiKey: a client_secret: b X-Auth-Token: c", "apiKey: <secret> client_secret: <secret> X-Auth-Token: <secret>"},
		{"what is wrong with a token", "unexpected token: comma", "unexpected token: comma"},
		{"token count is no token", "max_tokens=4096 exceeded", "max_tokens=<number> exceeded"},

		{"invalid UTF-8", "a\xffb", "ab"},
		{"parameterized before", "user <id> at <ip>: <quoted>", "user <id> at <ip>: <quoted>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := errtrack.Parameterize(tt.text)
			require.Equal(t, tt.want, got)
			require.Equal(t, got, errtrack.Parameterize(got), "again")
		})
	}
}

// A message of any length costs no more than one of 4 KiB, however it is built.
func TestParameterizeIsLinear(t *testing.T) {
	for _, piece := range []string{"'", "'a ", `"`, "\\", "<", "=", "a=", "key=,", "key:", "1:", "/", "-", "a-", "(", "“", "a@", "://", "0x", "1e", " ", "::", "bearer "} {
		half, whole := strings.Repeat(piece, 2048/len(piece)), strings.Repeat(piece, 1<<20)
		fastest := func(text string) time.Duration {
			best := time.Hour
			for range 5 {
				start := time.Now()
				errtrack.Parameterize(text)
				best = min(best, time.Since(start))
			}
			return best
		}
		// Twice the text: 4 times as long if it were quadratic, and noise below that doesn't count.
		require.Less(t, fastest(whole), 10*fastest(half)+2*time.Millisecond, "%q", piece)
	}
}

func FuzzParameterize(f *testing.F) {
	for _, seed := range []string{
		"", "dial tcp 10.0.0.7:5432: connect: connection refused", `invalid character 'x' after "y"`, "12/home/x", `5"/tmp/a`, "password=<quoted>x",
		"Bearer \"abc def\" x", "a=1,b=/home/x&key=v", "[::1]:80", "''''", "\"", "\\\"", "“„", "Mon, 23 Nov 2026 10:15:30 GMT", "key=key=key:1", "<<id>>", "cookie:\n\nx",
		"<number>/1", "0.0.0.0:0:0", "-1-2-3", "a\xffb\xe2\x80", "password: <id>", "1'2'3", "''0", "5' x 6'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := errtrack.Parameterize(text)
		require.LessOrEqual(t, len(out), 4<<10, "bounded")
		require.True(t, utf8.ValidString(out), "valid")
		if len(text) < 500 { // what is cut at the end may look like something else
			require.Equal(t, out, errtrack.Parameterize(out), "idempotent")
		}
	})
}
