package storetest

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testIdempotency uses idempotency ids twice, in one session and in a later one.
func testIdempotency(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	with := func(idempotencyID string) eventstore.Event {
		var m eventstore.Metadata
		m.Context.IdempotencyID = idempotencyID
		return eventstore.Event{Data: deposited{}, Metadata: m}
	}
	appendOne(t, s, opened{}, with("a"), with("A"), with("ä/|{}"))
	for i := range 2 { // in the session that used them, and in a later one
		for want2, idem := range []string{2: "a", 3: "A", 4: "ä/|{}"} {
			if idem == "" {
				continue
			}
			_, err := s.Append(contextOf(t), eventstore.ExpectAny(), deposited{}, with(idem))
			if e := want[*eventstore.IdempotencyIDUsedError](t, err); e.Version != int64(want2) || e.IdempotencyID != idem {
				t.Errorf("round %d: %+v", i, e)
			}
			if v, err := s.VersionOf(contextOf(t), idem); v != int64(want2) || err != nil {
				t.Errorf("VersionOf(%q) = %d, %v, want %d", idem, v, err, want2)
			}
		}
		s.Close()
		s = open(t, p, id)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(4))
}

// testIdempotencyIDNotFound looks up an id that no event has.
func testIdempotencyIDNotFound(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	_, err := s.VersionOf(contextOf(t), "never")
	if e := want[*eventstore.IdempotencyIDNotFoundError](t, err); e.IdempotencyID != "never" || e.Stream != s.Stream() {
		t.Errorf("%+v", e)
	}
}

// testIdempotencyIDUsed delivers a command twice.
func testIdempotencyIDUsed(t *testing.T, target Target) {
	s := open(t, target.provider(t), unique())
	event := eventstore.Event{Data: deposited{Amount: 1}}
	event.Metadata.Context.IdempotencyID = "command 1"
	appendOne(t, s, opened{}, event)
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), event)
	if e := want[*eventstore.IdempotencyIDUsedError](t, err); e.Stream != s.Stream() || e.IdempotencyID != "command 1" || e.Version != 2 {
		t.Errorf("%+v", e)
	}
	wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
}
