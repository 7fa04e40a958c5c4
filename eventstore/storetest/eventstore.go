package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
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

// Target is where an event store is tested.
type Target struct {
	State  driver.State
	Locker driver.Locker // nil: the lease in the state store
}

// TestEventStore checks the event store itself over a store: every requirement and every error. It takes
// some seconds, for sessions to run out.
func TestEventStore(t *testing.T, target Target) {
	run(t, append(requirements(target), errorRows(target)...))
}

// Types of the events that the suite appends.
type (
	opened    struct{ Owner string }
	deposited struct {
		Amount int64
		Note   string
	}
	closed  struct{}
	account struct {
		Balance int64
		Events  int
	}
	unregistered struct{}
)

func registry(t *testing.T) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(
		eventstore.Type[opened]("opened"),
		eventstore.Type[deposited]("deposited"),
		eventstore.Type[closed]("closed"),
		eventstore.Type[account]("account"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (target Target) provider(t *testing.T, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	all := []eventstore.Option{eventstore.WithRegistry(registry(t)), eventstore.WithLogger(slog.New(slog.DiscardHandler))}
	if target.Locker != nil {
		all = append(all, eventstore.WithLocker(target.Locker))
	}
	p, err := eventstore.NewProvider(target.State, append(all, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func withTimeouts(open, session time.Duration) eventstore.Option {
	s := eventstore.DefaultSettings()
	s.OpenTimeout, s.SessionTimeout = open, session
	return eventstore.WithSettings(s)
}

func open(t *testing.T, p *eventstore.Provider, id string) *eventstore.Session {
	t.Helper()
	s, err := p.Open(contextOf(t), "account", id)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func reader(t *testing.T, p *eventstore.Provider, id string) *eventstore.Reader {
	t.Helper()
	r, err := p.Reader("account", id)
	if err != nil {
		t.Fatalf("Reader: %v", err)
	}
	return r
}

func appendOne(t *testing.T, s *eventstore.Session, events ...any) int64 {
	t.Helper()
	v, err := s.Append(contextOf(t), eventstore.ExpectAny(), events...)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return v
}

func collect(t *testing.T, events iter.Seq2[eventstore.Event, error]) []eventstore.Event {
	t.Helper()
	var all []eventstore.Event
	for event, err := range events {
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		all = append(all, event)
	}
	return all
}

func versions(events []eventstore.Event) []int64 {
	v := make([]int64, len(events))
	for i, e := range events {
		v[i] = e.Version
	}
	return v
}

func upTo(n int64) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i) + 1
	}
	return v
}

func wantVersions(t *testing.T, got []eventstore.Event, want []int64) {
	t.Helper()
	if !slices.Equal(versions(got), want) {
		t.Errorf("read versions %v, want %v", versions(got), want)
	}
}

// want checks that an error is of the type of E and has a message that a reader can act on.
func want[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got the error %v (%T), want %T", err, err, e)
	}
	if !errors.Is(err, reflect.New(reflect.TypeOf(e).Elem()).Interface().(error)) {
		t.Errorf("errors.Is does not match an empty %T", e)
	}
	if len(err.Error()) < 20 || !strings.HasPrefix(err.Error(), "eventstore: ") {
		t.Errorf("the message does not say enough: %s", err)
	}
	return e
}

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
	made, err := eventstore.SnapshotEvery(ctx, s, 10, account{}, fold)
	if err != nil || !slices.Equal(made, []int64{10, 20}) {
		t.Fatalf("SnapshotEvery: %v, %v", made, err)
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

// noLock is a locker that lets everybody in, as one whose locks have all lapsed.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
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

func errorRows(target Target) []test {
	return []test{
		{"error: the store is not open", "a closed session must not touch what another may hold now",
			func(t *testing.T) {
				var never eventstore.Session
				_, err := never.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				want[*eventstore.NotOpenError](t, err)
				want[*eventstore.NotOpenError](t, never.Close())
				s := open(t, target.provider(t), unique())
				s.Close()
				_, err = s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				if e := want[*eventstore.NotOpenError](t, err); e.Stream != s.Stream() || e.Session != s.ID() {
					t.Errorf("%+v", e)
				}
				for _, err := range s.Read(contextOf(t)) {
					want[*eventstore.NotOpenError](t, err)
				}
				_, err = s.Version(contextOf(t))
				want[*eventstore.NotOpenError](t, err)
				want[*eventstore.NotOpenError](t, s.SaveSnapshot(contextOf(t), 1, account{}))
			}},
		{"error: the session has expired", "what comes after a session's time must not get between those of the next",
			func(t *testing.T) {
				id := unique()
				s := open(t, target.provider(t, withTimeouts(0, 50*time.Millisecond)), id)
				<-time.After(time.Until(s.ExpiresAt()))
				_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				if e := want[*eventstore.SessionExpiredError](t, err); e.Stream != s.Stream() || e.Session != s.ID() || !e.ExpiredAt.Equal(s.ExpiresAt()) {
					t.Errorf("%+v", e)
				}
				_, err = s.Version(contextOf(t))
				want[*eventstore.SessionExpiredError](t, err)
				want[*eventstore.SessionExpiredError](t, s.Close())
				wantVersions(t, collect(t, reader(t, target.provider(t), id).Read(contextOf(t))), []int64{})
			}},
		{"error: another session holds the stream now", "a session that lost its lock says so",
			func(t *testing.T) {
				p := Target{State: target.State, Locker: noLock{}}.provider(t)
				id := unique()
				a, b := open(t, p, id), open(t, p, id)
				appendOne(t, a, opened{})
				_, err := b.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				want[*eventstore.VersionMismatchError](t, err)
				_, err = b.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				if e := want[*eventstore.SessionLostError](t, err); e.Stream != b.Stream() || e.Session != b.ID() {
					t.Errorf("%+v", e)
				}
				want[*eventstore.SessionLostError](t, b.Close())
				appendOne(t, a, deposited{})
			}},
		{"error: the stream could not be opened in time", "who is kept waiting must learn for what, and for how long",
			func(t *testing.T) {
				id := unique()
				s := open(t, target.provider(t), id)
				_, err := target.provider(t, withTimeouts(20*time.Millisecond, time.Minute)).Open(contextOf(t), "account", id)
				if e := want[*eventstore.OpenTimeoutError](t, err); e.Stream != s.Stream() || e.Waited < 20*time.Millisecond || e.Cause != nil {
					t.Errorf("%+v", e)
				}
				ctx, cancel := context.WithTimeout(contextOf(t), 200*time.Millisecond)
				defer cancel()
				_, err = target.provider(t, withTimeouts(time.Minute, time.Minute)).Open(ctx, "account", id)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("with a deadline: %v", err)
				}
				appendOne(t, s, opened{}) // it has not lost the stream by that
			}},
		{"error: version mismatch", "a decision on an old state is refused, with what is needed to decide again",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				appendOne(t, s, opened{}, deposited{})
				_, err := s.Append(contextOf(t), eventstore.ExpectVersion(1), closed{})
				if e := want[*eventstore.VersionMismatchError](t, err); e.Stream != s.Stream() || e.Expected != 1 || e.Actual != 2 || e.Metadata.Message.Type != "closed" || e.Metadata.Message.ID == "" {
					t.Errorf("%+v", e)
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
			}},
		{"error: version not found in the stream", "asking for what is not there must not look like an empty event",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				appendOne(t, s, opened{})
				_, err := s.Event(contextOf(t), 2)
				if e := want[*eventstore.VersionNotFoundError](t, err); e.Version != 2 || e.Stream != s.Stream() {
					t.Errorf("%+v", e)
				}
			}},
		{"error: snapshot version not found", "a snapshot that is not there is named",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				_, err := s.Snapshot(contextOf(t), 7)
				if e := want[*eventstore.SnapshotNotFoundError](t, err); e.Version != 7 || e.Stream != s.Stream() {
					t.Errorf("%+v", e)
				}
			}},
		{"error: idempotency id not found", "a lookup that finds nothing says so",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				_, err := s.VersionOf(contextOf(t), "never")
				if e := want[*eventstore.IdempotencyIDNotFoundError](t, err); e.IdempotencyID != "never" || e.Stream != s.Stream() {
					t.Errorf("%+v", e)
				}
			}},
		{"error: idempotency id already used", "a command that comes twice must learn what it did the first time",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				event := eventstore.Event{Data: deposited{Amount: 1}}
				event.Metadata.Context.IdempotencyID = "command 1"
				appendOne(t, s, opened{}, event)
				_, err := s.Append(contextOf(t), eventstore.ExpectAny(), event)
				if e := want[*eventstore.IdempotencyIDUsedError](t, err); e.Stream != s.Stream() || e.IdempotencyID != "command 1" || e.Version != 2 {
					t.Errorf("%+v", e)
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(2))
			}},
		{"error: stored data is damaged", "damage is found, named and never skipped",
			func(t *testing.T) { damage(t, target) }},
		{"a head that was lost is made anew, when asked to", "a store that evicts keys, or a slip of the hand, must not cost the history",
			func(t *testing.T) { rebuild(t, target) }},
		{"error: the stream is closed", "a history that has ended stays as it is",
			func(t *testing.T) {
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
				shared, err := p.OpenShared(contextOf(t), s.Stream())
				if err != nil {
					t.Fatalf("OpenShared: %v", err)
				}
				_, err = shared.Append(contextOf(t), eventstore.ExpectVersion(2), deposited{})
				want[*eventstore.StreamClosedError](t, err)
				wantVersions(t, collect(t, shared.Read(contextOf(t))), upTo(2))
			}},
		{"error: the stream was deleted", "what was deleted is gone, and nothing begins anew under its name",
			func(t *testing.T) { deleteStream(t, target) }},
		{"error: event type not registered", "an event that can't be stored as its own type is not stored at all",
			func(t *testing.T) {
				s := open(t, target.provider(t), unique())
				_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{}, unregistered{})
				if e := want[*eventstore.TypeNotRegisteredError](t, err); !strings.Contains(e.Type, "unregistered") {
					t.Errorf("%+v", e)
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), []int64{})
			}},
		{"error: batch too large for one request", "what can't be one append is refused before any of it is sent",
			func(t *testing.T) {
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
				for range 5 { // one by one they fit, also where the head still carries the one before
					appendOne(t, s, opened{half})
				}
				wantVersions(t, collect(t, s.Read(contextOf(t))), upTo(5))
				s.Close()
				wantVersions(t, collect(t, reader(t, p, s.Stream().ID).Read(contextOf(t))), upTo(5))
			}},
		{"error: outcome unknown", "an append whose answer was lost may stand, and who asked must be able to find out",
			func(t *testing.T) {
				f := &faulty{State: target.State}
				settings := eventstore.DefaultSettings()
				settings.CommitTimeout = 20 * time.Millisecond
				s := open(t, Target{State: f, Locker: target.Locker}.provider(t, eventstore.WithSettings(settings)), unique())
				f.set(func(string, string) error { return errLost }, nil)
				_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
				f.set(nil, nil)
				e := want[*eventstore.OutcomeUnknownError](t, err)
				if e.Stream != s.Stream() || e.CommitID == "" || e.Base != 0 || !errors.Is(err, errLost) {
					t.Errorf("%+v", e)
				}
				if outcome, err := s.Outcome(contextOf(t), e.Base, e.CommitID); outcome != eventstore.OutcomePending || err != nil {
					t.Errorf("Outcome: %v, %v", outcome, err)
				}
				appendOne(t, s, opened{"instead"})
				if outcome, err := s.Outcome(contextOf(t), e.Base, e.CommitID); outcome != eventstore.OutcomeRejected || err != nil {
					t.Errorf("Outcome: %v, %v", outcome, err)
				}
				s.Close()
				later := open(t, target.provider(t), s.Stream().ID) // with the time that it needs
				_, err = later.Retry(contextOf(t), e)
				want[*eventstore.VersionMismatchError](t, err)
			}},
		{"error: storage failed", "a store that is away is told from a stream that is empty",
			func(t *testing.T) {
				f := &faulty{State: target.State}
				f.set(func(string, string) error { return errLost }, nil)
				p := Target{State: f, Locker: target.Locker}.provider(t)
				_, err := p.Open(contextOf(t), "account", unique())
				if e := want[*eventstore.StorageError](t, err); !errors.Is(err, errLost) || e.Stream.Type != "account" {
					t.Errorf("%+v", e)
				}
			}},
		{"error: bad argument", "what can't work is refused before anything is sent, and says why",
			func(t *testing.T) { badArguments(t, target) }},
		{"names with awkward characters work and stay apart", "no name reaches into another stream",
			func(t *testing.T) {
				p := target.provider(t)
				suffix := unique()
				long := 160
				if limit := target.State.Capabilities().MaxKeyBytes; limit > 0 {
					long = min(long, limit-len("{EventStores:account:"+suffix+"}:snapshot:9223372036854775807"))
				}
				awkward := []string{"a/b", "a|b", "a||b", "{", "}", "{a}", "a}:head", "%", "%25", "a b", " a", "a ", "ä", "😀", "a:b", "a\\b", "a?b#c", "A", "a", "a\tb\n", strings.Repeat("x", long)}
				for i, name := range awkward {
					s, err := p.Open(contextOf(t), "account", name+suffix)
					if err != nil {
						t.Fatalf("Open(%q): %v", name, err)
					}
					appendOne(t, s, deposited{Amount: int64(i)})
					s.Close()
				}
				for i, name := range awkward {
					events := collect(t, reader(t, p, name+suffix).Read(contextOf(t)))
					if len(events) != 1 || events[0].Data != (deposited{Amount: int64(i)}) {
						t.Errorf("stream %q has %v", name, events)
					}
				}
			}},
	}
}

