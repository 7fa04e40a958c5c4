package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Registry knows the Go type for each stored type name of events and snapshots. It also knows how
// to turn values that were stored years ago into values of today. It never changes after
// [NewRegistry] and is safe for concurrent use.
type Registry struct {
	byName map[string]*TypeDefinition
	byType map[reflect.Type]*TypeDefinition
}

// TypeDefinition is one entry of a [Registry]. [Type] makes it.
type TypeDefinition struct {
	typeConfig
	name    string
	goType  reflect.Type
	err     error            // from an option; NewRegistry returns it
	leftOut map[fieldID]bool // the fields that leaveOut names
	needed  map[fieldID]bool // those of leftOut that JSON does not carry
}

// typeConfig holds what the options of a type set.
type typeConfig struct {
	aliases   []string
	schema    int // the schema version that is written
	upcasters []upcaster
	codecs    []Codec // the first writes, all of them read
	leaveOut  []string

	aggregates []string // the aggregate types that the type is bound to; none: any
}

// TypeOption configures a type: see [WithSchemaVersion], [WithUpcast], [WithUpcastJSON],
// [WithAliases], [WithCodec], [WithoutFields] and [ForAggregates]. [NewRegistry] returns an
// ArgumentError for an invalid option.
type TypeOption func(*typeConfig) error

// Type defines that values of the Go type T are stored under name. Reading returns a T. History
// refers to the name for ever, so choose one that does not depend on where the Go type lives.
// Without options the type has schema version 1 and is stored as JSON.
func Type[T any](name string, options ...TypeOption) TypeDefinition {
	return TypeOf(reflect.TypeFor[T](), name, options...)
}

// TypeOf is like [Type], for a Go type that is only known at run time.
func TypeOf(goType reflect.Type, name string, options ...TypeOption) TypeDefinition {
	t := TypeDefinition{name: name, goType: goType, typeConfig: typeConfig{schema: 1, codecs: []Codec{JSON}}}
	for _, option := range options {
		if option == nil {
			t.err = &ArgumentError{Argument: "option", Reason: fmt.Sprintf("an option of type %q is nil", name)}
			break
		}
		if t.err = option(&t.typeConfig); t.err != nil {
			break
		}
	}
	return t
}

// decode decodes a payload into a value of the Go type.
func (t *TypeDefinition) decode(codec Codec, payload []byte) (any, error) {
	if t.goType.Kind() == reflect.Pointer {
		value := reflect.New(t.goType.Elem()).Convert(t.goType).Interface()
		return value, codec.Unmarshal(payload, value)
	}
	p := reflect.New(t.goType)
	err := codec.Unmarshal(payload, p.Interface())
	return p.Elem().Interface(), err
}

// WithoutFields names fields that are not stored on purpose, such as a cache that can be filled
// again. Without it, NewRegistry refuses a type with fields that its codec can't carry.
//
// A path names a field, starting at the type, as in "Owner.name". It passes through pointers,
// slices, arrays and maps: "Lines.price" is a field of each line. The field is left out everywhere
// that its struct type occurs in the registered type. When a value is read, the field is zero.
func WithoutFields(paths ...string) TypeOption {
	return func(c *typeConfig) error { c.leaveOut = append(c.leaveOut, paths...); return nil }
}

// WithAliases gives older names of the type, which history still contains. Reading accepts them,
// and nothing is written under them.
func WithAliases(names ...string) TypeOption {
	return func(c *typeConfig) error { c.aliases = append(c.aliases, names...); return nil }
}

// WithCodec sets how values of the type become bytes, in place of [JSON]. New values are stored
// with the codec write. The codecs in alsoRead only read what history contains. The stored content
// type of a value selects the codec that reads it.
func WithCodec(write Codec, alsoRead ...Codec) TypeOption {
	return func(c *typeConfig) error { c.codecs = append([]Codec{write}, alsoRead...); return nil }
}

// NewRegistry returns a registry of the given types. It returns an ArgumentError if
//   - a name, an alias or a Go type is given twice, a name is blank, or a type is an interface;
//   - a schema version is below 1, or the upcasters of a type do not lead to the newest schema
//     version in steps without a gap;
//   - an upcaster or a codec is nil, or two codecs of a type have the same content type;
//   - an aggregate type that a type is bound to is blank or repeated, see [ForAggregates];
//   - a type is written as [JSON], and JSON can never carry all of it.
//
// JSON can't carry fields that are not exported, hidden by others or tagged json:"-". It can't
// carry interfaces with methods, functions, channels, complex numbers, and map keys that are
// neither text nor integers. The same is true for anything else that encoding/json leaves out or
// can't read. The message names each field and says what to do, see [WithoutFields].
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

