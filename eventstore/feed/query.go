package feed

import (
	"slices"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// ReadOption says what [Feed.Read] returns.
type ReadOption func(*query) error

type query struct {
	after     Position
	live, raw bool
	types     []string // of aggregates
	databases []string
	events    []string // types of events
	where     []func(eventstore.Stream) bool
}

// After begins after a position, which an item told.
func After(position Position) ReadOption {
	return func(q *query) error {
		if position < 0 {
			return &eventstore.ArgumentError{Argument: "After", Reason: "the position is negative"}
		}
		q.after = position
		return nil
	}
}

// Live makes the loop wait at the end of the feed for what comes. The loop then ends with its
// context.
func Live() ReadOption { return func(q *query) error { q.live = true; return nil } }

// AsRaw returns events as they are stored, like [eventstore.AsRaw].
func AsRaw() ReadOption { return func(q *query) error { q.raw = true; return nil } }

// OfType returns only what is about streams of these aggregate types.
func OfType(types ...string) ReadOption {
	return func(q *query) error { q.types = append(q.types, types...); return nil }
}

// InDatabase returns only what is about streams of these databases.
func InDatabase(databases ...string) ReadOption {
	return func(q *query) error { q.databases = append(q.databases, databases...); return nil }
}

// OfEventType returns only events of these types, by the names that the registry gives them.
func OfEventType(types ...string) ReadOption {
	return func(q *query) error { q.events = append(q.events, types...); return nil }
}

// wants reports whether an entry may have something that the query asks for.
func (q *query) wants(e journal.Entry) bool {
	if len(q.types)+len(q.databases)+len(q.where) > 0 {
		s, err := eventstore.ParseStream(e.Stream)
		if err == nil && (len(q.types) > 0 && !slices.Contains(q.types, s.Type) || len(q.databases) > 0 && !slices.Contains(q.databases, s.Database)) {
			return false
		}
		if err == nil && slices.ContainsFunc(q.where, func(wants func(eventstore.Stream) bool) bool { return !wants(s) }) {
			return false
		}
	}
	return len(q.events) == 0 || e.What == journal.Appended && len(e.Types) == 0 || e.What == journal.Adopted ||
		slices.ContainsFunc(e.Types, func(t string) bool { return slices.Contains(q.events, t) })
}

// wantsEvent reports whether the query asks for an event of that type.
func (q *query) wantsEvent(eventType string) bool {
	return len(q.events) == 0 || slices.Contains(q.events, eventType)
}

func formatVersion(version int64) string { return strconv.FormatInt(version, 10) }
