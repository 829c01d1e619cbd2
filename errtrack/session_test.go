package errtrack_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func TestSessionURL(t *testing.T) {
	const good = "https://app.logrocket.com/acme/prod/s/5-0190/0?t=1#x"
	for _, tt := range []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"good", []string{good}, good},
		{"two", []string{good, good}, ""},
		{"empty", []string{""}, ""},
		{"plain http", []string{"http://app.logrocket.com/a"}, ""},
		{"another host", []string{"https://app.logrocket.com.evil.example/a"}, ""},
		{"subdomain", []string{"https://x.app.logrocket.com/a"}, ""},
		{"port", []string{"https://app.logrocket.com:8443/a"}, ""},
		{"user", []string{"https://app.logrocket.com@evil.example/a"}, ""},
		{"user of the right host", []string{"https://a:b@app.logrocket.com/a"}, ""},
		{"no path", []string{"https://app.logrocket.com/"}, ""},
		{"script", []string{"javascript:alert(1)//app.logrocket.com/"}, ""},
		{"no scheme", []string{"//app.logrocket.com/a"}, ""},
		{"opaque", []string{"https:app.logrocket.com/a"}, ""},
		{"quote", []string{`https://app.logrocket.com/a"onclick="x`}, ""},
		{"angle", []string{"https://app.logrocket.com/<script>"}, ""},
		{"backslash", []string{`https://app.logrocket.com\@evil.example/a`}, ""},
		{"space", []string{"https://app.logrocket.com/a b"}, ""},
		{"line break", []string{"https://app.logrocket.com/a\r\nX: y"}, ""},
		{"beyond ASCII", []string{"https://app.logrocket.com/ä"}, ""},
		{"broken escape", []string{"https://app.logrocket.com/%zz"}, ""},
		{"too long", []string{"https://app.logrocket.com/" + strings.Repeat("a", 512)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for _, v := range tt.values {
				h.Add("X-LogRocket-URL", v)
			}
			require.Equal(t, tt.want, errtrack.SessionURL(h))
		})
	}
}

func FuzzSessionURL(f *testing.F) {
	for _, seed := range []string{"https://app.logrocket.com/a/b?c#d", "https://app.logrocket.com@evil.example/", "https://app.logrocket.com\\@evil/a", "HTTPS://app.logrocket.com/%2e%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := errtrack.SessionURL(http.Header{"X-Logrocket-Url": {value}})
		if got == "" {
			return
		}
		require.Equal(t, value, got)
		require.NotRegexp(t, `[\s"'<>\\]`, got)
		u, err := url.Parse(got)
		require.NoError(t, err)
		require.Equal(t, []string{"https", "app.logrocket.com"}, []string{u.Scheme, u.Host})
		require.Nil(t, u.User)
	})
}
