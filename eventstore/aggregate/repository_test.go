package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// The state of these tests counts.
type (
	counter struct{ Sum, Events int }
	added   struct{ N int }
	cleared struct{}
	other   struct{}
)

func count(c counter, event eventstore.Event) (counter, error) {
	c.Events++
	switch e := event.Data.(type) {
	case added:
		c.Sum += e.N
	case cleared:
		c.Sum = 0
	default:
		return c, fmt.Errorf("%T is unknown", e)
	}
	return c, nil
}

// add returns a decision to add n, in one event.
func add(n int) aggregate.Decide[counter] {
	return func(counter) ([]any, error) { return []any{added{n}}, nil }
}

func registry(t *testing.T) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(eventstore.Type[added]("added"), eventstore.Type[cleared]("cleared"), eventstore.Type[other]("other"), eventstore.Type[counter]("counter"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counters returns a repository on a store in memory.
func counters(t *testing.T, store *memstate.Store, options ...aggregate.Option) *aggregate.Repository[counter] {
	t.Helper()
	r, err := aggregate.NewRepository(provider(t, store), "counter", count, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func provider(t *testing.T, store *memstate.Store) *eventstore.Provider {
	t.Helper()
	p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry(t)), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// onEach runs a test in faked time on a store of each kind.
func onEach(t *testing.T, test func(t *testing.T, store *memstate.Store)) {
	t.Parallel()
	for name, store := range map[string]func() *memstate.Store{"transactional": memstate.Transactional, "Redis": memstate.Redis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, store()) })
		})
	}
}

func pass(d time.Duration) { <-time.After(d) }

func update(t *testing.T, r *aggregate.Repository[counter], decide aggregate.Decide[counter], options ...aggregate.UpdateOption) aggregate.Aggregate[counter] {
	t.Helper()
	a, err := r.Update(t.Context(), "1", decide, options...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func load(t *testing.T, r *aggregate.Repository[counter], options ...eventstore.ReadOption) aggregate.Aggregate[counter] {
	t.Helper()
	a, err := r.Load(t.Context(), "1", options...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAnAggregateIsWhatItsEventsMakeOfIt(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		if a := load(t, r); a.Version != 0 || a.State != (counter{}) {
			t.Errorf("without events it is %+v", a)
		}
		a := update(t, r, func(c counter) ([]any, error) {
			return []any{added{1}, &added{2}, eventstore.Event{Data: added{3}}}, nil
		})
		if a.Version != 3 || a.State != (counter{6, 3}) || len(a.Appended) != 3 || a.RepeatOf != 0 {
			t.Errorf("after the first update it is %+v", a)
		}
		a = update(t, r, func(c counter) ([]any, error) {
			if c != (counter{6, 3}) {
				t.Errorf("the decision saw %+v", c)
			}
			return []any{cleared{}}, nil
		})
		if a.Version != 4 || a.State != (counter{0, 4}) {
			t.Errorf("after the second update it is %+v", a)
		}
		if again := load(t, r); again.Version != 4 || again.State != a.State || len(again.Appended) != 0 {
			t.Errorf("loaded it is %+v", again)
		}
		if was := load(t, r, eventstore.ToVersion(2)); was.Version != 2 || was.State != (counter{3, 2}) {
			t.Errorf("as of version 2 it is %+v", was)
		}
	})
}

func TestAnUpdateReturnsTheEventsAsTheyAreRead(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		own := eventstore.Event{Data: added{2}}
		own.Metadata.Context.UserID = "Grace"
		a := update(t, r, func(counter) ([]any, error) { return []any{added{1}, own}, nil }, aggregate.WithIdempotencyID("c1"),
			aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{CorrelationID: "request", CausationID: "command", UserID: "Ada", Scopes: []string{"write"}}}))
		reader := provider(t, store).Reader(eventstore.Stream{Database: "EventStores", Type: "counter", ID: "1"})
		stored, err := reader.Slice(t.Context(), 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a.Appended, stored) {
			t.Errorf("returned\n%+v, read\n%+v", a.Appended, stored)
		}
		first, second := stored[0].Metadata.Context, stored[1].Metadata.Context
		if first.CorrelationID != "request" || first.CausationID != "command" || first.UserID != "Ada" || first.IdempotencyID != "c1" || !slices.Equal(first.Scopes, []string{"write"}) {
			t.Errorf("the first event's context is %+v", first)
		}
		if second.CorrelationID != "request" || second.UserID != "Grace" || second.IdempotencyID != "" {
			t.Errorf("the second event's context is %+v", second)
		}
	})
}

