// Package protobuf stores events and snapshots as protobuf messages.
//
//	eventstore.Type[*bankpb.FundsDeposited]("FundsDeposited", eventstore.WithCodec(protobuf.Codec))
//
// Types in protobuf and in JSON can share a stream. A message evolves by protobuf's own rules: add
// fields, and never use a number again. For a change that these rules do not allow, use a new
// schema version with an upcaster.
//
// # Examples
//
//   - example_test.go: events that are protobuf messages
package protobuf

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
	"google.golang.org/protobuf/proto"
)

// Codec is the codec for types that are protobuf messages. The content type is
// application/protobuf. The same message gives the same bytes with the same version of the protobuf
// library. Codec keeps fields that the Go type does not know, for example fields of a newer version
// of the service.
//
// Register the pointer to the generated type, as in Type[*bankpb.FundsDeposited]. Encoding or
// decoding any other type is a [NotAMessageError].
var Codec eventstore.Codec = codec{}

var _ eventstore.Comparer = codec{}

type codec struct{}

func (codec) ContentType() string { return "application/protobuf" }

func (codec) Marshal(value any) ([]byte, error) {
	message, ok := value.(proto.Message)
	if !ok {
		return nil, &NotAMessageError{fmt.Sprintf("%T", value)}
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

func (codec) Unmarshal(data []byte, value any) error {
	message, ok := value.(proto.Message)
	if !ok {
		return &NotAMessageError{fmt.Sprintf("%T", value)}
	}
	return proto.Unmarshal(data, message)
}

// Equal reports whether two messages are equal according to proto.Equal. A message also contains
// notes of the protobuf library, which do not count.
func (codec) Equal(given, decoded any) bool {
	a, ok := given.(proto.Message)
	b, both := decoded.(proto.Message)
	return ok && both && proto.Equal(a, b)
}

// NotAMessageError says that a Go type is registered with [Codec] but is not a protobuf message.
// Nothing was stored.
type NotAMessageError struct {
	Type string // the Go type; when decoding, a pointer to the registered type
}

func (e *NotAMessageError) Error() string {
	return fmt.Sprintf("protobuf: %s is not a protobuf message: register the pointer to the generated type, as in Type[*bankpb.FundsDeposited]", e.Type)
}
