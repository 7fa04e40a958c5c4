package eventstore

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// The functions in this file find out what encoding/json can carry of a Go type when a registry is
// made. They apply the rules of encoding/json in reverse, to find what it would silently leave out.

var (
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// fieldID identifies a field of a struct type, wherever the type occurs.
type fieldID struct {
	structType reflect.Type
	index      int
}

// jsonLoss is a part of a type that JSON does not carry.
type jsonLoss struct {
	path   string // from the type; empty: the type itself
	reason string // follows the path
	advice string
	field  fieldID // that WithoutFields can name; its structType is nil if WithoutFields must not
}

// encodesItself reports whether a type has a method that encodes its values.
func encodesItself(t reflect.Type) bool {
	return implements(t, marshalerType) || implements(t, textMarshalerType)
}

// implements reports whether a type or a pointer to it implements the interface.
func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(iface)
}

// jsonShape collects what JSON loses of the values of a type.
type jsonShape struct {
	losses []jsonLoss
	seen   map[seenType]bool
}

type seenType struct {
	t           reflect.Type
	addressable bool
}

// jsonLosses returns what JSON loses of any value of a type.
func jsonLosses(t reflect.Type) []jsonLoss {
	s := jsonShape{seen: map[seenType]bool{}}
	s.look(t, "", true)
	return s.losses
}

func (s *jsonShape) lose(path, advice, format string, args ...any) {
	s.losses = append(s.losses, jsonLoss{path: path, reason: fmt.Sprintf(format, args...), advice: advice})
}

// look examines a type. encoding/json calls methods with a pointer receiver only on addressable
// values.
func (s *jsonShape) look(t reflect.Type, path string, addressable bool) {
	if seen := (seenType{t, addressable}); s.seen[seen] {
		return
	} else {
		s.seen[seen] = true
	}
	pointer := t
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		pointer = reflect.PointerTo(t)
	}
	has := func(iface reflect.Type) bool { return t.Implements(iface) || addressable && pointer.Implements(iface) }
	for _, method := range [...]struct {
		iface reflect.Type
		name  string
	}{{marshalerType, "MarshalJSON"}, {textMarshalerType, "MarshalText"}} {
		if t.Kind() != reflect.Interface && !has(method.iface) && pointer.Implements(method.iface) {
			s.lose(path, fmt.Sprintf("use *%s there", t), "is a %s in a map, where encoding/json does not call its %s, which has a pointer receiver", t, method.name)
			return
		}
	}
	if t.Kind() != reflect.Interface && (has(marshalerType) || has(textMarshalerType)) {
		if t.Kind() == reflect.Struct && s.promoted(t, path) {
			return
		}
		if pointer.Implements(unmarshalerType) || pointer.Implements(textUnmarshalerType) {
			return // it encodes itself, so each value is checked when it is encoded
		}
		if !has(marshalerType) && t.Kind() != reflect.String && t.Kind() != reflect.Pointer {
			s.lose(path, "add UnmarshalText", "is a %s, which has MarshalText but no UnmarshalText", t)
			return
		}
	}
	switch t.Kind() {
	case reflect.Complex64, reflect.Complex128, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		s.lose(path, "", "is a %s, which JSON can't represent", t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			s.lose(path, "use a concrete type, or give the type that holds it MarshalJSON and UnmarshalJSON", "is the interface %s, which does not say which Go type to read", t)
		}
	case reflect.Pointer:
		s.look(t.Elem(), path, true)
	case reflect.Slice:
		s.look(t.Elem(), path, true)
	case reflect.Array:
		s.look(t.Elem(), path, addressable)
	case reflect.Map:
		s.lookKey(t.Key(), path)
		s.look(t.Elem(), path, false)
	case reflect.Struct:
		s.lookFields(t, path, addressable)
	}
}

// lookKey examines the type of a map's keys.
func (s *jsonShape) lookKey(t reflect.Type, path string) {
	reads := t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(textUnmarshalerType)
	writes := t.Implements(textMarshalerType)
	plain := t.Kind() == reflect.String || reflect.Int <= t.Kind() && t.Kind() <= reflect.Uintptr
	const advice = "use strings or integers as keys, or a type with MarshalText and UnmarshalText"
	switch {
	case !plain && !(reads && writes):
		s.lose(path, advice, "is a map with keys of %s, which JSON can't represent", t)
	case writes != reads && t.Kind() != reflect.String:
		s.lose(path, advice, "is a map with keys of %s, which has only one of MarshalText (with a value receiver) and UnmarshalText", t)
	}
}

