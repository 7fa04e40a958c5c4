package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testSlices reads ranges in both directions, inside and past the end of a long stream.
func testSlices(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	var batch []any
	for i := range 2300 {
		batch = append(batch, deposited{Amount: int64(i)})
	}
	portion := cmp.Or(target.State.Capabilities().MaxRequestBytes, 4<<20) / 1000
	for events := range slices.Chunk(batch, portion) {
		appendOne(t, s, events...)
	}
	for _, r := range []*eventstore.Reader{s.Reader, reader(t, p, id)} {
		for _, c := range []struct{ first, last, wantFirst, wantLast int64 }{
			{1, 1, 1, 1}, {2, 5, 2, 5}, {999, 1002, 999, 1002}, {2300, 2300, 2300, 2300}, {2299, 9999, 2299, 2300}, {2301, 2400, 1, 0}, {1, 2300, 1, 2300},
		} {
			events, err := r.Slice(contextOf(t), c.first, c.last)
			if err != nil {
				t.Fatalf("Slice(%d, %d): %v", c.first, c.last, err)
			}
			if want := upTo(c.wantLast)[min(c.wantFirst-1, c.wantLast):]; !slices.Equal(versions(events), want) {
				t.Errorf("Slice(%d, %d) gave %d events", c.first, c.last, len(events))
			}
			back := collect(t, r.Read(contextOf(t), eventstore.FromVersion(c.first), eventstore.ToVersion(c.last), eventstore.Backwards()))
			slices.Reverse(back)
			if !slices.Equal(versions(back), versions(events)) {
				t.Errorf("backwards from %d to %d differs from forwards", c.last, c.first)
			}
		}
		for event, err := range r.Read(contextOf(t)) {
			if err != nil || event.Version == 1500 {
				break // must leave nothing behind
			}
		}
	}
}

// testReadersDoNotWait appends in the middle of a read, with sessions that do not wait.
func testReadersDoNotWait(t *testing.T, target Target) {
	p := target.provider(t, withTimeouts(0, time.Minute))
	id := unique()
	s := open(t, p, id)
	appendOne(t, s, opened{})
	r := reader(t, p, id)
	for range r.Read(contextOf(t)) { // while a read is under way
		appendOne(t, s, deposited{})
	}
	wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(2))
}

// testVersionNotFound asks for an event past the end.
func testVersionNotFound(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	appendOne(t, s, opened{})
	_, err := s.Event(contextOf(t), 2)
	if e := want[*eventstore.VersionNotFoundError](t, err); e.Version != 2 || e.Stream != s.Stream() {
		t.Errorf("%+v", e)
	}
}
