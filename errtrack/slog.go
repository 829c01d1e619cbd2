package errtrack

import (
	"context"
	"log/slog"
	"slices"
)

// NewSlogHandler returns a handler that passes records on to next, and those of
// level Error and above to t as well: with the first attribute that is an error,
// and the message if there is none. Of the other attributes nothing is kept.
func NewSlogHandler(t Tracker, next slog.Handler) slog.Handler {
	return &slogHandler{Handler: next, t: t}
}

type slogHandler struct {
	slog.Handler
	t     Tracker
	attrs []slog.Attr
}

// Enabled implements [slog.Handler]: errors are tracked also where they aren't
// logged.
func (h *slogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *slogHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		e := Event{Message: r.Message, Err: firstError(h.attrs)}
		r.Attrs(func(a slog.Attr) bool {
			if e.Err == nil {
				e.Err = firstError([]slog.Attr{a})
			}
			return e.Err == nil
		})
		h.t.Track(ctx, e)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func firstError(attrs []slog.Attr) error {
	for _, a := range attrs {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindAny:
			if err, ok := v.Any().(error); ok {
				return err
			}
		case slog.KindGroup:
			if err := firstError(v.Group()); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &slogHandler{h.Handler.WithAttrs(attrs), h.t, append(slices.Clip(h.attrs), attrs...)}
}

// WithGroup implements [slog.Handler].
func (h *slogHandler) WithGroup(name string) slog.Handler {
	return &slogHandler{h.Handler.WithGroup(name), h.t, h.attrs}
}