// complete checks a definition and sorts its upcasters.
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
		return bad("type", "%q is the interface %s, which can't be decoded: register concrete types", t.name, t.goType)
	case t.err != nil:
		return t.err
	}
	for _, alias := range t.aliases {
		if strings.TrimSpace(alias) == "" {
			return bad("WithAliases", "an alias of type %q is blank", t.name)
		}
	}
	if err := t.checkAggregates(); err != nil {
		return err
	}
	for i, codec := range t.codecs {
		switch {
		case codec == nil:
			return bad("WithCodec", "a codec of type %q is nil", t.name)
		case innermost(codec) == nil:
			return bad("WithCodec", "a Sealer of type %q has no inner codec", t.name)
		case sealsTwice(codec):
			return bad("WithCodec", "a Sealer of type %q has another Sealer as its inner codec: use one of the two", t.name)
		case codec.ContentType() == "":
			return bad("WithCodec", "a codec of type %q has no content type", t.name)
		case slices.ContainsFunc(t.codecs[:i], func(other Codec) bool { return other.ContentType() == codec.ContentType() }):
			return bad("WithCodec", "type %q has two codecs for %s", t.name, codec.ContentType())
		}
	}
	if t.schema < 1 {
		return bad("WithSchemaVersion", "schema version %d of type %q is below 1", t.schema, t.name)
	}
	t.upcasters = slices.SortedStableFunc(slices.Values(t.upcasters), func(a, b upcaster) int { return cmp.Compare(a.from, b.from) })
	if err := t.checkUpcasters(); err != nil {
		return err
	}
	if err := t.resolveLeftOut(); err != nil {
		return err
	}
	for _, u := range t.upcasters {
		if u.made == nil || u.made.Kind() == reflect.Interface {
			continue
		}
		if lost := t.lost(u.made); lost != "" {
			return bad("WithUpcastJSON", "JSON can't carry all of the result of the step of type %q from schema version %d to %d, Go type %s: %s", t.name, u.from, u.from+1, u.made, lost)
		}
	}
	if !t.writesJSON() {
		return nil
	}
	if lost := t.lost(t.goType); lost != "" {
		return bad("type", "JSON can't carry all of type %q, Go type %s: %s", t.name, t.goType, lost)
	}
	if path, ok := t.unneeded(); ok {
		return bad("WithoutFields", "field %q of type %q is stored: remove the option, or leave the field out with the tag `json:\"-\"`", path, t.name)
	}
	return nil
}

// writesJSON reports whether values of the type are stored as JSON.
func (t *TypeDefinition) writesJSON() bool {
	_, ok := innermost(t.codecs[0]).(jsonCodec)
	return ok
}

// RegisteredType describes one type of a [Registry].
type RegisteredType struct {
	Name          string
	Aliases       []string // in the order of WithAliases
	GoType        reflect.Type
	SchemaVersion int      // the version that is written
	OldestVersion int      // the lowest schema version that can be read
	ContentTypes  []string // the first is written, all of them can be read

	// AggregateTypes lists the names that [ForAggregates] was given, in that order. It is nil for a
	// type that can be stored in every stream.
	AggregateTypes []string

	// Sealed says that one of the type's codecs is a [Sealer], so what is read may be erased later.
	Sealed bool
}

// Types returns the registered types, sorted by name.
func (r *Registry) Types() []RegisteredType {
	var types []RegisteredType
	for _, t := range r.byType {
		registered := RegisteredType{Name: t.name, Aliases: slices.Clone(t.aliases), GoType: t.goType, SchemaVersion: t.schema, OldestVersion: t.oldest(), AggregateTypes: slices.Clone(t.aggregates)}
		for _, codec := range t.codecs {
			registered.ContentTypes = append(registered.ContentTypes, codec.ContentType())
			if _, sealed := codec.(Sealer); sealed {
				registered.Sealed = true
			}
		}
		types = append(types, registered)
	}
	slices.SortFunc(types, func(a, b RegisteredType) int { return cmp.Compare(a.Name, b.Name) })
	return types
}

