package storetest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func requirements(target Target) []test {
	return []test{
		{"R1 a stream is opened, appended to, read back in order and closed", "this is what the store is for",
			func(t *testing.T) {
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
			}},
		{"R2 versions begin at 1 and grow by 1; an empty stream is at 0", "positions in history are what everything else refers to",
			func(t *testing.T) {
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
			}},
		{"R3 an append at another version than expected, or than an event names, stores nothing", "two decisions on the same state must not both stand",
			func(t *testing.T) {
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
			}},
		{"R4 events of different Go types share a stream and come back as their own", "a history is of many kinds of events",
			func(t *testing.T) {
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
			}},
		{"R5 at most one session holds a stream; a second waits for OpenTimeout, or not at all", "writers of one aggregate take turns",
			func(t *testing.T) {
				p := target.provider(t)
				id := unique()
				s := open(t, p, id)
				_, err := target.provider(t, withTimeouts(0, time.Minute)).Open(contextOf(t), "account", id)
				if e := want[*eventstore.OpenTimeoutError](t, err); e.Stream != s.Stream() {
					t.Errorf("%+v", e)
				}
				_, err = target.provider(t, withTimeouts(300*time.Millisecond, time.Minute)).Open(contextOf(t), "account", id)
				if e := want[*eventstore.OpenTimeoutError](t, err); e.Waited < 300*time.Millisecond {
					t.Errorf("waited %s, want at least 300ms", e.Waited)
				}
				second := make(chan error, 1)
				go func() {
					s, err := p.Open(context.WithoutCancel(contextOf(t)), "account", id)
					if err == nil {
						err = s.Close()
					}
					second <- err
				}()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := <-second; err != nil {
					t.Errorf("the session that waited: %v", err)
				}
			}},
		{"R6 a session ends by itself, and a new one can open within 5 s", "a process that died must not keep its streams",
			func(t *testing.T) {
				id := unique()
				died := open(t, target.provider(t, withTimeouts(0, time.Second)), id)
				appendOne(t, died, opened{})
				s, err := target.provider(t, withTimeouts(6*time.Second, time.Minute)).Open(contextOf(t), "account", id)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				_, err = died.Append(contextOf(t), eventstore.ExpectAny(), deposited{})
				if e := want[*eventstore.SessionExpiredError](t, err); e.Session != died.ID() || !e.ExpiredAt.Equal(died.ExpiresAt()) {
					t.Errorf("%+v", e)
				}
				for _, err := range died.Read(contextOf(t)) {
					want[*eventstore.SessionExpiredError](t, err)
				}
				want[*eventstore.SessionExpiredError](t, died.Close())
				appendOne(t, s, deposited{})
				wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
			}},
		{"R7 snapshots are stored, listed, found, cleared, and spare reading what they stand for", "long histories must load fast, and a bad snapshot must never be believed",
			func(t *testing.T) { snapshots(t, target) }},
		{"R8 slices include both ends, are empty past the end, and stream both ways", "histories are read in parts",
			func(t *testing.T) {
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
							break // leaves nothing behind
						}
					}
				}
			}},
		{"R9 a stream is opened by metadata, by type and id, and by database, type and id", "tenants are kept apart by database",
			func(t *testing.T) {
				p := target.provider(t)
				id := unique()
				s, err := p.OpenIn(contextOf(t), "tenant", "account", id)
				if err != nil {
					t.Fatal(err)
				}
				appendOne(t, s, opened{"tenant"})
				s.Close()
				var m eventstore.Metadata
				m.Message.AggregateType, m.Message.AggregateID, m.Context.PartitionID = "account", id, "tenant"
				if s, err = p.OpenFor(contextOf(t), m); err != nil {
					t.Fatal(err)
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(1))
				s.Close()
				s = open(t, p, id)
				if want := (eventstore.Stream{Database: "EventStores", Type: "account", ID: id}); s.Stream() != want {
					t.Errorf("Open opened %v, want %v", s.Stream(), want)
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), []int64{})
				r, err := p.ReaderIn("tenant", "account", id)
				if err != nil {
					t.Fatal(err)
				}
				wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(1))
			}},
		{"R10 errors keep their cause", "who reads an error must be able to act on it",
			func(t *testing.T) {
				f := &faulty{State: target.State}
				r := reader(t, Target{State: f}.provider(t), unique())
				cause := errors.New("the cause")
				f.set(func(string, string) error { return cause }, nil)
				_, err := r.Version(contextOf(t))
				if e := want[*eventstore.StorageError](t, err); !errors.Is(err, cause) || errors.Unwrap(e) == nil || e.Operation == "" {
					t.Errorf("%+v", e)
				}
			}},
		{"R11 each event carries its metadata, and what was left out is filled in", "audits and process managers live on it",
			func(t *testing.T) {
				p := target.provider(t)
				s := open(t, p, unique())
				given := eventstore.Metadata{
					Message: eventstore.MessageMetadata{ID: "m=1\n%\x00é", Created: time.Date(2020, 2, 29, 12, 0, 0, 123456789, time.UTC)},
					Context: eventstore.ContextMetadata{CorrelationID: "corr", CausationID: "cause\r\n", UserID: "user=a b",
						Timestamp: time.Date(1999, 12, 31, 23, 59, 59, 1, time.FixedZone("x", 3600)), IdempotencyID: "idem/1?#", Scopes: []string{"a b", "c=d", "%"}},
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
			}},
		{"R12 the store is asked for nothing but reads, swaps and writes of the stream's own keys", "the Dapr state API is all there is",
			func(t *testing.T) {
				id := unique()
				var foreign atomic.Value
				f := &faulty{State: target.State}
				f.set(func(op, key string) error {
					if !strings.HasPrefix(key, "{EventStores:account:"+id+"}:") {
						foreign.Store(op + " " + key)
					}
					return nil
				}, nil)
				s := open(t, Target{State: f}.provider(t), id)
				appendOne(t, s, opened{}, deposited{})
				collect(t, s.Read(contextOf(t)))
				s.Close()
				if key := foreign.Load(); key != nil {
					t.Errorf("a key outside of the stream: %s", key)
				}
			}},
		{"R13 an append is there as a whole or not at all, whatever is lost on the way", "half a decision is worse than none",
			func(t *testing.T) { wholeOrNothing(t, target) }},
		{"R14 logs carry stream, session, version and count, and never payloads", "logs are read by more people than data",
			func(t *testing.T) {
				var buf syncBuffer
				p := target.provider(t, eventstore.WithLogger(slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))))
				s := open(t, p, unique())
				appendOne(t, s, opened{"SENTINEL"}, deposited{Note: "SENTINEL"})
				collect(t, s.Read(contextOf(t)))
				if err := s.SaveSnapshot(contextOf(t), 1, opened{"SENTINEL"}); err != nil {
					t.Error(err)
				}
				s.Close()
				log := buf.String()
				for _, attribute := range []string{`"stream":`, `"session":`, `"version":2`, `"count":2`, `"duration":`} {
					if !strings.Contains(log, attribute) {
						t.Errorf("no %s in the log:\n%s", attribute, log)
					}
				}
				if strings.Contains(log, "SENTINEL") {
					t.Errorf("a payload in the log:\n%s", log)
				}
			}},
		{"R15 an idempotency id is used once, and found again", "a command that is delivered twice takes effect once",
			func(t *testing.T) {
				p := target.provider(t)
				id := unique()
				s := open(t, p, id)
				with := func(idempotencyID string) eventstore.Event {
					var m eventstore.Metadata
					m.Context.IdempotencyID = idempotencyID
					return eventstore.Event{Data: deposited{}, Metadata: m}
				}
				appendOne(t, s, opened{}, with("a"), with("A"), with("ä/|{}"))
				for i := range 2 { // in the session that used it, and in a later one
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
			}},
		{"R16 a reader neither waits for a writer nor holds one up", "queries must not stop business",
			func(t *testing.T) {
				p := target.provider(t, withTimeouts(0, time.Minute))
				id := unique()
				s := open(t, p, id)
				appendOne(t, s, opened{})
				r := reader(t, p, id)
				for range r.Read(contextOf(t)) { // with a read under way
					appendOne(t, s, deposited{})
				}
				wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(2))
			}},
		{"R17 an update of an aggregate returns exactly what is loaded later, among others and repeated", "what is told to a user must be what is stored",
			func(t *testing.T) { updates(t, target) }},
		{"S2 every conflict among concurrent appends is detected", "of decisions on the same state one stands",
			func(t *testing.T) { conflicts(t, target) }},
	}
}