// lookFields examines the fields of a struct.
func (s *jsonShape) lookFields(t reflect.Type, path string, addressable bool) {
	fields, losses := jsonFields(t)
	for _, l := range losses {
		l.path = joinPath(path, l.path)
		s.losses = append(s.losses, l)
	}
	for _, f := range fields {
		s.look(f.typ, joinPath(path, f.path), addressable || f.byPointer)
	}
}

// promoted finds what is lost because a struct inherits the MarshalJSON or MarshalText of an
// embedded field. It reports whether there is such a field.
func (s *jsonShape) promoted(t reflect.Type, path string) bool {
	method := "MarshalJSON"
	if !implements(t, marshalerType) {
		method = "MarshalText"
	}
	from := -1
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			if _, ok := methodOf(f.Type, method); ok {
				from = i
			}
		}
	}
	if m, ok := methodOf(t, method); from < 0 || !ok || !generated(m) {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); i != from && holdsSomething(f) {
			s.losses = append(s.losses, jsonLoss{path: joinPath(path, f.Name), field: fieldID{t, i},
				reason: fmt.Sprintf("is not stored: %s inherits %s from the embedded %s", t, method, t.Field(from).Type),
				advice: fmt.Sprintf("give %s a named field of that type instead of embedding it", t)})
		}
	}
	return true
}

func methodOf(t reflect.Type, name string) (reflect.Method, bool) {
	if m, ok := t.MethodByName(name); ok || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return m, ok
	}
	return reflect.PointerTo(t).MethodByName(name)
}

// generated reports whether the compiler generated a method to promote it from an embedded field.
func generated(m reflect.Method) bool {
	if !m.Func.IsValid() {
		return false
	}
	f := runtime.FuncForPC(m.Func.Pointer())
	if f == nil {
		return false
	}
	file, _ := f.FileLine(f.Entry())
	return file == "<autogenerated>"
}

// holdsSomething reports whether the values of a field can differ.
func holdsSomething(f reflect.StructField) bool { return f.Name != "_" && f.Type.Size() > 0 }

func joinPath(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// jsonField is a field that encoding/json carries.
type jsonField struct {
	fieldID
	name      string
	tagged    bool
	omitEmpty bool
	omitZero  bool
	quoted    bool
	depth     int
	order     int    // position in which it was found
	path      string // includes the embedded structs that lead to it
	typ       reflect.Type
	byPointer bool // an embedded pointer leads to it
}

// embeddedStruct is a struct whose fields are promoted to the struct that embeds it.
type embeddedStruct struct {
	typ       reflect.Type
	path      string
	byPointer bool
}

// jsonFields sorts the fields of a struct into those that encoding/json carries and those that it
// does not. It follows the rules of typeFields in encoding/json.
func jsonFields(t reflect.Type) (fields []jsonField, losses []jsonLoss) {
	lose := func(id fieldID, path, advice, format string, args ...any) {
		losses = append(losses, jsonLoss{path: path, field: id, reason: fmt.Sprintf(format, args...), advice: advice})
	}
	next := []embeddedStruct{{typ: t}}
	count, visited := map[reflect.Type]int{}, map[reflect.Type]bool{}
	for depth := 1; len(next) > 0; depth++ {
		current := next
		next = nil
		nextCount := map[reflect.Type]int{}
		for _, e := range current {
			if visited[e.typ] {
				continue
			}
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				f, id := e.typ.Field(i), fieldID{e.typ, i}
				path := joinPath(e.path, f.Name)
				inner := f.Type
				if inner.Name() == "" && inner.Kind() == reflect.Pointer {
					inner = inner.Elem()
				}
				isStruct := f.Anonymous && inner.Kind() == reflect.Struct
				switch tag := f.Tag.Get("json"); {
				case !holdsSomething(f):
					if f.Name == "_" || !f.IsExported() {
						continue
					}
				case !f.IsExported() && !isStruct:
					advice := "export it"
					if e.typ.Name() != "" {
						advice += fmt.Sprintf(", or give %s MarshalJSON and UnmarshalJSON", e.typ)
					}
					lose(id, path, advice, "is not exported, so it is not stored")
					continue
				case tag == "-":
					lose(id, path, "remove the tag", "has the tag `json:\"-\"` and is not stored")
					continue
				}
				tag := f.Tag.Get("json")
				if tag == "-" {
					continue
				}
				name, options, _ := strings.Cut(tag, ",")
				if !validTag(name) {
					name = ""
				}
				if isStruct && !f.IsExported() && f.Type.Kind() == reflect.Pointer {
					lose(fieldID{}, path, "export the type, or embed it by value", "is an embedded pointer to the unexported struct %s, which encoding/json writes but can't read", inner)
					continue
				}
				if name != "" || !isStruct {
					found := jsonField{fieldID: id, name: cmp.Or(name, f.Name), tagged: name != "", depth: depth, order: len(fields), path: path, typ: f.Type, byPointer: e.byPointer,
						omitEmpty: tagHas(options, "omitempty"), omitZero: tagHas(options, "omitzero"), quoted: tagHas(options, "string")}
					fields = append(fields, found)
					if count[e.typ] > 1 {
						fields = append(fields, found) // twice, so that it is ambiguous
					}
					continue
				}
				if nextCount[inner]++; nextCount[inner] == 1 {
					next = append(next, embeddedStruct{inner, path, e.byPointer || f.Type.Kind() == reflect.Pointer})
				} else {
					lose(id, path, "give one of them a JSON name", "embeds %s, as another field does, so neither is stored", inner)
				}
			}
		}
		count = nextCount
	}
	slices.SortStableFunc(fields, func(a, b jsonField) int {
		second := func(f jsonField) int {
			if f.tagged {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.depth, b.depth), cmp.Compare(second(a), second(b)))
	})
	carried := fields[:0:0]
	for len(fields) > 0 {
		n := 1
		for n < len(fields) && fields[n].name == fields[0].name {
			n++
		}
		first, hidden := fields[0], fields[1:n]
		ambiguous := n > 1 && hidden[0].depth == first.depth && hidden[0].tagged == first.tagged
		if ambiguous {
			lose(first.fieldID, first.path, "give each its own JSON name", "has the JSON name %q, as %s has, so neither is stored", first.name, hidden[0].path)
		} else {
			carried = append(carried, first)
		}
		for _, f := range hidden {
			if f.fieldID != first.fieldID {
				lose(f.fieldID, f.path, "give it another JSON name", "is not stored: %s has its JSON name %q", first.path, f.name)
			}
		}
		fields = fields[n:]
	}
	slices.SortFunc(carried, func(a, b jsonField) int { return cmp.Compare(a.order, b.order) })
	return carried, losses
}

