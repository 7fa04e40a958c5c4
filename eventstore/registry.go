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

// Registry knows which Go type stands behind each type name that is stored, for events and
// snapshots, and how what was stored years ago becomes a value of today. It is made once, never changes, and is safe for concurrent use.
type Registry struct {
	byName map[string]*TypeDefinition
	byType map[reflect.Type]*TypeDefinition
}

// TypeDefinition is one entry of a [Registry], made by [Type].
type TypeDefinition struct {
	typeConfig
	name    string
	goType  reflect.Type
	err     error            // of an option, for NewRegistry to return
	leftOut map[fieldID]bool // that leaveOut names
	needed  map[fieldID]bool // of those, what JSON does not carry
}

// typeConfig is what the options of a type set.
type typeConfig struct {
	aliases   []string
	schema    int // that is written
	upcasters []upcaster
	codecs    []Codec // the first writes, all of them read
	leaveOut  []string

	aggregates []string // the aggregate types that it is bound to; none: any
}

// TypeOption configures a type: see [WithSchemaVersion], [WithUpcast], [WithUpcastJSON], [WithAliases],
// [WithCodec], [WithoutFields] and [ForAggregates]. [NewRegistry] returns an ArgumentError for a wrong one.
type TypeOption func(*typeConfig) error

// Type defines that values of the Go type T are stored under name. Reading gives back a T.
// The name is what history refers to for ever: choose one that does not depend
// on where the Go type lives. Without options it is of schema version 1 and stored as JSON.
func Type[T any](name string, options ...TypeOption) TypeDefinition {
	return TypeOf(reflect.TypeFor[T](), name, options...)
}

// TypeOf is [Type] for a Go type that is known only when the program runs.
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

// decode makes a value of the Go type.
func (t *TypeDefinition) decode(codec Codec, payload []byte) (any, error) {
	if t.goType.Kind() == reflect.Pointer {
		value := reflect.New(t.goType.Elem()).Convert(t.goType).Interface()
		return value, codec.Unmarshal(payload, value)
	}
	p := reflect.New(t.goType)
	err := codec.Unmarshal(payload, p.Interface())
	return p.Elem().Interface(), err
}

// WithoutFields says of fields that they are meant not to be stored, such as a cache that is filled
// anew when it is needed. A type with fields that its codec can't carry is refused otherwise.
//
// A path names a field from the type on, as "Owner.name"; pointers, slices, arrays and maps on the way are looked
// through: "Lines.price" is a field of each line. The field is left out wherever its struct type occurs in the
// registered type. When a value is read, the field is zero.
func WithoutFields(paths ...string) TypeOption {
	return func(c *typeConfig) error { c.leaveOut = append(c.leaveOut, paths...); return nil }
}

// WithAliases names older names of the type, which history still holds. They are read as the type, and never written again.
func WithAliases(names ...string) TypeOption {
	return func(c *typeConfig) error { c.aliases = append(c.aliases, names...); return nil }
}

// WithCodec sets how values of the type become bytes, in place of [JSON]: write is the codec for what is stored from now on,
// alsoRead are those in which history holds the type too. Which of them reads a value, the content type that is stored with it says.
func WithCodec(write Codec, alsoRead ...Codec) TypeOption {
	return func(c *typeConfig) error { c.codecs = append([]Codec{write}, alsoRead...); return nil }
}

// NewRegistry makes a registry. It is an ArgumentError
//   - if a name, an alias or a Go type is there twice, a name is blank, or a type is an interface;
//   - if a schema version is below 1, or a type's upcasters are not one step for each schema version from some first up to
//     the one before the newest;
//   - if an upcaster or a codec is nil, or two codecs of a type have one content type;
//   - if an aggregate type that a type is bound to is blank or repeated, see [ForAggregates];
//   - if a type is written as [JSON], and JSON can never carry all of it: fields that are not exported, hidden by others or tagged
//     json:"-", interfaces with methods, functions, channels, complex numbers, keys of maps that are no text or integer, and what else
//     encoding/json leaves out or can't read. The message names each field and says what to do; see [WithoutFields].
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
			return bad("WithCodec", "a codec of type %q seals a codec that is nil", t.name)
		case sealsTwice(codec):
			return bad("WithCodec", "a codec of type %q seals what is sealed already: use one of the two", t.name)
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
			return bad("WithUpcastJSON", "JSON can't carry all of what the step of type %q from schema version %d to %d makes, Go type %s: %s", t.name, u.from, u.from+1, u.made, lost)
		}
	}
	if !t.writesJSON() {
		return nil
	}
	if lost := t.lost(t.goType); lost != "" {
		return bad("type", "JSON can't carry all of type %q, Go type %s: %s", t.name, t.goType, lost)
	}
	if path, ok := t.unneeded(); ok {
		return bad("WithoutFields", "field %q of type %q is stored: take the option away, or, if the field is to be left out, tag it `json:\"-\"`", path, t.name)
	}
	return nil
}

