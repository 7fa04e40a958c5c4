package eventstore

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// fromDecoder has a method that encoding/json calls since Go 1.27.
type fromDecoder string

func (f *fromDecoder) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*f = "called"
	return d.SkipValue()
}

// FuzzWhatIsAcceptedComesBack shows that an exact type loses nothing. This test lists which types
// are exact, and which of their values are inspected.
func TestTypesWhoseValuesNeedNotBeDecodedToBeCompared(t *testing.T) {
	t.Parallel()
	type all struct {
		B     bool
		I     int64
		F     float32
		S     string `json:"s"`
		T     time.Time
		L     []string `json:",omitempty"`
		P     *owner
		M     map[string]*[2]uint8
		Bytes []byte
	}
	type at struct {
		P, Q *struct{ T time.Time }
		M    map[string][]string
	}
	odd := time.Unix(0, 0).In(time.FixedZone("LMT", 561))
	for _, c := range []struct {
		value       any
		exact, fits bool
	}{
		{all{}, true, true},
		{all{S: "a", P: &owner{"Ada"}, L: []string{"a"}, M: map[string]*[2]uint8{"a": nil}}, true, true},
		{all{S: "\xff"}, true, false},
		{all{P: &owner{"\xff"}}, true, false},
		{all{L: []string{"a", "\xff"}}, true, false},
		{all{M: map[string]*[2]uint8{"\xff": nil}}, true, false},
		{at{}, true, true},
		{at{P: &struct{ T time.Time }{odd}}, true, false},
		{at{M: map[string][]string{"a": {"\xff"}}}, true, false},
		{map[int]int{}, true, true},
		{&all{}, true, true},
		{struct{ A any }{}, false, false},
		{struct{ A json.Number }{}, false, false},
		{struct{ A json.RawMessage }{}, false, false},
		{struct{ A big.Int }{}, false, false},
		{struct{ A cents }{}, false, false},
		{struct{ A level }{}, false, false},
		{struct{ A **int }{}, false, false},
		{struct{ A *[]int }{}, false, false},
		{struct {
			A int `json:",string"`
		}{}, false, false},
		{struct {
			A time.Time `json:",omitzero"`
		}{}, false, false},
		{struct {
			A string `json:"'a'"`
		}{}, false, false},
		{struct {
			A []byte `json:"a,format:hex"`
		}{}, false, false},
		{struct{ A fromDecoder }{}, false, false},
		{struct{ Named }{}, false, false},
		{struct{ A map[level]int }{}, false, false},
		{tree{}, false, false},
		{shy{}, false, false},
	} {
		e := exactnessOf(reflect.TypeOf(c.value))
		if fits := e.exact && (e.fits == nil || e.fits(reflect.ValueOf(c.value))); e.exact != c.exact || fits != c.fits {
			t.Errorf("%T %+v: exact %v, fits %v", c.value, c.value, e.exact, fits)
		}
	}
}
