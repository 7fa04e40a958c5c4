package storetest

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testOpenAppendReadClose appends to a stream, closes it, opens it again and reads every event in
// order.
func testOpenAppendReadClose(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	appendOne(t, s, opened{"Ada"})
	appendOne(t, s, deposited{Amount: 100}, deposited{Amount: 50, Note: "ünïcödé \x00"})
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	s = open(t, p, id)
	events := collect(t, s.Read(contextOf(t)))
	var data []any
	for _, e := range events {
		data = append(data, e.Data)
	}
	if want := []any{opened{"Ada"}, deposited{Amount: 100}, deposited{Amount: 50, Note: "ünïcödé \x00"}}; !reflect.DeepEqual(data, want) {
		t.Errorf("read %v, want %v", data, want)
	}
}

// testVersions expects versions 1, 2, 3, … without gaps, and version 0 of an empty stream.
func testVersions(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	r := reader(t, p, id)
	if v, err := r.Version(contextOf(t)); v != 0 || err != nil {
		t.Errorf("an empty stream is at %d, %v", v, err)
	}
	s := open(t, p, id)
	for i := range int64(5) {
		if v := appendOne(t, s, deposited{Amount: i}, deposited{Amount: i}); v != 2*i+2 {
			t.Errorf("append %d gave version %d", i, v)
		}
	}
	wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(10))
	if v, err := r.Version(contextOf(t)); v != 10 || err != nil {
		t.Errorf("the stream is at %d, %v, want 10", v, err)
	}
}

// testExpectedVersion appends at wrong versions and expects the stream to stay as it is.
func testExpectedVersion(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	appendOne(t, s, opened{}, deposited{})
	for _, expected := range []int64{0, 1, 3, 1 << 40} {
		_, err := s.Append(contextOf(t), eventstore.ExpectVersion(expected), deposited{})
		if e := want[*eventstore.VersionMismatchError](t, err); e.Expected != expected || e.Actual != 2 || e.Metadata.Message.Type != "deposited" || e.Stream != s.Stream() {
			t.Errorf("expected %d: %+v", expected, e)
		}
	}
	named := func(n int64, id string) eventstore.Event {
		m := eventstore.Metadata{}
		m.Context.SequenceNumber, m.Message.ID = n, id
		return eventstore.Event{Data: deposited{}, Metadata: m}
	}
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), named(3, "fits"), named(5, "does not"))
	if e := want[*eventstore.VersionMismatchError](t, err); e.Metadata.Message.ID != "does not" || e.Actual != 2 {
		t.Errorf("%+v", e)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
	if v, err := s.Append(contextOf(t), eventstore.ExpectVersion(2), named(3, ""), named(4, "")); v != 4 || err != nil {
		t.Errorf("an append that fits: %d, %v", v, err)
	}
}

