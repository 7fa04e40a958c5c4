package eventstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
)

// comparison compares a value with what its codec decoded. Besides equal values, it takes these for
// equal:
//   - two time.Time at the same instant with the same offset from UTC, because the location's name
//     is not stored; in a type that encodes itself, at the same instant;
//   - in an interface, a number and the json.Number that has its digits;
//   - with JSON, nil and an empty slice or map, in a field with omitempty and in a type that
//     encodes itself; with other codecs, everywhere;
//   - a nil json.RawMessage and null, and an empty json.Number and 0;
//   - values whose Equal or Cmp method says so, if they have no exported field; only within a type
//     that encodes itself, and with other codecs.
type comparison struct {
	json    bool // the codec is JSON
	leftOut map[fieldID]bool
	visited map[[2]unsafe.Pointer]bool
	depth   int
}

// difference says where two values differ. It does not quote the values.
type difference struct {
	path   string
	reason string // follows the path
}

// comparedIn describes what contains the values that are compared.
type comparedIn struct {
	opaque    bool // within a type that encodes itself
	omitEmpty bool
}

// differs returns the first difference between the given and the decoded value, or nil.
func (c *comparison) differs(given, decoded any) *difference {
	return c.compare(addressable(reflect.ValueOf(given)), addressable(reflect.ValueOf(decoded)), comparedIn{opaque: !c.json})
}

