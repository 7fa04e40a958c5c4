package feed

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Provider returns the provider whose feed this is.
func (f *Feed) Provider() *eventstore.Provider { return f.provider }

// End returns the position at the end of the feed as of now. The difference to a reader's position
// is about how many commits the reader is behind. It takes at most two requests.
func (f *Feed) End(ctx context.Context) (Position, error) {
	view, err := f.inside.ViewLog(ctx, f.inside.LogReader())
	if err != nil {
		return 0, err
	}
	at, err := f.end(ctx, view)
	return Position(at.position), err
}

// Entry returns the position of the commit that the item is part of. It is for the packages of this
// module.
func (i Item) Entry(permit.Permit) Position { return i.entry }

// Size returns how many bytes the event takes in the store. It is for the packages of this module.
func (i Item) Size(permit.Permit) int { return i.size }