func TestADecisionThatRefusesOrDecidesNothingStoresNothing(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		update(t, r, add(1))
		before := store.Values()
		refused := errors.New("no")
		if a, err := r.Update(t.Context(), "1", func(counter) ([]any, error) { return []any{added{1}}, refused }); err != refused || a.Version != 1 {
			t.Errorf("refused: %+v, %v", a, err)
		}
		if a := update(t, r, func(counter) ([]any, error) { return nil, nil }); a.Version != 1 || a.State.Sum != 1 {
			t.Errorf("nothing decided: %+v", a)
		}
		if _, err := r.Update(t.Context(), "1", func(counter) ([]any, error) { return []any{added{1}, other{}}, nil }); err == nil || !strings.Contains(err.Error(), "folding version 3 of counter, a other") {
			t.Errorf("an event that can't be folded: %v", err)
		}
		if _, err := r.Update(t.Context(), "1", func(counter) ([]any, error) { return []any{struct{}{}}, nil }); !errors.As(err, new(*eventstore.TypeNotRegisteredError)) {
			t.Errorf("an event of a type that is not registered: %v", err)
		}
		if !reflect.DeepEqual(before, store.Values()) {
			t.Error("something was stored")
		}
	})
}

func TestUpdatesThatMeetAreDecidedAnew(t *testing.T) {
	for _, mode := range []struct {
		name    string
		options []aggregate.Option
	}{{"optimistic", []aggregate.Option{aggregate.WithRetries(1000)}}, {"exclusive", []aggregate.Option{aggregate.Exclusive()}}} {
		t.Run(mode.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				const writers, updates = 8, 25
				r := counters(t, store, mode.options...)
				var all sync.WaitGroup
				for range writers {
					all.Go(func() {
						for range updates {
							_, err := r.Update(t.Context(), "1", func(c counter) ([]any, error) {
								pass(time.Millisecond) // others are stored first
								return []any{added{c.Sum + 1}, added{-c.Sum}}, nil
							})
							if err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				if a := load(t, r); a.State.Sum != writers*updates || a.Version != 2*writers*updates {
					t.Errorf("%+v", a)
				}
			})
		})
	}
}

func TestAnUpdateIsRetriedAsOftenAsAskedAndNotWithAnExpectedVersion(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		overtaken := func(r *aggregate.Repository[counter], options ...aggregate.UpdateOption) (decided int, err error) {
			_, err = r.Update(t.Context(), "1", func(counter) ([]any, error) {
				decided++
				update(t, r, add(1))
				return []any{added{100}}, nil
			}, options...)
			return decided, err
		}
		for _, retries := range []int{0, 2} {
			decided, err := overtaken(counters(t, store, aggregate.WithRetries(retries)))
			if decided != retries+1 || !errors.As(err, new(*eventstore.VersionMismatchError)) {
				t.Errorf("%d retries: decided %d times, %v", retries, decided, err)
			}
		}
		r := counters(t, store)
		at := load(t, r).Version
		decided, err := overtaken(r, aggregate.WithExpectedVersion(at))
		if decided != 1 || !errors.As(err, new(*eventstore.VersionMismatchError)) {
			t.Errorf("with a version: decided %d times, %v", decided, err)
		}
		_, err = r.Update(t.Context(), "1", func(counter) ([]any, error) { t.Error("decided at another version"); return nil, nil }, aggregate.WithExpectedVersion(at))
		var mismatch *eventstore.VersionMismatchError
		if !errors.As(err, &mismatch) || mismatch.Actual != at+1 || mismatch.Expected != at {
			t.Errorf("at another version: %v", err)
		}
		if load(t, r).State.Sum >= 100 {
			t.Error("an update that was overtaken was stored")
		}
	})
}

