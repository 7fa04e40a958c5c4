package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Position is a place in a feed. Positions of one feed grow, but not always by one. Position 0 is
// before the first item.
type Position int64

// What says what an item of a feed tells.
type What int

const (
	Appended What = iota // an event was appended
	Closed               // the stream was closed
	Deleted              // the stream was deleted; its events may be missing from the feed
	Lost                 // an event was committed, but the store has lost it; Err says what it has

	// Progress only tells a position, up to which everything was returned. With [WithProgress], a
	// read returns such an item when it reaches the end of the feed as it is at that moment, and
	// when it has left out 10,000 entries in a row.
	Progress
)

// String returns "appended", "closed", "deleted", "lost" or "progress".
func (w What) String() string {
	if w < Appended || w > Progress {
		return "What(" + strconv.Itoa(int(w)) + ")"
	}
	return [...]string{"appended", "closed", "deleted", "lost", "progress"}[w]
}

// Item is one thing that happened to a stream of the store.
type Item struct {
	// Position is where to resume once the item is handled: pass it to [After], or to [Before] if
	// the read is [Backwards]. Within a commit of several events, all but the last have the
	// position from which the read returns the whole commit again.
	Position Position

	Stream  eventstore.Stream
	What    What
	Version int64     // of the event; of the stream if it was closed or deleted
	Time    time.Time // of the commit, to the millisecond; zero if it is not known

	// Event is what was appended. If it cannot be read or decoded, Err says why: it is an
	// [eventstore.DamagedError], or the error of the registry. Event.Data is then a Raw, or nil if
	// the event could not be read.
	Event eventstore.Event
	Err   error

	entry Position // of the whole commit
	size  int      // of the event's record, in bytes
}

// ID returns the id of the item, stream/version, which is the same at every delivery. A stream that
// is closed has the id of its last event, so the id of that item ends in "/closed".
func (i Item) ID() string {
	id := i.Stream.String() + "/" + strconv.FormatInt(i.Version, 10)
	if i.What == Closed {
		id += "/closed"
	}
	return id
}

// Entry returns the position of the commit that the item is part of. It is for the packages of this
// module.
func (i Item) Entry(permit.Permit) Position { return i.entry }

// WithEntry returns the item as a part of the commit at a position. It is for the packages of this
// module.
func (i Item) WithEntry(_ permit.Permit, entry Position) Item {
	i.entry = entry
	return i
}

// Size returns how many bytes the event takes in the store. It is for the packages of this module.
func (i Item) Size(permit.Permit) int { return i.size }

// Read reads the feed in the order of its log, which has the events of each stream in the order of
// their versions. Without options it reads from the beginning to the end as of now. It returns what
// an indexer has taken over, see [Feed.Index].
//
// An event can come more than once, with the same version and the same [Item.ID]. It does if
// writers without a feed have appended to its stream. An event that cannot be decoded is an item
// with an error, and the loop goes on.
//
// An error as the second value ends the loop. It is
//   - the error of ctx when ctx ends,
//   - an [eventstore.ArgumentError] for options that contradict each other, and for a position that
//     the feed does not have,
//   - an [eventstore.StorageError] if the store did not answer; continue with [After],
//   - an [eventstore.DamagedError] that names the key if the feed itself is damaged, or was written
//     by a newer version of the library,
//   - an [eventstore.LostWritesError] if the store has lost a part of the feed while the loop
//     followed it.
//
// Read reads ahead. It holds about 2 MiB of events, or two events if they are larger. A loop that
// ends early leaves no request behind.
func (f *Feed) Read(ctx context.Context, options ...ReadOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		q, err := f.newQuery("Read", options, func(name string) bool { return name != "WithDetails" })
		if err == nil {
			r := reading{Feed: f, query: q, yield: yield, told: untold}
			err = r.run(ctx)
		}
		if err != nil && err != errStop {
			if ctx.Err() != nil {
				err = ended(ctx)
			}
			yield(Item{}, err)
		}
	}
}

// errStop says that the caller has left the loop.
var errStop = errors.New("the loop has ended")

const readingFeed = "read the feed"

// ended returns the error of a context that has ended.
func ended(ctx context.Context) error { return endedIn(ctx, readingFeed) }

func endedIn(ctx context.Context, operation string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("eventstore: %s: %w", operation, cause)
	}
	return fmt.Errorf("eventstore: %s: %w: %w", operation, err, cause)
}

// reading is one loop over the feed.
type reading struct {
	*Feed
	query query
	yield func(Item, error) bool
	told  Position // that the last item of progress told
}

// run fetches chunks, one ahead of the caller, and passes them on.
func (r *reading) run(ctx context.Context) error {
	return ahead(ctx, r.fetch, func(c chunk) error { return r.pass(ctx, c) })
}

// pass decodes the events of a chunk, and yields its items.
func (r *reading) pass(ctx context.Context, c chunk) error {
	r.report(ctx, c)
	for first := 0; first < len(c.items); {
		next := first + 1
		for next < len(c.items) && c.items[next].entry == c.items[first].entry {
			next++
		}
		if err := r.passEntry(ctx, c.items[first:next]); err != nil {
			return err
		}
		first = next
	}
	if r.query.progress && c.progress > r.told {
		r.told = c.progress
		return r.give(ctx, Item{What: Progress, Position: c.progress})
	}
	return nil
}

// passEntry yields the items of one entry, or of a part of it.
func (r *reading) passEntry(ctx context.Context, items []told) error {
	lost := false
	for _, i := range items {
		lost = lost || i.replaced()
	}
	last := -1 // of those that the query asks for
	for n := range items {
		i := &items[n]
		switch e := i.event; {
		case e == nil:
			i.wanted = r.query.events == nil
		case isA[*eventstore.StreamDeletedError](e.Err):
			// The item of the deletion comes later.
		case lost:
			i.wanted, i.What = true, Lost
			i.Err = &eventstore.LostWritesError{Stream: i.Stream, Version: i.Version, Actual: i.Version}
		case isA[*eventstore.LostWritesError](e.Err):
			i.wanted, i.What, i.Err = true, Lost, e.Err
		default:
			i.wanted = e.Err != nil || r.query.wantsEvent(e.Event.Metadata.Message.Type)
		}
		if i.wanted {
			last = n
		}
	}
	for n := range items {
		i := &items[n]
		if !i.wanted {
			continue
		}
		if i.Position = i.again; n == last && items[len(items)-1].completes {
			i.Position = i.entry
		}
		if e := i.event; e != nil && i.What == Appended {
			if !r.query.raw && e.Err == nil {
				r.inside.Decode(ctx, e)
			}
			i.Event, i.Err, i.size = e.Event, e.Err, e.Size
			*e = eventstore.Committed{} // free each event when the caller is done with it
		}
		item := i.Item
		*i = told{}
		if err := r.give(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) give(ctx context.Context, item Item) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.yield(item, nil) {
		return errStop
	}
	return nil
}

// told is an item on its way to the caller.
type told struct {
	Item
	event *eventstore.Committed // nil if it tells of no event

	again     Position     // from which to read the entry again
	slot      journal.Slot // of the entry, if this is the last event of its commit
	completes bool         // it is the last of its entry
	wanted    bool
}

// replaced reports whether the last event of the entry's commit is now one of another commit,
// because the store has lost the first.
func (t told) replaced() bool {
	return t.event != nil && !t.slot.IsZero() && !t.event.Slot.IsZero() && t.event.Slot != t.slot
}
