package eventstore

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Registry knows which Go type stands behind each type name that is stored, for events and
// snapshots, and how what was stored years ago becomes a value of today. It is made once, never changes, and is safe for concurrent use.
type Registry struct {
	byName map[string]*TypeDefinition
	byType map[reflect.Type]*TypeDefinition
}

// TypeDefinition is one entry of a [Registry], made by [Type].
type TypeDefinition struct {
	name      string
	aliases   []string
	goType    reflect.Type
	schema    int // that is written
	upcasters []upcaster
	codecs    []Codec // the first writes, all of them read
	decode    func(codec Codec, payload []byte) (any, error)
	flaw      string // what is wrong with an option, for NewRegistry to say
}

// TypeOption says more of a type than its name: see [SchemaVersion], [Upcast], [UpcastJSON], [Alias] and [WithCodec]. A wrong
// one is an ArgumentError of [NewRegistry].
type TypeOption func(*TypeDefinition)

// Type defines that values of the Go type T are stored under name. Reading gives back a T.
// The name is what history refers to for ever: choose one that does not depend
// on where the Go type lives. Without options it is of schema version 1 and stored as JSON.
func Type[T any](name string, options ...TypeOption) TypeDefinition {
	goType := reflect.TypeFor[T]()
	t := TypeDefinition{name: name, goType: goType, schema: 1, codecs: []Codec{JSON}}
	t.decode = func(codec Codec, payload []byte) (any, error) {
		var value T
		if goType.Kind() != reflect.Pointer {
			err := codec.Unmarshal(payload, &value)
			return value, err
		}
		value = reflect.New(goType.Elem()).Convert(goType).Interface().(T)
		err := codec.Unmarshal(payload, value)
		return value, err
	}
	for _, option := range options {
		if option == nil {
			t.flaw = "an option is nil"
			continue
		}
		option(&t)
	}
	return t
}

// Alias names older names of the type, which history still holds. They are read as the type, and never written again.
func Alias(names ...string) TypeOption {
	return func(t *TypeDefinition) { t.aliases = append(t.aliases, names...) }
}

// WithCodec sets how values of the type become bytes, in place of [JSON]: write is the codec for what is stored from now on,
// alsoRead are those in which history holds the type too. Which of them reads a value, the content type that is stored with it says.
func WithCodec(write Codec, alsoRead ...Codec) TypeOption {
	return func(t *TypeDefinition) { t.codecs = append([]Codec{write}, alsoRead...) }
}

// NewRegistry makes a registry. It is an ArgumentError
//   - if a name, an alias or a Go type is there twice, a name is blank, or a type is an interface;
//   - if a schema version is below 1, or a type's upcasters are not one step for each schema version from some first up to
//     the one before the newest;
//   - if an upcaster or a codec is nil, or two codecs of a type have one content type.
func NewRegistry(types ...TypeDefinition) (*Registry, error) {
	r := &Registry{byName: map[string]*TypeDefinition{}, byType: map[reflect.Type]*TypeDefinition{}}
	for _, t := range types {
		if err := t.complete(); err != nil {
			return nil, err
		}
		for _, name := range append([]string{t.name}, t.aliases...) {
			if other, ok := r.byName[name]; ok {
				return nil, &ArgumentError{Argument: "type name", Reason: fmt.Sprintf("%q is registered twice, for %s and %s", name, other.goType, t.goType)}
			}
			r.byName[name] = &t
		}
		if other, ok := r.byType[t.goType]; ok {
			return nil, &ArgumentError{Argument: "type", Reason: fmt.Sprintf("Go type %s is registered twice, as %q and %q", t.goType, other.name, t.name)}
		}
		r.byType[t.goType] = &t
	}
	return r, nil
}

// complete checks a definition by itself and puts its upcasters into order.
func (t *TypeDefinition) complete() error {
	bad := func(argument, format string, args ...any) error {
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case t.goType == nil:
		return bad("type", "it is a zero TypeDefinition: make it with Type[T](name)")
	case strings.TrimSpace(t.name) == "":
		return bad("type name", "the name of Go type %s is blank", t.goType)
	case t.goType.Kind() == reflect.Interface:
		return bad("type", "%q is the interface %s, which says nothing of what to decode: register concrete types", t.name, t.goType)
	case t.flaw != "":
		return bad("type option", "type %q: %s", t.name, t.flaw)
	}
	for _, alias := range t.aliases {
		if strings.TrimSpace(alias) == "" {
			return bad("Alias", "an alias of type %q is blank", t.name)
		}
	}
	for i, codec := range t.codecs {
		switch {
		case codec == nil:
			return bad("WithCodec", "a codec of type %q is nil", t.name)
		case codec.ContentType() == "":
			return bad("WithCodec", "a codec of type %q has no content type", t.name)
		case slices.ContainsFunc(t.codecs[:i], func(other Codec) bool { return other.ContentType() == codec.ContentType() }):
			return bad("WithCodec", "type %q has two codecs for %s", t.name, codec.ContentType())
		}
	}
	if t.schema < 1 {
		return bad("SchemaVersion", "schema version %d of type %q is below 1", t.schema, t.name)
	}
	t.upcasters = slices.SortedStableFunc(slices.Values(t.upcasters), func(a, b upcaster) int { return cmp.Compare(a.from, b.from) })
	return t.checkUpcasters()
}