// writesJSON reports whether values of the type are stored as JSON.
func (t *TypeDefinition) writesJSON() bool {
	_, ok := innermost(t.codecs[0]).(jsonCodec)
	return ok
}

// RegisteredType is what a [Registry] knows of one type.
type RegisteredType struct {
	Name          string
	Aliases       []string // in the order in which they were given
	GoType        reflect.Type
	SchemaVersion int      // that is written
	OldestVersion int      // the lowest schema version that can be read
	ContentTypes  []string // the first is written, all of them can be read

	// AggregateTypes are those of [ForAggregates], in the order in which they were given. It is nil
	// for a type that can be stored in every stream.
	AggregateTypes []string
}

// Types returns what is registered, by name in ascending order.
func (r *Registry) Types() []RegisteredType {
	var types []RegisteredType
	for _, t := range r.byType {
		registered := RegisteredType{Name: t.name, Aliases: slices.Clone(t.aliases), GoType: t.goType, SchemaVersion: t.schema, OldestVersion: t.oldest(), AggregateTypes: slices.Clone(t.aggregates)}
		for _, codec := range t.codecs {
			registered.ContentTypes = append(registered.ContentTypes, codec.ContentType())
		}
		types = append(types, registered)
	}
	slices.SortFunc(types, func(a, b RegisteredType) int { return cmp.Compare(a.Name, b.Name) })
	return types
}

// Encode makes what Append stores of a value of a registered Go type, in its newest schema version. A pointer counts as what it points to where only
// that is registered; a [Raw] is what it is.
//
// What it makes is decoded again and compared with the value, so that whatever is stored comes back as it was. It
// returns a [TypeNotRegisteredError], or an [ArgumentError] for what is nil, can't be encoded, or would come back as something
// else; for a Raw of a registered type that could not be read. These count as the same:
//   - times at the same instant and with the same offset from UTC; the location's name and the monotonic clock are not stored;
//   - a number in a field of type any, and the [json.Number] with its digits that comes back;
//   - nil and an empty slice or map in a field with the tag omitempty;
//   - a nil [json.RawMessage] and null, an empty json.Number and 0;
//   - values of a type that has its own MarshalJSON or MarshalText, no exported fields, and an Equal or Cmp method that says so;
//   - what [WithoutFields] names. What a [Comparer] takes for equal is its own business.
func (r *Registry) Encode(value any) (Raw, error) {
	return r.encodeAt(context.Background(), "value", &About{}, value)
}

// EncodeFor is [Registry.Encode] of a value that is to stand at a place, which matters to a [Sealer].
func (r *Registry) EncodeFor(ctx context.Context, about About, value any) (Raw, error) {
	return r.encodeAt(ctx, "value", &about, value)
}

// Decode makes the value that reading gives of what is stored: by the codec of its content type, after the upcasters of
// schema versions from its own on. It does not change raw. It returns a [TypeNotRegisteredError], a [SchemaError], or
// an [ArgumentError] for a payload that can't be decoded.
func (r *Registry) Decode(raw Raw) (any, error) {
	return r.DecodeFor(context.Background(), About{}, raw)
}

// DecodeFor is [Registry.Decode] of what stands at a place, which matters to a [Sealer]: see
// [Event.About]. Where its keys can't be read, it also returns a [StorageError] if about names a
// stream. What was erased is no error.
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

// encodeAt is Encode of an argument of that name, for a place.
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

// holdsSeveral reports whether a value of a type that is not registered is a list of those that could be.
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

