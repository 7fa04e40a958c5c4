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
	made reflect.Type // what the step makes by WithUpcastJSON, else nil
}

// WithSchemaVersion says which schema version of the type is written; defaults to 1. What is stored in an older one is read through
// the steps that [WithUpcast] gives, or not at all. Raise it when what a payload means changes. A field that is added, and may be
// absent, needs no new version.
//
// Snapshots need no upcasters: with the schema version of a state raised, older snapshots can't be used, so that
// loading takes the events, and those that are saved from then on can.
func WithSchemaVersion(n int) TypeOption {
	return func(c *typeConfig) error { c.schema = n; return nil }
}

// WithUpcast gives the step from schema version from of the type to from+1. When a stored payload is read, the steps from its own schema version on
// are run, one after the other, before the codec sees it. What is stored never changes.
//
// A step is a pure function: the same payload in, the same out, whenever and on whichever machine it is read, so it knows
// no clock and no database. It is safe for concurrent use. The payload is its own, a copy, and is in the content type in which it was
// stored, which is to be that of the result.
//
// An error of it becomes the cause of a [SchemaError], less its words, which may quote the payload; errors.As gets at it.
func WithUpcast(from int, step func(payload []byte) ([]byte, error)) TypeOption {
	return func(c *typeConfig) error {
		c.upcasters = append(c.upcasters, upcaster{from: from, step: step})
		return nil
	}
}

// WithUpcastJSON is [WithUpcast] for payloads in JSON, between Go types that look as the payload did at the two schema versions. What
// is in the payload and not in Old is lost. In maps and fields of type any a number is a [json.Number], with all of its digits. A New that [JSON] can't
// carry is an ArgumentError of [NewRegistry].
func WithUpcastJSON[Old, New any](from int, step func(Old) (New, error)) TypeOption {
	if step == nil {
		return WithUpcast(from, nil)
	}
	return func(c *typeConfig) error {
		c.upcasters = append(c.upcasters, upcaster{from: from, step: jsonStep(step), made: reflect.TypeFor[New]()})
		return nil
	}
}

// jsonStep is a step between payloads of one between values.
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

// checkUpcasters checks that the upcasters, which are in order, lead to the newest schema version without a gap.
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
			reason = fmt.Sprintf("leads beyond the newest schema version, %d: raise it with WithSchemaVersion(%d)", t.schema, u.from+1)
		case i > 0 && u.from == t.upcasters[i-1].from:
			reason = "is there twice"
		case u.from+1 < next:
			reason = fmt.Sprintf("is not followed by one from %d to %d", u.from+1, u.from+2)
		default:
			continue
		}
		return &ArgumentError{Argument: "WithUpcast", Reason: fmt.Sprintf("the step of type %q from schema version %d to %d %s", t.name, u.from, u.from+1, reason)}
	}
	return nil
}

// oldest is the lowest schema version that can be read.
func (t *TypeDefinition) oldest() int { return t.schema - len(t.upcasters) }

// upcast brings a payload to the newest schema version, from one that is no newer. It does not change what it is given.
func (t *TypeDefinition) upcast(schema int, payload []byte) ([]byte, error) {
	switch {
	case schema == t.schema:
		return payload, nil
	case schema < t.oldest():
		return nil, fmt.Errorf("there is no step from %d to %d", schema, schema+1)
	}
	payload = bytes.Clone(payload) // a step that writes into it spoils nothing
	for _, u := range t.upcasters[schema-t.oldest():] {
		var err error
		if payload, err = u.step(payload); err != nil {
			return nil, fmt.Errorf("the step from %d to %d: %w", u.from, u.from+1, &codecError{err})
		}
	}
	return payload, nil
}
