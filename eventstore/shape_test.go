//lint:file-ignore U1000,SA5008 types with fields that JSON leaves out are what is tested here

package eventstore

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

type (
	shy      struct{ owner string }
	holder   struct{ Owner person }
	person   struct{ name, Mail string }
	onlyText struct{ N int }
	lower    string
	stamp    time.Time
)

func (onlyText) MarshalText() ([]byte, error) { return []byte("text"), nil }

func TestTypesThatJSONCannotCarryAreRefused(t *testing.T) {
	t.Parallel()
	type (
		hidden   struct{ *shy }
		base     struct{ ID string }
		embedsBy struct {
			*base
			Name string
		}
		left      struct{ ID string }
		right     struct{ ID string }
		ambiguous struct {
			left
			right
			Name string
		}
		shadowed struct {
			Named
			Name string
		}
		dashed struct {
			A int
			B int `json:"-"`
		}
		embedsLower struct {
			lower
			N int
		}
		locked struct {
			mu sync.Mutex
			N  int
		}
		embedsInterface struct {
			error
			N int
		}
		recursive struct {
			Next  *recursive
			count int
		}
		withTwice struct {
			*left
			*right
		}
	)
	integer := reflect.TypeFor[int]()
	sameTag := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "A", Type: integer, Tag: `json:"x"`}, {Name: "B", Type: integer, Tag: `json:"x"`}})).Elem().Interface()
	for _, c := range []struct {
		value any
		says  []string
	}{
		{shy{}, []string{`type "t", Go type eventstore.shy`, `shy.owner is not exported, so it is not stored: export it, or give eventstore.shy MarshalJSON and UnmarshalJSON, or leave it out with WithoutFields("owner")`}},
		{&shy{}, []string{"shy.owner is not exported"}},
		{holder{}, []string{`holder.Owner.name is not exported`, `WithoutFields("Owner.name")`}},
		{[]holder{}, []string{`it.Owner.name`, `WithoutFields("Owner.name")`}},
		{struct{ Lines map[string][]*holder }{}, []string{`it.Lines.Owner.name`}},
		{hidden{}, []string{"hidden.shy is an embedded pointer to the unexported struct eventstore.shy"}},
		{embedsBy{}, []string{"embedsBy.base is an embedded pointer", "export the type, or embed it by value"}},
		{ambiguous{}, []string{"ambiguous.left.ID has the JSON name \"ID\", as right.ID has, so neither is stored"}},
		{shadowed{}, []string{"shadowed.Named.Name is not stored: Name has its JSON name"}},
		{sameTag, []string{`it.A has the JSON name "x", as B has`}},
		{dashed{}, []string{"dashed.B has the tag `json:\"-\"`"}},
		{embedsLower{}, []string{"embedsLower.lower is not exported"}},
		{locked{}, []string{"locked.mu is not exported"}},
		{embedsInterface{}, []string{"embedsInterface.error is not exported"}},
		{recursive{}, []string{"recursive.count is not exported"}},
		{withTwice{}, []string{"embedded pointer to the unexported struct"}},
		{timed{}, []string{"timed.Note is not stored: eventstore.timed inherits MarshalJSON from the embedded time.Time"}},
		{struct{ At stamp }{}, []string{"it.At.wall is not exported"}},
		{struct{ By fmt.Stringer }{}, []string{"it.By is the interface fmt.Stringer, which does not say which Go type to read: use a concrete type"}},
		{struct{ By []error }{}, []string{"it.By is the interface error"}},
		{struct{ By json.Marshaler }{}, []string{"is the interface json.Marshaler"}},
		{struct{ F func() }{}, []string{"it.F is a func(), which JSON can't represent"}},
		{struct{ C chan int }{}, []string{"it.C is a chan int"}},
		{struct{ C []complex128 }{}, []string{"it.C is a complex128"}},
		{struct{ M map[float64]int }{}, []string{"it.M is a map with keys of float64"}},
		{struct{ M map[any]int }{}, []string{"it.M is a map with keys of interface {}"}},
		{struct{ M map[cents]int }{}, []string{"keys of eventstore.cents"}},
		{struct{ M map[*big.Int]int }{}, []string{"keys of *big.Int"}},
		{struct{ M map[string]big.Int }{}, []string{"it.M is a big.Int in a map", "MarshalJSON, which has a pointer receiver: use *big.Int there"}},
		{struct{ M map[string]struct{ C cents } }{}, []string{"it.M.C is a eventstore.cents in a map"}},
		{struct{ T onlyText }{}, []string{"it.T is a eventstore.onlyText, which has MarshalText but no UnmarshalText"}},
		{func() {}, []string{"it is a func()"}},
		{struct{ a, b, c, d, e, f, g int }{}, []string{"it.e is not exported", "; and 2 more"}},
	} {
		_, err := NewRegistry(TypeOf(reflect.TypeOf(c.value), "t"))
		if want[*ArgumentError](t, err); err == nil {
			t.Errorf("%T is accepted", c.value)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%T: the message does not say %q: %v", c.value, says, err)
			}
		}
	}
}

