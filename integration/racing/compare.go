package racing

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Compare checks that a stream holds exactly what was acknowledged. Each append must be there once,
// whole and at its version, and the appends of a writer must be in their order. Compare returns the
// number of lost events and the number of events in the stream.
func Compare(t testing.TB, stream *eventstore.Reader, acks []Ack) (lost int, length int64) {
	t.Helper()
	var events []any
	for event, err := range stream.Read(t.Context()) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		if event.Version != int64(len(events))+1 {
			t.Fatalf("version %d follows %d events", event.Version, len(events))
		}
		events = append(events, event.Data)
	}
	total := 0
	last := map[string]int64{}
	for _, a := range acks {
		total += a.Events
		if a.Version <= last[a.Writer] {
			t.Errorf("append %d of writer %s is at version %d, the previous one at %d", a.N, a.Writer, a.Version, last[a.Writer])
		}
		last[a.Writer] = a.Version
		for part := range a.Events {
			version := a.Version - int64(a.Events-1-part)
			want := Event{Writer: a.Writer, N: a.N, Part: part}
			if version < 1 || version > int64(len(events)) || events[version-1] != want {
				lost++
				t.Errorf("version %d is not the acknowledged %+v", version, want)
			}
		}
	}
	if len(events) != total {
		t.Errorf("the stream has %d events, want the %d acknowledged ones", len(events), total)
	}
	return lost, int64(len(events))
}
