package eventstore

import (
	"context"
	"fmt"
)

// AppendRecorded appends events that were recorded elsewhere, to move a stream to another store or
// to bring it back from an archive. Each is an event as [Reader.Read] returns it with [AsRaw]. It
// is stored with all of its metadata, including what Append sets by itself: message id, times, and
// the id of the session that first appended it. Only the id of the commit is new, so
// [Reader.Outcome] does not know the commits of the store that the events come from.
//
// All else is as in [Session.Append]: versions, idempotency ids, how the append takes effect, and
// the errors. An event that lacks what every recorded event has is an [ArgumentError] too. Package
// transfer uses AppendRecorded to copy whole streams.
func (s *Session) AppendRecorded(ctx context.Context, expected Expected, events ...Event) (int64, error) {
	values := make([]any, len(events))
	for i, event := range events {
		values[i] = event
	}
	return s.append(ctx, OpAppendRecorded, expected, values, true)
}

// checkRecordedEvent checks that an event was read, and has everything that an append would
// otherwise fill in.
func checkRecordedEvent(argument string, e Event) error {
	lacks := ""
	switch _, raw := e.Data.(Raw); {
	case !raw:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its data is a %T, not a Raw: read it with AsRaw", e.Data)}
	case e.Version == 0:
		lacks = "version"
	case e.Metadata.Message.ID == "":
		lacks = "message id"
	case e.Metadata.Message.Created.IsZero():
		lacks = "time of creation"
	case e.Metadata.Context.Timestamp.IsZero():
		lacks = "timestamp"
	case e.Metadata.Context.SessionID == "":
		lacks = "session id"
	default:
		return nil
	}
	return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it has no %s, which every recorded event has: use Append to append a new event", lacks)}
}

// SaveRecordedSnapshot saves a snapshot as [Reader.Snapshot] returns it with [AsRaw]. It does what
// [Session.SaveSnapshot] does, but keeps the time at which the snapshot was created, and its custom
// metadata.
func (s *Session) SaveRecordedSnapshot(ctx context.Context, snapshot Snapshot) (err error) {
	ctx, o := s.observe(ctx, OpSaveRecordedSnapshot)
	defer o.end(&err)
	o.result.Version = snapshot.Version
	if err := s.check(); err != nil {
		return err
	}
	if _, raw := snapshot.Data.(Raw); !raw || snapshot.Created.IsZero() {
		return &ArgumentError{Argument: "snapshot", Reason: "it was not read with AsRaw: use SaveSnapshot to save a new snapshot"}
	}
	if snapshot.Custom, err = checkCustom("snapshot", snapshot.Custom); err != nil {
		return err
	}
	return s.saveSnapshot(ctx, snapshot, 0, true)
}

// DeleteRecorded deletes a stream that was deleted elsewhere. It does what [Session.DeleteStream]
// does, and returns the same errors. It also marks a stream as deleted that never had an event
// here. Package transfer uses it to move deleted streams.
func (s *Session) DeleteRecorded(ctx context.Context, expected Expected) (err error) {
	ctx, o := s.observeExpecting(ctx, OpDeleteRecorded, expected, 0)
	defer o.end(&err)
	return s.deleteStream(ctx, &o, expected, func(head) error { return nil })
}