func TestTypesThatJSONCarriesAreAccepted(t *testing.T) {
	t.Parallel()
	type (
		embedding struct {
			Named
			Rest int
		}
		tagged struct {
			Named `json:"named"`
			Name  string
		}
		promoted struct{ lowerStruct }
		onlyTime struct{ time.Time }
		padded   struct {
			_ [7]byte
			N int
		}
		noCopy struct {
			mark struct{}
			N    int
		}
		preferred struct {
			A int
			B int `json:"A"`
		}
	)
	for _, value := range []any{
		embedding{}, tagged{}, promoted{}, onlyTime{}, padded{}, noCopy{}, tree{}, pointing{}, cents{}, byMethod{},
		struct{ N *big.Int }{}, struct{ M map[string]*big.Int }{}, struct{ M map[string][]cents }{}, struct{ M map[level]int }{}, struct{ A any }{},
		struct{ T time.Time }{}, map[string]any{}, [2]int{}, "", 1.5,
		struct {
			A int `json:"-,"`
		}{},
	} {
		if _, err := NewRegistry(TypeOf(reflect.TypeOf(value), "t")); err != nil {
			t.Errorf("%T: %v", value, err)
		}
	}
	if _, err := NewRegistry(Type[preferred]("t")); !isA[*ArgumentError](err) || !strings.Contains(err.Error(), "preferred.A is not stored: B has its JSON name") {
		t.Errorf("a field that another's tag hides: %v", err)
	}
	if _, err := NewRegistry(Type[shy]("t", WithCodec(plain("text")))); err != nil {
		t.Errorf("another codec's types are its own business: %v", err)
	}
}

type lowerStruct struct{ A, B string }

func TestFieldsThatAreMeantToBeLeftOutAre(t *testing.T) {
	t.Parallel()
	type account struct {
		Owner   person
		Friends map[string][]person
		Cache   map[string]int `json:"-"`
		total   int
	}
	leaving := func(paths ...string) TypeDefinition { return Type[account]("account", WithoutFields(paths...)) }
	r, err := NewRegistry(leaving("Owner.name", "Cache", "total"))
	if err != nil {
		t.Fatal(err)
	}
	given := account{Owner: person{"Ada", "a@b"}, Friends: map[string][]person{"x": {{"Bob", "b@b"}}}, Cache: map[string]int{"a": 1}, total: 7}
	raw, err := r.Encode(given)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode(raw)
	if want := (account{Owner: person{"", "a@b"}, Friends: map[string][]person{"x": {{"", "b@b"}}}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for says, definition := range map[string]TypeDefinition{
		`WithoutFields("total")`:                       leaving("Owner.name", "Cache"),
		`account.Owner.name`:                           leaving("Cache", "total"),
		`"Owner.nam" is not a field of type "account"`: leaving("Owner.name", "Cache", "total", "Owner.nam"),
		`"total.x" is not a field`:                     leaving("total.x"),
		`"" is not a field`:                            leaving(""),
		`field "Owner.Mail" of type "account" is stor`: leaving("Owner.name", "Cache", "total", "Owner.Mail"),
	} {
		if _, err := NewRegistry(definition); !isA[*ArgumentError](err) || !strings.Contains(err.Error(), says) {
			t.Errorf("the message does not say %q: %v", says, err)
		}
	}
}

func TestOtherCodecsAreHeldToTheirWordToo(t *testing.T) {
	t.Parallel()
	r, err := NewRegistry(Type[string]("trimmed", WithCodec(trimming{})), Type[int]("compared", WithCodec(comparing{})))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Encode("abc"); err != nil {
		t.Error(err)
	}
	_, err = r.Encode(" abc")
	if want[*ArgumentError](t, err); !strings.Contains(err.Error(), "string changes when it is read back") {
		t.Error(err)
	}
	if _, err := r.Encode(12); err != nil {
		t.Errorf("its codec takes them for equal: %v", err)
	}
	_, err = r.Encode(13)
	if want[*ArgumentError](t, err); !strings.Contains(err.Error(), "according to its codec") {
		t.Error(err)
	}
}

// trimming is a codec of strings that loses spaces.
type trimming struct{ plain }

func (trimming) ContentType() string { return "text/trimmed" }
func (trimming) Marshal(value any) ([]byte, error) {
	return []byte(strings.TrimSpace(value.(string))), nil
}

// comparing is a codec of integers that stores nothing, and considers even ones equal.
type comparing struct{}

func (comparing) ContentType() string         { return "application/nothing" }
func (comparing) Marshal(any) ([]byte, error) { return nil, nil }
func (comparing) Unmarshal([]byte, any) error { return nil }
func (comparing) Equal(given, _ any) bool     { return given.(int)%2 == 0 }