// addressable returns a copy of a value whose unexported fields can be read.
func addressable(v reflect.Value) reflect.Value {
	if !v.IsValid() || !v.CanInterface() {
		return v
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Elem()
}

const comesBackChanged = "changes when it is read back"

func (c *comparison) compare(a, b reflect.Value, at comparedIn) *difference {
	if !a.IsValid() || !b.IsValid() {
		if a.IsValid() == b.IsValid() {
			return nil
		}
		return &difference{reason: comesBackChanged}
	}
	t := a.Type()
	if t != b.Type() {
		return &difference{reason: fmt.Sprintf("holds a %s, which is read back as a %s", t, b.Type())}
	}
	if c.depth++; c.depth > 10*maxDepth {
		return &difference{reason: "is too deep to be compared with what is read back"}
	}
	defer func() { c.depth-- }()
	if c.json && !at.opaque && encodesItself(t) && t != timeType {
		at.opaque = true
	}
	switch {
	case t.Kind() == reflect.Struct && t.ConvertibleTo(timeType) && a.CanInterface() && b.CanInterface():
		return sameTime(a.Convert(timeType).Interface().(time.Time), b.Convert(timeType).Interface().(time.Time), at)
	case t == rawMessageType:
		if !bytes.Equal(a.Bytes(), b.Bytes()) && !(a.IsNil() && string(b.Bytes()) == "null") {
			return &difference{reason: "is a json.RawMessage whose bytes change when it is read back: trim the spaces around them, or use []byte"}
		}
		return nil
	case t == jsonNumberType:
		if a.String() == b.String() || a.Len() == 0 && b.String() == "0" {
			return nil
		}
	}
	d := c.inside(a, b, at)
	if d == nil || !at.opaque {
		return d
	}
	if equal, known := equalByMethod(a, b); known && equal {
		return nil
	} else if !known && d.path == "" && t.Kind() == reflect.Struct {
		return &difference{reason: fmt.Sprintf("is a %s, which %s: repair its encoding methods, or give it an Equal method", t, comesBackChanged)}
	}
	return d
}

// inside compares values according to their kind.
func (c *comparison) inside(a, b reflect.Value, at comparedIn) *difference {
	t := a.Type()
	inner := comparedIn{opaque: at.opaque}
	switch a.Kind() {
	case reflect.Bool:
		return differsIf(a.Bool() != b.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return differsIf(a.Int() != b.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return differsIf(a.Uint() != b.Uint())
	case reflect.Float32, reflect.Float64:
		x, y := a.Float(), b.Float()
		return differsIf(x != y && (x == x || y == y)) // NaN equals NaN here
	case reflect.Complex64, reflect.Complex128:
		return differsIf(a.Complex() != b.Complex())
	case reflect.String:
		if a.String() == b.String() {
			return nil
		}
		if !utf8.ValidString(a.String()) {
			return &difference{reason: "is a string that is not valid UTF-8, and " + comesBackChanged + ": use []byte for data that is not text"}
		}
		return &difference{reason: comesBackChanged}
	case reflect.Interface:
		switch {
		case a.IsNil() || b.IsNil():
			return differsIf(a.IsNil() != b.IsNil())
		case b.Elem().Type() == jsonNumberType && a.Elem().Type() != jsonNumberType:
			return sameNumber(a.Elem(), b.Elem().String())
		}
		return c.compare(addressable(a.Elem()), addressable(b.Elem()), inner)
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() || a.Pointer() == b.Pointer() {
			return differsIf(a.IsNil() != b.IsNil())
		}
		if at.opaque { // plain JSON has no cycles
			pair := [2]unsafe.Pointer{a.UnsafePointer(), b.UnsafePointer()}
			if c.visited[pair] {
				return nil
			}
			if c.visited == nil {
				c.visited = map[[2]unsafe.Pointer]bool{}
			}
			c.visited[pair] = true
		}
		return c.compare(a.Elem(), b.Elem(), inner)
	case reflect.Slice:
		if d := sameLength(a, b, at); d != nil || a.Len() == 0 {
			return d
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return differsIf(!bytes.Equal(a.Bytes(), b.Bytes()))
		}
		return c.elements(a, b, inner)
	case reflect.Array:
		return c.elements(a, b, inner)
	case reflect.Map:
		if d := sameLength(a, b, at); d != nil {
			return d
		}
		for key, value := range a.Seq2() {
			other := b.MapIndex(key)
			if !other.IsValid() {
				return &difference{path: "[…]", reason: "has a key that changes when it is read back"}
			}
			if d := c.compare(addressable(value), addressable(other), inner); d != nil {
				return d.at("[…]")
			}
		}
		return nil
	case reflect.Struct:
		return c.fields(a, b, at)
	case reflect.Func:
		return differsIf(!a.IsNil() || !b.IsNil())
	default: // channels and the like, which are compared by identity
		return differsIf(a.Pointer() != b.Pointer())
	}
}

// fields compares structs.
func (c *comparison) fields(a, b reflect.Value, at comparedIn) *difference {
	t := a.Type()
	omit := omitEmptyFields(t)
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" || c.leftOut[fieldID{t, i}] {
			continue
		}
		x, y := a.Field(i), b.Field(i)
		if !f.IsExported() {
			x, y = unlocked(x), unlocked(y)
		}
		if d := c.compare(x, y, comparedIn{opaque: at.opaque, omitEmpty: !at.opaque && omit[i]}); d != nil {
			return d.at(f.Name)
		}
	}
	return nil
}

func (c *comparison) elements(a, b reflect.Value, at comparedIn) *difference {
	for i := range a.Len() {
		if d := c.compare(a.Index(i), b.Index(i), at); d != nil {
			return d.at("[" + strconv.Itoa(i) + "]")
		}
	}
	return nil
}

// at adds the name of a surrounding field or element to the path.
func (d *difference) at(name string) *difference {
	switch {
	case d.path == "":
		d.path = name
	case d.path[0] == '[':
		d.path = name + d.path
	default:
		d.path = name + "." + d.path
	}
	return d
}

func differsIf(different bool) *difference {
	if !different {
		return nil
	}
	return &difference{reason: comesBackChanged}
}

func sameLength(a, b reflect.Value, at comparedIn) *difference {
	switch {
	case a.Len() != b.Len():
		return &difference{reason: "has another number of elements when it is read back"}
	case a.Len() == 0 && a.IsNil() != b.IsNil() && !at.opaque && !at.omitEmpty:
		return &difference{reason: comesBackChanged}
	}
	return nil
}

var (
	timeType       = reflect.TypeFor[time.Time]()
	jsonNumberType = reflect.TypeFor[json.Number]()
)

func sameTime(a, b time.Time, at comparedIn) *difference {
	_, from := a.Zone()
	_, to := b.Zone()
	if !a.Equal(b) || from != to && !at.opaque {
		return &difference{reason: "is a time that changes when it is read back: give it an offset from UTC of whole minutes"}
	}
	return nil
}

// sameNumber compares a number from an interface with the digits of the decoded json.Number.
func sameNumber(a reflect.Value, digits string) *difference {
	same := false
	switch t := a.Type(); {
	case t.PkgPath() != "" || encodesItself(t): // a named type may have a meaning that digits lose
	case a.CanInt():
		same = strconv.FormatInt(a.Int(), 10) == digits
	case a.CanUint():
		same = strconv.FormatUint(a.Uint(), 10) == digits
	case a.CanFloat():
		f, err := strconv.ParseFloat(digits, t.Bits())
		same = err == nil && f == a.Float()
	}
	if same {
		return nil
	}
	return &difference{reason: fmt.Sprintf("holds a %s, which is read back as a json.Number", a.Type())}
}

// equalByMethod calls the Equal or Cmp method of values without exported fields. Other values are
// compared by their fields alone, because the Equal method of an entity often compares only ids.
func equalByMethod(a, b reflect.Value) (equal, known bool) {
	t := a.Type()
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !f.Anonymous {
				return false, false
			}
		}
	}
	defer func() {
		if recover() != nil {
			equal = false
		}
	}()
	receivers := []reflect.Value{a}
	if a.CanAddr() {
		receivers = append(receivers, a.Addr())
	}
	for _, receiver := range receivers {
		if !receiver.CanInterface() {
			continue
		}
		for _, name := range [...]string{"Equal", "Cmp"} {
			m := receiver.MethodByName(name)
			if !m.IsValid() || m.Type().NumIn() != 1 || m.Type().NumOut() != 1 || m.Type().IsVariadic() {
				continue
			}
			var argument reflect.Value
			switch m.Type().In(0) {
			case t:
				argument = b
			case reflect.PointerTo(t):
				if !b.CanAddr() {
					continue
				}
				argument = b.Addr()
			default:
				continue
			}
			switch out := m.Type().Out(0).Kind(); {
			case name == "Equal" && out == reflect.Bool:
				return m.Call([]reflect.Value{argument})[0].Bool(), true
			case name == "Cmp" && out == reflect.Int:
				return m.Call([]reflect.Value{argument})[0].Int() == 0, true
			}
		}
	}
	return false, false
}

// unlocked returns an unexported field in a form whose methods may be called. This is safe, because
// both structs are private copies.
func unlocked(v reflect.Value) reflect.Value {
	if !v.CanAddr() {
		return v
	}
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

var knownOmitEmpty sync.Map // of []bool, by reflect.Type

// omitEmptyFields reports for each field of a struct whether it is left out when it is empty.
func omitEmptyFields(t reflect.Type) []bool {
	if known, ok := knownOmitEmpty.Load(t); ok {
		return known.([]bool)
	}
	omit := make([]bool, t.NumField())
	fields, _ := jsonFields(t)
	for _, f := range fields {
		if f.structType == t {
			omit[f.index] = f.omitEmpty
		}
	}
	knownOmitEmpty.Store(t, omit)
	return omit
}