// testEventTypes mixes Go types and raw payloads in one stream.
func testEventTypes(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	raw := eventstore.Raw{Type: "foreign", SchemaVersion: 3, ContentType: "application/octet-stream", Payload: []byte("\x00\x01\xff")}
	appendOne(t, s, opened{"A"}, &deposited{Amount: 1 << 60}, closed{}, raw)
	events, err := s.Slice(contextOf(t), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []any{opened{"A"}, deposited{Amount: 1 << 60}, closed{}} {
		if !reflect.DeepEqual(events[i].Data, want) {
			t.Errorf("event %d is %#v, want %#v", i+1, events[i].Data, want)
		}
	}
	_, err = s.Event(contextOf(t), 4)
	if e := want[*eventstore.TypeNotRegisteredError](t, err); e.Version != 4 || e.Type != "foreign" || e.Stream != s.Stream() {
		t.Errorf("%+v", e)
	}
	event, err := s.Event(contextOf(t), 4, eventstore.AsRaw())
	if err != nil || !reflect.DeepEqual(event.Data, raw) {
		t.Errorf("raw: %v, %v", event.Data, err)
	}
}

// testMetadata compares the metadata of stored events with what was given and what was filled in.
func testMetadata(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	given := eventstore.Metadata{
		Message: eventstore.MessageMetadata{ID: "m=1\n%\x00é", Created: time.Date(2020, 2, 29, 12, 0, 0, 123456789, time.UTC)},
		Context: eventstore.ContextMetadata{CorrelationID: "corr", CausationID: "cause\r\n", UserID: "user=a b",
			Timestamp: time.Date(1999, 12, 31, 23, 59, 59, 1, time.FixedZone("x", 3600)), IdempotencyID: "idem/1?#", Scopes: []string{"a b", "c=d", "%"}},
		Custom: map[string]string{"plain": "value", "empty": "", "a=b\n%": "c=d\r\n\n%41", "\x00": "\x00\x7f", "é😀": "ü\u2028"},
	}
	before := time.Now()
	appendOne(t, s, eventstore.Event{Data: opened{}, Metadata: given}, deposited{})
	events := collect(t, s.Read(contextOf(t)))
	want := given
	want.Message.Type, want.Message.SchemaVersion = "opened", 1
	want.Message.AggregateType, want.Message.AggregateID = "account", s.Stream().ID
	want.Context.PartitionID, want.Context.SessionID, want.Context.SequenceNumber = "EventStores", s.ID(), 1
	want.Context.Timestamp = want.Context.Timestamp.UTC()
	if got := events[0].Metadata; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	m := events[1].Metadata
	if m.Message.ID == "" || m.Message.ID == given.Message.ID || m.Message.Created.Before(before.Add(-time.Second)) || !m.Context.Timestamp.Equal(m.Message.Created) || m.Context.SequenceNumber != 2 {
		t.Errorf("filled in: %+v", m)
	}
	if m.Custom != nil {
		t.Errorf("custom metadata %q comes from nowhere", m.Custom)
	}
	if err := s.SaveSnapshot(contextOf(t), 1, account{}, eventstore.WithCustom(given.Custom)); err != nil {
		t.Fatal(err)
	}
	snapshot, err := reader(t, p, s.Stream().ID).Snapshot(contextOf(t), 1)
	if err != nil || !reflect.DeepEqual(snapshot.Custom, given.Custom) {
		t.Errorf("a snapshot's custom metadata is %q, %v, want %q", snapshot.Custom, err, given.Custom)
	}
}

// testConflicts lets eight sessions append at the same version, and expects exactly one to succeed.
func testConflicts(t *testing.T, target Target) {
	p := Target{State: target.State, Locker: noLock{}}.provider(t)
	id := unique()
	const writers, rounds = 8, 10
	for round := range int64(rounds) {
		sessions := make([]*eventstore.Session, writers)
		for i := range sessions {
			sessions[i] = open(t, p, id)
		}
		var wins, losses atomic.Int32
		var wg sync.WaitGroup
		for _, s := range sessions {
			wg.Go(func() {
				_, err := s.Append(contextOf(t), eventstore.ExpectVersion(2*round), deposited{Note: s.ID()}, deposited{Note: s.ID()})
				switch {
				case err == nil:
					wins.Add(1)
				case errors.As(err, new(*eventstore.VersionMismatchError)):
					losses.Add(1)
				default:
					t.Errorf("got the error %v", err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 || losses.Load() != writers-1 {
			t.Fatalf("round %d: %d appends succeeded and %d were refused, want 1 and %d", round, wins.Load(), losses.Load(), writers-1)
		}
	}
	events := collect(t, reader(t, p, id).Read(contextOf(t)))
	wantVersions(t, events, upTo(2*rounds))
	for i := 0; i < len(events); i += 2 {
		if events[i].Data != events[i+1].Data {
			t.Errorf("versions %d and %d are of different appends", i+1, i+2)
		}
	}
}

// testVersionMismatch decides on an old version, and expects an error that gives the stream's
// version.
func testVersionMismatch(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	appendOne(t, s, opened{}, deposited{})
	_, err := s.Append(contextOf(t), eventstore.ExpectVersion(1), closed{})
	if e := want[*eventstore.VersionMismatchError](t, err); e.Stream != s.Stream() || e.Expected != 1 || e.Actual != 2 || e.Metadata.Message.Type != "closed" || e.Metadata.Message.ID == "" {
		t.Errorf("%+v", e)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
}

// testTypeNotRegistered appends a Go type that the registry does not know.
func testTypeNotRegistered(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{}, unregistered{})
	if e := want[*eventstore.TypeNotRegisteredError](t, err); !strings.Contains(e.Type, "unregistered") {
		t.Errorf("%+v", e)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), []int64{})
}

// testBatchTooLarge appends more than one request can hold, then nearly as much.
func testBatchTooLarge(t *testing.T, target Target) {
	limit := target.State.Capabilities().MaxRequestBytes
	if limit == 0 {
		return // nothing is too large
	}
	p := target.provider(t)
	s := open(t, p, unique())
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{}, opened{strings.Repeat("x", limit)})
	if e := want[*eventstore.BatchTooLargeError](t, err); e.Limit != limit || e.Size <= limit {
		t.Errorf("%+v", e)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), []int64{})
	half := strings.Repeat("x", limit*45/100)
	for range 5 { // one at a time they fit, even while the head still holds the previous one
		appendOne(t, s, opened{half})
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(5))
	s.Close()
	wantVersions(t, collect(t, reader(t, p, s.Stream().ID).Read(contextOf(t))), upTo(5))
}
