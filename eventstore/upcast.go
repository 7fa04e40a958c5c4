package eventstore

import (
	"bytes"
	"fmt"
	"reflect"
)

// upcaster is the step from one schema version of a type to the next.
type upcaster struct {
	from int
	step func(payload []byte) ([]byte, error)
	made reflect.Type // the result type of a WithUpcastJSON step, else nil
}

// WithSchemaVersion sets the schema version in which new values of the type are written. The
// default is 1. Values in older versions are readable only with the steps of [WithUpcast]. Raise
// the version when the meaning of a payload changes. A new field that may be absent needs no new
// version.
//
// Snapshots need no upcasters. After the schema version of a state was raised, its older snapshots
// are not used. Loading then reads the events, and new snapshots are used again.
func WithSchemaVersion(n int) TypeOption {
	return func(c *typeConfig) error { c.schema = n; return nil }
}

// WithUpcast gives the step from schema version from of the type to from+1. Reading a stored
// payload runs the steps from its own schema version on, one after the other, before the codec
// decodes it. Stored payloads never change.
//
// A step is a pure function: it returns the same payload for the same input on every machine, and
// uses no clock and no database. It is safe for concurrent use. It may change its payload, which is
// a copy. It gets the payload in the content type in which it was stored, and returns it in the
// same content type.
//
// An error of a step becomes the cause of a [SchemaError]. Its text is left out, because it may
// quote the payload. errors.As finds the error itself.
func WithUpcast(from int, step func(payload []byte) ([]byte, error)) TypeOption {
	return func(c *typeConfig) error {
		c.upcasters = append(c.upcasters, upcaster{from: from, step: step})
		return nil
	}
}

// WithUpcastJSON is [WithUpcast] for JSON payloads, with Go types that look like the payload at the
// two schema versions. Fields of the payload that Old does not have are lost. In maps and fields of
// type any, numbers are a [json.Number] with all digits. If [JSON] can't carry New, [NewRegistry]
// returns an ArgumentError.
func WithUpcastJSON[Old, New any](from int, step func(Old) (New, error)) TypeOption {
	if step == nil {
		return WithUpcast(from, nil)
	}
	return func(c *typeConfig) error {
		c.upcasters = append(c.upcasters, upcaster{from: from, step: jsonStep(step), made: reflect.TypeFor[New]()})
		return nil
	}
}

// jsonStep turns a step between values into a step between payloads.
func jsonStep[Old, New any](step func(Old) (New, error)) func([]byte) ([]byte, error) {
	return func(payload []byte) ([]byte, error) {
		var old Old
		if err := JSON.Unmarshal(payload, &old); err != nil {
			return nil, err
		}
		value, err := step(old)
		if err != nil {
			return nil, err
		}
		return JSON.Marshal(value)
	}
}

// checkUpcasters checks that the sorted upcasters lead to the newest schema version without a gap.
func (t *TypeDefinition) checkUpcasters() error {
	for i, u := range t.upcasters {
		next := t.schema
		if i+1 < len(t.upcasters) {
			next = min(next, t.upcasters[i+1].from)
		}
		reason := ""
		switch {
		case u.step == nil:
			reason = "is nil"
		case u.from < 1:
			reason = "begins below schema version 1"
		case u.from >= t.schema:
			reason = fmt.Sprintf("goes beyond the newest schema version, %d: raise that with WithSchemaVersion(%d)", t.schema, u.from+1)
		case i > 0 && u.from == t.upcasters[i-1].from:
			reason = "is given twice"
		case u.from+1 < next:
			reason = fmt.Sprintf("is not followed by one from %d to %d", u.from+1, u.from+2)
		default:
			continue
		}
		return &ArgumentError{Argument: "WithUpcast", Reason: fmt.Sprintf("the step of type %q from schema version %d to %d %s", t.name, u.from, u.from+1, reason)}
	}
	return nil
}

// oldest returns the lowest schema version that can be read.
func (t *TypeDefinition) oldest() int { return t.schema - len(t.upcasters) }

// upcast brings a payload from an older schema version to the newest one. It does not change
// payload.
func (t *TypeDefinition) upcast(schema int, payload []byte) ([]byte, error) {
	switch {
	case schema == t.schema:
		return payload, nil
	case schema < t.oldest():
		return nil, fmt.Errorf("there is no step from %d to %d", schema, schema+1)
	}
	payload = bytes.Clone(payload) // a step may change its payload
	for _, u := range t.upcasters[schema-t.oldest():] {
		var err error
		if payload, err = u.step(payload); err != nil {
			return nil, fmt.Errorf("the step from %d to %d: %w", u.from, u.from+1, &codecError{err})
		}
	}
	return payload, nil
}