// RegisteredType is what a [Registry] knows of one type.
type RegisteredType struct {
	Name          string
	Aliases       []string // in the order in which they were given
	GoType        reflect.Type
	SchemaVersion int      // that is written
	OldestVersion int      // the lowest schema version that can be read
	ContentTypes  []string // the first is written, all of them can be read
}

// Types returns what is registered, by name in ascending order.
func (r *Registry) Types() []RegisteredType {
	var types []RegisteredType
	for _, t := range r.byType {
		registered := RegisteredType{Name: t.name, Aliases: slices.Clone(t.aliases), GoType: t.goType, SchemaVersion: t.schema, OldestVersion: t.oldest()}
		for _, codec := range t.codecs {
			registered.ContentTypes = append(registered.ContentTypes, codec.ContentType())
		}
		types = append(types, registered)
	}
	slices.SortFunc(types, func(a, b RegisteredType) int { return cmp.Compare(a.Name, b.Name) })
	return types
}

// Encode makes what Append stores of a value of a registered Go type, in its newest schema version. A pointer counts as what it points to where only
// that is registered; a [Raw] is what it is. It returns a [TypeNotRegisteredError], or an [ArgumentError] for what
// is nil or its codec can't encode.
func (r *Registry) Encode(value any) (Raw, error) {
	return r.encode("value", Stream{}, value)
}

// Decode makes the value that reading gives of what is stored: by the codec of its content type, after the upcasters of
// schema versions from its own on. It does not change raw. It returns a [TypeNotRegisteredError], a [SchemaError], or
// an [ArgumentError] for a payload that can't be decoded.
func (r *Registry) Decode(raw Raw) (any, error) {
	value, err := r.value(raw)
	switch err.(type) {
	case nil, *TypeNotRegisteredError, *SchemaError:
		return value, err
	}
	return nil, &ArgumentError{Argument: "raw", Reason: "it can't be decoded", Cause: err}
}

// encode is Encode of an argument of that name, for a stream.
func (r *Registry) encode(argument string, stream Stream, value any) (Raw, error) {
	if raw, ok := value.(Raw); ok {
		switch {
		case strings.TrimSpace(raw.Type) == "":
			return Raw{}, &ArgumentError{Argument: argument, Reason: "it is a Raw without a Type"}
		case raw.SchemaVersion < 0:
			return Raw{}, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a Raw of schema version %d, which is negative", raw.SchemaVersion)}
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
	payload, err := t.codecs[0].Marshal(v.Interface())
	if err != nil {
		return Raw{}, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%s can't be encoded", t.goType), Cause: &codecError{err}}
	}
	return Raw{Type: t.name, SchemaVersion: t.schema, ContentType: t.codecs[0].ContentType(), Payload: payload}, nil
}

// decode is Decode of what stands under a key of a stream.
func (r *Registry) decode(stream Stream, key string, version int64, raw Raw) (any, error) {
	value, err := r.value(raw)
	switch e := err.(type) {
	case nil:
		return value, nil
	case *TypeNotRegisteredError:
		e.Stream, e.Version = stream, version
		return nil, e
	case *SchemaError:
		e.Stream, e.Version = stream, version
		return nil, e
	}
	return nil, &DamagedError{Stream: stream, Key: key, Version: version, Cause: err}
}

// value makes the Go value of what was stored. Its errors do not say where; one of no type of its own says why a payload can't be decoded.
func (r *Registry) value(raw Raw) (any, error) {
	t, ok := r.byName[raw.Type]
	if !ok {
		return nil, &TypeNotRegisteredError{Type: raw.Type}
	}
	i := slices.IndexFunc(t.codecs, func(codec Codec) bool { return codec.ContentType() == raw.ContentType })
	if i < 0 {
		var known []string
		for _, codec := range t.codecs {
			known = append(known, codec.ContentType())
		}
		return nil, fmt.Errorf("its content is %s, type %q is registered with %s", raw.ContentType, raw.Type, strings.Join(known, ", "))
	}
	schema := max(raw.SchemaVersion, 1) // it may have been appended as a Raw that says nothing of it
	if schema > t.schema {
		return nil, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema}
	}
	payload, err := t.upcast(schema, raw.Payload)
	if err != nil {
		return nil, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema, Cause: err}
	}
	value, err := t.decode(t.codecs[i], payload)
	if err != nil {
		err = fmt.Errorf("type %q can't be decoded into %s: %w", raw.Type, t.goType, &codecError{err})
		if schema != t.schema {
			return nil, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema, Cause: fmt.Errorf("what the upcasters made of it: %w", err)}
		}
		return nil, err
	}
	return value, nil
}
