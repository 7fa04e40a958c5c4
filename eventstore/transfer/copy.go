package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// What is appended to the target at a time, at most, unless [Batches] says otherwise.
const (
	batchEvents = 500
	batchBytes  = 1 << 20
)

// Option changes how [Copy] goes about it.
type Option func(*job) error

// Batches bounds what is appended at a time: the number of events, and the bytes of their payloads, but for a single event that has more.
// Defaults to 500 events and 1 MiB. What is too large for one request to the target is divided further by itself.
func Batches(events, bytes int) Option {
	return func(j *job) error {
		if events < 1 || bytes < 1 {
			return &eventstore.ArgumentError{Argument: "Batches", Reason: fmt.Sprintf("%d events or %d bytes are not positive", events, bytes)}
		}
		j.batchEvents, j.batchBytes = events, bytes
		return nil
	}
}

// OnProgress has progress called after each piece of work, never at the same time twice. It holds up the copy while it runs.
func OnProgress(progress func(Progress)) Option {
	return func(j *job) error {
		if progress == nil {
			return &eventstore.ArgumentError{Argument: "OnProgress", Reason: "it is nil: leave the option out"}
		}
		j.progress = progress
		return nil
	}
}

// Stage is a part of a copy, in the order of these.
type Stage int

const (
	Checking  Stage = iota // the source is read and looked over for damage
	Comparing              // what the target has already is compared with the source
	Copying
	Verifying // what was copied is read back from the target and compared
)

// String returns "checking", "comparing", "copying" or "verifying".
func (s Stage) String() string {
	names := [...]string{"checking", "comparing", "copying", "verifying"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("Stage(%d)", int(s))
	}
	return names[s]
}

// Progress is how far a stage of a copy has come. A stage without events is left out.
type Progress struct {
	Stream   eventstore.Stream
	Stage    Stage
	Done, Of int64 // events
}

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
	j := &job{stream: stream, to: to, batchEvents: batchEvents, batchBytes: batchBytes, progress: func(Progress) {}, result: Result{Stream: stream}}
	for _, option := range options {
		if option == nil {
			return j.result, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(j); err != nil {
			return j.result, err
		}
	}
	switch {
	case from == nil || to == nil:
		return j.result, &eventstore.ArgumentError{Argument: "from, to", Reason: "a provider is nil"}
	case from == to:
		return j.result, &eventstore.ArgumentError{Argument: "to", Reason: "it is the same as from: a stream can't be copied onto itself"}
	}
	var err error
	if j.source, err = from.ReaderIn(stream.Database, stream.Type, stream.ID); err != nil {
		return j.result, err
	}
	if j.target, err = to.ReaderIn(stream.Database, stream.Type, stream.ID); err != nil {
		return j.result, err
	}
	j.log = to.Logger().With("stream", stream.String())
	defer j.release()
	err = j.run(ctx)
	return j.result, err
}

// job is one copy on its way.
type job struct {
	stream         eventstore.Stream
	source, target *eventstore.Reader
	to             *eventstore.Provider
	log            *slog.Logger

	batchEvents, batchBytes int
	progress                func(Progress)
	result                  Result

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
	if errors.Is(err, &eventstore.StreamDeletedError{}) {
		return state{closed: true, deleted: true}, nil
	}
	return s, err
}

// check reads all of the source. Damage of what is made from events is no hindrance.
func (j *job) check(ctx context.Context) (eventstore.Verification, error) {
	found, err := j.source.Verify(ctx, func(checked, of int64) { j.tell(Checking, checked, of) })
	if err != nil {
		return found, err
	}
	for _, damage := range found.Damage {
		_, key, _ := strings.Cut(damage.Key, "}:")
		if !strings.HasPrefix(key, "snapshot") && !strings.HasPrefix(key, "idem:") {
			return found, fmt.Errorf("transfer: the source can't be copied as it is, the target was left alone: %w", damage)
		}
	}
	return found, nil
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
			err = j.busy(s.DeleteStream(ctx, eventstore.ExpectVersion(0)))
		}
		if err != nil {
			return err
		}
	}
	j.result.Deleted = true
	return nil
}

