package feed

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// ReadOption says what [Feed.Read] or [Feed.Streams] returns. The options that both take are
// [After], [OfType], [InDatabase], [OfStream] and [Where].
type ReadOption func(*query) error

type query struct {
	given []string // the names of the options

	after, before Position // before is 0: the end
	since         time.Time
	fromNow, live bool
	backwards     bool
	raw           bool
	progress      bool
	details       bool

	types     map[string]bool // of aggregates
	databases map[string]bool
	streams   map[string]bool
	events    map[string]bool // types of events; nil: all
	goTypes   []reflect.Type  // the same, until resolve
	where     []func(eventstore.Stream) bool
}

// option notes that an option is given.
func option(name string, set func(q *query) error) ReadOption {
	return func(q *query) error {
		q.given = append(q.given, name)
		return set(q)
	}
}

// After begins after a position, which an item or a stream tells. After(0) is the beginning, which
// is also the default. With [Backwards], it is where the read ends.
func After(position Position) ReadOption {
	return option("After", func(q *query) error {
		q.after = position
		if position < 0 {
			return &eventstore.ArgumentError{Argument: "After", Reason: fmt.Sprintf("position %d is negative; After(0) reads from the beginning", position)}
		}
		return nil
	})
}

// Before ends before a position. With [Backwards], it is where the read begins. The default is the
// end of the feed. It does not go with [Live].
func Before(position Position) ReadOption {
	return option("Before", func(q *query) error {
		q.before = position
		if position < 1 {
			return &eventstore.ArgumentError{Argument: "Before", Reason: fmt.Sprintf("position %d is below 1, which is the first", position)}
		}
		return nil
	})
}

// Since begins at the first place in the feed before which nothing was committed at that time or
// later, as far as the clocks of the processes agree. The order of a feed is not an order of time:
// the read also returns what was committed a little earlier but entered the feed later.
func Since(t time.Time) ReadOption {
	return option("Since", func(q *query) error { q.since = t; return nil })
}

// FromNow begins at the end of the feed, as it is when the loop begins. It goes with [Live].
func FromNow() ReadOption {
	return option("FromNow", func(q *query) error { q.fromNow = true; return nil })
}

// Live makes the loop wait at the end of the feed for what comes. The loop then ends with its
// context.
//
// If an indexer of the same [Feed] works in this process, it wakes the loop at once. Otherwise the
// loop looks for news every 20 ms, and less often while there is none, down to once a second: it
// waits for an eighth of the time since the last news. A look is one request, which all loops of
// the Feed share. See [eventstore.WithBell] for less delay.
func Live() ReadOption {
	return option("Live", func(q *query) error { q.live = true; return nil })
}

// Backwards reads from the end of the feed, or from [Before], to its beginning, or to [After].
func Backwards() ReadOption {
	return option("Backwards", func(q *query) error { q.backwards = true; return nil })
}

// AsRaw returns events as they are stored, like [eventstore.AsRaw].
func AsRaw() ReadOption {
	return option("AsRaw", func(q *query) error { q.raw = true; return nil })
}

// WithProgress also returns items that only tell a position, see [Progress].
func WithProgress() ReadOption {
	return option("WithProgress", func(q *query) error { q.progress = true; return nil })
}

// OfType returns only what is about streams of these aggregate types.
func OfType(types ...string) ReadOption {
	return option("OfType", func(q *query) error { return among("OfType", &q.types, types) })
}

// InDatabase returns only what is about streams of these databases.
func InDatabase(databases ...string) ReadOption {
	return option("InDatabase", func(q *query) error { return among("InDatabase", &q.databases, databases) })
}

// OfStream returns only what is about these streams.
func OfStream(streams ...eventstore.Stream) ReadOption {
	return option("OfStream", func(q *query) error {
		names := make([]string, len(streams))
		for i, s := range streams {
			names[i] = s.String()
		}
		return among("OfStream", &q.streams, names)
	})
}

// Where returns only what is about streams for which wants returns true. Events of other streams
// are not read at all. The loop reads ahead, so it calls wants in another goroutine.
func Where(wants func(eventstore.Stream) bool) ReadOption {
	return option("Where", func(q *query) error {
		if wants == nil {
			return &eventstore.ArgumentError{Argument: "Where", Reason: "the function is nil"}
		}
		q.where = append(q.where, wants)
		return nil
	})
}

// OfEventType returns only events that are stored under these type names. If the registry knows a
// name, its aliases count too. Several of these options and of [OfEvent] add up. Streams that were
// closed or deleted are then left out.
func OfEventType(types ...string) ReadOption {
	return option("OfEventType", func(q *query) error { return among("OfEventType", &q.events, types) })
}