func TestACommandIsDoneOnce(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		update(t, r, add(1))
		first := update(t, r, add(10), aggregate.WithIdempotencyID("c"))
		update(t, r, add(100))
		again, err := r.Update(t.Context(), "1", func(counter) ([]any, error) { t.Error("decided again"); return nil, nil }, aggregate.WithIdempotencyID("c"))
		if err != nil || first.RepeatOf != 0 || again.RepeatOf != 2 || again.Version != 3 || again.State.Sum != 111 {
			t.Errorf("first %+v, again %+v, %v", first, again, err)
		}
		// The command comes twice at the same time.
		a, err := r.Update(t.Context(), "1", func(counter) ([]any, error) {
			update(t, r, add(1000), aggregate.WithIdempotencyID("d"))
			return []any{added{1000}}, nil
		}, aggregate.WithIdempotencyID("d"))
		if err != nil || a.RepeatOf != 4 || a.State.Sum != 1111 {
			t.Errorf("at the same time: %+v, %v", a, err)
		}
	})
}

func TestSnapshotsAreSavedAsThePolicySays(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy []aggregate.Option
		want   []int64 // after ten updates of one event, an hour apart
	}{
		{"none", nil, nil},
		{"every 4 events", []aggregate.Option{aggregate.WithSnapshotEvery(4)}, []int64{4, 8}},
		{"after 3 hours", []aggregate.Option{aggregate.WithSnapshotAfter(3 * time.Hour)}, []int64{7, 10}},
		{"whichever comes first", []aggregate.Option{aggregate.WithSnapshotEvery(2), aggregate.WithSnapshotAfter(3 * time.Hour)}, []int64{8, 10}},
		{"five of them", []aggregate.Option{aggregate.WithSnapshotEvery(1), aggregate.WithSnapshotsKept(5)}, []int64{6, 7, 8, 9, 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				r := counters(t, store, test.policy...)
				for range 10 {
					update(t, r, add(1))
					pass(time.Hour)
				}
				reader := provider(t, store).Reader(eventstore.Stream{Database: "EventStores", Type: "counter", ID: "1"})
				got, err := reader.Snapshots(t.Context())
				if err != nil || !slices.Equal(got, test.want) {
					t.Errorf("snapshots at %v, %v, want %v", got, err, test.want)
				}
				a := load(t, r)
				if a.State != (counter{10, 10}) || len(got) > 0 && a.Snapshot != got[len(got)-1] {
					t.Errorf("loaded %+v", a)
				}
			})
		})
	}
}

func TestASnapshotThatCanNotBeSavedFailsNoUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(1))
		store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
			if request.Op != "getmany" && request.Has(":snapshots") {
				return errors.New("no snapshots today")
			}
			return next()
		}
		if a := update(t, r, add(1)); a.Version != 1 {
			t.Errorf("%+v", a)
		}
		if a := load(t, r); a.State.Sum != 1 || a.Snapshot != 0 {
			t.Errorf("%+v", a)
		}
	})
}

func TestASnapshotOfSomethingElseIsNotUsedAndReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(3))
		update(t, r, add(1))
		update(t, r, add(2))
		s, err := provider(t, store).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: "counter", ID: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSnapshot(t.Context(), 2, other{}); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if a := load(t, r); a.State != (counter{3, 2}) || a.Snapshot != 0 {
			t.Errorf("loaded %+v", a)
		}
		update(t, r, add(4))
		if a := load(t, r); a.State != (counter{7, 3}) || a.Snapshot != 3 {
			t.Errorf("loaded %+v", a)
		}
		if got, err := s.Reader.Snapshots(t.Context()); len(got) != 0 || err == nil {
			t.Errorf("a closed session lists %v, %v", got, err)
		}
		reader := provider(t, store).Reader(eventstore.Stream{Database: "EventStores", Type: "counter", ID: "1"})
		if got, err := reader.Snapshots(t.Context()); err != nil || !slices.Equal(got, []int64{2, 3}) { // of two types
			t.Errorf("snapshots at %v, %v", got, err)
		}
	})
}