// compare reads a range of versions from both stores, side by side.
func (j *job) compare(ctx context.Context, stage Stage, from, to int64) error {
	if from > to {
		return nil
	}
	of := []eventstore.ReadOption{eventstore.FromVersion(from), eventstore.ToVersion(to), eventstore.AsRaw()}
	copies, stop := iter.Pull2(j.target.Read(ctx, of...))
	defer stop()
	version := from
	for event, err := range j.source.Read(ctx, of...) {
		if err != nil {
			return err
		}
		theirs, err, ok := copies()
		switch {
		case err != nil:
			return err
		case !ok:
			return &DiffersError{Stream: j.stream, Version: version, Reason: "the target has lost it"}
		}
		if reason := difference(event, theirs); reason != "" {
			return &DiffersError{Stream: j.stream, Version: version, Reason: reason}
		}
		j.result.Verified++
		if done := version - from + 1; done%tellEvery == 0 || version == to {
			j.tell(stage, done, to-from+1)
		}
		version++
	}
	if version != to+1 {
		return &DiffersError{Stream: j.stream, Version: version, Reason: "the source has lost it"}
	}
	return nil
}

// tellEvery is after how many events progress is told.
const tellEvery = 500

// difference is how two events of one version differ, without their content; empty if they do not.
func difference(a, b eventstore.Event) string {
	switch {
	case !reflect.DeepEqual(a.Metadata, b.Metadata):
		return "its metadata is not that of the source"
	case !reflect.DeepEqual(a, b):
		return "its content is not that of the source"
	}
	return ""
}