// Encode returns the form in which Append stores a value of a registered Go type, in its newest
// schema version. If only the type that a pointer points to is registered, Encode takes that value.
// It returns a [Raw] as it is.
//
// Encode decodes the result again and compares it with the value, so that reading always returns
// what was stored. It returns a [TypeNotRegisteredError] for a type that is not registered. It
// returns an [ArgumentError] for a value that is nil, can't be encoded, or would be different when
// it is read. It also returns one for a Raw of a registered type that could not be read.
//
// The comparison takes these for equal:
//   - times at the same instant with the same offset from UTC, because the location's name and the
//     monotonic clock are not stored;
//   - a number in a field of type any, and the [json.Number] with the same digits;
//   - nil and an empty slice or map, in a field with the tag omitempty;
//   - a nil [json.RawMessage] and null, and an empty json.Number and 0;
//   - values whose Equal or Cmp method says so, if their type has its own MarshalJSON or
//     MarshalText and no exported fields;
//   - fields that [WithoutFields] names.
//
// A codec that is a [Comparer] decides by itself what is equal.
func (r *Registry) Encode(value any) (Raw, error) {
	return r.encodeAt(context.Background(), "value", &About{}, value)
}

// EncodeFor is like [Registry.Encode], for a value whose place is known. A [Sealer] needs the
// place.
func (r *Registry) EncodeFor(ctx context.Context, about About, value any) (Raw, error) {
	return r.encodeAt(ctx, "value", &about, value)
}

// Decode returns the value that reading returns for stored data. It runs the upcasters, then the
// codec for the stored content type. It does not change raw. It returns a [TypeNotRegisteredError],
// a [SchemaError], or an [ArgumentError] for a payload that can't be decoded.
func (r *Registry) Decode(raw Raw) (any, error) {
	return r.DecodeFor(context.Background(), About{}, raw)
}

// DecodeFor is like [Registry.Decode], for data whose place is known, see [Event.About]. A [Sealer]
// needs the place. If the keys of a Sealer can't be read and about names a stream, DecodeFor
// returns a [StorageError]. Erased data is not an error.
func (r *Registry) DecodeFor(ctx context.Context, about About, raw Raw) (any, error) {
	found, err := r.read(ctx, &about, raw)
	var sealed *sealError
	if errors.As(err, &sealed) && about.Stream != (Stream{}) {
		return nil, r.located(err, about.Stream, keysOf(about.Stream).event(about.Version), about.Version, raw)
	}
	switch err.(type) {
	case nil, *TypeNotRegisteredError, *SchemaError:
		return found.value, err
	}
	return nil, &ArgumentError{Argument: "raw", Reason: "it can't be decoded", Cause: err}
}

// encodeAt is Encode for a place. Its errors name the argument.
func (r *Registry) encodeAt(ctx context.Context, argument string, about *About, value any) (Raw, error) {
	if raw, ok := value.(Raw); ok {
		if err := r.checkRaw(ctx, argument, about, raw); err != nil {
			return Raw{}, err
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
		return Raw{}, &TypeNotRegisteredError{Stream: about.Stream, Type: v.Type().String()}
	}
	codec := t.codecs[0]
	payload, err := innermost(codec).Marshal(v.Interface())
	if err != nil {
		return Raw{}, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%s can't be encoded", t.goType), Cause: &codecError{err}}
	}
	if payload, err = t.seal(ctx, argument, about, v.Interface(), payload); err != nil {
		return Raw{}, err
	}
	raw := Raw{Type: t.name, SchemaVersion: t.schema, ContentType: codec.ContentType(), Payload: payload}
	if err := t.comesBack(ctx, argument, about, v.Interface(), raw); err != nil {
		return Raw{}, err
	}
	return raw, nil
}

// holdsSeveral reports whether a value of an unregistered type is a list of values that could be
// registered.
func (r *Registry) holdsSeveral(value any) bool {
	t := reflect.TypeOf(value)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
		return false
	}
	element := t.Elem()
	if element.Kind() == reflect.Pointer {
		element = element.Elem()
	}
	_, registered := r.byType[element]
	_, pointer := r.byType[t.Elem()]
	return registered || pointer || element.Kind() == reflect.Interface || element == reflect.TypeFor[Event]() || element == reflect.TypeFor[Raw]()
}

