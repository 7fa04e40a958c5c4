package eventstore

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// recorded is an event of another store, with every field of the metadata.
func recorded(version int64, idempotencyID string) Event {
	created := time.Date(2019, 2, 3, 4, 5, 6, 789, time.UTC)
	return Event{Version: version, Data: Raw{Type: "noted", SchemaVersion: 3, ContentType: "application/json", Payload: []byte(`{"Text":"a"}`)}, Metadata: Metadata{
		Message: MessageMetadata{ID: "an id", Type: "noted", SchemaVersion: 3, AggregateType: labStream.Type, AggregateID: labStream.ID, Created: created},
		Context: ContextMetadata{
			CorrelationID: "a correlation", CausationID: "a cause\n%", UserID: "Ada", PartitionID: labStream.Database, Timestamp: created.Add(-time.Hour),
			SessionID: "a session of long ago", SequenceNumber: version, IdempotencyID: idempotencyID, Scopes: []string{"", "read"},
		},
	}}
}

func TestARecordedEventIsStoredAsItWas(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		want := []Event{recorded(1, "i"), recorded(2, "")}
		if version, err := s.AppendRecorded(t.Context(), ExpectVersion(0), want...); version != 2 || err != nil {
			t.Fatalf("version %d, %v", version, err)
		}
		got, err := l.reader().Slice(t.Context(), 1, 2, AsRaw())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("it reads as\n%+v, %v, not\n%+v", got, err, want)
		}
		if version, err := l.reader().VersionOf(t.Context(), "i"); version != 1 || err != nil {
			t.Errorf("its idempotency id leads to %d, %v", version, err)
		}
		if found := l.verify(); !found.Sound() {
			t.Errorf("found %v", found.Damage)
		}
	})
}

func TestARecordedEventObeysTheRulesOfAnAppend(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		if _, err := s.AppendRecorded(t.Context(), ExpectVersion(0), recorded(1, "i")); err != nil {
			t.Fatal(err)
		}
		_, err := s.AppendRecorded(t.Context(), ExpectAny(), recorded(2, "i"))
		if used := want[*IdempotencyIDUsedError](t, err); used.Version != 1 {
			t.Errorf("%v", err)
		}
		_, err = s.AppendRecorded(t.Context(), ExpectAny(), recorded(3, ""))
		if mismatch := want[*VersionMismatchError](t, err); mismatch.Actual != 1 || mismatch.Expected != 2 {
			t.Errorf("%v", err)
		}
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		_, err = s.AppendRecorded(t.Context(), ExpectAny(), recorded(2, ""))
		want[*StreamClosedError](t, err)
		if version, err := s.Version(t.Context()); version != 1 || err != nil {
			t.Errorf("the stream is at version %d, %v", version, err)
		}
	})
}

func TestWhatLacksARecordIsNoRecordedEvent(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		for says, spoil := range map[string]func(*Event){
			"no version":          func(e *Event) { e.Version, e.Metadata.Context.SequenceNumber = 0, 0 },
			"no message id":       func(e *Event) { e.Metadata.Message.ID = "" },
			"no time of creation": func(e *Event) { e.Metadata.Message.Created = time.Time{} },
			"no timestamp":        func(e *Event) { e.Metadata.Context.Timestamp = time.Time{} },
			"no session id":       func(e *Event) { e.Metadata.Context.SessionID = "" },
			"not a Raw":           func(e *Event) { e.Data = noted{"a"} },
			"the stream's is":     func(e *Event) { e.Metadata.Message.AggregateID = "2" },
		} {
			e := recorded(1, "")
			spoil(&e)
			_, err := s.AppendRecorded(t.Context(), ExpectVersion(0), e)
			if bad := want[*ArgumentError](t, err); !strings.Contains(bad.Reason, says) {
				t.Errorf("%q is not said of it: %v", says, err)
			}
		}
		l.holds()
	})
}

func TestARecordedSnapshotKeepsItsTime(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2)
		s := l.open()
		given := Snapshot{Version: 1, Data: Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{}`)}, Created: time.Date(2019, 2, 3, 4, 5, 6, 789, time.UTC)}
		if err := s.SaveRecordedSnapshot(t.Context(), given); err != nil {
			t.Fatal(err)
		}
		got, err := l.reader().Snapshot(t.Context(), 1, AsRaw())
		if err != nil || !reflect.DeepEqual(got, given) {
			t.Errorf("it reads as %+v, %v", got, err)
		}
		for name, bad := range map[string]Snapshot{
			"a value of a Go type": {Version: 1, Data: noted{}, Created: given.Created},
			"one without a time":   {Version: 1, Data: given.Data},
		} {
			if err := s.SaveRecordedSnapshot(t.Context(), bad); want[*ArgumentError](t, err).Argument != "snapshot" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