func snapshots(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	ctx := contextOf(t)
	_, err := s.LastSnapshot(ctx)
	want[*eventstore.SnapshotNotFoundError](t, err)
	var batch []any
	for range 25 {
		batch = append(batch, deposited{Amount: 10})
	}
	appendOne(t, s, batch...)
	fold := func(a account, e eventstore.Event) (account, error) {
		a.Balance += e.Data.(deposited).Amount
		a.Events++
		return a, nil
	}
	made, err := eventstore.BuildSnapshots(ctx, s, 10, account{}, fold)
	if err != nil || !slices.Equal(made, []int64{10, 20}) {
		t.Fatalf("BuildSnapshots: %v, %v", made, err)
	}
	if err := s.SaveSnapshot(ctx, 15, account{Balance: 150, Events: 15}); err != nil {
		t.Fatal(err)
	}
	want[*eventstore.VersionNotFoundError](t, s.SaveSnapshot(ctx, 26, account{}))
	for _, r := range []*eventstore.Reader{s.Reader, reader(t, p, id)} {
		if v, err := r.Snapshots(ctx); err != nil || !slices.Equal(v, []int64{10, 15, 20}) {
			t.Errorf("Snapshots: %v, %v", v, err)
		}
		for _, c := range []struct{ to, snapshot, last int64 }{{0, 20, 25}, {25, 20, 25}, {22, 20, 22}, {20, 20, 20}, {19, 15, 19}, {9, 0, 9}, {99, 20, 25}} {
			var options []eventstore.ReadOption
			if c.to > 0 {
				options = append(options, eventstore.ToVersion(c.to))
			}
			snapshot, events, err := r.Load(ctx, options...)
			if err != nil {
				t.Fatal(err)
			}
			rest := collect(t, events)
			state, _ := snapshot.Data.(account)
			for _, e := range rest {
				state, _ = fold(state, e)
			}
			if snapshot.Version != c.snapshot || state.Events != int(c.last) || state.Balance != 10*c.last || int64(len(rest)) != c.last-c.snapshot {
				t.Errorf("Load up to %d: snapshot at %d, then %v", c.to, snapshot.Version, versions(rest))
			}
		}
		if last, err := r.LastSnapshot(ctx); err != nil || last.Version != 20 || last.Data != (account{200, 20}) {
			t.Errorf("LastSnapshot: %+v, %v", last, err)
		}
	}
	// One that is unreadable, one that is missing: the next older is used.
	k := names{partition: s.Stream().String()}
	write(t, target.State, k, driver.Write{Key: k.key("snapshot:20"), Value: []byte("not ours")}, driver.Write{Key: k.key("snapshot:15")})
	snapshot, events, err := s.Load(ctx)
	if err != nil || snapshot.Version != 10 || len(collect(t, events)) != 15 {
		t.Errorf("Load past damaged snapshots: %+v, %v", snapshot, err)
	}
	_, err = s.Snapshot(ctx, 20)
	want[*eventstore.DamagedError](t, err)
	if err := s.ClearSnapshot(ctx, 10); err != nil {
		t.Error(err)
	}
	want[*eventstore.SnapshotNotFoundError](t, s.ClearSnapshot(ctx, 10))
	if err := s.ClearSnapshots(ctx); err != nil {
		t.Error(err)
	}
	if v, err := s.Snapshots(ctx); err != nil || len(v) > 0 {
		t.Errorf("after clearing: %v, %v", v, err)
	}
	wantVersions(t, collect(t, s.Read(ctx)), upTo(25))
}

