package eventstore

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// retyped returns a registry in which the labs' event has another Go type.
func retyped[T any](t *testing.T, options ...TypeOption) Option {
	t.Helper()
	r, err := NewRegistry(Type[T]("noted", options...))
	if err != nil {
		t.Fatal(err)
	}
	return WithRegistry(r)
}

func TestAGoTypeThatWasChangedIsNoDamageAndVerifyAgrees(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		p := l.provider(retyped[struct{ Text int }](t))
		r := p.Reader(labStream)
		failures := map[string]error{"Event": errorOf(r.Event(t.Context(), 1)), "Slice": errorOf(r.Slice(t.Context(), 1, 6)), "Snapshot": errorOf(r.Snapshot(t.Context(), 2))}
		for event, err := range r.Read(t.Context()) {
			if failures["Read"] = err; err == nil {
				t.Errorf("it reads %+v", event)
			}
		}
		for name, err := range failures {
			e := want[*TypeMismatchError](t, err)
			if e.Stream != labStream || e.Key == "" || e.Type != "noted" || e.GoType != "struct { Text int }" || isA[*DamagedError](err) {
				t.Errorf("%s: %+v", name, e)
			}
		}
		found, err := r.Verify(t.Context(), nil)
		if err != nil || !found.Sound() || found.Events != 6 || len(found.Snapshots) != 0 || len(found.Unreadable) != 8 {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, err := range found.Unreadable {
			want[*TypeMismatchError](t, err)
		}
		if found := l.verify(); len(found.Unreadable) != 0 || !slices.Equal(found.Snapshots, []int64{2, 4}) {
			t.Errorf("with the type as it was: %+v", found)
		}
	})
}

func TestVerifyTellsWhatTheRegistryDoesNotReadIfThereIsOne(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		other, err := NewRegistry(Type[owner]("owner"))
		if err != nil {
			t.Fatal(err)
		}
		none, err := NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		for registry, unreadable := range map[*Registry]int{other: 8, none: 0} {
			r := l.provider(WithRegistry(registry)).Reader(labStream)
			found, err := r.Verify(t.Context(), nil)
			if err != nil || !found.Sound() || len(found.Unreadable) != unreadable {
				t.Errorf("%+v, %v", found, err)
			}
			for _, err := range found.Unreadable {
				want[*TypeNotRegisteredError](t, err)
			}
		}
	})
}

func TestASnapshotOfAStateThatHasChangedIsNotUsed(t *testing.T) {
	type noteAndCount struct {
		Text  string
		Count int
	}
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10, 4, 8)
		load := func(s *Session, want int64) {
			t.Helper()
			if snapshot, _, err := s.Load(t.Context()); err != nil || snapshot.Version != want {
				t.Errorf("the snapshot is %+v, %v, want the one at version %d", snapshot, err, want)
			}
		}
		load(l.open(), 8)
		s := l.open(retyped[noteAndCount](t))
		load(s, 0)
		if e := want[*TypeMismatchError](t, errorOf(s.Snapshot(t.Context(), 8))); e.Version != 8 {
			t.Errorf("%+v", e)
		}
		if _, err := s.Event(t.Context(), 1); err != nil {
			t.Errorf("an event may lack a field: %v", err)
		}
		if err := s.SaveSnapshot(t.Context(), 6, noteAndCount{"a", 1}); err != nil {
			t.Fatal(err)
		}
		load(s, 6)
		load(l.open(), 8) // the snapshot at 6 has one more field

		l.uncarried()
		// This snapshot was written before the fields of the state were exported.
		l.Set(l.keys.snapshot(8), encodeSnapshot(l.keys.partition, Snapshot{Version: 8, Created: time.Now()}, Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte("{}")}))
		load(l.open(), 4)

		// The same fields may be written in another form.
		l.Set(l.keys.snapshot(8), encodeSnapshot(l.keys.partition, Snapshot{Version: 8, Created: time.Now()}, Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(` {"Text" : "\u003c"}`)}))
		snapshot, _, err := l.open().Load(t.Context())
		if err != nil || snapshot.Data != (noted{"<"}) {
			t.Errorf("%+v, %v", snapshot, err)
		}
	})
}

func TestHistoryIsCopiedAsItIsWhateverIsRegistered(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		for i, raw := range []Raw{{Type: "noted"}, {Type: "noted", ContentType: "application/json", Payload: []byte("{")}, {Type: "noted", SchemaVersion: 9, ContentType: "x"}, {Type: "other"}} {
			version := int64(i + 1)
			e := Event{Version: version, Data: raw, Metadata: Metadata{Message: MessageMetadata{ID: "1", Created: time.Now()}, Context: ContextMetadata{Timestamp: time.Now(), SessionID: "s"}}}
			if _, err := s.AppendRecorded(t.Context(), ExpectVersion(version-1), e); err != nil {
				t.Errorf("%+v: %v", raw, err)
			}
			if err := s.SaveRecordedSnapshot(t.Context(), Snapshot{Version: version, Data: raw, Created: time.Now()}); err != nil {
				t.Errorf("%+v: %v", raw, err)
			}
			if raw.Type == "noted" {
				want[*ArgumentError](t, errorOf(s.Append(t.Context(), ExpectAny(), raw)))
				want[*ArgumentError](t, s.SaveSnapshot(t.Context(), version, raw))
			}
			back, err := s.Event(t.Context(), version, AsRaw())
			if err != nil || !sameRaw(back.Data, raw) {
				t.Errorf("%+v, %v", back, err)
			}
		}
	})
}

func TestNothingOfARefusedAppendOrSnapshotIsStored(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		before := l.Values()
		l.Trace()
		want[*ArgumentError](t, errorOf(s.Append(t.Context(), ExpectAny(), noted{"b"}, noted{"\xff"})))
		want[*ArgumentError](t, s.SaveSnapshot(t.Context(), 1, noted{"\xff"}))
		if trace := l.Trace(); len(trace) != 0 || !reflect.DeepEqual(l.Values(), before) {
			t.Errorf("requests were sent: %q", trace)
		}
	})
}

func TestWhatAnUpcasterMakesMustBeCarried(t *testing.T) {
	t.Parallel()
	type kept struct{ A int }
	lossyStep := WithUpcastJSON(1, func(kept) (shy, error) { return shy{}, nil })
	_, err := NewRegistry(Type[kept]("kept", WithSchemaVersion(2), lossyStep))
	if e := want[*ArgumentError](t, err); e.Argument != "WithUpcastJSON" || e.Reason != `JSON can't carry all of the result of the step of type "kept" from schema version 1 to 2, Go type eventstore.shy: shy.owner is not exported, so it is not stored: export it, or give eventstore.shy MarshalJSON and UnmarshalJSON` {
		t.Error(err)
	}
	for _, step := range []TypeOption{
		WithUpcastJSON(1, func(old map[string]any) (map[string]any, error) { return old, nil }),
		WithUpcastJSON(1, func(old any) (any, error) { return old, nil }),
	} {
		if _, err := NewRegistry(Type[kept]("kept", WithSchemaVersion(2), step)); err != nil {
			t.Error(err)
		}
	}
}
