package eventtest

import (
	"fmt"
	"reflect"

	"github.com/hexalith/eventstores-go/eventstore"
)

// carrier encodes values with the codec that would store them, and decodes them again.
type carrier struct {
	registry *eventstore.Registry // nil if none was given: JSON is assumed
	assumed  map[reflect.Type]*eventstore.Registry
}

// event returns an event's data as it will be read.
func (c *carrier) event(data any) (any, error) {
	if c.registry != nil {
		return through(c.registry, data)
	}
	if _, raw := data.(eventstore.Raw); raw {
		return data, nil
	}
	return c.assume(data)
}

// state returns a state as a snapshot returns it. A state whose type is not registered is never in
// a snapshot, and is returned unchanged.
func (c *carrier) state(state any) (any, error) {
	v := reflect.ValueOf(state)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return state, nil
	}
	if c.registry == nil {
		return c.assume(state)
	}
	for _, registered := range c.registry.Types() {
		if registered.GoType == v.Type() {
			return through(c.registry, state)
		}
	}
	return state, nil
}

// typeOf returns the name and the schema version under which a value is stored, if they are known.
func (c *carrier) typeOf(value any) (name string, schemaVersion int) {
	if raw, ok := value.(eventstore.Raw); ok {
		return raw.Type, raw.SchemaVersion
	}
	if c.registry != nil {
		for _, registered := range c.registry.Types() {
			if registered.GoType == reflect.TypeOf(value) {
				return registered.Name, registered.SchemaVersion
			}
		}
	}
	return "", 0
}

// assume sends a value through JSON, except a protobuf message, which would not be stored as JSON.
func (c *carrier) assume(value any) (any, error) {
	t := reflect.TypeOf(value)
	if _, message := t.MethodByName("ProtoReflect"); message {
		return value, nil
	}
	registry, ok := c.assumed[t]
	if !ok {
		var err error
		if registry, err = eventstore.NewRegistry(eventstore.TypeOf(t, t.String())); err != nil {
			return nil, fmt.Errorf("%w (if its type is registered differently, pass its registry to Using)", err)
		}
		if c.assumed == nil {
			c.assumed = map[reflect.Type]*eventstore.Registry{}
		}
		c.assumed[t] = registry
	}
	return through(registry, value)
}

func through(registry *eventstore.Registry, value any) (any, error) {
	raw, err := registry.Encode(value)
	if err != nil {
		return nil, innermost(err)
	}
	value, err = registry.Decode(raw)
	if err != nil {
		return nil, innermost(err)
	}
	return value, nil
}
