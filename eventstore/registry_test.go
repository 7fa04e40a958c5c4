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
		{&owner{"Ada"}, owner{"Ada"}}, // a pointer counts as what it points to
		{amount(math.MaxInt64), amount(math.MaxInt64)},
		{tags{"a", "b"}, tags{"a", "b"}},
		{tags(nil), tags(nil)},
		{&nested{&owner{"Ada"}}, &nested{&owner{"Ada"}}}, // where the pointer itself is registered it stays one
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
	for says, types := range map[string][]TypeDefinition{
		"zero TypeDefinition":      {{}},
		"is blank":                 {Type[owner](" ")},
		"is the interface":         {Type[error]("error")},
		`"x" is registered twice`:  {Type[owner]("x"), Type[amount]("x")},
		`registered twice, as "a"`: {Type[owner]("a"), Type[owner]("b")},
	} {
		if _, err := NewRegistry(types...); !errors.Is(err, &ArgumentError{}) || !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
}

func TestWhatCannotBeEncodedIsABadArgument(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[func()]("function"), Type[owner]("owner"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.encode("events[3]", labStream, func() {})
	if e := want[*ArgumentError](t, err); e.Argument != "events[3]" || e.Cause == nil || !strings.Contains(err.Error(), "func()") {
		t.Errorf("%+v", e)
	}
}

func TestWhatCannotBeDecodedIsDamageAndNamesTheType(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[owner]("owner"))
	if err != nil {
		t.Fatal(err)
	}
	for says, raw := range map[string]Raw{
		`into eventstore.owner`: {Type: "owner", ContentType: "application/json", Payload: []byte("[]")},
		`its content is text`:   {Type: "owner", ContentType: "text", Payload: []byte("{}")},
		`end of JSON input`:     {Type: "owner", ContentType: "application/json"},
	} {
		_, err := r.decode(labStream, "the key", 7, raw)
		e := want[*DamagedError](t, err)
		if e.Version != 7 || e.Key != "the key" || e.Stream != labStream || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v", e)
		}
	}
	_, err = r.decode(labStream, "the key", 7, Raw{Type: "other"})
	if e := want[*TypeNotRegisteredError](t, err); e.Version != 7 || e.Type != "other" || e.Stream != labStream {
		t.Errorf("%+v", e)
	}
}