// copy appends a range of versions to the target.
func (j *job) copy(ctx context.Context, from, to int64) error {
	if from > to {
		return nil
	}
	var batch []eventstore.Event
	bytes := 0
	flush := func() error {
		if err := j.append(ctx, batch); err != nil {
			return err
		}
		j.tell(Copying, batch[len(batch)-1].Version-from+1, to-from+1)
		batch, bytes = batch[:0], 0
		return nil
	}
	for event, err := range j.source.Read(ctx, eventstore.FromVersion(from), eventstore.ToVersion(to), eventstore.AsRaw()) {
		if err != nil {
			return err
		}
		size := len(event.Data.(eventstore.Raw).Payload)
		if len(batch) > 0 && (len(batch) >= j.batchEvents || bytes+size > j.batchBytes) {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, bytes = append(batch, event), bytes+size
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// append appends events to the target, in two halves where one request can't take them.
func (j *job) append(ctx context.Context, events []eventstore.Event) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	_, err = s.AppendRecorded(ctx, eventstore.ExpectVersion(events[0].Version-1), events...)
	if errors.Is(err, &eventstore.BatchTooLargeError{}) && len(events) > 1 {
		half := len(events) / 2
		if err := j.append(ctx, events[:half]); err != nil {
			return err
		}
		return j.append(ctx, events[half:])
	}
	if err != nil {
		return j.busy(err)
	}
	j.result.Copied += int64(len(events))
	for _, event := range events {
		j.result.Bytes += int64(len(event.Data.(eventstore.Raw).Payload))
	}
	return nil
}

// busy says of an error by which somebody else is known that it is that.
func (j *job) busy(err error) error {
	if errors.Is(err, &eventstore.VersionMismatchError{}) || errors.Is(err, &eventstore.SessionLostError{}) || errors.Is(err, &eventstore.StreamClosedError{}) {
		return &BusyError{Stream: j.stream, Cause: err}
	}
	return err
}

// open is a session on the target with at least half of its time left.
func (j *job) open(ctx context.Context) (*eventstore.Session, error) {
	if j.session != nil && time.Now().Before(j.renew) {
		return j.session, nil
	}
	j.release()
	s, err := j.to.OpenIn(ctx, j.stream.Database, j.stream.Type, j.stream.ID)
	if errors.Is(err, &eventstore.OpenTimeoutError{}) && ctx.Err() == nil {
		return nil, &BusyError{Stream: j.stream, Cause: err}
	}
	if err != nil {
		return nil, err
	}
	j.session, j.renew = s, time.Now().Add(time.Until(s.ExpiresAt())/2)
	return s, nil
}

// release gives the target's lock back.
func (j *job) release() {
	if j.session == nil {
		return
	}
	if err := j.session.Close(); err != nil { // it runs out by itself
		j.log.Debug("the target's lock was not given back", "error", err)
	}
	j.session = nil
}

// snapshots makes the target's snapshots those of the source up to that version.
func (j *job) snapshots(ctx context.Context, to int64) error {
	wanted, err := j.source.Snapshots(ctx)
	switch {
	case errors.Is(err, &eventstore.DamagedError{}): // of the list; so none can be used
		j.log.WarnContext(ctx, "the source's list of snapshots can't be read, none is copied", "error", err)
	case err != nil:
		return err
	}
	there, err := j.target.Snapshots(ctx)
	if err != nil && !errors.Is(err, &eventstore.DamagedError{}) {
		return err
	}
	if err != nil {
		if err := j.clear(ctx, 0); err != nil {
			return err
		}
	}
	for _, version := range wanted {
		if version > to {
			continue // made since
		}
		snapshot, err := j.source.Snapshot(ctx, version, eventstore.AsRaw())
		switch {
		case errors.Is(err, &eventstore.DamagedError{}), errors.Is(err, &eventstore.SnapshotNotFoundError{}):
			j.result.Unusable = append(j.result.Unusable, version)
			continue
		case err != nil:
			return err
		}
		same := slices.Contains(there, version) // one that its list does not name is not found
		there = slices.DeleteFunc(there, func(v int64) bool { return v == version })
		if same {
			if same, err = j.sameSnapshot(ctx, snapshot); err != nil {
				return err
			}
		}
		if !same {
			if err := j.save(ctx, snapshot); err != nil {
				return err
			}
			j.result.Saved++
		}
		j.result.Snapshots++
	}
	for _, version := range there {
		if err := j.clear(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// save saves one snapshot in the target and reads it back.
func (j *job) save(ctx context.Context, snapshot eventstore.Snapshot) error {
	s, err := j.open(ctx)
	if err == nil {
		err = j.busy(s.SaveRecordedSnapshot(ctx, snapshot))
	}
	if err != nil {
		return err
	}
	same, err := j.sameSnapshot(ctx, snapshot)
	if err == nil && !same {
		err = &DiffersError{Stream: j.stream, Version: snapshot.Version, Reason: "the snapshot that was saved there just now is not that of the source"}
	}
	return err
}

// sameSnapshot reports whether the target has that snapshot.
func (j *job) sameSnapshot(ctx context.Context, snapshot eventstore.Snapshot) (bool, error) {
	theirs, err := j.target.Snapshot(ctx, snapshot.Version, eventstore.AsRaw())
	if errors.Is(err, &eventstore.SnapshotNotFoundError{}) || errors.Is(err, &eventstore.DamagedError{}) {
		return false, nil
	}
	return reflect.DeepEqual(theirs, snapshot), err
}

// clear removes a snapshot of the target that the source does not have; version 0 removes all.
func (j *job) clear(ctx context.Context, version int64) error {
	s, err := j.open(ctx)
	switch {
	case err != nil:
		return err
	case version == 0:
		return s.ClearSnapshots(ctx)
	}
	if err = s.ClearSnapshot(ctx, version); errors.Is(err, &eventstore.SnapshotNotFoundError{}) {
		return nil
	}
	return err
}

// verify reads back what was copied, then looks over all of the target.
func (j *job) verify(ctx context.Context, from int64, source eventstore.Verification) error {
	if err := j.compare(ctx, Verifying, from, source.Version); err != nil {
		return err
	}
	found, err := j.target.Verify(ctx, nil)
	switch {
	case err != nil:
		return err
	case !found.Sound():
		return fmt.Errorf("transfer: the target is damaged: %w", found.Damage[0])
	case found.Version != source.Version || found.Closed != source.Closed:
		return &BusyError{Stream: j.stream, Cause: &eventstore.VersionMismatchError{Stream: j.stream, Expected: source.Version, Actual: found.Version}}
	}
	j.log.DebugContext(ctx, "copied a stream", "version", source.Version, "count", j.result.Copied, "before", j.result.Before)
	return nil
}

func (j *job) tell(stage Stage, done, of int64) {
	j.progress(Progress{Stream: j.stream, Stage: stage, Done: done, Of: of})
}
