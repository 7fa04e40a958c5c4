package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Result says what a copy found and did. After an error it says what was done until then.
type Result struct {
	Stream eventstore.Stream

	// Version is the version of the source up to which events were to be copied. It is 0 if the
	// source has nothing under that name, which is also the only sign of a misspelt name.
	Version int64

	Before int64 // events that the target already had, equal to the source's
	Copied int64 // events that this copy appended to the target
	Bytes  int64 // of their payloads

	// Verified counts the events that were read from the target and equal the source's in content
	// and metadata. It includes the events that were already there.
	Verified int64

	Snapshots int // that the target has now, each equal to the source's
	Saved     int // of Snapshots, by this copy

	// Unusable lists the versions of snapshots that the source names but cannot read. They are not
	// copied. Snapshots are made from events, so without them loading only takes longer.
	Unusable []int64

	// Closed and Deleted say whether the stream is closed or deleted, in both stores.
	Closed, Deleted bool
}

// Copy copies a stream from one store to another and verifies the copy. It copies up to the
// source's version at the time it begins. It changes nothing in the source.
//
// The target's events must be the beginning of the source's. Otherwise Copy returns a
// [DiffersError] and leaves the target alone. Copy continues where the target ends. So call it
// again after a copy was interrupted, or after the source has grown. The target's snapshots become
// the source's: Copy saves missing ones, replaces different ones, and removes others. If the stream
// is closed in the source, Copy closes it in the target.
//
// If the stream was deleted in the source, there is nothing left to copy. If it is empty in the
// target, Copy deletes it there, so that it cannot be started again. If it has events in the
// target, Copy returns a [DiffersError].
//
// Copy first reads the source. If it is damaged, Copy returns an [eventstore.DamagedError] before
// it writes anything. Damaged snapshots, and idempotency ids that point to no event, do not stop
// it. No one else may write to the target during the copy. If somebody does, Copy returns a
// [BusyError]. If from and to are the same provider, Copy returns an [eventstore.ArgumentError].
// Two providers of the same store do no harm, because everything is already there.
//
// Copy also returns the errors of reading and appending. After each error the target holds a
// beginning of the source, and Copy can be called again. When ctx ends, Copy returns at once. Its
// memory use does not grow with the stream. Copies of several streams may run at the same time.
func Copy(ctx context.Context, from, to *eventstore.Provider, stream eventstore.Stream, options ...Option) (Result, error) {
	result, err := copyStream(ctx, from, to, stream, options)
	for _, p := range [...]*eventstore.Provider{from, to} { // either may be set to hash ids
		if p != nil {
			err = p.HashIDs(err, stream)
		}
	}
	return result, err
}

// copyStream does the work of Copy. Its errors contain the stream's name.
func copyStream(ctx context.Context, from, to *eventstore.Provider, stream eventstore.Stream, options []Option) (Result, error) {
	j := &job{
		config: config{batchEvents: batchEvents, batchBytes: batchBytes, progress: func(Progress) {}},
		stream: stream, to: to, result: Result{Stream: stream},
	}
	for _, option := range options {
		if option == nil {
			return j.result, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&j.config); err != nil {
			return j.result, err
		}
	}
	switch {
	case from == nil || to == nil:
		return j.result, &eventstore.ArgumentError{Argument: "from, to", Reason: "a provider is nil"}
	case from == to:
		return j.result, &eventstore.ArgumentError{Argument: "to", Reason: "it is the same as from: a stream cannot be copied onto itself"}
	}
	j.source, j.target = from.Reader(stream), to.Reader(stream)
	j.log = to.Logger().With("stream", stream.String())
	defer j.release()
	err := j.run(ctx)
	return j.result, err
}

// job is one copy under way.
type job struct {
	config
	stream         eventstore.Stream
	source, target *eventstore.Reader
	to             *eventstore.Provider
	log            *slog.Logger

	result Result

	session *eventstore.Session // on the target; nil while it is not needed
	renew   time.Time           // when to open a new one
}

func (j *job) run(ctx context.Context) error {
	// Look at the target first. Otherwise it could seem ahead, if the source grew in between.
	target, err := j.look(ctx)
	if err != nil {
		return err
	}
	source, err := j.check(ctx)
	if err != nil {
		return err
	}
	j.result.Version = source.Version
	if source.Deleted {
		return j.delete(ctx, target)
	}
	if err := j.fits(source, target); err != nil {
		return err
	}
	if err := j.compare(ctx, Comparing, 1, target.version); err != nil {
		return err
	}
	j.result.Before = target.version
	if source.Version == 0 {
		return nil
	}
	if err := j.copy(ctx, target.version+1, source.Version); err != nil {
		return err
	}
	if err := j.snapshots(ctx, source.Version); err != nil {
		return err
	}
	if source.Closed && !target.closed {
		s, err := j.open(ctx)
		if err == nil {
			err = j.busy(s.CloseStream(ctx, eventstore.ExpectVersion(source.Version)))
		}
		if err != nil {
			return err
		}
	}
	j.result.Closed = source.Closed
	return j.verify(ctx, target.version+1, source)
}

// state is the part of a stream's head that matters here.
type state struct {
	version         int64
	closed, deleted bool
}

// look returns how far the target is.
func (j *job) look(ctx context.Context) (s state, err error) {
	if s.version, err = j.target.Version(ctx); err == nil && s.version > 0 {
		s.closed, err = j.target.Closed(ctx)
	}
	if errors.As(err, new(*eventstore.StreamDeletedError)) {
		return state{closed: true, deleted: true}, nil
	}
	return s, err
}

// check reads the whole source. It tolerates damage to what can be rebuilt from events.
func (j *job) check(ctx context.Context) (eventstore.Verification, error) {
	return j.source.Verify(ctx, func(checked, of int64) { j.tell(Checking, checked, of) }, eventstore.WithFindings(func(found error) error {
		damage, ok := found.(*eventstore.DamagedError)
		if !ok {
			return nil
		}
		_, key, _ := strings.Cut(damage.Key, "}:")
		if strings.HasPrefix(key, "snapshot") || strings.HasPrefix(key, "idem:") {
			return nil
		}
		return fmt.Errorf("transfer: the source is damaged and cannot be copied; the target was not changed: %w", damage)
	}))
}

// fits returns an error if the target's state cannot be a beginning of the source's.
func (j *job) fits(source eventstore.Verification, target state) error {
	switch {
	case target.deleted:
		return &DiffersError{Stream: j.stream, Reason: "it was deleted in the target but not in the source"}
	case target.version > source.Version:
		return &DiffersError{Stream: j.stream, Version: source.Version + 1, Reason: fmt.Sprintf("the target has this event, but the source ends at version %d", source.Version)}
	case target.closed && (!source.Closed || target.version < source.Version):
		return &DiffersError{Stream: j.stream, Version: target.version + 1, Reason: fmt.Sprintf("the target was closed at version %d and accepts no more events", target.version)}
	}
	return nil
}

// delete deletes an empty target, as the source was deleted.
func (j *job) delete(ctx context.Context, target state) error {
	j.result.Version = 0
	switch {
	case target.version > 0:
		return &DiffersError{Stream: j.stream, Version: 1, Reason: "the stream was deleted in the source but has events in the target: if an earlier copy wrote them, delete it there too, with Session.DeleteStream"}
	case !target.deleted:
		s, err := j.open(ctx)
		if err == nil {
			err = j.busy(s.DeleteRecorded(ctx, eventstore.ExpectVersion(0)))
		}
		if err != nil {
			return err
		}
	}
	j.result.Deleted = true
	return nil
}
