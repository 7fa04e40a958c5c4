package eventtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Happening is something that happens in a test of a projection or a process: see [On] and [Later].
type Happening struct {
	stream eventstore.Stream
	events []any
	later  time.Duration
}

// On returns what happens to one stream, in order. Each event is a value, or an [eventstore.Event]
// with metadata. [feed.Closed] and [feed.Deleted] close and delete the stream. The events get the
// next versions of their stream. A stream of another database than the default one cannot be named.
func On(aggregateType, id string, events ...any) Happening {
	return Happening{stream: eventstore.Stream{Database: eventstore.DefaultSettings().DefaultDatabase, Type: aggregateType, ID: id}, events: events}
}

// Later returns that time passes. A test begins at midnight UTC on 2000-01-01, like a bubble of
// package testing/synctest. Time passes only by Later.
func Later(d time.Duration) Happening { return Happening{later: d} }

// history makes items of what happens, as a feed would deliver them.
type history struct {
	carrier carrier
	now     time.Time
	entry   feed.Position
	streams map[eventstore.Stream]told
}

// told is what a history has told of a stream.
type told struct {
	version int64
	what    feed.What
}

func newHistory() history {
	return history{now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), streams: map[eventstore.Stream]told{}}
}

// item returns the item of the next event of a stream.
func (h *history) item(stream eventstore.Stream, value any) (feed.Item, error) {
	before := h.streams[stream]
	next, isWhat := value.(feed.What)
	switch {
	case isWhat && next != feed.Closed && next != feed.Deleted:
		return feed.Item{}, fmt.Errorf("of package feed, only Closed and Deleted can happen to a stream, not %s", next)
	case before.what >= next && before.what != feed.Appended:
		return feed.Item{}, fmt.Errorf("the stream was %s before", before.what)
	}
	h.entry++
	item := feed.Item{Position: h.entry, Stream: stream, What: next, Version: before.version, Time: h.now}.WithEntry(permit.Permit{}, h.entry)
	if !isWhat {
		item.Version++
		var err error
		if item.Event, err = h.event(item, value); err != nil {
			return item, err
		}
	}
	h.streams[stream] = told{item.Version, next}
	return item, nil
}

// event returns the event of an item as it is read.
func (h *history) event(item feed.Item, value any) (eventstore.Event, error) {
	event, ok := asEvent(value)
	if !ok {
		event = eventstore.Event{Data: value}
	}
	switch {
	case event.Data == nil:
		return event, errors.New("it is nil")
	case event.Version != 0 && event.Version != item.Version:
		return event, fmt.Errorf("its version is %d, but it is event number %d of its stream", event.Version, item.Version)
	}
	data, err := h.carrier.event(event.Data)
	if err != nil {
		return event, fmt.Errorf("it can't be stored: %w", err)
	}
	event.Metadata.Message.Type, event.Metadata.Message.SchemaVersion = h.carrier.typeOf(data)
	event.Data, event.Version = data, item.Version
	h.complete(&event.Metadata, item.Stream, item.ID(), item.Version)
	return event, nil
}

// complete fills in the metadata that an append fills in.
func (h *history) complete(m *eventstore.Metadata, stream eventstore.Stream, id string, version int64) {
	if m.Message.ID == "" {
		m.Message.ID = id
	}
	if m.Message.Created.IsZero() {
		m.Message.Created = h.now
	}
	if m.Context.Timestamp.IsZero() {
		m.Context.Timestamp = m.Message.Created
	}
	m.Message.AggregateType, m.Message.AggregateID, m.Context.PartitionID = stream.Type, stream.ID, stream.Database
	m.Context.SequenceNumber = version
}

// describe returns an item as text, for failures.
func describe(item feed.Item) string {
	if item.What != feed.Appended {
		return item.Stream.String() + " was " + item.What.String()
	}
	return fmt.Sprintf("%s, %T %+v", item.ID(), item.Event.Data, item.Event.Data)
}