// OfEvent is [OfEventType] for the Go type T, under all names that the registry of the provider
// gives it. If T is an interface, it stands for all registered types that implement it. The read
// fails with an [eventstore.ArgumentError] if there is none.
func OfEvent[T any]() ReadOption {
	return option("OfEvent", func(q *query) error { q.goTypes = append(q.goTypes, reflect.TypeFor[T]()); return nil })
}

// WithDetails makes [Feed.Streams] read the head of each stream.
func WithDetails() ReadOption {
	return option("WithDetails", func(q *query) error { q.details = true; return nil })
}

func among(name string, set *map[string]bool, values []string) error {
	if len(values) == 0 {
		return &eventstore.ArgumentError{Argument: name, Reason: "it names nothing"}
	}
	if *set == nil {
		*set = map[string]bool{}
	}
	for _, v := range values {
		if strings.TrimSpace(v) == "" {
			return &eventstore.ArgumentError{Argument: name, Reason: "a name is blank"}
		}
		(*set)[v] = true
	}
	return nil
}

// newQuery applies the options of a method, which takes all but some.
func (f *Feed) newQuery(method string, options []ReadOption, takes func(name string) bool) (q query, err error) {
	for _, option := range options {
		if option == nil {
			return q, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&q); err != nil {
			return q, err
		}
	}
	for _, name := range q.given {
		if !takes(name) {
			return q, &eventstore.ArgumentError{Argument: name, Reason: method + " does not take it"}
		}
	}
	if err := q.check(); err != nil {
		return q, err
	}
	return q, q.resolve(f.provider.Registry().Types())
}

// check returns an error if options contradict each other.
func (q *query) check() error {
	for _, pair := range [...][2]string{
		{"After", "Since"}, {"After", "FromNow"}, {"Since", "FromNow"}, {"Before", "Live"}, {"Backwards", "Live"},
		{"Backwards", "Since"}, {"Backwards", "FromNow"}, {"Backwards", "WithProgress"},
	} {
		if slices.Contains(q.given, pair[0]) && slices.Contains(q.given, pair[1]) {
			return &eventstore.ArgumentError{Argument: pair[0], Reason: "it does not go with " + pair[1]}
		}
	}
	switch {
	case q.fromNow && !q.live:
		return &eventstore.ArgumentError{Argument: "FromNow", Reason: "there is nothing after now: give Live as well"}
	case q.before != 0 && q.before <= q.after:
		return &eventstore.ArgumentError{Argument: "Before", Reason: fmt.Sprintf("there is nothing after position %d and before %d", q.after, q.before)}
	}
	return nil
}

// resolve finds the names under which events are stored.
func (q *query) resolve(registered []eventstore.RegisteredType) error {
	names := map[string]bool{}
	for name := range q.events {
		names[name] = true
		for _, t := range registered {
			if t.Name == name {
				add(names, t)
			}
		}
	}
	for _, wanted := range q.goTypes {
		found := false
		for _, t := range registered {
			if is(t.GoType, wanted) {
				add(names, t)
				found = true
			}
		}
		if !found {
			return &eventstore.ArgumentError{Argument: "OfEvent", Reason: fmt.Sprintf("no registered type is %s: see eventstore.WithRegistry", wanted)}
		}
	}
	if len(names) > 0 {
		q.events = names
	}
	return nil
}

func add(names map[string]bool, t eventstore.RegisteredType) {
	names[t.Name] = true
	for _, alias := range t.Aliases {
		names[alias] = true
	}
}

// is reports whether a registered type is the wanted one, implements it, or differs by a pointer.
func is(registered, wanted reflect.Type) bool {
	if wanted.Kind() == reflect.Interface {
		return registered.Implements(wanted)
	}
	return registered == wanted || registered == reflect.PointerTo(wanted) || reflect.PointerTo(registered) == wanted
}

// wantsStream reports whether the query asks for a stream.
func (q *query) wantsStream(name string, s eventstore.Stream) bool {
	if q.types != nil && !q.types[s.Type] || q.databases != nil && !q.databases[s.Database] || q.streams != nil && !q.streams[name] {
		return false
	}
	return !slices.ContainsFunc(q.where, func(wants func(eventstore.Stream) bool) bool { return !wants(s) })
}

// wantsEntry reports whether the entry of a stream that the query asks for may tell of something
// that the query asks for.
func (q *query) wantsEntry(e journal.Entry) bool {
	return q.events == nil || len(e.Types) == 0 && e.From <= lastEvent(e) || slices.ContainsFunc(e.Types, q.wantsEvent)
}

// wantsEvent reports whether the query asks for events of a type.
func (q *query) wantsEvent(eventType string) bool { return q.events == nil || q.events[eventType] }

// lastEvent returns the version of the last event that an entry tells of. There is none if it is
// below From.
func lastEvent(e journal.Entry) int64 {
	if e.What == journal.Deleted {
		return e.To - 1 // To is the version of the head that says so
	}
	return e.To
}
