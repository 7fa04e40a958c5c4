package feed

import (
	"context"
	"iter"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file reads the events that the entries of the log tell of, many at once.

// chunk is a part of the feed, with its events as they are stored.
type chunk struct {
	items    []told
	progress Position // everything up to it was returned; or untold
}

const untold = Position(-1)

// fetch sends the part of the feed that the query asks for, in chunks, until there is no more or
// send returns an error.
func (r *reading) fetch(ctx context.Context, send func(chunk) error) error {
	q := &r.query
	runs, err := r.runs(ctx)
	if err != nil {
		return err
	}
	n := &next{reading: r, send: send, events: firstEvents, sizes: map[string]int{}}
	passed := q.after
	for run, err := range runs {
		if err != nil {
			return err
		}
		for i, e := range q.inOrder(run.entries) {
			position := Position(run.first + int64(i))
			if q.before != 0 && position >= q.before || position <= q.after {
				if q.backwards == (position <= q.after) { // the rest is outside too
					return n.flush(ctx, passed)
				}
				continue
			}
			passed = position
			if err := n.add(ctx, e, position); err != nil {
				return err
			}
		}
		if run.end {
			if err := n.flush(ctx, max(passed, Position(run.first))); err != nil {
				return err
			}
		}
	}
	return nil
}

// inOrder returns the entries in the order of the query, with their index.
func (q *query) inOrder(entries []journal.Entry) iter.Seq2[int, journal.Entry] {
	if q.backwards {
		return slices.Backward(entries)
	}
	return slices.All(entries)
}

// runs returns the log from where the query begins.
func (r *reading) runs(ctx context.Context) (iter.Seq2[run, error], error) {
	q := &r.query
	at := place{position: int64(q.after)}
	switch {
	case q.backwards:
		return r.backward(ctx, int64(q.before)), nil
	case !q.since.IsZero():
		var err error
		if at, err = r.sinceTime(ctx, q.since); err != nil {
			return nil, err
		}
	case q.fromNow:
		view, err := r.inside.ViewLog(ctx, r.inside.LogReader())
		if err == nil {
			at, err = r.end(ctx, view)
		}
		if err != nil {
			return nil, err
		}
	}
	return r.forward(ctx, at, q.live), nil
}

const (
	chunkEvents = 1000    // at most this many events in one bulk read,
	chunkBytes  = 1 << 20 // and about this many bytes

	firstEvents  = 16       // events in the first chunk
	growth       = 3        // a chunk has at most this many times as many as the one before
	unknownBytes = 64 << 10 // that an event counts whose size nothing tells
	manyTypes    = 10_000   // of which the sizes are remembered
	skipped      = 10_000   // entries after which an item of progress comes
)

// next is the chunk that is being put together.
type next struct {
	*reading
	send func(chunk) error

	items  []told
	count  int // of events in items
	bytes  int // that they may have
	events int // at most in this chunk
	left   int // entries since the last chunk that the query does not ask for

	// sizes is how large events of an aggregate type are. A store does not say how large its values
	// are, so a read finds out.
	sizes map[string]int
}

// add adds what an entry tells, if the query asks for it. It sends the chunk when it is full.
func (n *next) add(ctx context.Context, e journal.Entry, position Position) error {
	if e.What == journal.Ended || e.What == journal.Named || !n.query.wantsEntry(e) {
		return n.leaveOut(ctx, position)
	}
	stream, err := eventstore.ParseStream(e.Stream)
	if err != nil {
		return n.damaged(n.name.Page(journal.PageOf(int64(position))), 0, err)
	}
	if !n.query.wantsStream(e.Stream, stream) {
		return n.leaveOut(ctx, position)
	}
	n.left = 0
	t := told{Item: Item{Stream: stream, Time: e.Time, entry: position}, again: position - 1}
	if n.query.backwards {
		t.again = position + 1
	}
	change := t // that the stream was closed or deleted
	switch e.What {
	case journal.Closed:
		change.What, change.Version = Closed, e.To
	case journal.Deleted:
		change.What, change.Version = Deleted, e.To
	}
	first, last := e.From, lastEvent(e)
	if change.What != Appended && n.query.backwards {
		change.completes = last < first
		n.items = append(n.items, change)
	}
	for i := range last - first + 1 {
		t.Version = first + i
		if n.query.backwards {
			t.Version = last - i
		}
		t.completes = i == last-first && (change.What == Appended || n.query.backwards)
		t.slot = journal.Slot{}
		if e.What == journal.Appended && t.Version == e.To {
			t.slot = e.Slot
		}
		t.event = &eventstore.Committed{Stream: stream, Version: t.Version}
		size, known := n.sizes[stream.Type]
		if !known {
			size = unknownBytes
		}
		if n.count > 0 && (n.count >= n.events || n.bytes+size > chunkBytes) {
			if err := n.flush(ctx, untold); err != nil {
				return err
			}
		}
		n.items = append(n.items, t)
		n.count++
		n.bytes += size
	}
	if change.What != Appended && !n.query.backwards {
		change.completes = true
		n.items = append(n.items, change)
	}
	if len(n.items) >= 2*chunkEvents { // streams that were closed or deleted
		return n.flush(ctx, untold)
	}
	return nil
}

// leaveOut notes that the query does not ask for an entry.
func (n *next) leaveOut(ctx context.Context, position Position) error {
	if n.left++; n.left < skipped || n.query.backwards {
		return nil
	}
	return n.flush(ctx, position)
}

// flush reads the events of the chunk, and sends it.
func (n *next) flush(ctx context.Context, progress Position) error {
	n.left = 0
	if len(n.items) == 0 && (progress == untold || !n.query.progress) {
		return nil
	}
	if n.count > 0 {
		if err := n.read(ctx); err != nil {
			return err
		}
	}
	if err := n.send(chunk{n.items, progress}); err != nil {
		return err
	}
	n.items, n.count, n.bytes = nil, 0, 0
	return nil
}

// read reads the events of the chunk, and learns how large they are.
func (n *next) read(ctx context.Context) error {
	events := make([]eventstore.Committed, 0, n.count)
	for i := range n.items {
		if e := n.items[i].event; e != nil {
			events = append(events, *e)
			n.items[i].event = &events[len(events)-1]
		}
	}
	if err := n.inside.Events(ctx, readingFeed, events); err != nil {
		return err
	}
	largest := map[string]int{}
	for _, e := range events {
		if e.Size > 0 {
			largest[e.Stream.Type] = max(largest[e.Stream.Type], e.Size)
		}
	}
	if len(n.sizes) > manyTypes {
		clear(n.sizes)
	}
	for t, size := range largest { // one large event is soon forgotten
		n.sizes[t] = max(size, n.sizes[t]/2)
	}
	n.events = min(max(n.events, n.count*growth), chunkEvents)
	return nil
}
