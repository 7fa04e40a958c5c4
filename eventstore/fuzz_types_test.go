package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Types with methods, and types that embed, cannot be made by reflect. The fuzz test combines them
// with others.
type (
	Named struct { // exported, to be embedded
		Name string
		Tags []string `json:",omitempty"`
	}
	Counted struct {
		Name  int
		Count uint16
	}
	tree struct {
		Value    int8
		Children []tree
		Parent   *tree
	}
	cents      struct{ minor int64 }
	level      int
	lossy      struct{ a, b int64 }
	entity     struct{ ID, Rest int }
	writeOnly  struct{ A string }
	inner      struct{ Body json.RawMessage }
	withInner  struct{ inner }
	withHidden struct {
		Named
		Counted
	}
	timed struct {
		time.Time
		Note string
	}
	pointing struct {
		*Named
		N int
	}
)

func (c *cents) MarshalJSON() ([]byte, error)    { return json.Marshal(c.minor) }
func (c *cents) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &c.minor) }

func (l level) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "level %d", l), nil }
func (l *level) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "level %d", (*int)(l))
	return err
}

func (l lossy) MarshalJSON() ([]byte, error)     { return json.Marshal(l.a) }
func (l *lossy) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &l.a) }

func (e entity) MarshalJSON() ([]byte, error)     { return json.Marshal(e.ID) }
func (e *entity) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &e.ID) }
func (e entity) Equal(other entity) bool          { return e.ID == other.ID }

func (w writeOnly) MarshalJSON() ([]byte, error) { return json.Marshal(w.A) }

// fixedTypes are the types from which others are made.
var fixedTypes = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint8](), reflect.TypeFor[uint64](),
	reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[Named](), reflect.TypeFor[tree](), // plain so far
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any](),
	reflect.TypeFor[big.Int](), reflect.TypeFor[*big.Rat](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[cents](), reflect.TypeFor[level](), reflect.TypeFor[lossy](),
	reflect.TypeFor[entity](), reflect.TypeFor[writeOnly](), reflect.TypeFor[withInner](), reflect.TypeFor[withHidden](), reflect.TypeFor[timed](), reflect.TypeFor[pointing](),
	reflect.TypeFor[Counted](), reflect.TypeFor[nested](), reflect.TypeFor[byMethod](), reflect.TypeFor[tags](), reflect.TypeFor[amount](),
	reflect.TypeFor[uintptr](), reflect.TypeFor[complex64](), reflect.TypeFor[func()](), reflect.TypeFor[chan int](), reflect.TypeFor[error](), reflect.TypeFor[fmt.Stringer](),
	reflect.TypeFor[struct{}](), reflect.TypeFor[map[level]string](), reflect.TypeFor[map[cents]string](), reflect.TypeFor[map[float64]string](), reflect.TypeFor[map[netip.Addr]cents](),
}

const plainTypes = 12

// choices turns fuzzed bytes into decisions. When the bytes run out, all decisions are 0.
type choices struct {
	data  []byte
	plain bool // JSON certainly carries everything chosen so far
}

func (c *choices) below(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	b := c.data[0]
	c.data = c.data[1:]
	return int(b) % n
}

func (c *choices) number() (n uint64) {
	for range c.below(9) {
		n = n<<8 | uint64(c.below(256))
	}
	return n
}

// typ returns a type.
func (c *choices) typ(depth int) reflect.Type {
	if depth == 0 {
		n := c.below(len(fixedTypes))
		c.plain = c.plain && n < plainTypes
		return fixedTypes[n]
	}
	switch c.below(8) {
	case 0:
		return reflect.PointerTo(c.notNullable(c.typ(depth - 1)))
	case 1:
		return reflect.SliceOf(c.typ(depth - 1))
	case 2:
		return reflect.ArrayOf(c.below(4), c.typ(depth-1))
	case 3:
		keys := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int16](), reflect.TypeFor[uint64](), reflect.TypeFor[level](), reflect.TypeFor[json.Number](), reflect.TypeFor[time.Time](), reflect.TypeFor[bool]()}
		key := c.below(len(keys))
		c.plain = c.plain && key < 3
		return reflect.MapOf(keys[key], c.typ(depth-1))
	case 4, 5, 6:
		return c.structure(depth)
	default:
		return c.typ(0)
	}
}

// notNullable records that a pointer to a type that may be null itself does not come back.
func (c *choices) notNullable(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		c.plain = false
	}
	return t
}

