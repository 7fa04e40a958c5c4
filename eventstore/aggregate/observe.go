package aggregate

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

var errPanicked = errors.New("aggregate: the operation panicked")

// observed runs an operation and reports it to the provider's observer, if there is one. Operations
// on the stream that happen during run are nested in it. run counts its tries.
func (r *Repository[S]) observed(ctx context.Context, name, id string, run func(ctx context.Context, tries *int) (Aggregate[S], error)) (a Aggregate[S], err error) {
	tries := 0
	observer := r.provider.Observer()
	if observer == nil {
		a, err = run(ctx, &tries)
		return a, r.provider.HashIDs(err, r.stream(id))
	}
	operation := eventstore.Operation{Name: name, Stream: r.stream(id), Expected: -1}
	within := observer.Begin(ctx, operation)
	if within == nil {
		within = ctx
	}
	began, ended := time.Now(), errPanicked // unless it returns
	defer func() {
		observer.End(within, operation, eventstore.OperationResult{
			Duration: time.Since(began), Version: a.Version, Events: len(a.Appended), Attempts: tries, Err: ended,
		})
	}()
	a, err = run(within, &tries)
	err = r.provider.HashIDs(err, r.stream(id))
	ended = err
	return a, err
}
