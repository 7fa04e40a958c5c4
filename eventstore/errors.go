package eventstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// This file holds the error types of the package. Each is a struct, is returned as a pointer, and
// often wraps its cause. The package comment says how to match them, and [Advise] what to do about
// them. Each says whether the operation may have taken effect, as the errors of nats.go do.

// NotOpenError says that a session or reader was never opened, or that the
// session has been closed. The operation did not take effect.
type NotOpenError struct {
	Stream  Stream
	Session string // empty if there never was one
}

func (e *NotOpenError) Error() string {
	if e.Session == "" {
		return "eventstore: not open: get a Session from Provider.Open or a Reader from Provider.Reader first"
	}
	return fmt.Sprintf("eventstore: session %s on stream %s is closed: open a new one", e.Session, e.Stream)
}

// SessionExpiredError says that the session's time, Settings.SessionTimeout, has run
// out. The operation did not take effect. From Close it says that the session ran
// out before; what was appended in it stands.
//
// It is also the cause of a [StorageError] or [OutcomeUnknownError] of an operation that was under way
// then. An append may have taken effect where it is that of an OutcomeUnknownError: ask for that one first.
type SessionExpiredError struct {
	Stream    Stream
	Session   string
	ExpiredAt time.Time
}

func (e *SessionExpiredError) Error() string {
	return fmt.Sprintf("eventstore: session %s on stream %s expired at %s: open a new session, or raise Settings.SessionTimeout",
		e.Session, e.Stream, e.ExpiredAt.UTC().Format(time.RFC3339Nano))
}

// SessionLostError says that the session no longer has the stream: another
// one holds its lock now, or has written to it. The operation did not take
// effect. From Close it says that the lock was lost before; what was appended
// in the session stands.
type SessionLostError struct {
	Stream  Stream
	Session string
	Holder  string // the other session, where known
	Cause   error  // the VersionMismatchError of an append that found the loss, or nil
}

func (e *SessionLostError) Error() string {
	holder := "another session"
	if e.Holder != "" {
		holder = "session " + e.Holder
	}
	return withCause(fmt.Sprintf("eventstore: session %s lost stream %s to %s: open a new session and read what has been written since",
		e.Session, e.Stream, holder), e.Cause)
}

func (e *SessionLostError) Unwrap() error { return e.Cause }

// LostWritesError says that the store no longer holds events that it had acknowledged, and that the
// session or reader knows of. The store restarted from an older state or failed over to a replica
// that lagged behind, or it keeps answering from a replica that lags behind.
//
// Nothing of the operation is in the store. The session is over: what was decided on the events that
// are gone must not be stored. Open a new session and decide on what the store holds now.
type LostWritesError struct {
	Stream   Stream
	Session  string // empty for a reader without a session
	Version  int64  // that was committed
	CommitID string // of the commit that made Version; empty for a reader without a session
	Actual   int64  // the stream's version in the store now
}

func (e *LostWritesError) Error() string {
	now := fmt.Sprintf("the store is at version %d", e.Actual)
	if e.Actual >= e.Version {
		now = fmt.Sprintf("the store holds another event %d", e.Version)
	}
	return fmt.Sprintf("eventstore: version %d of stream %s was committed but %s: the store lost acknowledged writes, "+
		"in a restart or failover, or a replica lags behind; nothing was stored: look into the store, then open a new session and read again",
		e.Version, e.Stream, now)
}

// OpenTimeoutError says that other sessions held the stream for the whole of
// Settings.OpenTimeout, or until the context ended. Nothing was opened.
type OpenTimeoutError struct {
	Stream Stream
	Waited time.Duration
	Holder string // the session that held it last, where known
	Cause  error  // the context's error; why, if not for a session that is known to hold it; or nil
}

func (e *OpenTimeoutError) Error() string {
	why, cause := "another session holds it", e.Cause
	var unheld *unheldError
	switch {
	case errors.As(e.Cause, &unheld):
		why, cause = unheld.why, unheld.cause
	case e.Holder != "":
		why = "session " + e.Holder + " holds it"
	}
	return withCause(fmt.Sprintf("eventstore: stream %s could not be opened: %s (waited %s): try again later, or raise Settings.OpenTimeout",
		e.Stream, why, e.Waited.Round(time.Millisecond)), cause)
}

func (e *OpenTimeoutError) Unwrap() error { return e.Cause }

// StreamClosedError says that the stream takes no more appends, for ever. The operation did not take
// effect.
type StreamClosedError struct {
	Stream  Stream
	Version int64 // the stream's last
}

func (e *StreamClosedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s was closed at version %d: it can be read, nothing can be appended to it", e.Stream, e.Version)
}

// StreamDeletedError says that the stream was deleted, for ever. The operation did not take effect; where it is
// that of an append whose outcome was unknown, the append may have, before the stream was deleted.
type StreamDeletedError struct {
	Stream    Stream
	Version   int64 // of the mark that is left, one above that of the last event
	DeletedAt time.Time
}

