package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Codec encodes values to stored bytes and decodes them. Implementations are safe for concurrent
// use. A codec whose values can't be compared field by field also implements [Comparer].
type Codec interface {
	// ContentType returns a name such as "application/json". It is stored with each event and
	// selects the codec that reads the event later, so it must never change.
	ContentType() string

	// Marshal encodes a value of the registered Go type.
	Marshal(value any) ([]byte, error)

	// Unmarshal decodes data into value, a pointer that is not nil. For a registered type T it is a
	// *T. If T itself is a pointer type, it is a T. Unmarshal must not keep data.
	Unmarshal(data []byte, value any) error
}

// Comparer is implemented by a [Codec] whose values can't be compared field by field. Generated
// types that keep internal state are an example.
//
// Before a value is stored, it is encoded, decoded and compared with the original. Without a
// Comparer the comparison looks at all fields, exported or not. It then takes nil and empty slices
// and maps for equal, except with [JSON].
type Comparer interface {
	// Equal reports whether the decoded value equals the given one. Both are of the registered Go
	// type.
	Equal(given, decoded any) bool
}

// codecError wraps an error of a codec, or of a type's MarshalJSON or UnmarshalJSON. Its text
// leaves out everything that may quote the payload, because error texts end up in logs. errors.As
// finds the original error.
type codecError struct{ cause error }

func (e *codecError) Error() string {
	var (
		unfit         *json.UnmarshalTypeError
		syntax        *json.SyntaxError
		unsupported   *json.UnsupportedTypeError
		unsupportable *json.UnsupportedValueError
	)
	switch {
	case errors.As(e.cause, &unfit):
		field := ""
		if unfit.Struct != "" {
			field = " of field " + unfit.Struct + "." + unfit.Field
		}
		kind, _, _ := strings.Cut(unfit.Value, " ") // "number 7"
		return fmt.Sprintf("JSON %s does not fit Go type %s%s, at byte %d", kind, unfit.Type, field, unfit.Offset)
	case errors.As(e.cause, &syntax): // quotes a character
		return fmt.Sprintf("invalid JSON at byte %d: %s", syntax.Offset, syntax)
	case errors.As(e.cause, &unsupported):
		return unsupported.Error()
	case errors.As(e.cause, &unsupportable): // such as NaN
		return unsupportable.Error()
	}
	return fmt.Sprintf("the codec returned a %T, left out because it may quote the payload: use errors.As to see it", e.cause)
}

func (e *codecError) Unwrap() error { return e.cause }
