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

// Result is what a copy found and did. After an error it says what was done until then.
type Result struct {
	Stream eventstore.Stream

	// Version is that of the source up to which it was to be copied; 0 if the source has nothing under that name, which
	// is all that a misspelt name shows.
	Version int64

	Before int64 // events that were in the target, and are the same
	Copied int64 // events that were appended to it now
	Bytes  int64 // of their payloads

	// Verified is how many events were read from the target, those before included, and are the same in content and metadata as in the source.
	Verified int64

	Snapshots int // that the target has now, each the same as in the source
	Saved     int // of them now

	// Unusable are the versions of snapshots that the source lists and that can't be read. They are left out: a
	// snapshot is made from events, and its lack costs time only.
	Unusable []int64

	// Closed and Deleted say what the stream is, in both stores.
	Closed, Deleted bool
}

// Copy copies a stream from one store to another, up to the version at which the source is when it begins, and verifies it. It
// changes nothing in the source.
//
// What the target has must be the beginning of what the source has, else it is refused with a [DiffersError] and left as it is. It goes
// on from there, so that a copy that was cut short, or to which the source has grown since, is brought to its end by calling it again.
// Snapshots become those of the source: what is missing is saved, what differs is replaced, others are removed. A stream
// that is closed in the source is closed in the target.
//
// Of a stream that was deleted in the source nothing is left to copy: one that is empty in the target is deleted there, so that
// nobody begins it anew, and one that has events there is refused.
//
// The source is read first, and refused with a [eventstore.DamagedError] before anything is written where it is damaged; damaged snapshots, and
// idempotency ids that lead nowhere, are no hindrance. Nobody else may write to the target meanwhile; where somebody does, the copy
// ends with a [BusyError]. If both are one provider it is an [eventstore.ArgumentError]; two providers of one store do
// no harm, since all is there then.
//
// Other errors are those of reading and appending. After each the target holds a beginning of the source, and Copy can be called
// again. When the context ends it returns at once; memory does not grow with the stream. Copies of several streams may run at the same time.
func Copy(ctx context.Context, from, to *eventstore.Provider, stream eventstore.Stream, options ...Option) (Result, error) {
	result, err := copyStream(ctx, from, to, stream, options)
	for _, p := range [...]*eventstore.Provider{from, to} { // either may hide ids
		if p != nil {
			err = p.HashIDs(err, stream)
		}
	}
	return result, err
}

// copyStream is Copy, whose errors name streams.
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
		return j.result, &eventstore.ArgumentError{Argument: "to", Reason: "it is the same as from: a stream can't be copied onto itself"}
	}
	j.source, j.target = from.Reader(stream), to.Reader(stream)
	j.log = to.Logger().With("stream", stream.String())
	defer j.release()
	err := j.run(ctx)
	return j.result, err
}

// job is one copy on its way.
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
	// The target first: then it can't be ahead because the source has grown meanwhile.
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

// state is what of a stream's head matters here.
type state struct {
	version         int64
	closed, deleted bool
}

// look finds how far the target is.
func (j *job) look(ctx context.Context) (s state, err error) {
	if s.version, err = j.target.Version(ctx); err == nil && s.version > 0 {
		s.closed, err = j.target.Closed(ctx)
	}
	if errors.As(err, new(*eventstore.StreamDeletedError)) {
		return state{closed: true, deleted: true}, nil
	}
	return s, err
}

// check reads all of the source. Damage of what is made from events is no hindrance.
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
		return fmt.Errorf("transfer: the source can't be copied as it is, the target was left alone: %w", damage)
	}))
}

// fits refuses a target whose state can't be the beginning of the source's.
func (j *job) fits(source eventstore.Verification, target state) error {
	switch {
	case target.deleted:
		return &DiffersError{Stream: j.stream, Reason: "it was deleted in the target, and not in the source"}
	case target.version > source.Version:
		return &DiffersError{Stream: j.stream, Version: source.Version + 1, Reason: fmt.Sprintf("the target has it and the source ends before, at version %d", source.Version)}
	case target.closed && (!source.Closed || target.version < source.Version):
		return &DiffersError{Stream: j.stream, Version: target.version + 1, Reason: fmt.Sprintf("the target was closed at version %d and takes no more", target.version)}
	}
	return nil
}

// delete lets the target hold that the stream was deleted.
func (j *job) delete(ctx context.Context, target state) error {
	j.result.Version = 0
	switch {
	case target.version > 0:
		return &DiffersError{Stream: j.stream, Version: 1, Reason: "the stream was deleted in the source and has events in the target: if they are of an earlier copy, delete it there too, with Session.DeleteStream"}
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
