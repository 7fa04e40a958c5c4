package eventstore

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

type (
	owner    struct{ Name string }
	amount   int64
	tags     []string
	nested   struct{ Inner *owner }
	byMethod struct{ secret string }
)

func (m byMethod) MarshalJSON() ([]byte, error) { return []byte(`"` + m.secret + `"`), nil }
func (m *byMethod) UnmarshalJSON(data []byte) error {
	m.secret = strings.Trim(string(data), `"`)
	return nil
}

func TestEveryRegisteredTypeComesBackAsItself(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[owner]("owner"), Type[amount]("amount"), Type[tags]("tags"), Type[*nested]("nested"), Type[byMethod]("by method"), Type[map[string]int]("map"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, out any }{
		{owner{"Ada"}, owner{"Ada"}},
		{&owner{"Ada"}, owner{"Ada"}}, // a pointer counts as the value it points to
		{amount(math.MaxInt64), amount(math.MaxInt64)},
		{tags{"a", "b"}, tags{"a", "b"}},
		{tags(nil), tags(nil)},
		{&nested{&owner{"Ada"}}, &nested{&owner{"Ada"}}}, // it stays a pointer if the pointer type is registered
		{byMethod{"x"}, byMethod{"x"}},
		{map[string]int{"a": 1}, map[string]int{"a": 1}},
	} {
		raw, err := r.encode("event", labStream, c.in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.decode(labStream, "key", 1, raw)
		if err != nil || !reflect.DeepEqual(out, c.out) {
			t.Errorf("%#v came back as %#v, %v", c.in, out, err)
		}
	}
}

func TestARegistryThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	step := func(payload []byte) ([]byte, error) { return payload, nil }
	for says, types := range map[string][]TypeDefinition{
		"zero TypeDefinition":            {{}},
		"is blank":                       {Type[owner](" ")},
		"is the interface":               {Type[error]("error")},
		`"x" is registered twice`:        {Type[owner]("x"), Type[amount]("x")},
		`registered twice, as "a"`:       {Type[owner]("a"), Type[owner]("b")},
		"an option of type \"x\" is nil": {Type[owner]("x", nil)},

		`an alias of type "x" is blank`:                                       {Type[owner]("x", WithAliases("y", " "))},
		`"y" is registered twice, for`:                                        {Type[owner]("x", WithAliases("y")), Type[amount]("y")},
		`"a" is registered twice, for eventstore.owner and eventstore.amount`: {Type[owner]("x", WithAliases("a")), Type[amount]("y", WithAliases("a"))},
		`"b" is registered twice, for eventstore.owner and eventstore.owner`:  {Type[owner]("x", WithAliases("b", "b"))},
		`"n" is registered twice, for eventstore.owner and eventstore.owner`:  {Type[owner]("n", WithAliases("n"))},

		"a codec of type \"x\" is nil":              {Type[owner]("x", WithCodec(nil))},
		"WithCodec: a codec of type \"x\" is nil":   {Type[owner]("x", WithCodec(JSON, nil))},
		"type \"x\" has two codecs for application": {Type[owner]("x", WithCodec(JSON, JSON))},
		"a codec of type \"x\" has no content type": {Type[owner]("x", WithCodec(plain("")))},

		"schema version 0 of type \"x\" is below 1":                                          {Type[owner]("x", WithSchemaVersion(0))},
		"schema version -1 of type \"x\" is below 1":                                         {Type[owner]("x", WithSchemaVersion(-1))},
		"from schema version 1 to 2 is nil":                                                  {Type[owner]("x", WithSchemaVersion(2), WithUpcast(1, nil))},
		"bad argument WithUpcast: the step of type \"x\" from schema version 2 to 3 is nil":  {Type[owner]("x", WithSchemaVersion(3), WithUpcast(1, step), WithUpcastJSON[owner, owner](2, nil))},
		"from schema version 0 to 1 begins below":                                            {Type[owner]("x", WithSchemaVersion(2), WithUpcast(0, step), WithUpcast(1, step))},
		"from schema version 1 to 2 goes beyond the newest schema version, 1: raise that":    {Type[owner]("x", WithUpcast(1, step))},
		"from schema version 3 to 4 goes beyond the newest":                                  {Type[owner]("x", WithSchemaVersion(2), WithUpcast(1, step), WithUpcast(3, step))},
		"from schema version 1 to 2 is given twice":                                          {Type[owner]("x", WithSchemaVersion(2), WithUpcast(1, step), WithUpcast(1, step))},
		"from schema version 1 to 2 is not followed by one from 2 to 3":                      {Type[owner]("x", WithSchemaVersion(4), WithUpcast(3, step), WithUpcast(1, step))},
		"the step of type \"x\" from schema version 1 to 2 is not followed by one from 2 to": {Type[owner]("x", WithSchemaVersion(3), WithUpcast(1, step))},
	} {
		if _, err := NewRegistry(types...); !isA[*ArgumentError](err) || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}

// plain is a codec of strings with the given content type.
type plain string

func (c plain) ContentType() string { return string(c) }

func (plain) Marshal(value any) ([]byte, error) { return []byte(value.(string)), nil }

func (plain) Unmarshal(data []byte, value any) error {
	if len(data) == 0 {
		return errors.New("it is empty")
	}
	*value.(*string) = string(data)
	return nil
}

func TestACodecFillsThePointerThatIsRegistered(t *testing.T) {
	t.Parallel()
	type reference *string
	for _, c := range []struct {
		definition TypeDefinition
		raw        Raw
	}{
		{Type[*string]("text", WithCodec(plain("text"))), Raw{Type: "text", ContentType: "text", Payload: []byte("abc")}},
		{Type[reference]("text"), Raw{Type: "text", ContentType: "application/json", Payload: []byte(`"abc"`)}},
	} {
		r, err := NewRegistry(c.definition)
		if err != nil {
			t.Fatal(err)
		}
		value, err := r.Decode(c.raw)
		if err != nil || reflect.TypeOf(value) != c.definition.goType || reflect.ValueOf(value).Elem().String() != "abc" {
			t.Errorf("got %T, %v", value, err)
		}
	}
}

func TestHistoryUnderAnOlderNameIsOfTheType(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[owner]("owner", WithAliases("proprietor", "holder"), WithAliases("person"), WithSchemaVersion(2), WithUpcast(1, func([]byte) ([]byte, error) {
		return []byte(`{"Name":"upcast"}`), nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"owner", "proprietor", "holder", "person"} {
		for schema, want := range map[int]string{1: "upcast", 2: "Ada"} {
			value, err := r.Decode(Raw{Type: name, SchemaVersion: schema, ContentType: "application/json", Payload: []byte(`{"Name":"Ada"}`)})
			if err != nil || value != (owner{want}) {
				t.Errorf("%s of schema version %d is %v, %v", name, schema, value, err)
			}
		}
	}
	if raw, err := r.Encode(owner{"Ada"}); err != nil || raw.Type != "owner" || raw.SchemaVersion != 2 {
		t.Errorf("it is written as %+v, %v", raw, err)
	}
}

func TestTheStoredContentTypeSaysWhichCodecReads(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[string]("text", WithCodec(plain("text/plain"), JSON, plain("text/other"))))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Encode("new")
	if err != nil || raw.ContentType != "text/plain" || string(raw.Payload) != "new" {
		t.Errorf("it is written as %+v, %v", raw, err)
	}
	for contentType, payload := range map[string]string{"text/plain": "abc", "application/json": `"abc"`, "text/other": "abc"} {
		value, err := r.Decode(Raw{Type: "text", ContentType: contentType, Payload: []byte(payload)})
		if err != nil || value != "abc" {
			t.Errorf("%s is read as %v, %v", contentType, value, err)
		}
	}
	_, err = r.decode(labStream, "the key", 7, Raw{Type: "text", ContentType: "text/html"})
	if want[*TypeMismatchError](t, err); !strings.Contains(err.Error(), `it has content type text/html, but type "text" is registered with text/plain, application/json, text/other`) {
		t.Error(err)
	}
}

func TestARegistrySaysWhatItHolds(t *testing.T) {
	t.Parallel()
	step := func(payload []byte) ([]byte, error) { return payload, nil }
	r, err := NewRegistry(
		Type[owner]("owner", WithSchemaVersion(4), WithUpcast(3, step), WithUpcast(2, step), WithAliases("b", "a")),
		Type[*nested]("nested", WithSchemaVersion(2)),
		Type[string]("text", WithCodec(plain("text/plain"), JSON)),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []RegisteredType{
		{"nested", nil, reflect.TypeFor[*nested](), 2, 2, []string{"application/json"}, nil, false},
		{"owner", []string{"b", "a"}, reflect.TypeFor[owner](), 4, 2, []string{"application/json"}, nil, false},
		{"text", nil, reflect.TypeFor[string](), 1, 1, []string{"text/plain", "application/json"}, nil, false},
	}
	if got := r.Types(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	r.Types()[1].Aliases[0] = "changed"
	if got := r.Types(); !reflect.DeepEqual(got, want) {
		t.Errorf("a caller has changed it: %+v", got)
	}
}

func TestEncodingAndDecodingWithoutAStream(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[owner]("owner"), Type[map[string]any]("loose"))
	if err != nil {
		t.Fatal(err)
	}
	stored := Raw{Type: "owner", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Name":"Ada"}`)}
	if raw, err := r.Encode(&owner{"Ada"}); err != nil || !reflect.DeepEqual(raw, stored) {
		t.Errorf("%+v, %v", raw, err)
	}
	if raw, err := r.Encode(stored); err != nil || !reflect.DeepEqual(raw, stored) {
		t.Errorf("%+v, %v", raw, err)
	}
	if value, err := r.Decode(stored); err != nil || value != (owner{"Ada"}) {
		t.Errorf("%+v, %v", value, err)
	}
	for says, err := range map[string]error{
		"bad argument value: it is nil":                                   errorOf(r.Encode(nil)),
		"bad argument value: map[string]interface {} can't be encoded":    errorOf(r.Encode(map[string]any{"": func() {}})),
		"bad argument value: it is a Raw without a Type":                  errorOf(r.Encode(Raw{})),
		"bad argument value: it is a Raw of schema version -1":            errorOf(r.Encode(Raw{Type: "t", SchemaVersion: -1})),
		`type "eventstore.amount" is not registered: add it`:              errorOf(r.Encode(amount(1))),
		`type "other" is not registered: add it to the registry`:          errorOf(r.Decode(Raw{Type: "other"})),
		"bad argument raw: it can't be decoded: it has content type text": errorOf(r.Decode(Raw{Type: "owner", ContentType: "text"})),
		`raw: it can't be decoded: type "owner" can't be decoded into`:    errorOf(r.Decode(Raw{Type: "owner", ContentType: "application/json"})),
		`eventstore: type "owner" has schema version 2`:                   errorOf(r.Decode(Raw{Type: "owner", SchemaVersion: 2, ContentType: "application/json"})),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}

func TestWhatCannotBeEncodedIsABadArgument(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[map[string]any]("loose"), Type[owner]("owner"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.encode("events[3]", labStream, map[string]any{"": func() {}})
	if e := want[*ArgumentError](t, err); e.Argument != "events[3]" || e.Cause == nil || !strings.Contains(err.Error(), "func()") {
		t.Errorf("%+v", e)
	}
}

func TestWhatCannotBeDecodedIsNoDamageAndNamesTheType(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[owner]("owner"))
	if err != nil {
		t.Fatal(err)
	}
	for says, raw := range map[string]Raw{
		`into eventstore.owner`: {Type: "owner", ContentType: "application/json", Payload: []byte("[]")},
		`content type text`:     {Type: "owner", ContentType: "text", Payload: []byte("{}")},
		`end of JSON input`:     {Type: "owner", ContentType: "application/json"},
	} {
		_, err := r.decode(labStream, "the key", 7, raw)
		e := want[*TypeMismatchError](t, err)
		if e.Version != 7 || e.Key != "the key" || e.Stream != labStream || e.Type != "owner" || e.GoType != "eventstore.owner" || isA[*DamagedError](err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v", e)
		}
	}
	_, err = r.decode(labStream, "the key", 7, Raw{Type: "other"})
	if e := want[*TypeNotRegisteredError](t, err); e.Version != 7 || e.Type != "other" || e.Stream != labStream {
		t.Errorf("%+v", e)
	}
}
