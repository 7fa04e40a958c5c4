package eventstore

import (
	"fmt"
	"reflect"
	"strings"
)

// Registry knows which Go type stands behind each type name that is stored, for events and
// snapshots. It is made once, never changes, and is safe for concurrent use.
type Registry struct {
	byName map[string]*TypeDefinition
	byType map[reflect.Type]*TypeDefinition
}

// TypeDefinition is one entry of a [Registry], made by [Type].
type TypeDefinition struct {
	name   string
	goType reflect.Type
	encode func(value any) ([]byte, error)
	decode func(payload []byte) (any, error)
	codec  Codec
}

// Type defines that values of the Go type T are stored under name. Reading gives back a T.
// The name is what history refers to for ever: choose one that does not depend
// on where the Go type lives.
func Type[T any](name string) TypeDefinition {
	codec := JSON
	return TypeDefinition{
		name:   name,
		goType: reflect.TypeFor[T](),
		codec:  codec,
		encode: func(value any) ([]byte, error) { return codec.Marshal(value) },
		decode: func(payload []byte) (any, error) {
			var value T
			if err := codec.Unmarshal(payload, &value); err != nil {
				return nil, err
			}
			return value, nil
		},
	}
}

// NewRegistry makes a registry. A blank name, an interface type, and a name or Go type that is there
// twice are an ArgumentError.
func NewRegistry(types ...TypeDefinition) (*Registry, error) {
	r := &Registry{byName: map[string]*TypeDefinition{}, byType: map[reflect.Type]*TypeDefinition{}}
	for _, t := range types {
		switch {
		case t.goType == nil:
			return nil, &ArgumentError{Argument: "type", Reason: "it is a zero TypeDefinition: make it with Type[T](name)"}
		case strings.TrimSpace(t.name) == "":
			return nil, &ArgumentError{Argument: "type name", Reason: fmt.Sprintf("the name of Go type %s is blank", t.goType)}
		case t.goType.Kind() == reflect.Interface:
			return nil, &ArgumentError{Argument: "type", Reason: fmt.Sprintf("%q is the interface %s, which says nothing of what to decode: register concrete types", t.name, t.goType)}
		}
		if other, ok := r.byName[t.name]; ok {
			return nil, &ArgumentError{Argument: "type name", Reason: fmt.Sprintf("%q is registered twice, for %s and %s", t.name, other.goType, t.goType)}
		}
		if other, ok := r.byType[t.goType]; ok {
			return nil, &ArgumentError{Argument: "type", Reason: fmt.Sprintf("Go type %s is registered twice, as %q and %q", t.goType, other.name, t.name)}
		}
		r.byName[t.name], r.byType[t.goType] = &t, &t
	}
	return r, nil
}

// encode makes what is stored of a value. A *T counts as a T where only T is registered.
func (r *Registry) encode(argument string, stream Stream, value any) (Raw, error) {
	if raw, ok := value.(Raw); ok {
		if strings.TrimSpace(raw.Type) == "" {
			return Raw{}, &ArgumentError{Argument: argument, Reason: "it is a Raw without a Type"}
		}
		return raw, nil
	}
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return Raw{}, &ArgumentError{Argument: argument, Reason: "it is nil"}
	}
	t, ok := r.byType[v.Type()]
	if !ok && v.Kind() == reflect.Pointer {
		v = v.Elem()
		t, ok = r.byType[v.Type()]
	}
	if !ok {
		return Raw{}, &TypeNotRegisteredError{Stream: stream, Type: v.Type().String()}
	}
	payload, err := t.encode(v.Interface())
	if err != nil {
		return Raw{}, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%s can't be encoded", t.goType), Cause: &codecError{err}}
	}
	return Raw{Type: t.name, SchemaVersion: 1, ContentType: t.codec.ContentType(), Payload: payload}, nil
}

// decode makes the Go value of what was stored.
func (r *Registry) decode(stream Stream, key string, version int64, raw Raw) (any, error) {
	t, ok := r.byName[raw.Type]
	if !ok {
		return nil, &TypeNotRegisteredError{Stream: stream, Version: version, Type: raw.Type}
	}
	if raw.ContentType != t.codec.ContentType() {
		return nil, &DamagedError{Stream: stream, Key: key, Version: version,
			Cause: fmt.Errorf("its content is %s, type %q is registered with %s", raw.ContentType, raw.Type, t.codec.ContentType())}
	}
	value, err := t.decode(raw.Payload)
	if err != nil {
		return nil, &DamagedError{Stream: stream, Key: key, Version: version,
			Cause: fmt.Errorf("type %q can't be decoded into %s: %w", raw.Type, t.goType, &codecError{err})}
	}
	return value, nil
}
