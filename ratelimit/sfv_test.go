package ratelimit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// item is an Item of a List of structured fields: a String with parameters that
// are Integers (int64) or Strings.
type item struct {
	value  string
	params map[string]any
}

// parseList is a strict parser of what the RateLimit fields may be: a List of
// Strings with parameters (RFC 9651, section 4.2), and nothing that an encoder
// would not write.
func parseList(s string) ([]item, error) {
	var list []item
	for {
		it, rest, err := parseItem(s)
		if err != nil {
			return nil, fmt.Errorf("%w at %q", err, s)
		}
		list = append(list, it)
		if rest == "" {
			return list, nil
		}
		trimmed := strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(trimmed, ",") {
			return nil, fmt.Errorf("no comma at %q", rest)
		}
		if s = strings.TrimLeft(trimmed[1:], " \t"); s == "" {
			return nil, errors.New("trailing comma")
		}
	}
}

func parseItem(s string) (it item, rest string, err error) {
	if it.value, s, err = parseString(s); err != nil {
		return it, s, err
	}
	it.params = make(map[string]any)
	for strings.HasPrefix(s, ";") {
		s = strings.TrimLeft(s[1:], " ")
		n := 0
		for n < len(s) && (s[n] >= 'a' && s[n] <= 'z' || n > 0 && (s[n] >= '0' && s[n] <= '9' || strings.IndexByte("_-.*", s[n]) >= 0)) {
			n++
		}
		key := s[:n]
		if s = s[n:]; key == "" || !strings.HasPrefix(s, "=") {
			return it, s, errors.New("bad parameter")
		}
		if _, ok := it.params[key]; ok {
			return it, s, errors.New("parameter twice")
		}
		if s = s[1:]; strings.HasPrefix(s, `"`) {
			it.params[key], s, err = parseString(s)
		} else {
			it.params[key], s, err = parseInteger(s)
		}
		if err != nil {
			return it, s, err
		}
	}
	return it, s, nil
}

func parseString(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, errors.New("no string")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", s, errors.New("bad escape")
			}
			b.WriteByte(s[i])
		case c < 0x20 || c > 0x7e:
			return "", s, errors.New("bad character")
		default:
			b.WriteByte(c)
		}
	}
	return "", s, errors.New("string has no end")
}

func parseInteger(s string) (n int64, rest string, err error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if i == 0 || i > 15 {
		return 0, s, errors.New("no integer of 1 to 15 digits")
	}
	return n, s[i:], nil
}

// TestParseList tests the parser itself. That an independent one reads the fields
// too is tested with the server of examples/generate.
func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        []item
	}{
		{"policy", `"burst";q=100;w=60,"daily";q=1000;w=86400`, []item{
			{"burst", map[string]any{"q": int64(100), "w": int64(60)}},
			{"daily", map[string]any{"q": int64(1000), "w": int64(86400)}},
		}},
		{"spaces", `"a";r=1;  t=2 ,	"b"`, []item{
			{"a", map[string]any{"r": int64(1), "t": int64(2)}}, {"b", map[string]any{}},
		}},
		{"escapes", `"a\"\\";qu="x y"`, []item{{`a"\`, map[string]any{"qu": "x y"}}}},
		{"empty", ``, nil},
		{"trailing comma", `"a",`, nil},
		{"no string", `a;r=1`, nil},
		{"bad escape", `"\u00e9"`, nil},
		{"not ASCII", `"é"`, nil},
		{"no end", `"a`, nil},
		{"upper case", `"a";R=1`, nil},
		{"space before the semicolon", `"a" ;r=1`, nil},
		{"long integer", `"a";r=1234567890123456`, nil},
		{"two items without comma", `"a" "b"`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseList(tt.value)
			if tt.want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}