// wholeOrNothing loses every request of an append in turn, before and after it takes effect.
func wholeOrNothing(t *testing.T, target Target) {
	for _, lost := range []string{"before", "after"} {
		for n := range 4 {
			f := &faulty{State: target.State}
			s := eventstore.DefaultSettings()
			s.CommitTimeout = 50 * time.Millisecond
			p := Target{State: f, Locker: target.Locker}.provider(t, eventstore.WithSettings(s))
			id := unique()
			session := open(t, p, id)
			appendOne(t, session, opened{})
			var count atomic.Int32
			fault := func(op, key string) error {
				if !strings.HasSuffix(key, ":lease") && int(count.Add(1)) > n {
					return errLost
				}
				return nil
			}
			if lost == "before" {
				f.set(fault, nil)
			} else {
				f.set(nil, fault)
			}
			_, err := session.Append(contextOf(t), eventstore.ExpectVersion(1), deposited{Amount: 1}, deposited{Amount: 2}, deposited{Amount: 3})
			f.set(nil, nil)
			got := int64(len(collect(t, reader(t, target.provider(t), id).Read(contextOf(t)))))
			var unknown *eventstore.OutcomeUnknownError
			switch {
			case err == nil && got != 4:
				t.Errorf("requests lost %s they took effect from number %d on: acknowledged, but the stream has %d events", lost, n, got)
			case got != 1 && got != 4:
				t.Errorf("requests lost %s they took effect from number %d on: the stream has %d events", lost, n, got)
			case errors.As(err, &unknown):
				v, err := session.Retry(contextOf(t), unknown)
				for errors.As(err, &unknown) { // it has as little time as the append had
					v, err = session.Retry(contextOf(t), unknown)
				}
				if v != 4 || err != nil {
					t.Errorf("Retry: %d, %v", v, err)
				}
				wantVersions(t, collect(t, reader(t, target.provider(t), id).Read(contextOf(t))), upTo(4))
				if outcome, err := session.Outcome(contextOf(t), unknown.Base, unknown.CommitID); outcome != eventstore.OutcomeCommitted || err != nil {
					t.Errorf("Outcome: %v, %v", outcome, err)
				}
			}
			session.Close()
		}
	}
}

func conflicts(t *testing.T, target Target) {
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
				case errors.Is(err, &eventstore.VersionMismatchError{}):
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
