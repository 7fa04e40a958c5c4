package eventstore

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	mirror "github.com/go-json-experiment/json/v1"
)

// everyExactField has a field of each kind of plain type, see JSONDecodedBy.
type everyExactField struct {
	Name    string
	Lower   string `json:"name"`
	Kelvin  string `json:"K"`
	Dashed  string `json:"snake_case-name"`
	Flag    bool
	Small   int8
	Large   uint64
	Half    float32
	Double  float64
	At      time.Time
	For     time.Duration
	Bytes   []byte
	Fixed   [3]byte
	Texts   []string `json:",omitempty"`
	Words   [2]string
	Owner   *owner
	Owners  []owner
	ByName  map[string]owner
	ByID    map[int8]*owner
	Listed  map[string][]int
	Grades  []level8
	Renamed int `json:"other"`
}

type level8 uint8

// FuzzJSONIsReadAsByEncodingJSON checks that the codec of adapter/fastjson sets the same value as
// encoding/json or returns the same error. It reads one document after the other into a value.
func FuzzJSONIsReadAsByEncodingJSON(f *testing.F) {
	at := time.Date(2026, 11, 26, 3, 4, 5, 6, time.FixedZone("", 3600))
	full, err := json.Marshal(everyExactField{
		Name: "A", Lower: "b", Kelvin: "c", Dashed: "d", Flag: true, Small: -8, Large: 1 << 63, Half: 1.5, Double: -1e-300, At: at, For: time.Hour,
		Bytes: []byte("bytes"), Fixed: [3]byte{1, 2, 3}, Texts: []string{"x", "\u2028<"}, Words: [2]string{"y"}, Owner: &owner{"o"}, Owners: []owner{{"p"}, {"q"}},
		ByName: map[string]owner{"r": {"s"}}, ByID: map[int8]*owner{-1: nil, 2: {"t"}}, Listed: map[string][]int{"u": {1, 2}}, Grades: []level8{1, 2}, Renamed: 3,
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, document := range []string{
		string(full), `null`, `{}`, ``, ` `, `{`, `{"Name":"a"} x`, `[]`, `"text"`, `7`,
		`{"NAME":"a","name":"b","nAmE":"c","Name":"d"}`, `{"k":"a","K":"b"}`, `{"SNAKE_CASE-NAME":"a","snakecasename":"b"}`, `{"-":5}`,
		`{"Name":null,"Flag":null,"Small":null,"Owner":null,"Texts":null,"Fixed":null,"At":null,"ByName":null}`,
		`{"Name":"a","Small":300,"Flag":true}`, `{"Small":1.0}`, `{"Small":1e1}`, `{"Small":"1"}`, `{"Large":-1}`, `{"Half":1e300}`, `{"Double":1e999}`,
		"{\"Name\":\"\xff\\ud800\\u0000\"}", "{\"Name\":\"\n\"}", `{"Name":"\x"}`, `{"Bytes":"YQ=="}`, `{"Bytes":"YQ"}`, `{"Bytes":"Y\nQ=="}`, `{"Bytes":[1,2]}`,
		`{"Fixed":[1,2,3,4]}`, `{"Fixed":[1]}`, `{"Fixed":"AQID"}`, `{"Words":["a","b","c"]}`, `{"Grades":[1,2]}`, `{"Grades":"AQI="}`,
		`{"Owners":[{"Name":"a"},{}]}`, `{"Owners":[{}],"Owners":[{},{}]}`, `{"ByName":{"a":{"Name":"x"},"a":{}}}`, `{"ByID":{"1":{},"300":{}}}`, `{"ByID":{"x":{}}}`, `{"ByID":{"01":{}}}`,
		`{"At":"2026-11-26T03:04:05,5Z"}`, `{"At":"2026-11-26T3:04:05Z"}`, `{"At":"2026-11-26T03:04:05+24:00"}`, `{"At":5}`, `{"For":"1h"}`, `{"For":1}`, `{"Unknown":{"a":[1,{"b":null}]}}`,
	} {
		f.Add([]byte(document), []byte(document))
		f.Add(full, []byte(document))
		f.Add([]byte(document), full)
	}
	fast := JSONDecodedBy(mirror.Unmarshal)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, exact := range []reflect.Type{
			reflect.TypeFor[everyExactField](), reflect.TypeFor[*everyExactField](), reflect.TypeFor[noted](), reflect.TypeFor[string](), reflect.TypeFor[[]byte](),
			reflect.TypeFor[[]owner](), reflect.TypeFor[map[string]int64](), reflect.TypeFor[map[string]*everyExactField](), reflect.TypeFor[time.Time](), reflect.TypeFor[float64](),
		} {
			if !exactnessOf(exact).exact {
				t.Fatalf("%s is not plain", exact)
			}
			got, want := reflect.New(exact), reflect.New(exact)
			for _, document := range [][]byte{first, second} {
				failed, failure := fast.Unmarshal(document, got.Interface()), json.Unmarshal(document, want.Interface())
				if fmt.Sprintf("%T %v", failed, failed) != fmt.Sprintf("%T %v", failure, failure) {
					t.Errorf("%s from %q: error %v, want %v", exact, document, failed, failure)
				}
				if failure != nil {
					break // what is in the value then is not defined
				}
				if !reflect.DeepEqual(got.Interface(), want.Interface()) {
					t.Errorf("%s from %q after %q:\n%+v\nwant\n%+v", exact, document, first, got.Elem(), want.Elem())
				}
			}
		}
	})
}