func tagHas(options, option string) bool {
	return slices.Contains(strings.Split(options, ","), option)
}

// validTag is a copy of isValidTag in encoding/json.
func validTag(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
}

// lost describes what JSON does not carry of values of a Go type, and what to do about it. It
// leaves out the fields that WithoutFields names.
func (t *TypeDefinition) lost(goType reflect.Type) string {
	base := goType
	for base.Kind() == reflect.Pointer {
		base = base.Elem()
	}
	name := base.Name()
	if name == "" {
		name = "it"
	}
	var says []string
	for _, l := range jsonLosses(goType) {
		if l.field.structType != nil && t.leftOut[l.field] {
			t.needed[l.field] = true
			continue
		}
		advice := l.advice
		if l.field.structType != nil && goType == t.goType {
			advice += fmt.Sprintf(", or leave it out with WithoutFields(%q)", l.path)
		}
		if advice != "" {
			advice = ": " + advice
		}
		path := name
		if l.path != "" {
			path = name + "." + l.path
		}
		says = append(says, fmt.Sprintf("%s %s%s", path, l.reason, advice))
	}
	const most = 5
	if n := len(says); n > most {
		says = append(says[:most], fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(says, "; ")
}

// resolveLeftOut finds the fields that WithoutFields names. It refuses paths that name no field.
func (t *TypeDefinition) resolveLeftOut() error {
	t.leftOut, t.needed = map[fieldID]bool{}, map[fieldID]bool{}
	for _, path := range t.leaveOut {
		id, ok := fieldAt(t.goType, path)
		if !ok {
			return &ArgumentError{Argument: "WithoutFields", Reason: fmt.Sprintf("%q is not a field of type %q, Go type %s: write the path from the type, as in \"Owner.name\"", path, t.name, t.goType)}
		}
		t.leftOut[id] = true
	}
	return nil
}

// unneeded returns the first path of WithoutFields whose field JSON carries. A field within a type
// that encodes itself may be named, to leave it out of the comparison.
func (t *TypeDefinition) unneeded() (string, bool) {
	for _, path := range t.leaveOut {
		id, _ := fieldAt(t.goType, path)
		if f := id.structType.Field(id.index); !t.needed[id] && f.IsExported() && f.Tag.Get("json") != "-" {
			return path, true
		}
	}
	return "", false
}

// fieldAt returns the field at a path of names that are separated by dots. Pointers and the
// elements of slices, arrays and maps have no name in the path.
func fieldAt(t reflect.Type, path string) (fieldID, bool) {
	name, rest, more := strings.Cut(path, ".")
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return fieldID{}, false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == name {
			if more {
				return fieldAt(f.Type, rest)
			}
			return fieldID{t, i}, true
		}
	}
	return fieldID{}, false
}
