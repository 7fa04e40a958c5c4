package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// The state of these tests keeps every event that the fold was given.
type (
	noted struct {
		Text string
		At   time.Time
		Tags []string
		Of   map[string]int
	}
	diary struct{ Pages []eventstore.Event }
)

func (d diary) apply(event eventstore.Event) (diary, error) {
	d.Pages = append(d.Pages[:len(d.Pages):len(d.Pages)], event)
	return d, nil
}

func diaries(t *testing.T, store *memstate.Store, options ...aggregate.Option) *aggregate.Repository[diary] {
	t.Helper()
	types, err := eventstore.NewRegistry(eventstore.Type[noted]("noted"), eventstore.Type[*cleared]("cleared"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := aggregate.NewRepository(p, "diary", diary.apply, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// asLoaded checks that an aggregate is deeply equal to what another repository loads at its
// version, and that its appended events are the last of that.
func asLoaded(t *testing.T, store *memstate.Store, got aggregate.Aggregate[diary]) {
	t.Helper()
	var options []eventstore.ReadOption
	if got.Version > 0 {
		options = append(options, eventstore.ToVersion(got.Version))
	}
	loaded, err := diaries(t, store).Load(t.Context(), "1", options...)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != loaded.Version || !reflect.DeepEqual(got.State, loaded.State) {
		t.Errorf("the update returned, at version %d,\n%+v\nloaded is, at version %d,\n%+v", got.Version, got.State, loaded.Version, loaded.State)
	}
	pages := loaded.State.Pages
	if n := len(got.Appended); n > 0 && (n > len(pages) || !reflect.DeepEqual(got.Appended, pages[len(pages)-n:])) {
		t.Errorf("the update says that it appended\n%+v\nloaded are\n%+v", got.Appended, pages)
	}
}

func TestAnUpdateReturnsExactlyWhatIsLoadedLater(t *testing.T) {
	zone := time.FixedZone("far", 5*3600+1800)
	stamped := func(m eventstore.Metadata) eventstore.Event {
		return eventstore.Event{Data: noted{Text: "stamped"}, Metadata: m}
	}
	tests := map[string]struct {
		events  func() []any
		options []aggregate.UpdateOption
	}{
		"a plain value": {events: func() []any { return []any{noted{Text: "a"}} }},
		"a pointer":     {events: func() []any { return []any{&noted{Text: "a"}} }},
		"a value of a type that is registered as a pointer": {events: func() []any { return []any{&cleared{}} }},
		"an event by pointer":                               {events: func() []any { return []any{&eventstore.Event{Data: noted{Text: "a"}}} }},
		"several":                                           {events: func() []any { return []any{noted{}, &cleared{}, noted{Text: "b"}} }},
		"a payload with a time of this machine": {events: func() []any {
			return []any{noted{At: time.Now()}, noted{At: time.Now().In(zone)}}
		}},
		"empty and absent slices and maps": {events: func() []any {
			return []any{noted{Tags: []string{}, Of: map[string]int{}}, noted{}, noted{Tags: []string{""}, Of: map[string]int{"": 0}}}
		}},
		"a Raw": {events: func() []any {
			return []any{eventstore.Raw{Type: "noted", ContentType: "application/json", Payload: []byte(` {"Text" : "raw", "Unknown": 1} `)}}
		}},
		"times with a monotonic clock": {events: func() []any {
			var m eventstore.Metadata
			m.Message.Created, m.Context.Timestamp = time.Now(), time.Now().Add(-time.Hour)
			return []any{stamped(m)}
		}},
		"times of another zone": {events: func() []any {
			var m eventstore.Metadata
			m.Message.Created, m.Context.Timestamp = time.Now().In(zone), time.Date(1999, 12, 31, 23, 59, 59, 1, zone)
			return []any{stamped(m)}
		}},
		"a time at which it was created and no other": {events: func() []any {
			var m eventstore.Metadata
			m.Message.Created = time.Date(2020, 2, 29, 12, 0, 0, 0, zone)
			return []any{stamped(m)}
		}},
		"all metadata of its own": {events: func() []any {
			var m eventstore.Metadata
			m.Message.ID = "id\n=%\x00"
			m.Message.AggregateType, m.Message.AggregateID = "diary", "1"
			m.Context = eventstore.ContextMetadata{CorrelationID: "c\r", CausationID: "é", UserID: "u", PartitionID: "EventStores",
				SessionID: "somebody's", IdempotencyID: "own", Scopes: []string{"", "a b", "%"}}
			return []any{stamped(m), noted{}}
		}},
		"custom metadata": {events: func() []any {
			var m eventstore.Metadata
			m.Custom = map[string]string{"a": "b", "a=b\n": "", "%41": "%\x00", "é": "\n\n"}
			return []any{stamped(m), noted{}}
		}},
		"custom metadata that is empty": {events: func() []any {
			var m eventstore.Metadata
			m.Custom = map[string]string{}
			return []any{stamped(m)}
		}},
		"scopes that are empty": {events: func() []any {
			var m eventstore.Metadata
			m.Context.Scopes = []string{}
			return []any{stamped(m)}
		}},
		"what the update says of all": {events: func() []any { return []any{noted{}, stamped(eventstore.Metadata{})} }, options: []aggregate.UpdateOption{
			aggregate.WithIdempotencyID("once"), aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{CorrelationID: "c", CausationID: "d", UserID: "u",
				PartitionID: "EventStores", Timestamp: time.Date(2001, 1, 1, 0, 0, 0, 0, zone), Scopes: []string{"s"}}, Custom: map[string]string{"k": "v"}})}},
		"nothing": {events: func() []any { return nil }},
	}
	for name, test := range tests {
		for _, policy := range []struct {
			name    string
			options []aggregate.Option
		}{{"optimistic", nil}, {"exclusive", []aggregate.Option{aggregate.Exclusive()}}} {
			t.Run(name+", "+policy.name, func(t *testing.T) {
				onEach(t, func(t *testing.T, store *memstate.Store) {
					r := diaries(t, store, policy.options...)
					for round := range 3 { // with and without a tail in the head
						a, err := r.Update(t.Context(), "1", func(diary) ([]any, error) {
							if name == "all metadata of its own" && round > 0 {
								return nil, nil // its idempotency id is used
							}
							return test.events(), nil
						}, test.options...)
						if err != nil {
							t.Fatal(err)
						}
						asLoaded(t, store, a)
						pass(time.Second)
					}
				})
			})
		}
	}
}

func TestWhatADecisionDoesWithItsEventsAfterwardsChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		tags, payload, scopes := []string{"before"}, []byte(`{"Text":"before"}`), []string{"before"}
		custom := map[string]string{"a": "before"}
		a, err := diaries(t, store).Update(t.Context(), "1", func(diary) ([]any, error) {
			event := eventstore.Event{Data: noted{Tags: tags}}
			event.Metadata.Context.Scopes = scopes
			event.Metadata.Custom = custom
			return []any{event, eventstore.Raw{Type: "noted", ContentType: "application/json", Payload: payload}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tags[0], scopes[0], custom["a"] = "after", "after", "after"
		copy(payload, `{"Text":"after!"}`)
		asLoaded(t, store, a)
	})
}

// A command is delivered twice. The first delivery is stored between two requests of the second.
// The test tries every such pair of requests.
func TestACommandThatIsStoredInBetweenIsReturnedWithItsEvents(t *testing.T) {
	for name, expects := range map[string][]aggregate.UpdateOption{"of any version": nil, "of an expected version": {aggregate.WithExpectedVersion(1)}} {
		for _, retries := range []int{0, 1, aggregate.DefaultRetries} {
			t.Run(fmt.Sprintf("%s, %d retries", name, retries), func(t *testing.T) {
				onEach(t, func(t *testing.T, store *memstate.Store) {
					for at := 1; ; at++ {
						*store = *emptyLike(store)
						if !deliveredTwice(t, store, at, retries, expects) {
							if at < 4 {
								t.Errorf("the second delivery took %d requests", at-1)
							}
							return
						}
					}
				})
			})
		}
	}
}

func emptyLike(store *memstate.Store) *memstate.Store {
	if store.Caps.Atomic {
		return memstate.Transactional()
	}
	return memstate.Redis()
}

// deliveredTwice delivers a command while an earlier delivery is under way, after its request
// number at. It reports whether there was such a request.
func deliveredTwice(t *testing.T, store *memstate.Store, at, retries int, expects []aggregate.UpdateOption) bool {
	t.Helper()
	first, second := diaries(t, store), diaries(t, store, aggregate.WithRetries(retries))
	options := append([]aggregate.UpdateOption{aggregate.WithIdempotencyID("command")}, expects...)
	write := func(text string) aggregate.Decide[diary] {
		return func(d diary) ([]any, error) {
			for _, page := range d.Pages {
				if page.Data.(noted).Text == "confirmed" {
					return nil, errors.New("it is confirmed already")
				}
			}
			return []any{noted{Text: text}}, nil
		}
	}
	if _, err := first.Update(t.Context(), "1", write("placed")); err != nil {
		t.Fatal(err)
	}
	requests, stored := 0, aggregate.Aggregate[diary]{}
	store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
		err := next()
		if requests++; requests != at {
			return err
		}
		store.Around = nil
		a, failure := first.Update(t.Context(), "1", write("confirmed"), options...)
		if failure != nil {
			t.Errorf("the first delivery, after request %d of the second: %v", at, failure)
		}
		stored = a
		return err
	}
	a, err := second.Update(t.Context(), "1", write("confirmed"), options...)
	happened := store.Around == nil
	store.Around = nil
	if err != nil {
		t.Fatalf("the first delivery was stored after request %d of the second, which is told: %v", at, err)
	}
	asLoaded(t, store, a)
	if happened {
		asLoaded(t, store, stored)
	}
	if a.Version != 2 || len(a.State.Pages) != 2 {
		t.Errorf("the first delivery was stored after request %d of the second, which is told version %d with %d events", at, a.Version, len(a.State.Pages))
	}
	if repeat := a.RepeatOf == 2 && len(a.Appended) == 0; happened && repeat == (stored.RepeatOf == 2) {
		t.Errorf("one must be the repeat of the other: after request %d the first has repeat of %d, the second of %d", at, stored.RepeatOf, a.RepeatOf)
	}
	return happened
}

func TestADecisionIsHeldToWhatItsEventsSay(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := diaries(t, store)
		decide := func(change func(*eventstore.Event)) error {
			_, err := r.Update(t.Context(), "1", func(d diary) ([]any, error) {
				event := eventstore.Event{Data: noted{}}
				change(&event)
				return []any{noted{}, event}, nil
			})
			return err
		}
		for name, change := range map[string]func(*eventstore.Event){
			"another aggregate": func(e *eventstore.Event) { e.Metadata.Message.AggregateID = "2" },
			"another type":      func(e *eventstore.Event) { e.Metadata.Message.AggregateType = "book" },
			"another database":  func(e *eventstore.Event) { e.Metadata.Context.PartitionID = "theirs" },
			"two versions":      func(e *eventstore.Event) { e.Version, e.Metadata.Context.SequenceNumber = 2, 3 },
			"a year that is none": func(e *eventstore.Event) {
				e.Metadata.Message.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
			},
		} {
			if err := decide(change); !errors.As(err, new(*eventstore.ArgumentError)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var mismatch *eventstore.VersionMismatchError
		if err := decide(func(e *eventstore.Event) { e.Version = 7 }); !errors.As(err, &mismatch) || mismatch.Expected != 5 || mismatch.Actual != 0 {
			t.Errorf("another version: %v", err)
		}
		if len(store.Values()) != 0 {
			t.Errorf("something was stored: %v", store.Values())
		}
		if err := decide(func(e *eventstore.Event) { e.Version = 2 }); err != nil {
			t.Errorf("the version that it gets: %v", err)
		}
	})
}

func TestADecisionsErrorIsReturnedWhateverItIs(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		for _, refusal := range []error{&eventstore.VersionMismatchError{}, &eventstore.SessionLostError{}, &eventstore.IdempotencyIDUsedError{IdempotencyID: "c"}} {
			decided := 0
			_, err := r.Update(t.Context(), "1", func(counter) ([]any, error) { decided++; return nil, refusal }, aggregate.WithIdempotencyID("c"))
			if err != refusal || decided != 1 {
				t.Errorf("decided %d times, returned %v, want %v", decided, err, refusal)
			}
		}
	})
}

