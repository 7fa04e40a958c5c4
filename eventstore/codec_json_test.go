package eventstore

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// carried encodes and decodes a value with a registry that has only its type.
func carried(t *testing.T, value any) (Raw, any) {
	t.Helper()
	r, err := NewRegistry(TypeOf(reflect.TypeOf(value), "t"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw, got
}

func TestMethodsWithPointerReceiversAreCalled(t *testing.T) {
	t.Parallel()
	type transfer struct {
		Wei   big.Int
		Rate  big.Rat
		Unit  cents
		Each  []cents
		Fixed [2]cents
		At    *cents
	}
	given := transfer{*big.NewInt(math.MaxInt64), *big.NewRat(1, 3), cents{5}, []cents{{1}, {2}}, [2]cents{{3}, {4}}, &cents{6}}
	for _, value := range []any{given, &given} {
		raw, got := carried(t, value)
		if want := `{"Wei":9223372036854775807,"Rate":"1/3","Unit":5,"Each":[1,2],"Fixed":[3,4],"At":6}`; string(raw.Payload) != want {
			t.Errorf("%T is stored as %s", value, raw.Payload)
		}
		if !reflect.DeepEqual(got, value) {
			t.Errorf("%T comes back as %+v", value, got)
		}
	}
	if raw, got := carried(t, cents{7}); string(raw.Payload) != "7" || got != (cents{7}) {
		t.Errorf("the registered type itself is stored as %s and comes back as %+v", raw.Payload, got)
	}
}

func TestRawMessagesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	signed := json.RawMessage("{ \"b\" : 1.0,\n\t\"a\":\"<&>\u2028\" }")
	type received struct {
		Body  json.RawMessage
		Maybe *json.RawMessage `json:",omitempty"`
		Each  []json.RawMessage
		By    map[string]json.RawMessage
		Fixed [1]json.RawMessage
		inner
	}
	given := received{Body: signed, Maybe: &signed, Each: []json.RawMessage{signed, json.RawMessage(`"eventstore-raw-"`)}, By: map[string]json.RawMessage{"a": signed}, Fixed: [1]json.RawMessage{signed}}
	before := shown(reflect.ValueOf(given))
	raw, got := carried(t, withInner{inner{signed}})
	if !reflect.DeepEqual(got, withInner{inner{signed}}) {
		t.Errorf("in an embedded struct that is not exported: %s", raw.Payload)
	}
	given.inner.Body = nil
	type plain struct {
		Body  json.RawMessage
		Maybe *json.RawMessage `json:",omitempty"`
		Each  []json.RawMessage
		By    map[string]json.RawMessage
		Fixed [1]json.RawMessage
	}
	value := plain{given.Body, given.Maybe, given.Each, given.By, given.Fixed}
	if raw, got := carried(t, value); !reflect.DeepEqual(got, value) || strings.Count(string(raw.Payload), string(signed)) != 5 {
		t.Errorf("stored as %s", raw.Payload)
	}
	if after := shown(reflect.ValueOf(given)); after != before {
		t.Errorf("the caller's value has become %s", after)
	}
	if _, got := carried(t, signed); string(got.(json.RawMessage)) != string(signed) {
		t.Errorf("the registered type itself comes back as %s", got)
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	t.Parallel()
	type imported struct{ Fields map[string]any }
	for _, number := range []any{int64(math.MaxInt64), uint64(math.MaxUint64), 9007199254740993, json.Number("0.10000000000000000000001"), 0.1, float32(0.1), -1e300} {
		_, got := carried(t, imported{map[string]any{"n": number}})
		want, err := json.Marshal(number)
		if n, ok := got.(imported).Fields["n"].(json.Number); err != nil || !ok || n.String() != string(want) {
			t.Errorf("%T %v comes back as %#v", number, number, got)
		}
	}
}

func TestUpcastersOverMapsKeepTheDigitsOfNumbers(t *testing.T) {
	t.Parallel()
	type moved struct {
		Account int64
		Rest    []any
	}
	r, err := NewRegistry(Type[moved]("moved", WithSchemaVersion(2), WithUpcastJSON(1, func(old map[string]any) (map[string]any, error) {
		old["Account"] = old["ID"]
		delete(old, "ID")
		return old, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode(Raw{Type: "moved", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"ID":9007199254740993,"Rest":[1.10,12345678901234567890]}`)})
	if want := (moved{9007199254740993, []any{json.Number("1.10"), json.Number("12345678901234567890")}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDecodingIsAsStrictWithAnyAsWithout(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", " ", "{", `{"A":1}}`, `{"A":1} {}`, `{"A":1}x`, "nul", `{"A":"` + "\x01" + `"}`} {
		loose, strict := JSON.Unmarshal([]byte(payload), new(struct{ A any })), JSON.Unmarshal([]byte(payload), new(struct{ A int }))
		var syntax *json.SyntaxError
		if loose == nil || strict == nil || !errors.As(loose, &syntax) {
			t.Errorf("%q: with any %v, without %v", payload, loose, strict)
		}
	}
	var got struct{ A any }
	if err := JSON.Unmarshal([]byte(` {"A":1} `+"\n"), &got); err != nil || got.A != json.Number("1") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestValuesThatWouldNotComeBackAreRefused(t *testing.T) {
	t.Parallel()
	type (
		texts  struct{ Lines []struct{ Text string } }
		loose  struct{ Any any }
		byKey  struct{ By map[string]int }
		opaque struct{ Lossy lossy }
		whose  struct{ Entity entity }
		at     struct{ At time.Time }
		maybe  struct{ P **int }
		bodies struct{ Body json.RawMessage }
	)
	var none *int
	for _, c := range []struct {
		value any
		says  string
	}{
		{texts{[]struct{ Text string }{{"a"}, {"\xff"}}}, "field Lines[1].Text of eventstore.texts is a string that is not valid UTF-8"},
		{byKey{map[string]int{"\xff": 1, "\xfe": 2}}, "field By of eventstore.byKey has another number of elements when it is read back"},
		{byKey{map[string]int{"\xff": 1}}, "field By[…] of eventstore.byKey has a key that changes when it is read back"},
		{loose{[]string{"a"}}, "field Any of eventstore.loose holds a []string, which is read back as a []interface {}"},
		{loose{owner{"Ada"}}, "holds a eventstore.owner, which is read back as a map[string]interface {}"},
		{loose{amount(1)}, "holds a eventstore.amount, which is read back as a json.Number"},
		{loose{[]any{map[string]any{"a": []byte("a")}}}, "field Any[0][…] of eventstore.loose holds a []uint8"},
		{opaque{lossy{1, 2}}, "field Lossy.b of eventstore.opaque changes when it is read back"},
		{whose{entity{1, 2}}, "field Entity.Rest of eventstore.whose changes when it is read back"},
		{at{time.Date(1900, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 561))}, "field At of eventstore.at is a time that changes when it is read back"},
		{maybe{&none}, "field P of eventstore.maybe changes when it is read back"},
		{bodies{json.RawMessage(" 1")}, "field Body of eventstore.bodies is a json.RawMessage whose bytes change when it is read back"},
		{loose{math.NaN()}, "can't be encoded"},
		{loose{func() {}}, "can't be encoded"},
	} {
		r, err := NewRegistry(TypeOf(reflect.TypeOf(c.value), "t"))
		if err != nil {
			t.Errorf("%T: %v", c.value, err)
			continue
		}
		_, err = r.encode("events[0]", labStream, c.value)
		if e := want[*ArgumentError](t, err); e.Argument != "events[0]" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%T: the message does not say %q: %v", c.value, c.says, err)
		}
	}
}

func TestValuesInACircleAreRefused(t *testing.T) {
	t.Parallel()
	circle := &tree{}
	circle.Parent = circle
	list := []any{nil}
	list[0] = list
	type loose struct{ Any any }
	for _, value := range []any{*circle, loose{list}} {
		r, err := NewRegistry(TypeOf(reflect.TypeOf(value), "t"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Encode(value)
		want[*ArgumentError](t, err)
	}
}

func TestWhatCountsAsTheSameComesBack(t *testing.T) {
	t.Parallel()
	type omitting struct {
		List []int          `json:",omitempty"`
		By   map[string]int `json:",omitempty"`
		Zero time.Time      `json:",omitzero"`
	}
	type money struct{ Amount decimal }
	paris := time.FixedZone("Europe/Paris", 3600)
	for _, value := range []any{
		omitting{List: []int{}, By: map[string]int{}},
		struct{ At time.Time }{time.Now()},
		struct{ At time.Time }{time.Date(2025, 3, 31, 0, 30, 0, 1, paris)},
		struct {
			Body   json.RawMessage
			Number json.Number
		}{},
		money{decimal{150, -2}},
		struct{ Wrapped wrapped }{wrapped{decimal{150, -2}}},
		struct{ A, B []int }{[]int{}, nil},
		struct{ A, B map[string]int }{map[string]int{}, nil},
		struct{ A, B []byte }{[]byte{}, nil},
	} {
		carried(t, value)
	}
}

// decimal is a number with an exponent, so one number has several representations.
type decimal struct{ value, exponent int }

func (d decimal) normal() decimal {
	for d.value != 0 && d.value%10 == 0 {
		d.value, d.exponent = d.value/10, d.exponent+1
	}
	return d
}
func (d decimal) Equal(other decimal) bool { return d.normal() == other.normal() }
func (d decimal) MarshalJSON() ([]byte, error) {
	n := d.normal()
	return json.Marshal([]int{n.value, n.exponent})
}
func (d *decimal) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&d.value, &d.exponent})
}

// wrapped has a decimal that only its own methods can reach.
type wrapped struct{ d decimal }

func (w wrapped) MarshalJSON() ([]byte, error)     { return json.Marshal(w.d) }
func (w *wrapped) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &w.d) }

func TestAnotherFunctionDecodesPlainTypesOnly(t *testing.T) {
	t.Parallel()
	called := 0
	failure := errors.New("unable")
	codec := func(err error) Codec {
		return JSONDecodedBy(func(data []byte, value any) error {
			called++
			return errors.Join(json.Unmarshal(data, value), err)
		})
	}
	for _, test := range []struct {
		value any
		data  string
		calls int
		err   error
	}{
		{new(noted), `{"Text":"a"}`, 1, nil},
		{new(noted), `{"Text":"a"}`, 1, failure}, // decoded again
		{new(cents), `7`, 0, nil},
		{new(struct{ A any }), `{"A":7}`, 0, nil},
		{new(tree), `{}`, 0, nil},
	} {
		called = 0
		want := reflect.New(reflect.TypeOf(test.value).Elem()).Interface()
		if err := JSON.Unmarshal([]byte(test.data), want); err != nil {
			t.Fatal(err)
		}
		if err := codec(test.err).Unmarshal([]byte(test.data), test.value); err != nil || called != test.calls || !reflect.DeepEqual(test.value, want) {
			t.Errorf("%T: %+v, %v after %d calls, want %+v after %d", test.value, test.value, err, called, want, test.calls)
		}
	}

	// The error is always that of encoding/json.
	its := JSON.Unmarshal([]byte(`{"Text":7}`), new(noted))
	if err := codec(failure).Unmarshal([]byte(`{"Text":7}`), new(noted)); err == nil || err.Error() != its.Error() {
		t.Errorf("%v, want %v", err, its)
	}
	for _, value := range []any{nil, 7} {
		if err := codec(nil).Unmarshal([]byte(`7`), value); !isA[*json.InvalidUnmarshalError](err) {
			t.Errorf("into %v: %v", value, err)
		}
	}
	_, err := NewRegistry(Type[noted]("t", WithCodec(JSONDecodedBy(nil))))
	want[*ArgumentError](t, err)

	// All else is as with JSON. Encoding need not decode, and NewRegistry refuses what JSON loses.
	called = 0
	r, err := NewRegistry(Type[noted]("t", WithCodec(codec(nil))))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := r.Encode(noted{"a"}); err != nil || called != 0 || raw.ContentType != JSON.ContentType() {
		t.Errorf("%+v, %v after %d calls", raw, err, called)
	}
	_, err = NewRegistry(Type[struct{ hidden int }]("t", WithCodec(codec(nil))))
	want[*ArgumentError](t, err)
}
