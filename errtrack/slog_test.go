package errtrack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/slogtest"

	"github.com/stretchr/testify/require"

	"github.com/sparkhttp/spark/errtrack"
)

func TestSlogHandlerIsOne(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return errtrack.NewSlogHandler(newCollector(t, errtrack.Config{}), slog.NewJSONHandler(&buf, nil))
	}, func(t *testing.T) map[string]any {
		m := map[string]any{}
		require.NoError(t, json.Unmarshal(buf.Bytes(), &m))
		return m
	})
}

type lazy struct{ err error }

func (l lazy) LogValue() slog.Value { return slog.AnyValue(l.err) }

func TestSlogHandler(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  func(l *slog.Logger)
		want string // the message of the event; empty means none
	}{
		{"info", func(l *slog.Logger) { l.Info("fine", "error", io.EOF) }, ""},
		{"warning", func(l *slog.Logger) { l.Warn("careful", "error", io.EOF) }, ""},
		{"error", func(l *slog.Logger) { l.Error("saving order 5 failed") }, "saving order <number> failed"},
		{"above error", func(l *slog.Logger) { l.Log(context.Background(), slog.LevelError+4, "worse") }, "worse"},
		{"no message", func(l *slog.Logger) { l.Error("") }, "error without a message"},
		{"error among attributes", func(l *slog.Logger) { l.Error("saving failed", "id", 5, "cause", io.EOF, "other", io.ErrNoProgress) }, "saving failed: EOF"},
		{"error alone", func(l *slog.Logger) { l.Error("", "error", io.EOF) }, "EOF"},
		{"error of the logger", func(l *slog.Logger) {
			l.With("error", io.EOF).With("a", 1).WithGroup("g").Error("x", "error", io.ErrNoProgress)
		}, "x: EOF"},
		{"error in a group", func(l *slog.Logger) { l.Error("x", slog.Group("g", "a", 1, "e", io.EOF)) }, "x: EOF"},
		{"error from a LogValuer", func(l *slog.Logger) { l.Error("x", "e", lazy{io.EOF}) }, "x: EOF"},
		{"client gone", func(l *slog.Logger) { l.Error("x", "e", context.Canceled) }, ""},
		{"attributes are not kept", func(l *slog.Logger) { l.Error("x", "prompt", "secret") }, "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t, errtrack.Config{})
			var buf bytes.Buffer
			tt.log(slog.New(errtrack.NewSlogHandler(c, slog.NewTextHandler(&buf, nil))))
			require.NotEmpty(t, buf.String(), "it is logged in any case")
			tt.log(slog.New(errtrack.NewSlogHandler(c, slog.DiscardHandler)))
			if tt.want == "" {
				require.Zero(t, events(c))
				return
			}
			g := only(t, c)
			require.EqualValues(t, 2, g.Count, "tracked also where it isn't logged")
			require.Equal(t, tt.want, g.Samples[0].Message)
		})
	}
}

// Typed causes group as they do elsewhere.
func TestSlogHandlerGroupsByCause(t *testing.T) {
	c := newCollector(t, errtrack.Config{})
	l := slog.New(errtrack.NewSlogHandler(c, slog.DiscardHandler))
	l.Error("saving failed", "error", &quotaError{"1"})
	c.Track(t.Context(), failure(errors.Join(&quotaError{"2"})))
	require.EqualValues(t, 2, only(t, c).Count)
}
