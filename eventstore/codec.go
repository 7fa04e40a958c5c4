package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Codec turns values into stored bytes and back. Implementations are safe for
// concurrent use.
type Codec interface {
	// ContentType is stored with each event, as "application/json", and says later which codec reads it. It never changes.
	ContentType() string

	// Marshal gets a value of the registered Go type.
	Marshal(value any) ([]byte, error)

	// Unmarshal fills value, a pointer that is not nil: a *T where T is registered, and where T is a pointer itself, a T. It must not
	// keep data.
	Unmarshal(data []byte, value any) error
}

// JSON is the codec of encoding/json. Like that it puts U+FFFD in the place of what is not valid UTF-8 in a string.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) ContentType() string                    { return "application/json" }
func (jsonCodec) Marshal(value any) ([]byte, error)      { return json.Marshal(value) }
func (jsonCodec) Unmarshal(data []byte, value any) error { return json.Unmarshal(data, value) }

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