// comesBack checks that reading raw would return the value that it was made from.
func (t *TypeDefinition) comesBack(ctx context.Context, argument string, about *About, value any, raw Raw) error {
	codec := innermost(t.codecs[0])
	if _, sealed := t.codecs[0].(Sealer); t.writesJSON() && !sealed {
		if e := exactnessOf(t.goType); e.exact && (e.fits == nil || e.fits(reflect.ValueOf(value))) {
			return nil
		}
	}
	opened, err := open(ctx, t.codecs[0], about, raw)
	switch {
	case err != nil && about.Stream != (Stream{}):
		return &StorageError{Stream: about.Stream, Operation: "open the payload that was just sealed", Cause: err}
	case err != nil:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that can't be opened after sealing", t.goType), Cause: err}
	case opened.Erased:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("sealed data of %s was erased in the meantime; nothing was stored", t.goType)}
	}
	decoded, err := t.decode(codec, opened.Payload)
	if err != nil {
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that could be stored but not read again", t.goType), Cause: &codecError{err}}
	}
	if comparer, ok := codec.(Comparer); ok {
		if !comparer.Equal(value, decoded) {
			return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that, according to its codec, %s; nothing was stored", t.goType, comesBackChanged)}
		}
		return nil
	}
	c := comparison{json: t.writesJSON(), leftOut: t.leftOut}
	d := c.differs(value, decoded)
	if d == nil {
		return nil
	}
	where := t.goType.String()
	if d.path != "" {
		where = "field " + d.path + " of " + where
	}
	return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("%s %s; nothing was stored", where, d.reason)}
}

// checkRaw checks that a new Raw can be read, if its type is registered. It is not for a Raw that
// was recorded before.
func (r *Registry) checkRaw(ctx context.Context, argument string, about *About, raw Raw) error {
	if err := checkRecorded(argument, raw); err != nil {
		return err
	}
	_, err := r.read(ctx, about, raw)
	var sealed *sealError
	if errors.As(err, &sealed) && about.Stream != (Stream{}) && !errors.Is(err, ErrNotAuthentic) {
		return &StorageError{Stream: about.Stream, Operation: "open the payload to store", Cause: sealed.cause}
	}
	switch err.(type) {
	case nil, *TypeNotRegisteredError:
		return nil // readers of an unregistered type handle it themselves
	}
	return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a Raw of type %q that could be stored but not read again", raw.Type), Cause: err}
}

// checkRecorded checks what every Raw must have.
func checkRecorded(argument string, raw Raw) error {
	switch {
	case strings.TrimSpace(raw.Type) == "":
		return &ArgumentError{Argument: argument, Reason: "it is a Raw without a Type"}
	case raw.SchemaVersion < 0:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a Raw of schema version %d, which is negative", raw.SchemaVersion)}
	}
	return nil
}

// decodeAt is DecodeFor for data under a key. It also reports whether something was erased.
func (r *Registry) decodeAt(ctx context.Context, about *About, key string, raw Raw) (value any, erased bool, err error) {
	found, err := r.read(ctx, about, raw)
	return found.value, found.erased, r.located(err, about.Stream, key, about.Version, raw)
}

// decodeSnapshot is decodeAt for a snapshot, which must have all fields that its Go type has today:
// see stale.
func (r *Registry) decodeSnapshot(ctx context.Context, about *About, key string, raw Raw) (any, error) {
	found, err := r.read(ctx, about, raw)
	if err == nil && found.erased {
		return nil, &SnapshotNotFoundError{Stream: about.Stream, Version: about.Version}
	}
	if err == nil {
		err = found.stale()
	}
	if err != nil {
		return nil, r.located(err, about.Stream, key, about.Version, raw)
	}
	return found.value, nil
}

// located adds to an error of read where the data is.
func (r *Registry) located(err error, stream Stream, key string, version int64, raw Raw) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *sealError:
		if errors.Is(e.cause, ErrNotAuthentic) {
			return &DamagedError{Stream: stream, Key: key, Version: version, Cause: e.cause}
		}
		return &StorageError{Stream: stream, Operation: fmt.Sprintf("open the sealed payload of version %d", version), Cause: e.cause}
	case *TypeNotRegisteredError:
		e.Stream, e.Version = stream, version
		return e
	case *SchemaError:
		e.Stream, e.Version = stream, version
		return e
	}
	return &TypeMismatchError{Stream: stream, Key: key, Version: version, Type: raw.Type, GoType: r.byName[raw.Type].goType.String(), Cause: err}
}

// readValue is the result of reading a stored value.
type readValue struct {
	t       *TypeDefinition
	codec   Codec
	payload []byte // after the upcasters
	value   any
	erased  bool // something was erased, see Opened
}

