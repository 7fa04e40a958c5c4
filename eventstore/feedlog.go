package eventstore

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// The log of a feed is a stream of this event store. Its events are batches of entries, and its
// snapshots say how far the journals were read. Package feed writes it. (Rule F6)

// readLog returns how far the log has taken over the journals. It reads the newest snapshot of the
// log and the batches after it.
func readLog(ctx context.Context, r *Reader) (journal.State, error) {
	snapshot, events, err := r.Load(ctx, AsRaw())
	if err != nil {
		return journal.State{}, err
	}
	state := journal.NewState()
	if raw, ok := snapshot.Data.(Raw); ok {
		if state, err = journal.DecodeState(raw.Payload); err != nil {
			return journal.State{}, r.handle.damaged(r.handle.keys.snapshot(snapshot.Version), snapshot.Version, err)
		}
		state.KeptVersion = snapshot.Version
	}
	for event, err := range events {
		if err != nil {
			return journal.State{}, err
		}
		batch, err := journal.DecodeBatch(event.Data.(Raw).Payload)
		if err == nil {
			err = state.Take(batch)
		}
		if err != nil {
			return journal.State{}, r.handle.damaged(r.handle.keys.event(event.Version), event.Version, fmt.Errorf("the log of the feed: %w", err))
		}
	}
	return state, nil
}
