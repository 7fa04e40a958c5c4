package subscription

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

const waiting = "wait for a subscription"

// ParkedError says that an item cannot be waited for, because its stream is parked.
type ParkedError struct {
	Subscription string
	Stream       eventstore.Stream
	Version      int64 // of the item that could not be handled
}

// WaitFor waits until the subscription has handled a version of a stream, and has saved that. So a
// page can show what its user just did. It ends with the error of ctx, and with a [ParkedError] if
// the stream is parked before that version. An instance in this process saves at once, and one in
// another process as [WithSaving] says.
func (s *Subscription) WaitFor(ctx context.Context, stream eventstore.Stream, version int64) error {
	position, err := s.feed.WaitFor(ctx, stream, version)
	if err != nil {
		return err
	}
	sh, err := s.readShared(ctx, waiting)
	if err != nil {
		return err
	}
	number := partitionOf(stream, sh.partitions)
	for n := 0; ; n++ {
		item, err := s.inside.State().Get(ctx, s.keys.partition, s.keys.of(number))
		if err != nil {
			return s.failed(waiting, err)
		}
		p, err := s.decodePartition(number, item.Value)
		if err != nil {
			return err
		}
		p = p.rebased(sh)
		if i, found := p.find(stream.String()); found && p.parked[i].from <= version {
			return &ParkedError{s.name, stream, p.parked[i].from}
		}
		if p.position >= position {
			return nil
		}
		s.saveSoon(number)
		if !pause.For(ctx, jitter.Of(ctx, min(5*time.Millisecond<<min(n, 6), 200*time.Millisecond))) {
			return context.Cause(ctx)
		}
	}
}

// saveSoon makes the instances of this process save a partition.
func (s *Subscription) saveSoon(number int) {
	s.mu.Lock()
	runs := make([]*run, 0, len(s.runs))
	for r := range s.runs {
		runs = append(runs, r)
	}
	s.mu.Unlock()
	for _, r := range runs {
		r.mu.Lock()
		if w := r.workers[number]; w != nil {
			signal(w.asked)
		}
		r.mu.Unlock()
	}
}
