package errtrack

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
)

// NewSlogHandler returns a handler that passes records on to next, and those of
// level Error and above to t as well: their message, with the first attribute
// that is an error. Of the other attributes nothing is kept.
func NewSlogHandler(t Tracker, next slog.Handler) slog.Handler {
	return &slogHandler{Handler: next, t: t}
}

type slogHandler struct {
	slog.Handler
	t   Tracker
	err error // the first one among the attributes of the logger
}

// Enabled implements [slog.Handler]: errors are tracked also where they aren't
// logged.
func (h *slogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.Handler.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *slogHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.t.Track(ctx, h.event(&r))
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h *slogHandler) event(r *slog.Record) Event {
	err := h.err
	r.Attrs(func(a slog.Attr) bool {
		if err == nil {
			err = firstError(a)
		}
		return err == nil
	})
	switch {
	case err == nil:
		return Event{Message: cmp.Or(r.Message, "error without a message")}
	case r.Message == "":
		return Event{Err: err}
	default:
		return Event{Err: fmt.Errorf("%s: %w", r.Message, err)}
	}
}

func firstError(attrs ...slog.Attr) error {
	for _, a := range attrs {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindAny:
			if err, ok := v.Any().(error); ok {
				return err
			}
		case slog.KindGroup:
			if err := firstError(v.Group()...); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	err := h.err
	if err == nil {
		err = firstError(attrs...)
	}
	return &slogHandler{h.Handler.WithAttrs(attrs), h.t, err}
}

// WithGroup implements [slog.Handler].
func (h *slogHandler) WithGroup(name string) slog.Handler {
	return &slogHandler{h.Handler.WithGroup(name), h.t, h.err}
}
