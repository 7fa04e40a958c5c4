package feed

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

const waiting = "wait for the feed"

// WaitFor waits until the feed has a version of a stream. It returns a position that comes with it
// or later. It ends with the error of ctx, and waits for a stream that is not written with the feed
// as well. It takes two or three requests at first, and one each time that it looks again.
func (f *Feed) WaitFor(ctx context.Context, stream eventstore.Stream, version int64) (Position, error) {
	name := stream.String()
	var stood journal.Slot // whose entry was seen in its journal
	for n := 0; ; n++ {
		if n > 0 && !pause.For(ctx, jitter.Of(ctx, min(2*time.Millisecond<<min(n, 7), 200*time.Millisecond))) {
			return 0, context.Cause(ctx)
		}
		heads, errs, err := f.inside.Heads(ctx, waiting, []string{name})
		if err == nil {
			err = errs[0]
		}
		if err != nil {
			return 0, err
		}
		h := heads[0]
		if h.Version < version && !h.Deleted || !h.Ticketed() {
			continue
		}
		stands, err := f.stands(ctx, h.Ticket().Slot)
		switch {
		case err != nil:
			return 0, err
		case stands:
			stood = h.Ticket().Slot
			continue
		case stood != h.Ticket().Slot: // the log has taken it over, or it is still on its way
			state, err := f.inside.LogState(ctx, f.inside.LogReader())
			if err != nil {
				return 0, err
			}
			if !state.Vector.Covers(h.Ticket().Slot) {
				continue
			}
		}
		return f.End(ctx)
	}
}

// stands reports whether an entry stands in its journal.
func (f *Feed) stands(ctx context.Context, slot journal.Slot) (bool, error) {
	item, err := f.inside.State().Get(ctx, f.name.Partition(slot.Journal), f.name.Key(slot))
	if err != nil {
		return false, f.failed(waiting, err)
	}
	return item.Found(), nil
}
