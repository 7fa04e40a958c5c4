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
)

// minHashKey is the shortest key of WithHashedIDs in bytes.
const minHashKey = 16

// WithHashedIDs puts a hash in place of aggregate ids in logs and in the texts of errors, for where ids
// say something of persons: EventStores:Customer:#4f1c9a0b2d3e4f50 in place of EventStores:Customer:ada.
// The hash is keyed (HMAC-SHA256), so that without the key nobody can try ids out; the same key gives the
// same hash in every process, so that what belongs together is found, see [Provider.HashedStream]. The
// key has at least 16 bytes; keep it as a secret.
//
// It reaches what the provider logs, also through [Provider.Logger], and the errors of its sessions and
// readers and of packages aggregate and transfer. The errors match as ever with errors.Is and errors.As;
// the fields and the texts of what errors.As finds inside hold the ids. So do Verification.Damage and
// HeadRebuild.Damage: pass what you log of them to [Provider.HashIDs]. Databases, aggregate types,
// idempotency ids and session ids stay. Spans have telemetry.WithoutAggregateIDs. Defaults to off.
func WithHashedIDs(key []byte) Option {
	return func(c *config) error {
		if len(key) < minHashKey {
			return &ArgumentError{Argument: "WithHashedIDs", Reason: fmt.Sprintf("the key has %d bytes, at least %d are needed: take them from a random source and keep them", len(key), minHashKey)}
		}
		c.hasher = &idHasher{key: append([]byte(nil), key...)}
		return nil
	}
}

// HashedStream returns the name by which logs and errors call a stream: with its id hashed where the
// provider has [WithHashedIDs], else Stream.String. It is how to find the lines about a stream.
func (p *Provider) HashedStream(stream Stream) string { return p.hasher.name(stream) }

// HashIDs returns an error that hides in its text the ids of the streams that are given, and of those that
// errors in it name in a field Stream. It is err itself where nothing is to be hidden, as where the provider is
// without [WithHashedIDs]. The provider's own errors are hidden already.
func (p *Provider) HashIDs(err error, streams ...Stream) error { return p.hasher.hide(err, streams...) }

// idHasher hides ids. A nil one hides nothing.
type idHasher struct{ key []byte }

func (h *idHasher) hash(id string) string {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(id))
	return "#" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// id is what stands for an id.
func (h *idHasher) id(id string) string {
	if h == nil {
		return id
	}
	return h.hash(id)
}

// name is Stream.String with the id hashed. No stream has such a name: # is always escaped.
func (h *idHasher) name(s Stream) string {
	if h == nil {
		return s.String()
	}
	return escape(s.Database) + ":" + escape(s.Type) + ":" + h.hash(s.ID)
}

// text hides the ids of streams in a text: in their names, also where they are part of a key or have been
// escaped once more for a URL, and where an id is quoted.
func (h *idHasher) text(text string, streams []Stream) string {
	for _, s := range streams {
		if s.ID == "" {
			continue // says nothing of anybody
		}
		name, hashed := s.String(), h.name(s)
		for _, form := range []string{name, url.QueryEscape(name), url.PathEscape(name)} {
			text = replaceName(text, form, hashed)
		}
		text = strings.ReplaceAll(text, strconv.Quote(s.ID), strconv.Quote(h.hash(s.ID)))
	}
	return text
}

// replaceName replaces a stream's name where it does not go on: that of id 1 is how that of id 12 begins.
func replaceName(text, name, hashed string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, name)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if after != "" && (unreserved(after[0]) && after[0] != '.' || after[0] == '%') {
			b.WriteString(name)
		} else {
			b.WriteString(hashed)
		}
		text = after
	}
}

// hide is HashIDs.
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

// namedIn adds the streams that errors name.
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

// hiddenError is an error with another text.
type hiddenError struct {
	cause error
	text  string
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.cause }

// Format keeps fmt from looking inside.
func (e *hiddenError) Format(state fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(state, "%q", e.text)
		return
	}
	fmt.Fprint(state, e.text)
}

// LogValue is what slog writes.
func (e *hiddenError) LogValue() slog.Value { return slog.StringValue(e.text) }

// hashingHandler hides ids in what is logged.
type hashingHandler struct {
	slog.Handler
	hasher  *idHasher
	streams []Stream // of attributes that the logger was given
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

// streamsOf adds the stream that an attribute names.
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

// hidden is an attribute without ids.
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