func damage(t *testing.T, target Target) {
	p := target.provider(t)
	id := unique()
	s := open(t, p, id)
	appendOne(t, s, opened{})
	appendOne(t, s, deposited{}, deposited{})
	appendOne(t, s, deposited{})
	s.Close()
	k := names{partition: s.Stream().String()}
	r := reader(t, p, id)
	original := getMany(t, target.State, k, "2", "3")
	for _, c := range []struct {
		name  string
		value []byte
	}{
		{"missing", nil}, {"not ours", []byte(`{"value":"not ours"}`)}, {"empty header", []byte("eventstore/1 event 00000000\n\n")},
		{"another version", original[1].Value}, {"one byte changed", slices.Concat(original[0].Value[:len(original[0].Value)-1], []byte("!"))},
		{"cut off", original[0].Value[:40]},
	} {
		write(t, target.State, k, driver.Write{Key: k.key("2"), Value: c.value})
		var got []int64
		var failure error
		for event, err := range r.Read(contextOf(t)) {
			if err != nil {
				failure = err
				break
			}
			got = append(got, event.Version)
		}
		if e := want[*eventstore.DamagedError](t, failure); e.Version != 2 || e.Key != k.key("2") || e.Stream != s.Stream() {
			t.Errorf("%s: %+v", c.name, e)
		}
		if !slices.Equal(got, []int64{1}) {
			t.Errorf("%s: read %v before the damage, want [1]", c.name, got)
		}
	}
	write(t, target.State, k, driver.Write{Key: k.key("2"), Value: original[0].Value})
	wantVersions(t, collect(t, r.Read(contextOf(t))), upTo(4))

	// A head that is not ours, and one that is gone while events stand.
	other := unique()
	n := names{partition: eventstore.Stream{Database: "EventStores", Type: "account", ID: other}.String()}
	swap(t, target.State, n, "head", "not ours", "")
	_, err := reader(t, p, other).Version(contextOf(t))
	want[*eventstore.DamagedError](t, err)
	_, err = p.Open(contextOf(t), "account", other)
	want[*eventstore.DamagedError](t, err)
	other = unique()
	n = names{partition: eventstore.Stream{Database: "EventStores", Type: "account", ID: other}.String()}
	write(t, target.State, n, driver.Write{Key: n.key("1"), Value: original[0].Value})
	_, err = p.Open(contextOf(t), "account", other)
	if e := want[*eventstore.DamagedError](t, err); e.Key != n.key("head") {
		t.Errorf("%+v", e)
	}

	// Whatever else a stream has.
	s = open(t, p, id)
	write(t, target.State, k, driver.Write{Key: k.key("idem:x"), Value: []byte("not ours")}, driver.Write{Key: k.key("snapshot:1"), Value: []byte("not ours")})
	swap(t, target.State, k, "snapshots", "not ours", "")
	for key, damaged := range map[string]func() error{
		"idem:x":     func() error { _, err := r.VersionOf(contextOf(t), "x"); return err },
		"snapshots":  func() error { _, err := r.Snapshots(contextOf(t)); return err },
		"snapshot:1": func() error { _, err := r.Snapshot(contextOf(t), 1); return err },
	} {
		if e := want[*eventstore.DamagedError](t, damaged()); e.Key != k.key(key) || e.Stream != s.Stream() {
			t.Errorf("%s: %+v", key, e)
		}
	}
	if target.Locker == nil {
		swap(t, target.State, n, "lease", "not ours", get(t, target.State, n, "lease").ETag)
		_, err = p.Open(contextOf(t), "account", other)
		if e := want[*eventstore.DamagedError](t, err); e.Key != n.key("lease") {
			t.Errorf("%+v", e)
		}
	}
}

