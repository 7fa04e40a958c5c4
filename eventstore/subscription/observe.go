package subscription

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// This file tells the provider's observer how the subscription is doing. Nothing here sends a
// request.

// progress is where a worker is.
type progress struct {
	position  feed.Position // everything up to it is handled or held back
	committed time.Time     // of the item that is being handled, or of the last one
	over      bool          // the item is handled
}

// deliver passes an item to the handler, as an operation, and returns how often it called it. It
// returns the errors of try. again says that the handler was called for the item before.
func (w *worker) deliver(item feed.Item, again bool) (int, error) {
	ctx, end := w.inside.Observe(polling.Unmark(w.ctx), eventstore.Operation{
		Name: eventstore.OpDeliver, Stream: item.Stream, Expected: -1,
		Delivery: &eventstore.Delivery{
			Feed: w.feed.Name(), Subscription: w.name, Partition: w.number, Position: int64(item.Position),
			Version: item.Version, Committed: item.Time, Metadata: item.Event.Metadata, Again: again,
		},
	})
	attempts, err := w.try(ctx, item)
	end(eventstore.OperationResult{Version: item.Version, Attempts: attempts, Err: err, Disposition: w.disposition(err, again)})
	return attempts, err
}

// disposition returns what becomes of an item after its delivery.
func (w *worker) disposition(err error, again bool) eventstore.Disposition {
	switch {
	case err == nil:
		return eventstore.DeliveryHandled
	case !isA[*HandlerError](err):
		return eventstore.DeliveryInterrupted
	case again: // its stream stays parked, whatever the policy is now
		return eventstore.DeliveryParked
	case w.policy == skip:
		return eventstore.DeliverySkipped
	case w.policy == park && len(w.parked) < maxParked:
		return eventstore.DeliveryParked
	}
	return eventstore.DeliveryStopped
}

// knows notes that the feed has a position.
func (r *run) knows(position feed.Position) {
	for {
		known := r.known.Load()
		if int64(position) <= known || r.known.CompareAndSwap(known, int64(position)) {
			return
		}
	}
}

// report tells how far this instance is.
func (r *run) report(ctx context.Context) {
	if !r.inside.Reports() {
		return
	}
	tell := eventstore.SubscriptionReport{Feed: r.feed.Name(), Subscription: r.name}
	r.mu.Lock()
	for _, w := range r.workers {
		position, age := w.lag()
		tell.Partitions++
		tell.Parked += int(w.streams.Load())
		tell.Lag = max(tell.Lag, r.known.Load()-int64(position))
		tell.LagAge = max(tell.LagAge, age)
	}
	r.mu.Unlock()
	r.inside.Report(ctx, tell)
}

// lag returns the position up to which a worker is through, and how long ago the oldest item was
// committed that waits or is being handled. If only the item before that one is known, it counts
// instead.
func (w *worker) lag() (feed.Position, time.Duration) {
	at := w.at.Load()
	switch {
	case (at == nil || at.over) && len(w.queue) == 0:
		return feed.Position(w.through.Load()), 0
	case at == nil:
		return w.begins, 0
	case at.committed.IsZero():
		return at.position, 0
	}
	return at.position, max(0, time.Since(at.committed))
}