// comesBack checks that what is to be stored is read as the value that it was made of.
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
		return &StorageError{Stream: about.Stream, Operation: "open what was just sealed for", Cause: err}
	case err != nil:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that can't be opened once it is sealed", t.goType), Cause: err}
	case opened.Erased:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("what is sealed of %s was erased at this moment; nothing was stored", t.goType)}
	}
	decoded, err := t.decode(codec, opened.Payload)
	if err != nil {
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that could be stored and never be read again", t.goType), Cause: &codecError{err}}
	}
	if comparer, ok := codec.(Comparer); ok {
		if !comparer.Equal(value, decoded) {
			return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %s that %s, says its codec: nothing was stored", t.goType, comesBackChanged)}
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

// checkRaw checks a Raw that is new, not one that was recorded before: if its type is registered, it can be read.
func (r *Registry) checkRaw(ctx context.Context, argument string, about *About, raw Raw) error {
	if err := checkRecorded(argument, raw); err != nil {
		return err
	}
	_, err := r.read(ctx, about, raw)
	var sealed *sealError
	if errors.As(err, &sealed) && about.Stream != (Stream{}) && !errors.Is(err, ErrNotAuthentic) {
		return &StorageError{Stream: about.Stream, Operation: "open what is to be stored in", Cause: sealed.cause}
	}
	switch err.(type) {
	case nil, *TypeNotRegisteredError:
		return nil // what is not registered is the business of whoever reads it
	}
	return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a Raw of type %q that could be stored and never be read again", raw.Type), Cause: err}
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

// decodeAt is DecodeFor of what stands under a key. It also says whether something was erased.
func (r *Registry) decodeAt(ctx context.Context, about *About, key string, raw Raw) (value any, erased bool, err error) {
	found, err := r.read(ctx, about, raw)
	return found.value, found.erased, r.located(err, about.Stream, key, about.Version, raw)
}

// decodeSnapshot is decodeAt of a snapshot, which must be all that its Go type has today: see stale.
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

// located says of an error of read where it is.
func (r *Registry) located(err error, stream Stream, key string, version int64, raw Raw) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *sealError:
		if errors.Is(e.cause, ErrNotAuthentic) {
			return &DamagedError{Stream: stream, Key: key, Version: version, Cause: e.cause}
		}
		return &StorageError{Stream: stream, Operation: fmt.Sprintf("open what is sealed in version %d of", version), Cause: e.cause}
	case *TypeNotRegisteredError:
		e.Stream, e.Version = stream, version
		return e
	case *SchemaError:
		e.Stream, e.Version = stream, version
		return e
	}
	return &TypeMismatchError{Stream: stream, Key: key, Version: version, Type: raw.Type, GoType: r.byName[raw.Type].goType.String(), Cause: err}
}

// readValue is what became of a stored value.
type readValue struct {
	t       *TypeDefinition
	codec   Codec
	payload []byte // after the upcasters
	value   any
	erased  bool // something of it, see Opened
}

// read makes the Go value of what was stored. Its errors do not say where; one of no type of its own says why a payload can't be decoded.
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
			return readValue{}, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema, Cause: fmt.Errorf("what the upcasters made of it: %w", err)}
		}
		return readValue{}, err
	}
	if opened.Erased {
		value = t.erased(codec, value)
	}
	return readValue{t, innermost(codec), payload, value, opened.Erased}, nil
}

// known finds what reads a stored value: its type, its codec and its schema version. Its errors are those of read.
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
		return nil, nil, 0, fmt.Errorf("it has %s, type %q is registered with %s", content, raw.Type, strings.Join(known, ", "))
	}
	schema := max(raw.SchemaVersion, 1) // it may have been appended as a Raw that says nothing of it
	if schema > t.schema {
		return nil, nil, 0, &SchemaError{Type: raw.Type, Schema: schema, Newest: t.schema}
	}
	return t, t.codecs[i], schema, nil
}

// zero is the value of the Go type of which nothing is known; where the type is a pointer, one to that.
func (t *TypeDefinition) zero() any {
	if t.goType.Kind() == reflect.Pointer {
		return reflect.New(t.goType.Elem()).Convert(t.goType).Interface()
	}
	return reflect.Zero(t.goType).Interface()
}

// erased lets the codec mark a value of which something was erased.
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

// stale says whether the fields that were stored are not those that the value would be stored with today. A
// snapshot of a state that has got a field since lacks what earlier events would have put into it, and
// one that was stored without its unexported fields lacks those.
func (r readValue) stale() error {
	if _, isJSON := r.codec.(jsonCodec); !isJSON || !r.t.writesJSON() {
		return nil
	}
	again, err := r.codec.Marshal(r.value)
	if err != nil {
		return fmt.Errorf("what it was decoded into can't be encoded: %w", &codecError{err})
	}
	if bytes.Equal(again, r.payload) {
		return nil
	}
	var was, is any
	if r.codec.Unmarshal(r.payload, &was) == nil && r.codec.Unmarshal(again, &is) == nil && reflect.DeepEqual(was, is) {
		return nil // spaces, or how characters are written
	}
	return fmt.Errorf("its fields are not those of %s today", r.t.goType)
}