func rebuild(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	stream, named := s.Stream(), eventstore.Event{Data: deposited{Amount: 2}}
	named.Metadata.Context.IdempotencyID = "twice"
	appendOne(t, s, opened{}, named)
	appendOne(t, s, deposited{Amount: 3}) // which settles the first two where the head carried them
	appendOne(t, s, deposited{Amount: 4})
	s.Close()
	before := collect(t, reader(t, p, stream.ID).Read(contextOf(t)))
	k := names{partition: stream.String()}
	write(t, target.State, k, driver.Write{Key: k.key("head")}, driver.Write{Key: k.key("idem:twice")})
	verify := func() eventstore.Verification {
		t.Helper()
		found, err := reader(t, p, stream.ID).Verify(contextOf(t), nil)
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		return found
	}
	if found := verify(); found.Sound() || found.Damage[0].Key != k.key("head") {
		t.Errorf("without its head the stream was verified as %+v", found)
	}
	_, err := p.Open(contextOf(t), "account", stream.ID)
	want[*eventstore.DamagedError](t, err)

	rebuilt, err := p.RebuildHead(contextOf(t), stream, nil)
	if err != nil {
		t.Fatalf("RebuildHead: %v", err)
	}
	if rebuilt.Damage == nil || rebuilt.Version != 4 || rebuilt.Events != 4 || rebuilt.IdempotencyKeys != 1 {
		t.Errorf("rebuilt %+v", rebuilt)
	}
	if found := verify(); !found.Sound() || found.Version != 4 || found.Events != 4 {
		t.Errorf("with its head rebuilt the stream was verified as %+v", found)
	}
	after := collect(t, reader(t, p, stream.ID).Read(contextOf(t)))
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the stream was %v and is %v", before, after)
	}
	s = open(t, p, stream.ID)
	defer s.Close()
	_, err = s.Append(contextOf(t), eventstore.ExpectVersion(4), named)
	if e := want[*eventstore.IdempotencyIDUsedError](t, err); e.Version != 2 {
		t.Errorf("%+v", e)
	}
	appendOne(t, s, closed{})
	if again, err := p.RebuildHead(contextOf(t), stream, nil); err != nil || again.Damage != nil || again.Version != 5 {
		t.Errorf("a sound head was rebuilt: %+v, %v", again, err)
	}
}

