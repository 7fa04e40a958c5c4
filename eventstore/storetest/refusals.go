package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

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
				_, err := b.Append(contextOf(t), eventstore.ExpectVersion(0), opened{})
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
		{appending(eventstore.ExpectAny(), with(func(m *eventstore.Metadata) { m.Custom = map[string]string{"": ""} })), "empty key"},
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
