package feed

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Entry returns the position of the commit that the item is part of. It is for the packages of this
// module.
func (i Item) Entry(permit.Permit) Position { return i.entry }

// Provider returns the provider whose feed this is.
func (f *Feed) Provider() *eventstore.Provider { return f.provider }

// End returns the position of the end of the feed as of now, or 0 if the feed is empty. It takes
// three requests at most.
func (f *Feed) End(ctx context.Context) (Position, error) {
	log := f.inside.LogReader()
	version, err := log.Version(ctx)
	if err != nil || version == 0 {
		return 0, err
	}
	event, err := log.Event(ctx, version, eventstore.AsRaw())
	if err != nil {
		return 0, err
	}
	batch, err := f.decode(event)
	return Position(batch.Last()), err
}

// Where returns only what is about streams for which wants returns true. Events of other streams
// are not read at all. Calls of wants may run at the same time, and ahead of the loop.
func Where(wants func(eventstore.Stream) bool) ReadOption {
	return func(q *query) error {
		if wants == nil {
			return &eventstore.ArgumentError{Argument: "Where", Reason: "the function is nil"}
		}
		q.where = append(q.where, wants)
		return nil
	}
}
