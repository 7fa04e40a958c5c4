package sealed

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// field is one tagged field.
type field struct {
	index [][]int  // from the outer struct, one step per nested struct
	path  []string // of the JSON members
}

// fields holds the tagged fields of a Go type.
type fields struct {
	subject *field
	data    []field
	err     error // what is wrong with the tags
}

var knownFields sync.Map // of fields, by reflect.Type

// fieldsOf returns the tagged fields of a struct type, also behind pointers.
func fieldsOf(t reflect.Type) fields {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if known, ok := knownFields.Load(t); ok {
		return known.(fields)
	}
	var found fields
	found.find(t, field{}, map[reflect.Type]bool{})
	knownFields.Store(t, found)
	return found
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// encodesItself reports whether a type has its own JSON encoding, so that encoding/json ignores its
// fields.
func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonMarshaler) || p.Implements(textMarshaler)
}

// find adds the tagged fields of a struct type and of the structs in it.
func (f *fields) find(t reflect.Type, at field, on map[reflect.Type]bool) {
	if t.Kind() != reflect.Struct || on[t] {
		return
	}
	on[t] = true
	defer delete(on, t)
	for i := range t.NumField() {
		sf := t.Field(i)
		name, member := jsonName(sf)
		here := field{index: append(at.index[:len(at.index):len(at.index)], sf.Index), path: at.path}
		if member {
			here.path = append(at.path[:len(at.path):len(at.path)], name)
		}
		tag, tagged := sf.Tag.Lookup("sealed")
		switch {
		case tagged && encodesItself(t):
			f.fail("%s has the tag sealed, but %s has its own JSON encoding: seal the whole value", sf.Name, t)
			return
		case tagged && (name == "" || !member):
			f.fail("field %s of %s has the tag sealed but is not a JSON member: export it, or give it a name", sf.Name, t)
			return
		case tagged && tag == "subject":
			if sf.Type.Kind() != reflect.String || f.subject != nil {
				f.fail(`field %s of %s: one field of a string type can have the tag sealed:"subject"`, sf.Name, t)
				return
			}
			f.subject = &here
			continue
		case tagged && tag == "data":
			f.data = append(f.data, here)
			continue
		case tagged:
			f.fail(`field %s of %s has the tag sealed:%q: use "subject" or "data"`, sf.Name, t, tag)
			return
		}
		if name == "" && member {
			continue // not stored
		}
		inner := sf.Type
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		f.find(inner, here, on)
		if tagBelow(inner, map[reflect.Type]bool{}) {
			f.fail("elements of field %s of %s have the tag sealed: tag the field itself", sf.Name, t)
		}
	}
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
}

// tagBelow reports whether the elements of a slice, array or map have tags.
func tagBelow(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Pointer:
	default:
		return false
	}
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map || t.Kind() == reflect.Pointer {
		if seen[t] {
			return false
		}
		seen[t] = true
		t = t.Elem()
	}
	return hasTag(t, seen)
}

// hasTag reports whether a type has tags.
func hasTag(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Pointer:
		return tagBelow(t, seen)
	case reflect.Struct:
	default:
		return false
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	for i := range t.NumField() {
		if _, tagged := t.Field(i).Tag.Lookup("sealed"); tagged || hasTag(t.Field(i).Type, seen) {
			return true
		}
	}
	return false
}

// jsonName returns the name of a field's JSON member, or an empty name if it has none. member is
// false if the field's own fields become members of the outer struct.
func jsonName(f reflect.StructField) (name string, member bool) {
	tag := f.Tag.Get("json")
	name, _, _ = strings.Cut(tag, ",")
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case tag == "-", !f.IsExported() && !f.Anonymous:
		return "", true
	case name != "":
		return name, true
	case f.Anonymous && t.Kind() == reflect.Struct:
		return "", false
	case !f.IsExported():
		return "", true
	}
	return f.Name, true
}

// of returns the field in a value of the struct type. The result is not valid behind a nil pointer.
func (f field) of(v reflect.Value) reflect.Value {
	for _, index := range f.index {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}
			}
			v = v.Elem()
		}
		v = v.FieldByIndex(index)
	}
	return v
}

// says reports whether a field holds personal data: it is neither zero nor a marker.
func (f field) says(v reflect.Value) bool {
	v = f.of(v)
	return v.IsValid() && !v.IsZero() && !(v.Kind() == reflect.String && v.String() == Marker)
}
