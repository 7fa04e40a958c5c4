package feed

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Position is a place in a feed. Positions of one feed grow, but not always by one. Position 0 is
// before the first item.
type Position int64

// What says what an item of a feed tells.
type What int

const (
	Appended What = iota // an event was appended
	Closed               // the stream was closed
	Deleted              // the stream was deleted; events of it that come before may no longer be readable
	Lost                 // an event was committed, but the store no longer has it
)

// String returns "appended", "closed", "deleted" or "lost".
func (w What) String() string {
	return [...]string{"appended", "closed", "deleted", "lost"}[w]
}

// Item is one thing that happened to a stream of the store.
type Item struct {
	Position Position
	Stream   eventstore.Stream
	What     What
	Version  int64     // of the event; of the stream if it was closed or deleted
	Time     time.Time // of the commit, to the millisecond

	// Event is what was appended. If it cannot be decoded, Err says why and Event has its version
	// only.
	Event eventstore.Event
	Err   error

	entry Position // of the whole commit
}

// ID returns the id of the item, which is the same at every delivery.
func (i Item) ID() string { return i.Stream.String() + "/" + formatVersion(i.Version) }

// Read reads the feed from its beginning to its end as of now, in the order of the log: events of
// one stream come in the order of their versions. See the options for other places to begin, for
// filters, and for following it [Live].
//
// An event that is stored but cannot be decoded is an item with an error, and the loop goes on. An
// error as the second value ends the loop: of the store, or of ctx.
func (f *Feed) Read(ctx context.Context, options ...ReadOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		r := reading{Feed: f, ctx: ctx, yield: yield}
		for _, option := range options {
			if option == nil {
				yield(Item{}, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"})
				return
			}
			if err := option(&r.query); err != nil {
				yield(Item{}, err)
				return
			}
		}
		if err := r.run(); err != nil && !errors.Is(err, errStop) {
			yield(Item{}, err)
		}
	}
}

// errStop says that the caller has left the loop.
var errStop = errors.New("the loop has ended")

// reading is one loop over the feed.
type reading struct {
	*Feed
	ctx   context.Context
	yield func(Item, error) bool
	query query
}

func (r *reading) run() error {
	log := r.inside.LogReader()
	var events []wanted
	for batch, err := range r.batchesAfter(r.ctx, log, int64(r.query.after)) {
		if err != nil {
			return err
		}
		events = r.wantedOf(batch, events[:0])
		if err := r.deliver(events); err != nil {
			return err
		}
	}
	return nil
}

// wanted is an entry that the reader asked for.
type wanted struct {
	journal.Entry
	position Position
}

func (r *reading) wantedOf(batch logged, all []wanted) []wanted {
	for i, e := range batch.Entries {
		position := Position(batch.First + int64(i))
		if position > r.query.after && e.What != journal.Named && e.What != journal.Ended && r.query.wants(e) {
			all = append(all, wanted{e, position})
		}
	}
	return all
}

// atOnce limits how many events are read in one request.
const atOnce = 256

// deliver reads the events of entries and passes them on, in order.
func (r *reading) deliver(entries []wanted) error {
	var items []Item
	var events []eventstore.Committed
	flush := func() error {
		err := r.pass(items, events)
		items, events = items[:0], events[:0]
		return err
	}
	for _, e := range entries {
		stream, err := eventstore.ParseStream(e.Stream)
		if err != nil {
			return &eventstore.DamagedError{Stream: r.stream(), Cause: err}
		}
		item := Item{Position: e.position - 1, Stream: stream, Time: e.Time, entry: e.position}
		last := e.To
		if e.What == journal.Deleted {
			last-- // the version of the head that says so
		}
		for v := e.From; v <= last; v++ {
			item.Version = v
			if v == last && (e.What == journal.Appended || e.What == journal.Adopted) {
				item.Position = e.position
			}
			items = append(items, item)
			events = append(events, eventstore.Committed{Stream: stream, Version: v})
			if len(items) >= atOnce {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if e.What == journal.Closed || e.What == journal.Deleted {
			item.Position, item.Version, item.What = e.position, e.To, Closed
			if e.What == journal.Deleted {
				item.What = Deleted
			}
			items = append(items, item)
		}
	}
	return flush()
}

// pass reads events and yields the items. Each item that tells of an event takes the next event.
func (r *reading) pass(items []Item, events []eventstore.Committed) error {
	if len(events) > 0 {
		if err := r.inside.Events(r.ctx, readingFeed, events, r.query.raw); err != nil {
			return err
		}
	}
	for _, item := range items {
		if item.What == Appended {
			e := events[0]
			events = events[1:]
			if isA[*eventstore.StreamDeletedError](e.Err) {
				continue // the item of the deletion comes later
			}
			item.Event, item.Err = e.Event, e.Err
			if e.Err == nil && !r.query.wantsEvent(e.Event.Metadata.Message.Type) {
				continue
			}
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if !r.yield(item, nil) {
			return errStop
		}
	}
	return nil
}

const readingFeed = "read the feed"

func (f *Feed) stream() eventstore.Stream { return eventstore.Stream{Type: "feed", ID: f.Name()} }