// read returns the Go value of stored data. Its errors do not say where the data is. An error that
// is of no type of this package says why the payload can't be decoded.
func (r *Registry) read(ctx context.Context, about *About, raw Raw) (readValue, error) {
	t, codec, schema, err := r.known(raw)
	if err != nil {
		return readValue{}, err
	}
	opened, err := open(ctx, codec, about, raw)
	switch {
	case err != nil:
		return readValue{}, err
	case opened.Erased && opened.Payload == nil:
		return readValue{t: t, codec: innermost(codec), value: t.erased(codec, t.zero()), erased: true}, nil
	}
	payload, err := t.upcast(schema, opened.Payload)
	if err != nil {
		return readValue{}, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema, Cause: err}
	}
	value, err := t.decode(innermost(codec), payload)
	if err != nil {
		err = fmt.Errorf("type %q can't be decoded into %s: %w", raw.Type, t.goType, &codecError{err})
		if schema != t.schema {
			return readValue{}, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema, Cause: fmt.Errorf("after the upcasters: %w", err)}
		}
		return readValue{}, err
	}
	if opened.Erased {
		value = t.erased(codec, value)
	}
	return readValue{t, innermost(codec), payload, value, opened.Erased}, nil
}

// known returns the type, the codec and the schema version with which to read a stored value. Its
// errors are those of read.
func (r *Registry) known(raw Raw) (*TypeDefinition, Codec, int, error) {
	t, ok := r.byName[raw.Type]
	if !ok {
		return nil, nil, 0, &TypeNotRegisteredError{Type: raw.Type}
	}
	i := slices.IndexFunc(t.codecs, func(codec Codec) bool { return codec.ContentType() == raw.ContentType })
	if i < 0 {
		var known []string
		for _, codec := range t.codecs {
			known = append(known, codec.ContentType())
		}
		content := "no content type"
		if raw.ContentType != "" {
			content = "content type " + raw.ContentType
		}
		return nil, nil, 0, fmt.Errorf("it has %s, but type %q is registered with %s", content, raw.Type, strings.Join(known, ", "))
	}
	schema := max(raw.SchemaVersion, 1) // an appended Raw may leave it out
	if schema > t.schema {
		return nil, nil, 0, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema}
	}
	return t, t.codecs[i], schema, nil
}

// readsKind returns why snapshots of a kind can't be read, or nil. If nothing is known of the kind,
// they may be readable.
func (r *Registry) readsKind(kind snapshotKind) error {
	if kind.typeName == "" {
		return nil
	}
	t, ok := r.byName[kind.typeName]
	switch {
	case !ok:
		return &TypeNotRegisteredError{Type: kind.typeName}
	case kind.schema > t.schema:
		return &SchemaError{Type: kind.typeName, Schema: kind.schema, Newest: t.schema}
	case kind.schema < t.oldest():
		return &SchemaError{Type: kind.typeName, Schema: kind.schema, Newest: t.schema, Cause: fmt.Errorf("no upcaster leads from schema version %d", kind.schema)}
	}
	return nil
}

// zero returns the zero value of the Go type, or a pointer to a zero value if it is a pointer type.
func (t *TypeDefinition) zero() any {
	if t.goType.Kind() == reflect.Pointer {
		return reflect.New(t.goType.Elem()).Convert(t.goType).Interface()
	}
	return reflect.Zero(t.goType).Interface()
}

// erased lets the codec mark a value from which something was erased.
func (t *TypeDefinition) erased(codec Codec, value any) any {
	sealer, ok := codec.(Sealer)
	switch {
	case !ok:
		return value
	case t.goType.Kind() == reflect.Pointer:
		sealer.MarkErased(value)
		return value
	}
	p := reflect.New(t.goType)
	p.Elem().Set(reflect.ValueOf(value))
	sealer.MarkErased(p.Interface())
	return p.Elem().Interface()
}

// stale returns an error if the value would be stored with other fields today. If the state's type
// got a new field, an older snapshot lacks what earlier events would have put into it. A snapshot
// that was stored without unexported fields lacks those.
func (r readValue) stale() error {
	if _, isJSON := r.codec.(jsonCodec); !isJSON || !r.t.writesJSON() {
		return nil
	}
	again, err := r.codec.Marshal(r.value)
	if err != nil {
		return fmt.Errorf("the decoded value can't be encoded again: %w", &codecError{err})
	}
	if bytes.Equal(again, r.payload) {
		return nil
	}
	var was, is any
	if r.codec.Unmarshal(r.payload, &was) == nil && r.codec.Unmarshal(again, &is) == nil && reflect.DeepEqual(was, is) {
		return nil // only spaces or escapes differ
	}
	return fmt.Errorf("its stored fields differ from the fields of %s today", r.t.goType)
}