func (c *choices) structure(depth int) reflect.Type {
	tags := []string{"", "", "", `json:"x"`, `json:"-"`, `json:"-,"`, `json:",omitempty"`, `json:",omitzero"`, `json:",string"`, `json:"a<b"`, `json:"F1"`, `json:"é"`, `json:"bad\""`}
	var fields []reflect.StructField
	for i := range c.below(5) {
		f := reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: c.typ(depth - 1)}
		switch c.below(8) {
		case 6:
			f.Name, f.PkgPath, c.plain = fmt.Sprintf("f%d", i), "pkg", false
		case 7:
			embedded := []reflect.Type{reflect.TypeFor[Named](), reflect.TypeFor[Counted](), reflect.TypeFor[*Named]()}[c.below(3)]
			f = reflect.StructField{Name: strings.TrimPrefix(embedded.String()[strings.LastIndex(embedded.String(), ".")+1:], "*"), Type: embedded, Anonymous: true}
			if c.plain = false; slices.ContainsFunc(fields, func(other reflect.StructField) bool { return other.Name == f.Name }) {
				continue
			}
		}
		if n := c.below(len(tags)); n > 2 {
			f.Tag = reflect.StructTag(strings.Replace(tags[n], "é", fmt.Sprint("é", i), 1)) // all different
			c.plain = c.plain && f.Tag != reflect.StructTag(tags[n])
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

// fill sets a value that can be set.
func (c *choices) fill(v reflect.Value, depth int) {
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		zones := []*time.Location{time.UTC, time.Local, time.FixedZone("", 3600), time.FixedZone("LMT", 561), time.FixedZone("", 100*3600)}
		v.Set(reflect.ValueOf(time.Unix(int64(c.number()), int64(c.below(256))).In(zones[c.below(len(zones))])))
		return
	case reflect.TypeFor[big.Int]():
		v.Set(reflect.ValueOf(*new(big.Int).SetUint64(c.number())))
		return
	case reflect.TypeFor[big.Rat]():
		v.Set(reflect.ValueOf(*new(big.Rat).SetFrac64(int64(c.below(100)), int64(c.below(9)+1))))
		return
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf([]netip.Addr{{}, netip.IPv4Unspecified(), netip.MustParseAddr("::1%eth0")}[c.below(3)]))
		return
	case reflect.TypeFor[json.Number]():
		v.SetString([]string{"", "0", "12345678901234567890.10", "1e5", "x", "-0"}[c.below(6)])
		return
	case reflect.TypeFor[json.RawMessage]():
		raw := []json.RawMessage{nil, json.RawMessage("null"), json.RawMessage(`{"a" : "<&>\u2028",  "b":1.0}`), json.RawMessage(" 1 "), {}, json.RawMessage("{"), json.RawMessage("\"\xff\"")}
		v.Set(reflect.ValueOf(raw[c.below(len(raw))]))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(c.below(2) == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(c.number()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(c.number())
	case reflect.Float32, reflect.Float64:
		f := math.Float64frombits(c.number())
		if v.SetFloat(f); math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			c.plain = false
		}
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(1, float64(c.below(9))))
	case reflect.String:
		texts := []string{"", "a", "<&>\u2028 é\x00", "\"\\", "F0", "\xff", "a\xed\xa0\x80"}
		n := c.below(len(texts))
		c.plain = c.plain && n < 5
		v.SetString(texts[n])
	case reflect.Interface:
		c.fillInterface(v, depth)
	case reflect.Pointer:
		if depth > 0 && c.below(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			c.fill(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := c.below(4); n > 0 && depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n+3))
			for i := range n - 1 {
				c.fill(v.Index(i), depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			c.fill(v.Index(i), depth)
		}
	case reflect.Map:
		if n := c.below(4); n > 0 && depth > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n - 1 {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				c.fill(key, depth-1)
				c.fill(value, depth-1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Func:
		if c.below(2) == 1 {
			v.Set(reflect.ValueOf(func() {}))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Field(i)
			if !field.CanSet() {
				field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
			}
			c.fill(field, depth)
		}
	}
}

func (c *choices) fillInterface(v reflect.Value, depth int) {
	if v.NumMethod() > 0 {
		if v.Type() == reflect.TypeFor[error]() {
			v.Set(reflect.ValueOf(errors.New("x")))
		}
		return
	}
	values := []any{nil, true, "a", int64(math.MaxInt64), uint8(7), 0.1, float32(0.1), json.Number("12345678901234567890"), level(3), []string{"a"}, map[string]int{"a": 1},
		time.Now(), []byte("abc"), amount(3), json.RawMessage(`{"a":  1}`), &owner{"Ada"}, []any(nil), []any{}, map[string]any(nil), big.NewInt(5), "\xff", json.Number("")}
	switch n := c.below(len(values) + 2); {
	case n < len(values) && values[n] != nil:
		v.Set(reflect.ValueOf(values[n]))
	case n == len(values) && depth > 0:
		list := make([]any, c.below(3))
		for i := range list {
			c.fillInterface(reflect.ValueOf(&list[i]).Elem(), depth-1)
		}
		v.Set(reflect.ValueOf(list))
	case n > len(values) && depth > 0:
		var value any
		c.fillInterface(reflect.ValueOf(&value).Elem(), depth-1)
		v.Set(reflect.ValueOf(map[string]any{"a": value, "": "b"}))
	}
}

// shown returns a full value as text. Values that Registry.Encode considers equal have the same
// text. It judges what came back, and shares no code with Registry.Encode.
func shown(v reflect.Value) string {
	var b strings.Builder
	show(&b, v, false)
	return b.String()
}

func show(b *strings.Builder, v reflect.Value, omitEmpty bool) {
	if !v.IsValid() {
		b.WriteString("nothing")
		return
	}
	if v.CanInterface() {
		switch value := v.Interface().(type) {
		case time.Time:
			b.WriteString(value.Format("2006-01-02T15:04:05.999999999Z07:00:00"))
			return
		case big.Int:
			b.WriteString(value.String())
			return
		case big.Rat:
			b.WriteString(value.String())
			return
		case json.Number:
			if value == "" {
				value = "0"
			}
			fmt.Fprintf(b, "number %s", value)
			return
		case json.RawMessage:
			if value == nil || omitEmpty && len(value) == 0 {
				value = json.RawMessage("null")
			}
			fmt.Fprintf(b, "raw %q", []byte(value))
			return
		}
	}
	if v.Kind() != reflect.Interface {
		b.WriteString(v.Type().String() + " ")
	}
	switch v.Kind() {
	case reflect.Interface:
		if e := v.Elem(); e.IsValid() && e.CanInterface() && e.Type().PkgPath() == "" && (e.CanInt() || e.CanUint() || e.CanFloat()) {
			text, _ := json.Marshal(e.Interface())
			fmt.Fprintf(b, "number %s", text)
		} else {
			show(b, e, false)
		}
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil")
		} else {
			b.WriteString("&")
			show(b, v.Elem(), false)
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() && !omitEmpty {
			b.WriteString("nil")
		}
		b.WriteString("[")
		for i := range v.Len() {
			show(b, v.Index(i), false)
			b.WriteString(",")
		}
		b.WriteString("]")
	case reflect.Map:
		if v.IsNil() && !omitEmpty {
			b.WriteString("nil")
		}
		var entries []string
		for key, value := range v.Seq2() {
			entries = append(entries, shown(key)+":"+shown(value))
		}
		slices.Sort(entries)
		fmt.Fprintf(b, "%q", entries)
	case reflect.Struct:
		b.WriteString("{")
		for i := range v.NumField() {
			show(b, v.Field(i), strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omitempty"))
			b.WriteString(",")
		}
		b.WriteString("}")
	case reflect.Func, reflect.Chan:
		fmt.Fprint(b, v.IsNil())
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	case reflect.Float32, reflect.Float64:
		fmt.Fprint(b, v.Float()+0)
	default:
		fmt.Fprint(b, v)
	}
}

// FuzzWhatIsAcceptedComesBack makes Go types and values of them. Each comes back unchanged, or
// fails with an ArgumentError. A type fails when the registry is made, and a value when it is
// encoded. Types and values that JSON certainly carries must not fail.
func FuzzWhatIsAcceptedComesBack(f *testing.F) {
	for kind := range byte(8) {
		for n := range byte(len(fixedTypes)) {
			f.Add([]byte{kind, 7, n, 3, 1, 2, 3, 4, 5}, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
			f.Add([]byte{4, 3, kind, n, 1, 5, kind, n, kind}, []byte{n, 8, 7, 6, 5, 4, 3, 2, 1, kind, 2, 3, 4})
		}
	}
	f.Fuzz(func(t *testing.T, shape, content []byte) {
		if len(shape) > 200 || len(content) > 500 {
			return
		}
		c := choices{data: shape, plain: true}
		goType := c.typ(3)
		if goType.Kind() == reflect.Interface {
			return
		}
		c.data = content
		value := reflect.New(goType).Elem()
		c.fill(value, 4)
		given := shown(value)
		refused := func(err error) {
			t.Helper()
			if c.plain && !(goType.Kind() == reflect.Pointer && value.IsNil()) {
				t.Errorf("%s\n%s\nis refused: %v", goType, given, err)
			}
			if !isA[*ArgumentError](err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", goType, err)
			}
		}
		registry, err := NewRegistry(TypeOf(goType, "t"))
		if err != nil {
			refused(err)
			return
		}
		raw, err := registry.Encode(value.Interface())
		if now := shown(value); now != given {
			t.Errorf("encoding has changed the value:\n%s\n%s", given, now)
		}
		if err != nil {
			refused(err)
			return
		}
		got, err := registry.Decode(raw)
		if err != nil {
			t.Fatalf("%s\n%s\nwas accepted as %s and is not read: %v", goType, given, raw.Payload, err)
		}
		if back := shown(reflect.ValueOf(got)); back != given {
			t.Errorf("%s\n%s\nwas accepted as %s and comes back as\n%s", goType, given, raw.Payload, back)
		}
	})
}
