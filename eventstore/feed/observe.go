package feed

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// This file tells the provider's observer how the feed is doing. Nothing here sends a request.

// appendObserved commits a batch to the log, as an operation. Rounds that take nothing over are no
// operations, so an indexer that is idle makes no spans.
func (ix *indexer) appendObserved(ctx context.Context, s *eventstore.Session, batch journal.Batch) error {
	ctx, end := ix.inside.Observe(polling.Unmark(ctx), eventstore.Operation{
		Name: eventstore.OpIndex, Stream: ix.stream(), Session: s.ID(), Events: len(batch.Entries), Expected: ix.version})
	err := ix.append(ctx, s, batch)
	result := eventstore.OperationResult{Version: ix.version, Err: err}
	if err == nil {
		result.Events = len(batch.Entries)
	}
	end(result)
	return err
}

// report tells what a round did. waiting is how many entries stand that it did not take over.
func (ix *indexer) report(ctx context.Context, batch journal.Batch, waiting int) {
	if !ix.inside.Reports() {
		return
	}
	r := eventstore.IndexReport{Feed: ix.Name(), Logged: len(batch.Entries), Delay: delay(oldest(batch.Entries)),
		Position: ix.state.Position, Unindexed: waiting, Journals: ix.live, WalkAge: time.Since(ix.walk.whole)}
	for _, e := range batch.Entries {
		if ix.derived[e.Slot] {
			r.Derived++
		}
	}
	for _, p := range ix.state.Vector {
		if !p.Ended {
			r.OpenNumbers += len(p.Open)
		}
	}
	ix.reported = true
	ix.inside.Report(ctx, r)
}

// reportEnd tells that this process no longer indexes, if it did.
func (ix *indexer) reportEnd(ctx context.Context) {
	if ix.reported {
		ix.inside.Report(ctx, eventstore.IndexReport{Feed: ix.Name(), Ended: true})
	}
	ix.reported = false
}

// report tells of the items that a loop is about to be given.
func (r *reading) report(ctx context.Context, c chunk) {
	if len(c.items) == 0 || !r.inside.Reports() {
		return
	}
	tell := eventstore.ReadReport{Feed: r.Name(), Items: len(c.items), Live: r.query.live}
	var first time.Time
	for _, i := range c.items {
		tell.Position = max(tell.Position, int64(i.entry))
		first = earlier(first, i.Time)
	}
	if tell.Live {
		tell.Delay = delay(first)
	}
	r.inside.Report(ctx, tell)
}

// oldest returns when the first of some entries was committed.
func oldest(entries []journal.Entry) (first time.Time) {
	for _, e := range entries {
		first = earlier(first, e.Time)
	}
	return first
}

// earlier returns the earlier of two times. A zero time is unknown.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// delay returns how long ago a time was. It is 0 if the time is unknown, or if the clocks of two
// processes differ so much that it is still to come.
func delay(since time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return max(0, time.Since(since))
}
