package telemetry

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler returns a handler that adds the attributes trace_id and span_id to log records, and
// passes them to next. It takes the ids from the record's context, and leaves records without a
// trace unchanged. The ids are hexadecimal, as in W3C traceparent. They are at the top level even
// if the logger has a group.
//
// The event store logs with the contexts of its operations. So with [NewObserver] the span is the
// span of the operation.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{root: next, next: next} }

type logHandler struct {
	root slog.Handler // before the first group
	next slog.Handler // with everything that was added

	// added is what was added to root, starting with the first group.
	added []func(slog.Handler) slog.Handler
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return h.next.Handle(ctx, record)
	}
	ids := []slog.Attr{slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String())}
	if len(h.added) == 0 {
		record = record.Clone()
		record.AddAttrs(ids...)
		return h.next.Handle(ctx, record)
	}
	next := h.root.WithAttrs(ids)
	for _, add := range h.added {
		next = add(next)
	}
	return next.Handle(ctx, record)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(len(h.added) > 0, func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(true, func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *logHandler) with(inGroup bool, add func(slog.Handler) slog.Handler) slog.Handler {
	if !inGroup {
		next := add(h.root)
		return &logHandler{root: next, next: next}
	}
	return &logHandler{root: h.root, next: add(h.next), added: append(slices.Clone(h.added), add)}
}
