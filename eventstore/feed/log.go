package feed

import (
	"context"
	"iter"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// logged is a batch with its version in the log.
type logged struct {
	journal.Batch
	version int64
}

// batchesAfter reads the batches that hold entries after a position.
func (f *Feed) batchesAfter(ctx context.Context, log *eventstore.Reader, position int64) iter.Seq2[logged, error] {
	return func(yield func(logged, error) bool) {
		version, err := f.versionAfter(ctx, log, position)
		if err != nil {
			yield(logged{}, err)
			return
		}
		for event, err := range log.Read(ctx, eventstore.FromVersion(version), eventstore.AsRaw()) {
			if err != nil {
				yield(logged{}, err)
				return
			}
			batch, err := f.decode(event)
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

func (f *Feed) decode(event eventstore.Event) (logged, error) {
	batch, err := journal.DecodeBatch(event.Data.(eventstore.Raw).Payload)
	if err != nil {
		return logged{}, &eventstore.DamagedError{Stream: eventstore.Stream{Type: "feed", ID: f.Name()}, Version: event.Version, Cause: err}
	}
	return logged{batch, event.Version}, nil
}

// versionAfter returns the version of the first batch that holds an entry after a position. It may
// be one above the last version. It searches, so it takes as many requests as the number of batches
// has binary digits.
func (f *Feed) versionAfter(ctx context.Context, log *eventstore.Reader, position int64) (int64, error) {
	if position == 0 {
		return 1, nil
	}
	last, err := log.Version(ctx)
	if err != nil {
		return 0, err
	}
	low, high := int64(1), last+1 // the answer is from low to high
	for low < high {
		middle := (low + high) / 2
		event, err := log.Event(ctx, middle, eventstore.AsRaw())
		if err != nil {
			return 0, err
		}
		batch, err := f.decode(event)
		if err != nil {
			return 0, err
		}
		if batch.Last() > position {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}
