package eventstore

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"sync"
)

// JSON is the codec of encoding/json, with these differences:
//   - It calls MarshalJSON and MarshalText methods with a pointer receiver, except for values in a
//     map, which encoding/json can't address.
//   - It reads numbers in fields of type any as [json.Number], so that no digit is lost.
//   - It keeps the bytes of a [json.RawMessage], spaces included, and escapes no character for
//     HTML.
//
// [NewRegistry] refuses Go types that JSON can't carry. [Registry.Encode] refuses values that would
// not be the same when they are read.
var JSON Codec = jsonCodec{}

type jsonCodec struct {
	fast func(data []byte, value any) error // decodes plain types; nil: encoding/json does
}

// JSONDecodedBy returns the codec [JSON], except that it decodes values of plain types with
// unmarshal. Plain types consist of numbers, booleans, strings, times, bytes, and of structs,
// slices, maps and pointers of them. Package adapter/fastjson has such a codec. The stored bytes
// are those of JSON, so a type can be changed from one to the other at any time.
//
// Where unmarshal returns no error, it must set the same value as [json.Unmarshal]. Where it does
// return an error, json.Unmarshal decodes the value again, and its result counts. A part of the
// value may then be set. unmarshal must not keep data, and is safe for concurrent use. If it is
// nil, so is the codec, which [NewRegistry] refuses.
func JSONDecodedBy(unmarshal func(data []byte, value any) error) Codec {
	if unmarshal == nil {
		return nil
	}
	return jsonCodec{fast: unmarshal}
}

func (jsonCodec) ContentType() string { return "application/json" }

func (jsonCodec) Marshal(value any) ([]byte, error) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return []byte("null"), nil
	}
	p := reflect.New(v.Type()) // so that encoding/json can call methods with a pointer receiver
	p.Elem().Set(v)
	var kept [][]byte
	var mark string
	if jsonTraits(v.Type()).raw {
		k := rawKeeper{mark: newMark()}
		p.Elem().Set(k.replace(p.Elem(), 0))
		kept, mark = k.kept, k.mark
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(p.Interface()); err != nil {
		return nil, err
	}
	data := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(kept) > 0 {
		data = restoreRaw(data, mark, kept)
	}
	return data, nil
}

func (c jsonCodec) Unmarshal(data []byte, value any) error {
	t := reflect.TypeOf(value)
	if t == nil || t.Kind() != reflect.Pointer || !jsonTraits(t.Elem()).any {
		if c.fast != nil && t != nil && t.Kind() == reflect.Pointer && exactnessOf(t.Elem()).exact && c.fast(data, value) == nil {
			return nil
		}
		return json.Unmarshal(data, value)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(value); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return json.Unmarshal(data, new(any)) // for the same error as with other types
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return json.Unmarshal(data, new(any)) // something follows the value
	}
	return nil
}

// traits tells what the codec has to handle in values of a type.
type traits struct {
	any bool // values may contain an interface
	raw bool // values may contain a json.RawMessage
}

var knownTraits sync.Map // of traits, by reflect.Type

func jsonTraits(t reflect.Type) traits {
	if known, ok := knownTraits.Load(t); ok {
		return known.(traits)
	}
	var found traits
	findTraits(t, map[reflect.Type]bool{}, &found)
	knownTraits.Store(t, found)
	return found
}

func findTraits(t reflect.Type, seen map[reflect.Type]bool, found *traits) {
	if seen[t] {
		return
	}
	seen[t] = true
	if t == rawMessageType {
		found.raw = true
		return
	}
	switch t.Kind() {
	case reflect.Interface:
		found.any, found.raw = true, true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		findTraits(t.Elem(), seen, found)
	case reflect.Map:
		findTraits(t.Elem(), seen, found)
	case reflect.Struct:
		for i := range t.NumField() {
			findTraits(t.Field(i).Type, seen, found)
		}
	}
}

var rawMessageType = reflect.TypeFor[json.RawMessage]()

// rawKeeper replaces raw messages with marks, because encoding/json would change their spaces. It
// copies what it changes, because the value belongs to the caller.
type rawKeeper struct {
	mark string
	kept [][]byte
}

// newMark returns a text that no payload contains.
func newMark() string {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return "eventstore-raw-" + hex.EncodeToString(random[:]) + "-"
}

// maxDepth limits how deep the codec looks into values. A deeper value is a cycle, which
// encoding/json refuses.
const maxDepth = 1000

// replace returns v with its raw messages replaced with marks, or v itself if it has none.
func (k *rawKeeper) replace(v reflect.Value, depth int) reflect.Value {
	t := v.Type()
	follows := t == rawMessageType || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface
	if depth > maxDepth || !jsonTraits(t).raw || !follows && encodesItself(t) {
		return v
	}
	depth++
	switch {
	case t == rawMessageType:
		if v.Len() == 0 || !json.Valid(v.Bytes()) {
			return v // nil becomes null; encoding/json refuses the others
		}
		k.kept = append(k.kept, v.Bytes())
		return reflect.ValueOf(json.RawMessage(strconv.Quote(k.mark + strconv.Itoa(len(k.kept)-1))))
	case v.Kind() == reflect.Interface && !v.IsNil():
		changed := reflect.New(t).Elem()
		changed.Set(k.replace(v.Elem(), depth))
		return changed
	case v.Kind() == reflect.Pointer && !v.IsNil():
		changed := reflect.New(t.Elem())
		changed.Elem().Set(k.replace(v.Elem(), depth))
		return changed.Convert(t)
	case v.Kind() == reflect.Slice && !v.IsNil():
		changed := reflect.MakeSlice(t, v.Len(), v.Len())
		for i := range v.Len() {
			changed.Index(i).Set(k.replace(v.Index(i), depth))
		}
		return changed
	case v.Kind() == reflect.Array:
		changed := reflect.New(t).Elem()
		for i := range v.Len() {
			changed.Index(i).Set(k.replace(v.Index(i), depth))
		}
		return changed
	case v.Kind() == reflect.Map && !v.IsNil():
		changed := reflect.MakeMapWithSize(t, v.Len())
		for key, value := range v.Seq2() {
			changed.SetMapIndex(key, k.replace(value, depth))
		}
		return changed
	case v.Kind() == reflect.Struct:
		changed := reflect.New(t).Elem()
		changed.Set(v)
		for i := range t.NumField() {
			if field := changed.Field(i); field.CanSet() {
				field.Set(k.replace(v.Field(i), depth))
			} else if f := t.Field(i); f.Anonymous && f.Type.Kind() == reflect.Struct {
				k.replacePromoted(field, depth)
			}
		}
		return changed
	}
	return v
}

// replacePromoted replaces raw messages in the exported fields of an embedded, unexported struct.
func (k *rawKeeper) replacePromoted(v reflect.Value, depth int) {
	for i := range v.NumField() {
		if field := v.Field(i); field.CanSet() {
			field.Set(k.replace(field, depth))
		} else if f := v.Type().Field(i); f.Anonymous && f.Type.Kind() == reflect.Struct {
			k.replacePromoted(field, depth)
		}
	}
}

// restoreRaw replaces the marks with the raw messages.
func restoreRaw(data []byte, mark string, kept [][]byte) []byte {
	var out []byte
	start := []byte(`"` + mark)
	for {
		before, after, found := bytes.Cut(data, start)
		out = append(out, before...)
		if !found {
			return out
		}
		number, rest, _ := bytes.Cut(after, []byte(`"`))
		i, _ := strconv.Atoi(string(number))
		out, data = append(out, kept[i]...), rest
	}
}
