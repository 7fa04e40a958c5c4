package racing

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Ack is an acknowledged append.
type Ack struct {
	Writer  string
	N       int
	Events  int
	Version int64 // of the last event
}

// Writer is one of several writers that append to a stream.
type Writer struct {
	Name       string
	Provider   *eventstore.Provider
	Stream     string
	Appends    int       // acknowledged ones, until the writer ends
	Events     int       // in one append, at most
	PerSession int       // appends in one session, at most
	Patient    bool      // the store may be away for a while
	Acked      func(Ack) // called for each acknowledged append; may be nil
}

// Run appends until all appends are acknowledged. If another writer is faster, Run tries again in a
// new session. It returns the number of such refusals.
func (w Writer) Run(ctx context.Context) (acks []Ack, refused int, err error) {
	for len(acks) < w.Appends {
		done, lost, err := w.session(ctx, len(acks))
		acks = append(acks, done...)
		if lost {
			refused++
		}
		if err == nil {
			continue
		}
		if !w.Patient || ctx.Err() != nil || !errors.As(err, new(*eventstore.StorageError)) {
			return acks, refused, err
		}
		wait(ctx)
	}
	return acks, refused, nil
}

// session appends in one session, beginning with the n-th append. The session ends when another
// writer is faster, or when the outcome of an append was unknown at first.
func (w Writer) session(ctx context.Context, n int) (acks []Ack, refused bool, err error) {
	s, err := w.Provider.Open(ctx, Stream(w.Stream))
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if closing := s.Close(); err == nil && !w.Patient && !errors.As(closing, new(*eventstore.SessionLostError)) {
			err = closing
		}
	}()
	for settled := false; !settled && len(acks) < w.PerSession && n < w.Appends; n++ {
		events := make([]any, 1+n%w.Events)
		for part := range events {
			events[part] = Event{Writer: w.Name, N: n, Part: part}
		}
		version, err := s.Append(ctx, eventstore.ExpectAny(), events...)
		var unknown *eventstore.OutcomeUnknownError
		if settled = w.Patient && errors.As(err, &unknown); settled {
			_ = s.Close() // it may hold the lock that settle needs
			version, err = w.settle(ctx, unknown)
		}
		if err != nil {
			if refused = errors.As(err, new(*eventstore.SessionLostError)) || errors.As(err, new(*eventstore.VersionMismatchError)); refused {
				err = nil
			}
			return acks, refused, err
		}
		ack := Ack{w.Name, n, len(events), version}
		acks = append(acks, ack)
		if w.Acked != nil {
			w.Acked(ack)
		}
	}
	return acks, false, nil
}

// settle finds out how an append of unknown outcome ended, and returns its version.
func (w Writer) settle(ctx context.Context, unknown *eventstore.OutcomeUnknownError) (version int64, err error) {
	for {
		var s *eventstore.Session
		if s, err = w.Provider.Open(ctx, Stream(w.Stream)); err == nil {
			version, err = s.Retry(ctx, unknown)
			_ = s.Close()
			if err == nil || errors.As(err, new(*eventstore.VersionMismatchError)) {
				return version, err
			}
		}
		if ctx.Err() != nil {
			return 0, err
		}
		wait(ctx)
	}
}

// wait gives a store that is away some time to come back, unless the race ends.
func wait(ctx context.Context) {
	timer := time.NewTimer(50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