func (e *StreamDeletedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s was deleted at %s: its events are gone, and nothing can be appended under that name", e.Stream, e.DeletedAt.Format(time.RFC3339))
}

// VersionMismatchError says that the stream is not at the version that the
// caller expected, or that an event named. Nothing of the append was stored. In the same session, read
// the newer events, decide again and append with the new version.
type VersionMismatchError struct {
	Stream   Stream
	Expected int64
	Actual   int64
	Metadata Metadata // of the first event that did not fit
}

func (e *VersionMismatchError) Error() string {
	event := ""
	if e.Metadata.Message.Type != "" {
		event = fmt.Sprintf(" (appending %s %s)", e.Metadata.Message.Type, e.Metadata.Message.ID)
	}
	return fmt.Sprintf("eventstore: stream %s is at version %d, not %d%s: nothing was stored; read the newer events, decide again and append with the new version",
		e.Stream, e.Actual, e.Expected, event)
}

// VersionNotFoundError says that the stream has no event of that version.
type VersionNotFoundError struct {
	Stream  Stream
	Version int64
	Current int64 // the stream's version
}

func (e *VersionNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s has no version %d: it is at version %d", e.Stream, e.Version, e.Current)
}

// StreamNotFoundError says that the stream does not exist: it never had an event. Only reads with the
// option [MustExist] return it.
type StreamNotFoundError struct {
	Stream Stream
}

func (e *StreamNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s does not exist: it never had an event; check its database, type and id", e.Stream)
}

// SnapshotNotFoundError says that there is no snapshot at that version, or, where
// Version is 0, none at all.
type SnapshotNotFoundError struct {
	Stream  Stream
	Version int64
}

func (e *SnapshotNotFoundError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("eventstore: stream %s has no snapshot", e.Stream)
	}
	return fmt.Sprintf("eventstore: stream %s has no snapshot at version %d: Snapshots lists those it has", e.Stream, e.Version)
}

// IdempotencyIDNotFoundError says that no event of the stream has that idempotency id.
type IdempotencyIDNotFoundError struct {
	Stream        Stream
	IdempotencyID string
}

func (e *IdempotencyIDNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s has no event with idempotency id %q", e.Stream, e.IdempotencyID)
}

// IdempotencyIDUsedError says that the stream already holds an event with
// that idempotency id. Nothing of this append was stored; the event of the
// earlier one stands at Version.
type IdempotencyIDUsedError struct {
	Stream        Stream
	IdempotencyID string
	Version       int64
}

func (e *IdempotencyIDUsedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s already holds idempotency id %q at version %d: nothing was stored, the earlier append stands",
		e.Stream, e.IdempotencyID, e.Version)
}

// DamagedError says that stored data is missing, undecodable, out of order or not of
// this stream. The operation did not take effect. Data that is as it was stored, and does not fit a Go type, is a [TypeMismatchError].
type DamagedError struct {
	Stream  Stream
	Key     string // as the store knows it, without what Dapr puts before it
	Version int64  // 0 where the key is not that of an event or snapshot
	Cause   error
}

func (e *DamagedError) Error() string {
	version := ""
	if e.Version != 0 {
		version = fmt.Sprintf(" at version %d", e.Version)
	}
	return withCause(fmt.Sprintf("eventstore: stream %s is damaged%s, look at key %s", e.Stream, version, e.Key), e.Cause)
}

func (e *DamagedError) Unwrap() error { return e.Cause }

// TypeNotRegisteredError says that the registry has no such type. When appending, Type is the
// Go type and nothing was stored; when reading, it is the stored type name.
type TypeNotRegisteredError struct {
	Stream  Stream // empty from [Registry.Encode] and [Registry.Decode]
	Version int64  // of the event or snapshot; 0 when appending
	Type    string
}

func (e *TypeNotRegisteredError) Error() string {
	if e.Stream == (Stream{}) {
		return fmt.Sprintf("eventstore: type %q is not registered: add it to the registry", e.Type)
	}
	if e.Version == 0 {
		return fmt.Sprintf("eventstore: Go type %s is not registered, nothing was stored on stream %s: add Type[%s](name) to the registry", e.Type, e.Stream, e.Type)
	}
	return fmt.Sprintf("eventstore: version %d of stream %s is of type %q, which is not registered: add it to the registry, or read with AsRaw",
		e.Version, e.Stream, e.Type)
}

// SchemaError says that an event or snapshot can't be brought from the schema version in which it is stored to the one that is
// registered: the stored one is newer, a step between them is missing, or a step failed. The operation did not
// take effect; what is stored is as it was.
type SchemaError struct {
	Stream  Stream // empty from [Registry.Decode]
	Version int64  // of the event or snapshot
	Type    string // as it is stored
	Schema  int    // as it is stored
	Newest  int    // that is registered
	Cause   error  // which step is missing or failed; nil where Schema is above Newest
}

