package eventstore

import (
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// exactness tells whether JSON carries a value exactly, without decoding the encoded value again.
// Most event types consist of numbers, strings and times, and of structs, slices and maps of them.
// With those, encoding/json loses only strings that are not valid UTF-8 and times whose offset from
// UTC is not a whole number of minutes. Looking for these takes a hundredth of the time that
// decoding takes. FuzzWhatIsAcceptedComesBack tests that the check is sufficient.
//
// Such types can also be decoded in another way, see JSONDecodedBy.
type exactness struct {
	exact bool
	fits  func(reflect.Value) bool // nil: every value fits
}

var knownExactness sync.Map // of exactness, by reflect.Type

// exactnessOf returns what is known of a type. For a type that JSON may not carry exactly it
// returns the zero value.
func exactnessOf(t reflect.Type) exactness {
	if known, ok := knownExactness.Load(t); ok {
		return known.(exactness)
	}
	e := findExactness(t, map[reflect.Type]bool{})
	knownExactness.Store(t, e)
	return e
}

var noExactness exactness

// findExactness examines a type. It returns noExactness for a recursive type, whose values are then
// decoded and compared. The map on holds the types that are being examined.
func findExactness(t reflect.Type, on map[reflect.Type]bool) exactness {
	switch {
	case t == timeType:
		return exactness{true, func(v reflect.Value) bool {
			at, ok := v.Interface().(time.Time)
			_, offset := at.Zone()
			return ok && offset%60 == 0
		}}
	case on[t] || t == jsonNumberType || encodesItself(t) || implements(t, unmarshalerType) || implements(t, textUnmarshalerType) || decodesItself(t):
		return noExactness
	}
	on[t] = true
	defer delete(on, t)
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return exactness{exact: true}
	case reflect.String:
		return exactness{true, func(v reflect.Value) bool { return utf8.ValidString(v.String()) }}
	case reflect.Slice, reflect.Array:
		return eachExactly(findExactness(t.Elem(), on))
	case reflect.Pointer:
		switch t.Elem().Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface: // null could mean either level
			return noExactness
		}
		e := findExactness(t.Elem(), on)
		if e.fits == nil {
			return e
		}
		return exactness{e.exact, func(v reflect.Value) bool { return v.IsNil() || e.fits(v.Elem()) }}
	case reflect.Map:
		return mapExactly(findExactness(t.Key(), on), findExactness(t.Elem(), on))
	case reflect.Struct:
		return fieldsExactly(t, on)
	}
	return noExactness
}

// eachExactly returns the exactness of a slice or array.
func eachExactly(element exactness) exactness {
	if element.fits == nil {
		return element
	}
	return exactness{element.exact, func(v reflect.Value) bool {
		for i := range v.Len() {
			if !element.fits(v.Index(i)) {
				return false
			}
		}
		return true
	}}
}

func mapExactly(key, element exactness) exactness {
	if !key.exact || !element.exact {
		return noExactness
	}
	if key.fits == nil && element.fits == nil {
		return element
	}
	return exactness{true, func(v reflect.Value) bool {
		for k, e := range v.Seq2() {
			if key.fits != nil && !key.fits(k) || element.fits != nil && !element.fits(e) {
				return false
			}
		}
		return true
	}}
}

// fieldsExactly returns the exactness of a struct, all fields of which must be carried.
func fieldsExactly(t reflect.Type, on map[reflect.Type]bool) exactness {
	fields, losses := jsonFields(t)
	if len(losses) > 0 {
		return noExactness
	}
	type check struct {
		index int
		fits  func(reflect.Value) bool
	}
	var checks []check
	for _, f := range fields {
		if f.structType != t || f.quoted || f.omitZero || !plainTag(t.Field(f.index).Tag.Get("json")) {
			return noExactness // embedded, or stored in a special way
		}
		e := findExactness(f.typ, on)
		if !e.exact {
			return noExactness
		}
		if e.fits != nil {
			checks = append(checks, check{f.index, e.fits})
		}
	}
	if len(checks) == 0 {
		return exactness{exact: true}
	}
	return exactness{true, func(v reflect.Value) bool {
		for _, c := range checks {
			if !c.fits(v.Field(c.index)) {
				return false
			}
		}
		return true
	}}
}

// decodesItself reports whether a type has a method that encoding/json knows since Go 1.27.
func decodesItself(t reflect.Type) bool {
	_, ok := reflect.PointerTo(t).MethodByName("UnmarshalJSONFrom")
	return ok
}

// plainTag reports whether a tag means the same in all versions of encoding/json. Go 1.27 knows
// more options, and names in quotes.
func plainTag(tag string) bool {
	name, options, _ := strings.Cut(tag, ",")
	return (name == "" || validTag(name)) && (options == "" || options == "omitempty")
}
