package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Codec turns values into stored bytes and back. Implementations are safe for
// concurrent use. See [Comparer] for codecs of values that can't be compared field by field.
type Codec interface {
	// ContentType is stored with each event, as "application/json", and says later which codec reads it. It never changes.
	ContentType() string

	// Marshal gets a value of the registered Go type.
	Marshal(value any) ([]byte, error)

	// Unmarshal fills value, a pointer that is not nil: a *T where T is registered, and where T is a pointer itself, a T. It must not
	// keep data.
	Unmarshal(data []byte, value any) error
}

// Comparer is implemented by a [Codec] whose values can't be compared field by field, such as those
// of generated types that keep notes about themselves.
//
// Every value is compared with what its codec made of it before it is stored. Without a Comparer
// that is done by their fields, also those that are not exported; nil and empty slices and maps
// then count as equal, except by [JSON].
type Comparer interface {
	// Equal reports whether decoded is what was given. Both are of the registered Go type.
	Equal(given, decoded any) bool
}

// codecError is an error of a codec, or of a type's own MarshalJSON or UnmarshalJSON, less its words where they may quote the payload: what
// an error says gets into logs. The error itself is there for errors.As.
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
		return fmt.Sprintf("no JSON at byte %d: %s", syntax.Offset, syntax)
	case errors.As(e.cause, &unsupported):
		return unsupported.Error()
	case errors.As(e.cause, &unsupportable): // as NaN
		return unsupportable.Error()
	}
	return fmt.Sprintf("there is a %T, which may quote the payload and is left out: get at it with errors.As", e.cause)
}

func (e *codecError) Unwrap() error { return e.cause }