func (e *SchemaError) Error() string {
	where := ""
	if e.Stream != (Stream{}) {
		where = fmt.Sprintf("version %d of stream %s: ", e.Version, e.Stream)
	}
	if e.Schema > e.Newest {
		return fmt.Sprintf("eventstore: %stype %q has schema version %d, the newest registered is %d: it was written by a newer version of this service: update it, or read with AsRaw",
			where, e.Type, e.Schema, e.Newest)
	}
	return withCause(fmt.Sprintf("eventstore: %stype %q can't be brought from schema version %d to %d: look at its upcasters in the registry, or read with AsRaw",
		where, e.Type, e.Schema, e.Newest), e.Cause)
}

func (e *SchemaError) Unwrap() error { return e.Cause }

// TypeMismatchError says that an event or snapshot is whole but does not fit the Go type, or the codecs, that are
// registered for it: usually the Go type was changed and its schema version was not raised. The operation did
// not take effect; what is stored is as it was.
type TypeMismatchError struct {
	Stream  Stream
	Key     string // as the store knows it, without what Dapr puts before it
	Version int64  // of the event or snapshot
	Type    string // as it is stored
	GoType  string
	Cause   error
}

func (e *TypeMismatchError) Error() string {
	return withCause(fmt.Sprintf("eventstore: version %d of stream %s is whole, but Go type %s does not fit it, type %q: change the Go type back, or give the change a WithSchemaVersion and a WithUpcast, or read with AsRaw",
		e.Version, e.Stream, e.GoType, e.Type), e.Cause)
}

func (e *TypeMismatchError) Unwrap() error { return e.Cause }

// BatchTooLargeError says that the events of one append, or one snapshot, do not fit into one
// request to the sidecar. Nothing was stored.
type BatchTooLargeError struct {
	Stream Stream
	Size   int // bytes
	Limit  int // bytes
}

func (e *BatchTooLargeError) Error() string {
	return fmt.Sprintf("eventstore: %d bytes for stream %s do not fit into one request of %d bytes, nothing was stored: append fewer or smaller events, or, if the store takes more, raise the sidecar's --max-body-size and the adapter's limit with it",
		e.Size, e.Stream, e.Limit)
}

// OutcomeUnknownError says that an append may or may not have taken effect, and
// may still do so: the store did not answer in time. As a whole or not
// at all, in any case. To find out, ask [Reader.Outcome], from this or any
// other process; to have it done for certain, pass the error to [Session.Retry].
type OutcomeUnknownError struct {
	Stream   Stream
	CommitID string
	Base     int64 // the stream's version before the append
	Cause    error

	commit commit // for Retry
}

func (e *OutcomeUnknownError) Error() string {
	return withCause(fmt.Sprintf("eventstore: unknown whether the append to stream %s after version %d took effect: ask Reader.Outcome(ctx, %d, %q), or pass this error to Session.Retry",
		e.Stream, e.Base, e.Base, e.CommitID), e.Cause)
}

// Unwrap returns the cause for errors.Is and errors.As, without the errors in it that say that nothing was stored, as
// a [StorageError]. Cause has all of it.
func (e *OutcomeUnknownError) Unwrap() error { return withoutClaims(e.Cause) }

// StorageError says that a request to the store failed. A read had no effect; an append did not
// take effect and will not (where that is not certain, the error is an
// [OutcomeUnknownError]); opening, closing, deleting and changes of snapshots may have, and are
// safe to repeat.
type StorageError struct {
	Stream    Stream
	Operation string // what it was to do: "open", "append", "read", "save a snapshot", …
	Cause     error
}

func (e *StorageError) Error() string {
	return withCause(fmt.Sprintf("eventstore: stream %s: storage failed to %s", e.Stream, e.Operation), e.Cause)
}

func (e *StorageError) Unwrap() error { return e.Cause }

// ArgumentError says that the caller passed something unusable. Nothing was
// sent to the store.
type ArgumentError struct {
	Argument string
	Reason   string
	Cause    error
}

func (e *ArgumentError) Error() string {
	return withCause(fmt.Sprintf("eventstore: bad argument %s: %s", e.Argument, e.Reason), e.Cause)
}

func (e *ArgumentError) Unwrap() error { return e.Cause }

// isA reports whether err is an E or wraps one.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func withCause(message string, cause error) string {
	if cause == nil {
		return message
	}
	return message + ": " + cause.Error()
}

// refused reports whether a request certainly has not taken effect.
func refused(err error) bool { return errors.Is(err, driver.ErrRefused) }

// denied reports whether the store turned an attempt down, which then has not taken effect.
func denied(err error) bool { return errors.Is(err, driver.ErrDenied) }

// answered reports whether the store has done with an attempt, whatever became of it.
func answered(err error) bool { return denied(err) || errors.Is(err, driver.ErrAnswered) }