func TestASnapshotOfAnOlderSchemaIsNotUsedAndReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(2))
		for range 5 {
			update(t, r, add(1))
		}
		types, err := eventstore.NewRegistry(eventstore.Type[added]("added"), eventstore.Type[counter]("counter", eventstore.WithSchemaVersion(2)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		if r, err = aggregate.NewRepository(p, "counter", count, aggregate.WithSnapshotEvery(2)); err != nil {
			t.Fatal(err)
		}
		if a := load(t, r); a.State != (counter{5, 5}) || a.Snapshot != 0 {
			t.Errorf("loaded %+v", a)
		}
		update(t, r, add(1))
		if a := load(t, r); a.State != (counter{6, 6}) || a.Snapshot != 6 {
			t.Errorf("afterwards loaded %+v", a)
		}
		reader := p.Reader(p.Stream("counter", "1"))
		if got, err := reader.Snapshots(t.Context()); err != nil || !slices.Equal(got, []int64{2, 4, 6}) { // an instance of the older version may still use two
			t.Errorf("snapshots at %v, %v", got, err)
		}
	})
}

func TestWhatCanNotWorkIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	p := provider(t, memstate.Transactional())
	options := map[string]aggregate.Option{
		"WithDatabase": aggregate.WithDatabase(" "), "WithRetries": aggregate.WithRetries(-1), "WithSnapshotEvery": aggregate.WithSnapshotEvery(0),
		"WithSnapshotAfter": aggregate.WithSnapshotAfter(0), "WithCache": aggregate.WithCache(0), "option": nil,
	}
	for name, option := range options {
		if _, err := aggregate.NewRepository(p, "counter", count, option); !errors.As(err, new(*eventstore.ArgumentError)) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unstorable := func(f func(), _ eventstore.Event) (func(), error) { return f, nil }
	if _, err := aggregate.NewRepository(p, "f", unstorable, aggregate.WithSnapshotEvery(1)); !errors.As(err, new(*eventstore.ArgumentError)) {
		t.Errorf("a state that can't be stored: %v", err)
	}
	_, err1 := aggregate.NewRepository(nil, "counter", count)
	_, err2 := aggregate.NewRepository(p, " ", count)
	_, err3 := aggregate.NewRepository[counter](p, "counter", nil)
	r := counters(t, memstate.Transactional())
	_, err4 := r.Update(t.Context(), "1", nil)
	_, err5 := r.Update(t.Context(), "1", add(1), nil)
	_, err6 := r.Update(t.Context(), "1", add(1), aggregate.WithIdempotencyID(""))
	_, err7 := r.Update(t.Context(), "1", add(1), aggregate.WithExpectedVersion(-1))
	_, err8 := r.Update(t.Context(), "1", add(1), aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{IdempotencyID: "x"}}))
	_, err8b := r.Update(t.Context(), "1", add(1), aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{SequenceNumber: 1}}))
	_, err8c := r.Update(t.Context(), "1", add(1), aggregate.WithMetadata(eventstore.Metadata{Message: eventstore.MessageMetadata{ID: "x"}}))
	_, err8d := r.Update(t.Context(), "1", add(1), aggregate.WithMetadata(eventstore.Metadata{Message: eventstore.MessageMetadata{AggregateType: "counter"}}))
	_, err9 := r.Update(t.Context(), " ", add(1))
	_, err10 := r.Load(t.Context(), "")
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err8b, err8c, err8d, err9, err10} {
		if !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%d: %v", i+1, err)
		}
	}
}

func TestAggregatesOfAnotherDatabaseAreOthers(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		ours, theirs := counters(t, store), counters(t, store, aggregate.WithDatabase("theirs"))
		update(t, ours, add(1))
		if a := load(t, theirs); a.Version != 0 {
			t.Errorf("%+v", a)
		}
	})
}
