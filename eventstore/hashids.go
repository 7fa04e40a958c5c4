package eventstore

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// minHashKey is the length in bytes of the shortest key that WithHashedIDs accepts.
const minHashKey = 16

// WithHashedIDs replaces aggregate ids with hashes in logs and error texts. Use it if ids identify
// people. EventStores:Customer:ada then reads EventStores:Customer:#4f1c9a0b2d3e4f50. Off by
// default.
//
// The hash is keyed (HMAC-SHA256), so ids can't be guessed without the key. The same key gives the
// same hash in every process, so lines about one stream can be found, see [Provider.HashedStream].
// The key has at least 16 bytes and must be kept secret.
//
// The option affects everything that the provider logs, also through [Provider.Logger]. It also
// affects the errors of the provider's sessions and readers, and of packages aggregate and
// transfer. Errors still match with errors.Is and errors.As. The errors that errors.As finds still
// hold the ids in their fields and texts. So do Verification.Damage and HeadRebuild.Damage. Pass
// those to [Provider.HashIDs] before logging them.
//
// Databases, aggregate types, idempotency ids and session ids are not hashed. Spans have their own
// option, telemetry.WithoutAggregateIDs.
func WithHashedIDs(key []byte) Option {
	return func(c *config) error {
		if len(key) < minHashKey {
			return &ArgumentError{Argument: "WithHashedIDs", Reason: fmt.Sprintf("the key has %d bytes, at least %d are needed: take them from a random source and keep them secret", len(key), minHashKey)}
		}
		c.hasher = &idHasher{key: append([]byte(nil), key...)}
		return nil
	}
}

// HashedStream returns the name that logs and errors use for a stream. The id in it is hashed if
// the provider has [WithHashedIDs]. Otherwise the name is the same as Stream.String. Use it to find
// the log lines about a stream.
func (p *Provider) HashedStream(stream Stream) string { return p.hasher.name(stream) }

// HashIDs returns an error whose text does not show the ids of the given streams, nor of those that
// errors inside err name in a field Stream. It returns err itself if there is nothing to hide or
// the provider does not have [WithHashedIDs]. The provider's own errors hide their ids already.
func (p *Provider) HashIDs(err error, streams ...Stream) error { return p.hasher.hide(err, streams...) }

// idHasher replaces ids with hashes. A nil idHasher replaces nothing.
type idHasher struct{ key []byte }

func (h *idHasher) hash(id string) string {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(id))
	return "#" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// id returns the text to show for an id.
func (h *idHasher) id(id string) string {
	if h == nil {
		return id
	}
	return h.hash(id)
}

// name returns Stream.String with the id hashed. The result is never the name of a stream, because
// names always escape #.
func (h *idHasher) name(s Stream) string {
	if h == nil {
		return s.String()
	}
	return frame.Escape(s.Database) + ":" + frame.Escape(s.Type) + ":" + h.hash(s.ID)
}

// text hides the ids of streams in a text. It replaces their names, also inside keys and URLs, and
// quoted ids.
func (h *idHasher) text(text string, streams []Stream) string {
	for _, s := range streams {
		if s.ID == "" {
			continue // identifies nothing
		}
		name, hashed := s.String(), h.name(s)
		for _, form := range []string{name, url.QueryEscape(name), url.PathEscape(name)} {
			text = replaceName(text, form, hashed)
		}
		text = strings.ReplaceAll(text, strconv.Quote(s.ID), strconv.Quote(h.hash(s.ID)))
	}
	return text
}

// replaceName replaces the name of a stream where the name ends. The name of id 12 begins with the
// name of id 1, for example.
func replaceName(text, name, hashed string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, name)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if after != "" && (frame.Unreserved(after[0]) && after[0] != '.' || after[0] == '%') {
			b.WriteString(name)
		} else {
			b.WriteString(hashed)
		}
		text = after
	}
}

func (h *idHasher) hide(err error, streams ...Stream) error {
	if h == nil || err == nil {
		return err
	}
	said := err.Error()
	streams = namedIn(err, streams)
	if hidden := h.text(said, streams); hidden != said {
		return &hiddenError{cause: err, text: hidden}
	}
	return err
}

// namedIn adds the streams that err and its causes name to streams.
func namedIn(err error, streams []Stream) []Stream {
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		if field := v.FieldByName("Stream"); field.IsValid() && field.CanInterface() {
			if s, ok := field.Interface().(Stream); ok && s != (Stream{}) {
				streams = append(streams, s)
			}
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return namedIn(inner, streams)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if inner != nil {
				streams = namedIn(inner, streams)
			}
		}
	}
	return streams
}

// hiddenError replaces the text of an error.
type hiddenError struct {
	cause error
	text  string
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.cause }

// Format prints only the replaced text, so that fmt does not print the fields of the cause.
func (e *hiddenError) Format(state fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(state, "%q", e.text)
		return
	}
	fmt.Fprint(state, e.text)
}

// LogValue returns the replaced text for slog.
func (e *hiddenError) LogValue() slog.Value { return slog.StringValue(e.text) }

// hashingHandler hides ids in log records.
type hashingHandler struct {
	slog.Handler
	hasher  *idHasher
	streams []Stream // that the logger's own attributes name
}

func (h *hashingHandler) Handle(ctx context.Context, record slog.Record) error {
	streams := h.streams
	record.Attrs(func(attr slog.Attr) bool {
		streams = streamsOf(attr, streams)
		return true
	})
	hidden := slog.NewRecord(record.Time, record.Level, h.hasher.text(record.Message, streams), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		hidden.AddAttrs(h.hidden(attr, streams))
		return true
	})
	return h.Handler.Handle(ctx, hidden)
}

func (h *hashingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	streams := h.streams[:len(h.streams):len(h.streams)]
	for _, attr := range attrs {
		streams = streamsOf(attr, streams)
	}
	hidden := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		hidden[i] = h.hidden(attr, streams)
	}
	return &hashingHandler{h.Handler.WithAttrs(hidden), h.hasher, streams}
}

func (h *hashingHandler) WithGroup(name string) slog.Handler {
	return &hashingHandler{h.Handler.WithGroup(name), h.hasher, h.streams}
}

// streamsOf adds the streams that an attribute names to streams.
func streamsOf(attr slog.Attr, streams []Stream) []Stream {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, inner := range value.Group() {
			streams = streamsOf(inner, streams)
		}
		return streams
	}
	if s, ok := value.Any().(Stream); ok {
		return append(streams, s)
	}
	if attr.Key != "stream" || value.Kind() != slog.KindString {
		return streams
	}
	if s, err := ParseStream(value.String()); err == nil {
		return append(streams, s)
	}
	return streams
}

// hidden returns the attribute with its ids hidden.
func (h *hashingHandler) hidden(attr slog.Attr, streams []Stream) slog.Attr {
	value := attr.Value.Resolve()
	switch value.Kind() {
	case slog.KindGroup:
		group := value.Group()
		hidden := make([]slog.Attr, len(group))
		for i := range group {
			hidden[i] = h.hidden(group[i], streams)
		}
		return slog.Attr{Key: attr.Key, Value: slog.GroupValue(hidden...)}
	case slog.KindString:
		return slog.String(attr.Key, h.hasher.text(value.String(), streams))
	case slog.KindAny:
		switch v := value.Any().(type) {
		case error:
			return slog.Any(attr.Key, h.hasher.hide(v, streams...))
		case Stream:
			return slog.String(attr.Key, h.hasher.name(v))
		case fmt.Stringer:
			return slog.String(attr.Key, h.hasher.text(v.String(), streams))
		}
	}
	return attr
}
