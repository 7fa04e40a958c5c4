package eventstore

import (
	"strings"
	"testing"
	"time"
)

// BenchmarkEvent measures the cost of one event in the process: making its record, and reading it
// back.
func BenchmarkEvent(b *testing.B) {
	registry, err := NewRegistry(Type[noted]("noted"))
	if err != nil {
		b.Fatal(err)
	}
	k := keysOf(labStream)
	value := noted{strings.Repeat("x", 500)}
	m := Metadata{
		Message: MessageMetadata{ID: "01a20cc4-b8c3-7405-b822-c04d56f9ee93", Created: time.Now().UTC()},
		Context: ContextMetadata{SequenceNumber: 4711, SessionID: "01a20cc4-cc65-7d35-8e51-2c8fa6da3795", CorrelationID: "request"},
	}
	m.Context.Timestamp = m.Message.Created
	encode := func() record {
		raw, err := registry.encode("event", labStream, value)
		if err != nil {
			b.Fatal(err)
		}
		return encodeEvent(k.partition, "01a20cc4-cc65-7d35-8e51-2c8fa6da3796", m, raw)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode()
		}
	})
	data := encode().data
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, raw, err := decodeEventAt(labStream, k.partition, 4711, data)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := registry.decode(labStream, "key", 4711, raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
