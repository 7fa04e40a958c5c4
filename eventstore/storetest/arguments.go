package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// testBadArguments passes every kind of bad argument, and contexts that have ended.
func testBadArguments(t *testing.T, target Target) {
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
		_, err := p.Open(ctx, eventstore.Stream{Database: database, Type: aggregateType, ID: id})
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
		{func() error { _, err := p.Open(ctx, p.StreamOf(eventstore.Metadata{})); return err }(), "aggregate type"},
		{func() error { _, err := p.Reader(p.Stream("a", " ")).Version(ctx); return err }(), "aggregate id"},
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

	// With a context that has ended nothing is stored, and the error says that the context ended.
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
		if _, err := p.Open(ended, p.Stream("account", unique())); !errors.Is(err, cause) {
			t.Errorf("Open: %v, want %v", err, cause)
		}
	}
	wantVersions(t, collect(t, s.Read(ctx)), upTo(1))
}

// testAwkwardNames uses names with special characters next to each other.
func testAwkwardNames(t *testing.T, target Target) {
	p := target.provider(t)
	suffix := unique()
	long := 160
	if limit := target.State.Capabilities().MaxKeyBytes; limit > 0 {
		long = min(long, limit-len("{EventStores:account:"+suffix+"}:snapshot:9223372036854775807"))
	}
	awkward := []string{"a/b", "a|b", "a||b", "{", "}", "{a}", "a}:head", "%", "%25", "a b", " a", "a ", "ä", "😀", "a:b", "a\\b", "a?b#c", "A", "a", "a\tb\n", strings.Repeat("x", long)}
	for i, name := range awkward {
		s, err := p.Open(contextOf(t), p.Stream("account", name+suffix))
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
}
