package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// Sealer is a [Codec] that changes payloads on their way into the store and back, and that knows
// where they belong. Package sealed uses it to encrypt payloads with a key per person. A Sealer
// works on the bytes of another codec.
//
// A value is stored as Seal(Inner().Marshal(value)). It is read as Inner().Unmarshal(Open(stored)).
// The type's upcasters run between the two, so they see what Inner wrote.
//
// The ContentType of a Sealer differs from that of its inner codec. Reading with [AsRaw], copying
// and verifying need no keys, because they never call Open. Implementations are safe for concurrent
// use.
type Sealer interface {
	Codec

	// Inner returns the codec whose bytes are sealed. It must not be a Sealer.
	Inner() Codec

	// Seal returns the bytes to store for a payload, which Inner encoded from value. It must not
	// change or keep the payload.
	//
	// If Seal returns an error, the append or the snapshot fails and stores nothing. An
	// [ArgumentError] is passed on. Any other error becomes the cause of a [StorageError]. The
	// error's text must not quote the payload.
	Seal(ctx context.Context, about About, value any, payload []byte) ([]byte, error)

	// Open is the inverse of Seal. Data that was erased on purpose is not an error, see [Opened].
	// An error that matches [ErrNotAuthentic] becomes the cause of a [DamagedError], any other the
	// cause of a [StorageError].
	Open(ctx context.Context, about About, sealed []byte) (Opened, error)

	// MarkErased gets a pointer to a decoded value from which something was erased. It may mark the
	// value, for example with the text "erased" in place of a name.
	MarkErased(value any)
}

// Opened is the result of [Sealer].Open.
type Opened struct {
	// Payload is read by the upcasters and the inner codec. It is nil if everything was erased. The
	// value is then the zero value of its Go type.
	Payload []byte

	// Erased reports that something was erased. For an event, it sets Event.Erased. A snapshot then
	// counts as missing, because a state that was folded before the erasure may differ from one
	// folded after it.
	Erased bool
}

// About says where a payload is stored, or will be stored.
type About struct {
	// Stream is the zero Stream with [Registry.Encode] and [Registry.Decode].
	Stream Stream

	// Version is the version of the event or snapshot. It is 0 during an append, because the event
	// has no version yet.
	Version int64

	// Snapshot is true for a snapshot and false for an event.
	Snapshot bool

	// Type and SchemaVersion are the stored ones. Type may be an alias.
	Type          string
	SchemaVersion int

	// Metadata belongs to the event. During an append it has the message id that will be stored,
	// and what the caller set. For a snapshot it is the zero Metadata.
	Metadata Metadata
}

// About returns where the event is stored, for [Registry.DecodeFor].
func (e Event) About() About {
	return About{
		Stream:   Stream{Database: e.Metadata.Context.PartitionID, Type: e.Metadata.Message.AggregateType, ID: e.Metadata.Message.AggregateID},
		Version:  e.Version,
		Type:     e.Metadata.Message.Type,
		Metadata: e.Metadata,
	}
}

// ErrNotAuthentic is matched by the error of a [Sealer] that opens bytes that were changed, or that
// were sealed for another place.
var ErrNotAuthentic = errors.New("it was changed after it was sealed, or was sealed for another place")

// sealError wraps an error of a Sealer, to distinguish it from an error of a codec.
type sealError struct{ cause error }

func (e *sealError) Error() string { return e.cause.Error() }
func (e *sealError) Unwrap() error { return e.cause }

// innermost returns the codec that works on values: the inner codec of a Sealer, or the codec
// itself.
func innermost(codec Codec) Codec {
	if sealer, ok := codec.(Sealer); ok {
		return sealer.Inner()
	}
	return codec
}

// sealsTwice reports whether a codec is a Sealer of a Sealer.
func sealsTwice(codec Codec) bool {
	_, twice := innermost(codec).(Sealer)
	return twice
}

// seal returns the bytes to store for a payload.
func (t *TypeDefinition) seal(ctx context.Context, argument string, about *About, value any, payload []byte) ([]byte, error) {
	sealer, ok := t.codecs[0].(Sealer)
	if !ok {
		return payload, nil
	}
	about.Type, about.SchemaVersion = t.name, t.schema
	sealed, err := sealer.Seal(ctx, *about, value, payload)
	var unfit *ArgumentError
	switch {
	case err == nil:
		return sealed, nil
	case errors.As(err, &unfit):
		return nil, &ArgumentError{Argument: argument, Reason: unfit.Reason, Cause: unfit.Cause}
	case about.Stream == Stream{}:
		return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%s can't be sealed", t.goType), Cause: err}
	}
	return nil, &StorageError{Stream: about.Stream, Operation: "seal the payload", Cause: err}
}

// open returns the payload for the upcasters to read from a stored one.
func open(ctx context.Context, codec Codec, about *About, raw Raw) (Opened, error) {
	sealer, ok := codec.(Sealer)
	if !ok {
		return Opened{Payload: raw.Payload}, nil
	}
	if about == nil {
		about = &About{}
	}
	about.Type, about.SchemaVersion = raw.Type, raw.SchemaVersion
	opened, err := sealer.Open(ctx, *about, raw.Payload)
	if err != nil {
		return Opened{}, &sealError{err}
	}
	return opened, nil
}
