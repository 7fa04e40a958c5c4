package subscription

import (
	"context"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// This file is for operators. Its methods work whether the subscription runs or not, in this
// process or in another one. An instance in another process sees what they change within a third of
// its lease.

const operating = "operate a subscription"

// Partition is the state of one partition of a subscription.
type Partition struct {
	Number   int
	Position feed.Position // all items up to here are handled or held back, as far as it is saved
	Lag      int64         // how many positions of the feed come after that, of all partitions
	Owner    string        // the instance that has it, or that had it when it died; empty if there is none
	Parked   int           // how many streams are parked
}

// Parked is a stream whose items are held back, because one of them could not be handled.
type Parked struct {
	Stream    eventstore.Stream
	Partition int
	Position  feed.Position // of the item that could not be handled
	From      int64         // its version
	To        int64         // the version of the last item that is held back
	Since     time.Time
	Attempts  int    // how often the handler was called for the item when it was last tried
	Reason    string // why it could not be handled, shortened
	Asked     bool   // an operator asked for another try that has not come yet
}

// Positions returns the state of all partitions. Positions are those that are saved, so they are up
// to 10 s old. It returns a [NotFoundError] if the subscription never ran, and else an
// [eventstore.StorageError] or an [eventstore.DamagedError].
func (s *Subscription) Positions(ctx context.Context) ([]Partition, error) {
	sh, all, err := s.readAll(ctx)
	if err != nil {
		return nil, err
	}
	end, err := s.feed.End(ctx)
	if err != nil {
		return nil, err
	}
	partitions := make([]Partition, len(all))
	for k, p := range all {
		if _, there := sh.find(p.owner); !there {
			p.owner = ""
		}
		partitions[k] = Partition{k, p.position, max(0, int64(end-p.position)), p.owner, len(p.parked)}
	}
	return partitions, nil
}

// Parked returns the streams that are parked, ordered by partition and name. It returns the errors
// of [Subscription.Positions].
func (s *Subscription) Parked(ctx context.Context) ([]Parked, error) {
	_, all, err := s.readAll(ctx)
	if err != nil {
		return nil, err
	}
	var streams []Parked
	for k, p := range all {
		for _, e := range p.parked {
			stream, err := eventstore.ParseStream(e.stream)
			if err != nil {
				return nil, s.damaged(s.keys.of(k), err)
			}
			from := e.from
			if e.from > e.to { // only that the stream was closed or deleted
				from = e.deleted
				if e.closed != 0 {
					from = e.closed
				}
			}
			streams = append(streams, Parked{stream, k, e.position, from, max(e.to, e.closed, e.deleted), e.since, int(e.attempts), e.reason, e.request > e.answered})
		}
	}
	return streams, nil
}

func (s *Subscription) readAll(ctx context.Context) (shared, []partition, error) {
	sh, err := s.readShared(ctx, operating)
	if err != nil {
		return sh, nil, err
	}
	all, _, err := s.readPartitions(ctx, operating, sh)
	return sh, all, err
}

// Retry asks the instance that has the partition of a parked stream to deliver what is held back,
// in order. It returns as soon as that is noted. [Subscription.Parked] tells what came of it: the
// stream is gone from the list, or it is parked at the item that failed now.
//
// Retry returns a [NotParkedError] if the stream is not parked, and the errors of
// [Subscription.Positions].
func (s *Subscription) Retry(ctx context.Context, stream eventstore.Stream) error {
	return s.ask(ctx, stream, false)
}

// Skip leaves out the item of a parked stream that could not be handled, and then does the same as
// [Subscription.Retry]. If another item has become the first one meanwhile, nothing is left out.
func (s *Subscription) Skip(ctx context.Context, stream eventstore.Stream) error {
	return s.ask(ctx, stream, true)
}

func (s *Subscription) ask(ctx context.Context, stream eventstore.Stream, skip bool) error {
	sh, err := s.readShared(ctx, operating)
	if err != nil {
		return err
	}
	err = s.updatePartition(ctx, operating, partitionOf(stream, sh.partitions), sh, func(p *partition) (bool, error) {
		i, found := p.find(stream.String())
		if !found {
			return false, &NotParkedError{s.name, stream}
		}
		p.parked = slices.Clone(p.parked)
		e := &p.parked[i]
		e.request++
		if e.skip = 0; skip {
			e.skip = e.from
		}
		return true, nil
	})
	s.poke()
	return err
}

// Reset moves all partitions to a position of the feed, forward or back. What comes after it is
// delivered, again if it was delivered before. Streams that were parked before the position stay
// parked. With position 0, everything is delivered again.
//
// An instance in another process goes on from its old position until it sees the change. Reset
// returns an [eventstore.ArgumentError] if the position is negative or beyond the end of the feed,
// and the errors of [Subscription.Positions]. After a StorageError it may have taken effect.
func (s *Subscription) Reset(ctx context.Context, position feed.Position) error {
	if position < 0 {
		return bad("position", "%d is negative", position)
	}
	if err := s.checkEnd(ctx, "position", position); err != nil {
		return err
	}
	_, err := s.updateShared(ctx, operating, func(sh *shared) (bool, error) {
		if sh.dropped {
			return false, &NotFoundError{s.name}
		}
		sh.epoch, sh.start = sh.epoch+1, position
		return true, nil
	})
	s.poke()
	return err
}

// Drop forgets the subscription: its position, its number of partitions and what is parked. Its
// records stay as small remains. A Run that is under way returns a [NotFoundError]. A later Run
// creates the subscription again.
//
// Drop returns the errors of [Subscription.Positions]. After a StorageError it may have taken
// effect, and it can be repeated.
func (s *Subscription) Drop(ctx context.Context) error {
	_, err := s.updateShared(ctx, operating, func(sh *shared) (bool, error) {
		if sh.partitions == 0 {
			return false, &NotFoundError{s.name}
		}
		changed := !sh.dropped
		sh.dropped, sh.instances = true, nil
		return changed, nil
	})
	if err != nil {
		return err
	}
	s.poke()
	feedName := s.feed.Name()
	return s.update(ctx, operating, directory(feedName), directoryKey(feedName), func(value []byte) ([]byte, error) {
		names, err := namesOf(s.feed, value)
		i, found := slices.BinarySearch(names, s.name)
		if err != nil || !found {
			return nil, err
		}
		return encodeNames(feedName, slices.Delete(names, i, i+1)), nil
	})
}

// Names returns the names of all subscriptions of a feed, sorted.
func Names(ctx context.Context, f *feed.Feed) ([]string, error) {
	if f == nil {
		return nil, bad("feed", "it is nil: make one with feed.Open")
	}
	state := f.Provider().Inside(permit.Permit{}).State()
	item, err := state.Get(ctx, directory(f.Name()), directoryKey(f.Name()))
	if err != nil {
		return nil, &eventstore.StorageError{Stream: directoryStream(f), Operation: operating, Cause: err}
	}
	return namesOf(f, item.Value)
}

func directoryStream(f *feed.Feed) eventstore.Stream {
	return eventstore.Stream{Type: "subscription", ID: f.Name()}
}

func namesOf(f *feed.Feed, value []byte) ([]string, error) {
	names, err := decodeNames(f.Name(), value)
	if err != nil {
		return nil, &eventstore.DamagedError{Stream: directoryStream(f), Key: directoryKey(f.Name()), Cause: err}
	}
	slices.Sort(names)
	return names, nil
}