func TestLoadingAnAggregateRefusesOptionsOfEvents(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(2))
		for range 3 {
			update(t, r, add(1))
		}
		store.Trace()
		for name, options := range map[string][]eventstore.ReadOption{
			"AsRaw":               {eventstore.AsRaw()},
			"AsRaw and a version": {eventstore.ToVersion(2), eventstore.AsRaw()},
			"Backwards":           {eventstore.Backwards()},
			"after version 0":     {eventstore.After(0)},
			"from version 1":      {eventstore.FromVersion(1)},
			"from version 2":      {eventstore.FromVersion(2)},
			"to version 0":        {eventstore.ToVersion(0)},
			"to version -1":       {eventstore.ToVersion(-1)},
			"nil":                 {nil},
		} {
			a, err := r.Load(t.Context(), "1", options...)
			if !errors.As(err, new(*eventstore.ArgumentError)) || a.Version != 0 {
				t.Errorf("%s: version %d, %v", name, a.Version, err)
			}
		}
		if sent := store.Trace(); len(sent) != 0 {
			t.Errorf("what is refused sent %q", sent)
		}
		if a := load(t, r, eventstore.ToVersion(2)); a.Version != 2 || a.State.Sum != 2 {
			t.Errorf("to version 2: %+v", a)
		}
	})
}

func TestAnAggregateThatMustExistIsToldFromTheZeroState(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store)
		store.Trace()
		_, err := r.Load(t.Context(), "1", eventstore.MustExist())
		var missing *eventstore.StreamNotFoundError
		if !errors.As(err, &missing) || missing.Stream.ID != "1" {
			t.Errorf("got %v, want a StreamNotFoundError", err)
		}
		sent := store.Trace()
		load(t, r)
		if plain := store.Trace(); !slices.Equal(sent, plain) {
			t.Errorf("it sent %q, want the requests of a plain load, %q", sent, plain)
		}
		update(t, r, add(1))
		update(t, r, add(2))
		if a := load(t, r, eventstore.MustExist(), eventstore.ToVersion(1)); a.Version != 1 {
			t.Errorf("to version 1: %+v", a)
		}
	})
}
