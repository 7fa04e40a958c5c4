package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// Sealer is a [Codec] that changes payloads on their way into the store and back, and that is told
// whose they are: to encrypt them with a key per person, as package sealed does. It works on the
// bytes of another codec.
//
// A value is stored as Seal(Inner().Marshal(value)). It is read as Inner().Unmarshal(Open(stored)),
// with the type's upcasters between the two. So upcasters see what Inner wrote.
//
// The ContentType of a Sealer differs from that of its inner codec. Reading with [AsRaw], copying and
// verifying need no keys: they never call Open. Implementations are safe for concurrent use.
type Sealer interface {
	Codec

	// Inner is the codec whose bytes are sealed. It is not a Sealer itself.
	Inner() Codec

	// Seal makes what is stored of a payload that Inner made of value. It must not change or keep
	// the payload. Its error fails the append or the snapshot, and nothing is stored: an
	// [ArgumentError] stays one, any other becomes the cause of a [StorageError]. The error's text
	// must not quote the payload.
	Seal(ctx context.Context, about About, value any, payload []byte) ([]byte, error)

	// Open is the inverse of Seal. What was erased on purpose is no error, see [Opened]. An error
	// that matches [ErrNotAuthentic] becomes the cause of a [DamagedError], any other of a
	// [StorageError].
	Open(ctx context.Context, about About, sealed []byte) (Opened, error)

	// MarkErased gets a pointer to a value from which something was erased, after it was decoded. It
	// may put marks into it, as the text "erased" in place of a name.
	MarkErased(value any)
}

// Opened is what a [Sealer] opened.
type Opened struct {
	// Payload is what the upcasters and the inner codec read. It is nil where all of it was erased:
	// then the value is the zero value of its Go type.
	Payload []byte

	// Erased says that something was erased. An event then has Event.Erased set. A snapshot counts as
	// one that is not there, since a state that was folded before the erasure may differ from one that
	// is folded after it.
	Erased bool
}

// About says where a payload stands, or is to stand.
type About struct {
	// Stream is the zero Stream with [Registry.Encode] and [Registry.Decode].
	Stream Stream

	// Version is that of the event or snapshot. It is 0 while an event is being appended, before it
	// has its place.
	Version int64

	// Snapshot says that it is a snapshot and no event.
	Snapshot bool

	// Type and SchemaVersion are those that are stored; Type may be an alias.
	Type          string
	SchemaVersion int

	// Metadata is that of the event. While it is being appended it has the message id that will be
	// stored, and what the caller gave. Of a snapshot it is the zero Metadata.
	Metadata Metadata
}

// About says where an event stands, for [Registry.DecodeFor].
func (e Event) About() About {
	return About{
		Stream:   Stream{Database: e.Metadata.Context.PartitionID, Type: e.Metadata.Message.AggregateType, ID: e.Metadata.Message.AggregateID},
		Version:  e.Version,
		Type:     e.Metadata.Message.Type,
		Metadata: e.Metadata,
	}
}

// ErrNotAuthentic is matched by the error of a [Sealer] that opens what was changed, or what was
// sealed for another place.
var ErrNotAuthentic = errors.New("it was changed after it was sealed, or was sealed for another place")

// sealError is an error of a Sealer, which no codec has part in.
type sealError struct{ cause error }

func (e *sealError) Error() string { return e.cause.Error() }
func (e *sealError) Unwrap() error { return e.cause }

// innermost is the codec that works on values: the inner one of a Sealer.
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

// seal makes what is stored of a payload.
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
	return nil, &StorageError{Stream: about.Stream, Operation: "seal what is to be stored in", Cause: err}
}

// open makes of a stored payload what the upcasters read.
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
