package feed

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Find returns the name of the feed that a store has, for tools that do not know it. It returns an
// empty name if the store has none. Services name their feed themselves, with
// [eventstore.WithFeed]. The errors are [eventstore.StorageError] and [eventstore.DamagedError].
func Find(ctx context.Context, state driver.State) (name string, err error) {
	if state == nil {
		return "", &eventstore.ArgumentError{Argument: "state", Reason: "it is nil"}
	}
	item, err := state.Get(ctx, journal.RootPartition, journal.RootKey)
	if err != nil {
		return "", &eventstore.StorageError{Operation: "find the feed", Cause: err}
	}
	_, err = journal.DecodeRoot("", item.Value)
	if other, ok := err.(*journal.OtherFeedError); ok {
		return other.Name, nil
	}
	if err != nil {
		return "", &eventstore.DamagedError{Key: journal.RootKey, Cause: err}
	}
	return "", nil
}
