package eventstore

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// BenchmarkEncode measures the cost of encoding an event, including the check that it comes back
// unchanged, and of encoding/json alone.
func BenchmarkEncode(b *testing.B) {
	type line struct {
		Article string
		Amount  int64
		Price   float64
	}
	type order struct {
		ID, Customer string
		At           time.Time
		Lines        []line
		Notes        map[string]string
	}
	order10 := order{ID: "4711", Customer: "Ada", At: time.Now().UTC(), Notes: map[string]string{"gift": "yes", "wrap": "no"}}
	for i := range 10 {
		order10.Lines = append(order10.Lines, line{fmt.Sprint("article ", i), int64(i), float64(i) / 3})
	}
	for _, c := range []struct {
		name  string
		value any
	}{
		{"text of 500 bytes", noted{strings.Repeat("x", 500)}},
		{"order of 10 lines", order10},
		{"loose", map[string]any{"a": "b", "n": 5, "list": []any{"x", "y", true}}},
		{"own methods", struct{ A, B, C cents }{cents{1}, cents{2}, cents{3}}},
	} {
		registry, err := NewRegistry(TypeOf(reflect.TypeOf(c.value), "t"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/checked", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := registry.Encode(c.value); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(c.value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
