package sanitize_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/problem"
	"github.com/sparkhttp/spark/sanitize"
)

func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits sanitize.Limits
		text   string
		want   sanitize.Limit
		max    int
	}{
		{"default, at it", sanitize.Limits{}, strings.Repeat("a", 10_000), "", 0},
		{"default, over it", sanitize.Limits{}, strings.Repeat("a", 10_001), sanitize.LimitRunes, 10_000},
		{"characters, not bytes", sanitize.Limits{}, strings.Repeat("😀", 10_000), "", 0},
		{"one character more", sanitize.Limits{}, strings.Repeat("😀", 10_000) + "a", sanitize.LimitRunes, 10_000},
		{"what will be removed counts", sanitize.Limits{Runes: 3}, "ab\u200b\u200b", sanitize.LimitRunes, 3},
		{"bytes that are no characters count", sanitize.Limits{Runes: 3}, "ab\xff\xff", sanitize.LimitRunes, 3},
		{"none", sanitize.Limits{Runes: -1}, strings.Repeat("a ", 20_000), "", 0},
		{"bytes, at it", sanitize.Limits{Bytes: 4}, "éé", "", 0},
		{"bytes, over it", sanitize.Limits{Bytes: 4}, "ééa", sanitize.LimitBytes, 4},
		{"line, at it", sanitize.Limits{LineRunes: 3}, "éée\nabc\r\nabc", "", 0},
		{"line, over it", sanitize.Limits{LineRunes: 3}, "abc\r\nabcd", sanitize.LimitLine, 3},
		{"last line", sanitize.Limits{LineRunes: 3}, "\n\n\néééé", sanitize.LimitLine, 3},
		{"first line", sanitize.Limits{LineRunes: 3}, "éééé\n", sanitize.LimitLine, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := sanitize.New(sanitize.Config{Limits: tt.limits})
			require.NoError(t, err)
			_, err = s.Sanitize(t.Context(), tt.text)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			limit, ok := errors.AsType[*sanitize.LimitError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, tt.want, limit.Limit)
			require.Equal(t, tt.max, limit.Max)
			d := problem.Of(err)
			require.Equal(t, 422, d.Status)
			require.Equal(t, string(tt.want), d.Members["limit"])
			require.NotContains(t, d.Detail, "%!")
		})
	}
}
