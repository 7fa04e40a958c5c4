package storetest

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testStreamClosed appends to a stream that was closed.
func testStreamClosed(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	appendOne(t, s, opened{}, deposited{})
	if err := s.CloseStream(contextOf(t), eventstore.ExpectVersion(2)); err != nil {
		t.Fatalf("CloseStream: %v", err)
	}
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), deposited{})
	if e := want[*eventstore.StreamClosedError](t, err); e.Stream != s.Stream() || e.Version != 2 {
		t.Errorf("%+v", e)
	}
	s.Close()
	shared, err := p.Open(contextOf(t), s.Stream(), eventstore.Shared())
	if err != nil {
		t.Fatalf("Open, shared: %v", err)
	}
	_, err = shared.Append(contextOf(t), eventstore.ExpectVersion(2), deposited{})
	want[*eventstore.StreamClosedError](t, err)
	wantVersions(t, collect(t, shared.Read(contextOf(t))), upTo(2))
}

// testStreamDeleted deletes a stream, checks that nothing is left of it, and appends to it.
func testStreamDeleted(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	named := eventstore.Event{Data: deposited{}}
	named.Metadata.Context.IdempotencyID = "once"
	appendOne(t, s, opened{}, named)
	appendOne(t, s, deposited{})
	if err := s.SaveSnapshot(contextOf(t), 2, account{}); err != nil {
		t.Fatalf("SaveSnapshot: %v", err)
	}
	err := s.DeleteStream(contextOf(t), eventstore.ExpectVersion(2))
	want[*eventstore.VersionMismatchError](t, err)
	for range 2 { // the second time nothing is left
		if err := s.DeleteStream(contextOf(t), eventstore.ExpectAny()); err != nil {
			t.Fatalf("DeleteStream: %v", err)
		}
	}
	never := open(t, p, unique())
	want[*eventstore.ArgumentError](t, never.DeleteStream(contextOf(t), eventstore.ExpectAny()))
	never.Close()
	k := names{partition: s.Stream().String()}
	for _, item := range getMany(t, target.State, k, "1", "2", "3", "4", "idem:once", "snapshot:2") {
		wantValue(t, item, "")
	}
	s.Close()
	s = open(t, p, s.Stream().ID)
	defer s.Close()
	_, err = s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	if e := want[*eventstore.StreamDeletedError](t, err); e.Stream != s.Stream() || e.Version != 4 || e.DeletedAt.IsZero() {
		t.Errorf("%+v", e)
	}
	_, err = reader(t, p, s.Stream().ID).Slice(contextOf(t), 1, 3)
	want[*eventstore.StreamDeletedError](t, err)
}