func deleteStream(t *testing.T, target Target) {
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
	for range 2 { // again it finds nothing left
		if err := s.DeleteStream(contextOf(t), eventstore.ExpectAny()); err != nil {
			t.Fatalf("DeleteStream: %v", err)
		}
	}
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

func badArguments(t *testing.T, target Target) {
	p := target.provider(t)
	s := open(t, p, unique())
	appendOne(t, s, opened{})
	ctx := contextOf(t)
	settings := func(change func(*eventstore.Settings)) error {
		all := eventstore.DefaultSettings()
		change(&all)
		_, err := eventstore.NewProvider(target.State, eventstore.WithSettings(all))
		return err
	}
	appending := func(expected eventstore.Expected, events ...any) error {
		_, err := s.Append(ctx, expected, events...)
		return err
	}
	with := func(change func(*eventstore.Metadata)) eventstore.Event {
		e := eventstore.Event{Data: opened{}}
		change(&e.Metadata)
		return e
	}
	opening := func(database, aggregateType, id string) error {
		_, err := p.OpenIn(ctx, database, aggregateType, id)
		return err
	}
	reading := func(options ...eventstore.ReadOption) error {
		for _, err := range s.Read(ctx, options...) {
			return err
		}
		return nil
	}
	var nilPointer *opened
	for _, c := range []struct {
		err  error
		says string
	}{
		{opening("", "a", "b"), "database"},
		{opening("d", " \t", "b"), "aggregate type"},
		{opening("d", "a", ""), "aggregate id"},
		{opening("d", "a", "\xff"), "UTF-8"},
		{opening("d", "a", strings.Repeat("x", 1000)), "1000 bytes"},
		{opening("d", strings.Repeat("x", 1000), "b"), "1000 bytes"},
		{opening(strings.Repeat("x", 1000), "a", "b"), "1000 bytes"},
		{func() error { _, err := p.OpenFor(ctx, eventstore.Metadata{}); return err }(), "aggregate type"},
		{func() error { _, err := p.Reader("a", " "); return err }(), "aggregate id"},
		{appending(eventstore.ExpectAny()), "none"},
		{appending(eventstore.ExpectAny(), opened{}, nil), "events[1]"},
		{appending(eventstore.ExpectAny(), nilPointer), "nil"},
		{appending(eventstore.ExpectVersion(-1), opened{}), "negative"},
		{appending(eventstore.ExpectAny(), eventstore.Raw{}), "Type"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Message.AggregateID = "other" })), "other"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Message.AggregateType = "other" })), "other"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Context.PartitionID = "other" })), "other"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Context.SequenceNumber = -1 })), "negative"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Context.IdempotencyID = " " })), "blank"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Message.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) })), "9999"},
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Context.IdempotencyID = "twice" }), with(func(m *eventstore.Metadata) { m.Context.IdempotencyID = "twice" })), "twice"},
		{reading(eventstore.FromVersion(-1)), "negative"},
		{reading(eventstore.FromVersion(0)), "begin at 1"},
		{reading(eventstore.ToVersion(-7)), "negative"},
		{reading(eventstore.FromVersion(3), eventstore.ToVersion(2)), "above"},
		{reading(nil), "nil"},
		{func() error { _, err := s.Slice(ctx, 3, 2); return err }(), "above"},
		{func() error { _, err := s.Slice(ctx, -3, 2); return err }(), "negative"},
		{func() error { _, err := s.Event(ctx, 0); return err }(), "begin at 1"},
		{func() error { _, err := s.Event(ctx, -1); return err }(), "negative"},
		{func() error { _, err := s.Snapshot(ctx, -1); return err }(), "negative"},
		{func() error { _, err := s.VersionOf(ctx, ""); return err }(), "blank"},
		{func() error { _, err := s.Outcome(ctx, -1, ""); return err }(), "OutcomeUnknownError"},
		{s.SaveSnapshot(ctx, -1, account{}), "negative"},
		{s.SaveSnapshot(ctx, 1, nil), "nil"},
		{s.ClearSnapshot(ctx, 0), "begin at 1"},
		{settings(func(s *eventstore.Settings) { s.DefaultDatabase = "  " }), "Settings.DefaultDatabase"},
		{settings(func(s *eventstore.Settings) { s.OpenTimeout = -1 }), "Settings.OpenTimeout"},
		{settings(func(s *eventstore.Settings) { s.SessionTimeout = 0 }), "Settings.SessionTimeout"},
		{settings(func(s *eventstore.Settings) { s.CommitTimeout = 0 }), "Settings.CommitTimeout"},
	} {
		want[*eventstore.ArgumentError](t, c.err)
		if !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("the message does not say %q: %v", c.says, c.err)
		}
	}
	wantVersions(t, collect(t, s.Read(ctx)), upTo(1))

	// A context that has ended stores nothing, and is told apart from all else.
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	expired, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	for ended, cause := range map[context.Context]error{cancelled: context.Canceled, expired: context.DeadlineExceeded} {
		_, err := s.Append(ended, eventstore.ExpectAny(), opened{})
		if want[*eventstore.StorageError](t, err); !errors.Is(err, cause) {
			t.Errorf("Append: %v, want %v", err, cause)
		}
		for _, err := range s.Read(ended) {
			if !errors.Is(err, cause) {
				t.Errorf("Read: %v, want %v", err, cause)
			}
		}
		if _, err := p.Open(ended, "account", unique()); !errors.Is(err, cause) {
			t.Errorf("Open: %v, want %v", err, cause)
		}
	}
	wantVersions(t, collect(t, s.Read(ctx)), upTo(1))
}

// syncBuffer is a buffer that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}
