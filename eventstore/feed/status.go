package feed

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Status is how a feed is at one moment.
type Status struct {
	End      Position // the position at the end of the log
	Journals int      // that may still grow, about one for each process that appends
	Open     int      // numbers of journals that the log waits for; most of them never come
	Waiting  int      // entries that stand in journals and are not in the log
}

// Status returns how the feed is. If Waiting grows, no process indexes. It counts at most 64
// entries for each journal. It takes a request for the root, one to three for the log, and one for
// every 15 journals. The errors are those of [Feed.Read].
func (f *Feed) Status(ctx context.Context) (s Status, err error) {
	root, _, err := f.inside.Root(ctx)
	if err != nil {
		return s, err
	}
	state, err := f.inside.LogState(ctx, f.inside.LogReader())
	if err != nil {
		return s, err
	}
	s.End = Position(state.Position)
	var slots []journal.Slot
	for _, id := range unended(root, state.Vector) {
		p := state.Vector[id]
		s.Journals++
		s.Open += len(p.Open)
		slots = append(slots, outstanding(id, p)...)
	}
	err = f.readSlots(ctx, readingFeed, slots, func(journal.Slot, driver.Item) error { s.Waiting++; return nil })
	return s, err
}
