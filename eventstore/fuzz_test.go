package eventstore

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// possibleName reports whether a name must be accepted: not blank, valid UTF-8, at most 200 bytes.
func possibleName(name string) bool {
	return strings.TrimSpace(name) != "" && utf8.ValidString(name) && len(name) <= 200
}

// FuzzAppendsComeBack checks that an append is either a bad argument, of which nothing is sent, or
// comes back unchanged. It must come back in the session and in another one, and never on another
// stream.
func FuzzAppendsComeBack(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(labKinds))
	for kind := range kinds {
		f.Add(uint8(kind), "EventStores", "account", "1", "EventStores", "account", "2", "deposited", 1, "application/json", []byte(`{"Amount":1}`), "text",
			"id", int64(1.7e9), int64(5), 3600, int64(1.7e9), "correlation", "causation", "user", "", int64(0), "once", "read,write")
		f.Add(uint8(kind), "db", "a:b", "c", "db", "a", "b:c", "t\n\n", 7, "", []byte("\n\nstream=x"), "\xff\u2028<",
			"=", int64(-62135596800), int64(1), 0, int64(253402300799), "\x00\r\n", "%0A%", " ", "db", int64(1), "/?#|", ",")
	}
	f.Fuzz(func(t *testing.T, kind uint8, db, typ, id, otherDB, otherType, otherID, typeName string, schema int, content string, payload []byte, text,
		messageID string, created, nanos int64, zone int, stamp int64, correlation, causation, user, partition string, sequence int64, idem, scopes string) {
		store := labKinds[kinds[int(kind)%len(kinds)]]()
		stream, other := Stream{db, typ, id}, Stream{otherDB, otherType, otherID}
		newProvider := func() *Provider {
			registry, err := NewRegistry(Type[noted]("noted " + typeName)) // not the name of the Raw
			if err != nil {
				t.Fatal(err)
			}
			p, err := NewProvider(store, WithRegistry(registry), WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := newProvider()
		refused := func(what string, err error) {
			t.Helper()
			if e := want[*ArgumentError](t, err); e.Argument == "" || e.Reason == "" {
				t.Errorf("%s: %v", what, err)
			}
			if trace := store.Trace(); len(trace) > 0 {
				t.Errorf("%s was refused (%v) after %q", what, err, trace)
			}
		}
		s, err := p.Open(t.Context(), Stream{Database: db, Type: typ, ID: id})
		if !possibleName(db) || !possibleName(typ) || !possibleName(id) {
			refused("the name", err)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		store.Trace()

		e := Event{Data: Raw{Type: typeName, SchemaVersion: schema, ContentType: content, Payload: payload}, Metadata: Metadata{
			Message: MessageMetadata{ID: messageID, Created: time.Unix(created, nanos).In(time.FixedZone("", zone))},
			Context: ContextMetadata{CorrelationID: correlation, CausationID: causation, UserID: user, PartitionID: partition,
				Timestamp: time.Unix(stamp, nanos), SequenceNumber: sequence, IdempotencyID: idem},
		}}
		if scopes != "" {
			e.Metadata.Context.Scopes = strings.Split(scopes, ",")
		}
		inRange := func(at time.Time) bool { return at.IsZero() || at.UTC().Year() >= 1 && at.UTC().Year() <= 9999 }
		ok := strings.TrimSpace(typeName) != "" && schema >= 0 && (partition == "" || partition == db) && (idem == "" || possibleName(idem)) && sequence >= 0 &&
			inRange(e.Metadata.Message.Created) && inRange(e.Metadata.Context.Timestamp)
		ok = ok && utf8.ValidString(text)
		version, err := s.Append(t.Context(), ExpectVersion(0), e, noted{text})
		switch {
		case !ok:
			refused("the event", err)
			return
		case sequence > 1:
			want[*VersionMismatchError](t, err)
			if _, stands := store.Values()[keysOf(stream).head()]; stands {
				t.Error("something was stored of what is a mismatch")
			}
			return
		case version != 2 || err != nil:
			t.Fatalf("version %d, %v", version, err)
		}
		if err := s.SaveSnapshot(t.Context(), 1, e.Data); err != nil {
			t.Fatal(err)
		}

		// Another stream has the same id and another payload.
		if other != stream && possibleName(otherDB) && possibleName(otherType) && possibleName(otherID) {
			o, err := p.Open(t.Context(), Stream{Database: otherDB, Type: otherType, ID: otherID})
			if err != nil {
				t.Fatal(err)
			}
			e := Event{Data: noted{"other"}}
			e.Metadata.Context.IdempotencyID = idem
			if v, err := o.Append(t.Context(), ExpectVersion(0), e); v != 1 || err != nil {
				t.Fatalf("the other stream: version %d, %v", v, err)
			}
			defer func() {
				event, err := o.Event(t.Context(), 1)
				if err != nil || event.Data != (noted{"other"}) || event.Metadata.Message.AggregateID != otherID {
					t.Errorf("the other stream holds %+v, %v", event, err)
				}
				if v, err := o.Version(t.Context()); v != 1 || err != nil {
					t.Errorf("the other stream is at version %d, %v", v, err)
				}
			}()
		}

		r := newProvider().Reader(Stream{Database: db, Type: typ, ID: id})
		for who, r := range map[string]*Reader{"the session": s.Reader, "somebody else": r} {
			events, err := r.Slice(t.Context(), 1, 9, AsRaw())
			if err != nil || len(events) != 2 {
				t.Fatalf("%s reads %d events, %v", who, len(events), err)
			}
			sameEvent(t, who, events[0], e, stream, s.ID())
			second, err := r.Event(t.Context(), 2)
			if err != nil || second.Data != (noted{text}) || second.Metadata.Message.Type != "noted "+typeName {
				t.Errorf("%s reads %+v, %v, appended was %q", who, second, err, text)
			}
			snapshot, err := r.Snapshot(t.Context(), 1, AsRaw())
			if err != nil || snapshot.Version != 1 || !sameRaw(snapshot.Data, e.Data) {
				t.Errorf("%s reads the snapshot %+v, %v", who, snapshot, err)
			}
			if idem != "" {
				if v, err := r.VersionOf(t.Context(), idem); v != 1 || err != nil {
					t.Errorf("%s finds the idempotency id at version %d, %v", who, v, err)
				}
			}
			if found, err := r.Verify(t.Context(), nil); err != nil || !found.Sound() || found.Events != 2 {
				t.Errorf("%s verifies %+v, %v", who, found, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func sameRaw(a, b any) bool {
	x, y := a.(Raw), b.(Raw)
	return x.Type == y.Type && x.SchemaVersion == y.SchemaVersion && x.ContentType == y.ContentType && bytes.Equal(x.Payload, y.Payload)
}

// sameEvent checks that the first event of a stream came back as it was appended.
func sameEvent(t *testing.T, who string, got, appended Event, stream Stream, session string) {
	t.Helper()
	m, want := got.Metadata, appended.Metadata
	raw := appended.Data.(Raw)
	sameTime := func(what string, got, given, otherwise time.Time) {
		t.Helper()
		if given.IsZero() {
			given = otherwise
		}
		if !given.IsZero() && !got.Equal(given) || got.IsZero() || got.Location() != time.UTC {
			t.Errorf("%s reads %s %s, given was %s", who, what, got, given)
		}
	}
	sameTime("created", m.Message.Created, want.Message.Created, time.Time{})
	sameTime("timestamp", m.Context.Timestamp, want.Context.Timestamp, m.Message.Created)
	if want.Message.ID == "" && m.Message.ID != "" {
		want.Message.ID = m.Message.ID
	}
	want.Message = MessageMetadata{ID: want.Message.ID, Type: raw.Type, SchemaVersion: raw.SchemaVersion, AggregateType: stream.Type, AggregateID: stream.ID, Created: m.Message.Created}
	want.Context.PartitionID, want.Context.SessionID, want.Context.SequenceNumber, want.Context.Timestamp = stream.Database, session, 1, m.Context.Timestamp
	if got.Version != 1 || !sameRaw(got.Data, raw) || !reflect.DeepEqual(m, want) {
		t.Errorf("%s reads\n%+v\nappended was\n%+v", who, got, Event{Version: 1, Data: raw, Metadata: want})
	}
}

// FuzzAnythingUnderAKey checks that operations cope with any value under any key of a stream. They
// must not panic, and must fail only with an error of this package. They must not read an event
// that is not in the stream.
func FuzzAnythingUnderAKey(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(labKinds))
	k := keysOf(labStream)
	under := []struct{ key, kind string }{
		{k.head(), kindHead}, {k.event(1), kindEvent}, {k.event(3), kindEvent}, {k.event(4), kindEvent}, {k.idempotency("once"), kindIdempotency}, {k.snapshots(), kindSnapshots}, {k.snapshot(1), kindSnapshot}, {k.lease(), kindLease},
	}
	calls := allCalls()
	for i := range calls {
		call, key := uint8(i), uint8(i%len(under))
		f.Add(call, uint8(i%len(kinds)), key, true, []byte("version=2\nfirst=1\ncommit=c\ntype=t\nid=once\n\n{}"))
		f.Add(call, uint8(i%len(kinds)), key, false, []byte("eventstore/1 "+under[key].kind+" 00000000\n\n"))
		for _, head := range []string{"version=9223372036854775807\nfirst=1", "version=9223372036854775807\nfirst=9223372036854775807", "version=1\nfirst=9223372036854775807", "version=1\nfirst=1\ntail=1 9",
			"version=3\nfirst=1\nstate=closed", "version=3\nfirst=4\nstate=deleted", "version=3\nfirst=1\nstate=other"} {
			f.Add(call, uint8(i%len(kinds)), uint8(0), true, []byte(head+"\ncommit=c\n\n"))
		}
		f.Add(call, uint8(0), uint8(5), true, []byte("snapshot=-1\nsnapshot=9223372036854775807\nsnapshot=1\nsnapshot=1\n\n"))
		f.Add(call, uint8(0), uint8(7), true, []byte("owner=x\nexpires=9999-12-31T23:59:59Z\n\n"))
	}
	f.Fuzz(func(t *testing.T, call, kind, key uint8, framed bool, data []byte) {
		u := under[int(key)%len(under)]
		if framed { // a record of the kind that belongs under the key, with a valid checksum
			data = framedRecord(u.kind, "stream="+k.partition+"\n"+string(data))
		}
		if len(data) == 0 {
			return // nil is no value
		}
		name := calls[int(call)%len(calls)]
		synctest.Test(t, func(t *testing.T) {
			s := newSlow(t, labKinds[kinds[int(kind)%len(kinds)]]())
			call := s.calls(t)[name]
			s.prepare(name)
			s.Set(u.key, data)
			// A head of an arbitrary version may take any number of requests.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var requests atomic.Int32
			s.Intervene(func(_ context.Context, _ *memstate.Request, next func() error) error {
				if requests.Add(1) > 50 {
					cancel()
				}
				return next()
			})
			if err := call(ctx); err != nil && reflect.TypeOf(err).Elem().PkgPath() != reflect.TypeFor[StorageError]().PkgPath() {
				t.Errorf("%s: %T %v", name, err, err)
			}
			r := s.provider.Reader(labStream)
			last := int64(0)
			for event, err := range r.Read(ctx, AsRaw()) {
				if err != nil {
					if !isA[*DamagedError](err) && !isA[*StreamDeletedError](err) && ctx.Err() == nil {
						t.Errorf("after %s: %v", name, err)
					}
					break
				}
				if m := event.Metadata; last != 0 && event.Version != last+1 || m.Context.SequenceNumber != event.Version || m.Message.AggregateID != labStream.ID {
					t.Errorf("after %s: version %d comes as %+v", name, last+1, event)
				}
				last = event.Version
			}
		})
	})
}
