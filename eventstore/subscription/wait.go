package subscription

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

const waiting = "wait for a subscription"

// WaitFor waits until the subscription has handled a version of a stream, and has saved that. So a
// page can show what its user just did. An instance in this process saves at once, and one in
// another process as [WithSaving] says.
//
// It waits until ctx ends if no instance runs, or if nothing indexes the feed. So give it a limit,
// after which the page shows what there is. It returns a [ParkedError] if the stream is parked
// before that version, a [NotFoundError] if the subscription did not begin to run within two
// seconds, and the errors of [Subscription.Positions].
func (s *Subscription) WaitFor(ctx context.Context, stream eventstore.Stream, version int64) error {
	position, err := s.feed.WaitFor(ctx, stream, version)
	if err != nil {
		return err
	}
	sh, err := s.awaitShared(ctx)
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

// awaitShared reads what all instances share. If the subscription does not exist, it may be about
// to run for the first time.
func (s *Subscription) awaitShared(ctx context.Context) (shared, error) {
	const patience = 2 * time.Second
	began := time.Now()
	for n := 0; ; n++ {
		sh, err := s.readShared(ctx, waiting)
		if !isA[*NotFoundError](err) || time.Since(began) > patience {
			return sh, err
		}
		if !pause.For(ctx, jitter.Of(ctx, min(5*time.Millisecond<<min(n, 6), 200*time.Millisecond))) {
			return sh, context.Cause(ctx)
		}
	}
}

// Catch waits until all partitions are at least at a position. Instances of this process save as
// soon as they are. It is for the packages of this module.
func (s *Subscription) Catch(_ permit.Permit, ctx context.Context, position feed.Position) error {
	for n := 0; ; n++ {
		if s.works(position) {
			if n = 0; !pause.For(ctx, 5*time.Millisecond) {
				return context.Cause(ctx)
			}
			continue
		}
		all, err := s.Positions(ctx)
		behind := isA[*NotFoundError](err) // it is about to run
		if err != nil && !behind {
			return err
		}
		for number, p := range all {
			if p.Position < position {
				behind = true
				s.saveSoon(number)
			}
		}
		if !behind {
			return nil
		}
		if !pause.For(ctx, jitter.Of(ctx, min(10*time.Millisecond<<min(n, 7), time.Second))) {
			return context.Cause(ctx)
		}
	}
}

// works reports whether an instance of this process still has to handle items up to a position.
func (s *Subscription) works(position feed.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.runs {
		r.mu.Lock()
		for _, w := range r.workers {
			if w.ctx.Err() == nil && (w.through.Load() < int64(position) || len(w.queue) > 0) {
				r.mu.Unlock()
				return true
			}
		}
		r.mu.Unlock()
	}
	return false
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
			signal(w.soon)
		}
		r.mu.Unlock()
	}
}
