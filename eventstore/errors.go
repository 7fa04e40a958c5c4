package eventstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// This file holds the error types of the package. Each is a struct, is returned as a pointer, and
// often wraps its cause. The package comment says how to match them, and [Advise] what to do about
// them. The doc of each says whether the operation may have taken effect.

// NotOpenError says that a session or reader was never opened, or that the session was closed. The
// operation did not take effect.
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

// SessionExpiredError says that the session has lasted for Settings.SessionTimeout and is over. The
// operation did not take effect. From Close it says that the session expired before Close. The
// session's appends stay in effect.
//
// It is also the cause of a [StorageError] or [OutcomeUnknownError] if the session expired during
// the operation. An append may have taken effect if the error is an OutcomeUnknownError, so test
// for that type first.
type SessionExpiredError struct {
	Stream    Stream
	Session   string
	ExpiredAt time.Time
}

func (e *SessionExpiredError) Error() string {
	return fmt.Sprintf("eventstore: session %s on stream %s expired at %s: open a new session, or raise Settings.SessionTimeout",
		e.Session, e.Stream, e.ExpiredAt.UTC().Format(time.RFC3339Nano))
}

// SessionLostError says that the session no longer has the stream: another session holds its lock
// now, or has written to it. The operation did not take effect. From Close it says that the session
// had lost its lock before. The session's appends stay in effect.
type SessionLostError struct {
	Stream  Stream
	Session string
	Holder  string // the other session, if known
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

// LostWritesError says that the store no longer holds events that it had acknowledged and that the
// session or reader knows of. The store restarted from an older state, or failed over to a replica
// that lagged behind. It can also keep answering from a replica that lags behind.
//
// Nothing of the operation is in the store, and the session is over. Do not store what was decided
// from the lost events. Open a new session and decide from what the store holds now.
type LostWritesError struct {
	Stream   Stream
	Session  string // empty for a reader without a session
	Version  int64  // the committed version that is lost
	CommitID string // of the commit that made Version; empty for a reader without a session
	Actual   int64  // the stream's version in the store now
}

func (e *LostWritesError) Error() string {
	now := fmt.Sprintf("the store is at version %d", e.Actual)
	if e.Actual >= e.Version {
		now = fmt.Sprintf("the store holds another event %d", e.Version)
	}
	return fmt.Sprintf("eventstore: version %d of stream %s was committed, but %s: it lost acknowledged writes in a restart or failover, "+
		"or a replica lags behind; nothing was stored: check the store, then open a new session and read again",
		e.Version, e.Stream, now)
}

// OpenTimeoutError says that other sessions held the stream for all of Settings.OpenTimeout, or
// until the context ended. Open had no effect.
type OpenTimeoutError struct {
	Stream Stream
	Waited time.Duration
	Holder string // the last known session that held it, if any
	Cause  error  // the context's error, or another reason, or nil
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

// StreamClosedError says that the stream was closed for ever and takes no more appends. The
// operation did not take effect.
type StreamClosedError struct {
	Stream  Stream
	Version int64 // the stream's last version
}

func (e *StreamClosedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s was closed at version %d: it can be read but not appended to", e.Stream, e.Version)
}

// StreamDeletedError says that the stream was deleted for ever. The operation did not take effect.
// There is one exception: an append whose outcome was unknown may have taken effect before the
// stream was deleted.
type StreamDeletedError struct {
	Stream    Stream
	Version   int64 // one above the version of the last event
	DeletedAt time.Time
}

func (e *StreamDeletedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s was deleted at %s: its events are gone, and its name can't be used again", e.Stream, e.DeletedAt.Format(time.RFC3339))
}

// VersionMismatchError says that the stream is not at the version that the caller expected or that
// an event named. The append did not take effect. In the same session, read the newer events,
// decide again and append with the new version.
type VersionMismatchError struct {
	Stream   Stream
	Expected int64
	Actual   int64
	Metadata Metadata // of the first event with a wrong version
}

func (e *VersionMismatchError) Error() string {
	event := ""
	if e.Metadata.Message.Type != "" {
		event = fmt.Sprintf(" (appending %s %s)", e.Metadata.Message.Type, e.Metadata.Message.ID)
	}
	return fmt.Sprintf("eventstore: stream %s is at version %d, not %d%s: nothing was stored; read the newer events, decide again and append with the new version",
		e.Stream, e.Actual, e.Expected, event)
}

// VersionNotFoundError says that the stream has no event of that version. Reads return it, and so
// does saving a snapshot. The operation did not take effect.
type VersionNotFoundError struct {
	Stream  Stream
	Version int64
	Current int64 // the stream's version
}

func (e *VersionNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s has no version %d: it is at version %d", e.Stream, e.Version, e.Current)
}

// StreamNotFoundError says that the stream does not exist, because it never had an event. Only
// reads with the option [MustExist] return it, and reads change nothing.
type StreamNotFoundError struct {
	Stream Stream
}

func (e *StreamNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s does not exist: it never had an event; check its database, type and id", e.Stream)
}

// SnapshotNotFoundError says that there is no snapshot at that version, or none at all if Version
// is 0. Reads return it, and so does [Session.ClearSnapshot]. The operation did not take effect.
type SnapshotNotFoundError struct {
	Stream  Stream
	Version int64
}

func (e *SnapshotNotFoundError) Error() string {
	if e.Version == 0 {
		return fmt.Sprintf("eventstore: stream %s has no snapshot", e.Stream)
	}
	return fmt.Sprintf("eventstore: stream %s has no snapshot at version %d: Reader.Snapshots lists the versions", e.Stream, e.Version)
}

// IdempotencyIDNotFoundError says that no event of the stream has that idempotency id. Only
// [Reader.VersionOf] returns it, and it changes nothing.
type IdempotencyIDNotFoundError struct {
	Stream        Stream
	IdempotencyID string
}

func (e *IdempotencyIDNotFoundError) Error() string {
	return fmt.Sprintf("eventstore: stream %s has no event with idempotency id %q", e.Stream, e.IdempotencyID)
}

// IdempotencyIDUsedError says that the stream already holds an event with that idempotency id. This
// append did not take effect. The earlier append did, and its event is at Version.
type IdempotencyIDUsedError struct {
	Stream        Stream
	IdempotencyID string
	Version       int64
}

func (e *IdempotencyIDUsedError) Error() string {
	return fmt.Sprintf("eventstore: stream %s already holds idempotency id %q at version %d: nothing was stored; the earlier append took effect",
		e.Stream, e.IdempotencyID, e.Version)
}

// DamagedError says that stored data is missing, can't be decoded, is out of order or belongs to
// another stream. The operation did not take effect. Intact data that does not fit a Go type is a
// [TypeMismatchError] instead.
type DamagedError struct {
	Stream  Stream
	Key     string // in the store, without the prefix that Dapr adds
	Version int64  // 0 if the key does not belong to an event or snapshot
	Cause   error
}

func (e *DamagedError) Error() string {
	version := ""
	if e.Version != 0 {
		version = fmt.Sprintf(" at version %d", e.Version)
	}
	return withCause(fmt.Sprintf("eventstore: stream %s is damaged%s: check key %s", e.Stream, version, e.Key), e.Cause)
}

func (e *DamagedError) Unwrap() error { return e.Cause }

// TypeNotRegisteredError says that the registry does not have the type. The operation did not take
// effect. For an append, Type is the Go type. For a read, it is the stored type name.
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
		return fmt.Sprintf("eventstore: Go type %s is not registered, nothing was stored in stream %s: add Type[%s](name) to the registry", e.Type, e.Stream, e.Type)
	}
	return fmt.Sprintf("eventstore: version %d of stream %s is of type %q, which is not registered: add it to the registry, or read with AsRaw",
		e.Version, e.Stream, e.Type)
}

// SchemaError says that an event or snapshot can't be upcast from its stored schema version to the
// registered one. The stored version is newer, a step is missing, or a step failed. The operation
// did not take effect, and the stored data is unchanged.
type SchemaError struct {
	Stream  Stream // empty from [Registry.Decode]
	Version int64  // of the event or snapshot
	Type    string // the stored type name
	Schema  int    // the stored schema version
	Newest  int    // the registered schema version
	Cause   error  // says which step is missing or failed; nil if Schema is above Newest
}

func (e *SchemaError) Error() string {
	where := ""
	if e.Stream != (Stream{}) {
		where = fmt.Sprintf("version %d of stream %s: ", e.Version, e.Stream)
	}
	if e.Schema > e.Newest {
		return fmt.Sprintf("eventstore: %stype %q has schema version %d, but the newest registered is %d: a newer version of this service wrote it; update this one, or read with AsRaw",
			where, e.Type, e.Schema, e.Newest)
	}
	return withCause(fmt.Sprintf("eventstore: %stype %q can't be upcast from schema version %d to %d: check its upcasters in the registry, or read with AsRaw",
		where, e.Type, e.Schema, e.Newest), e.Cause)
}

func (e *SchemaError) Unwrap() error { return e.Cause }

// TypeMismatchError says that an intact event or snapshot does not fit the Go type or the codecs
// that are registered for it. Usually the Go type was changed without raising its schema version.
// The operation did not take effect, and the stored data is unchanged.
type TypeMismatchError struct {
	Stream  Stream
	Key     string // in the store, without the prefix that Dapr adds
	Version int64  // of the event or snapshot
	Type    string // the stored type name
	GoType  string
	Cause   error
}

func (e *TypeMismatchError) Error() string {
	return withCause(fmt.Sprintf("eventstore: version %d of stream %s is intact, but its type %q does not fit Go type %s: change the Go type back, or add WithSchemaVersion and WithUpcast for the change, or read with AsRaw",
		e.Version, e.Stream, e.Type, e.GoType), e.Cause)
}

func (e *TypeMismatchError) Unwrap() error { return e.Cause }

// InlineError says that an inline projection did not take the events, see package projection. The
// append did not take effect, and no document was changed.
type InlineError struct {
	Stream     Stream
	Projection string

	// Conflicts is how often other appends changed the same documents, if that is the reason. Then
	// the append can be sent again. If it is 0, the handler returned Cause, or the events and the
	// documents do not fit into one transaction.
	Conflicts int

	Cause error
}

func (e *InlineError) Error() string {
	if e.Conflicts > 0 {
		return withCause(fmt.Sprintf("eventstore: nothing was appended to stream %s after %d tries of the inline projection %q: "+
			"send the append again, or spread what it changes over more documents", e.Stream, e.Conflicts, e.Projection), e.Cause)
	}
	return withCause(fmt.Sprintf("eventstore: nothing was appended to stream %s, because the inline projection %q does not take the events", e.Stream, e.Projection), e.Cause)
}

func (e *InlineError) Unwrap() error { return e.Cause }

// BatchTooLargeError says that the events of one append, or one snapshot, do not fit into one
// request to the sidecar. The operation did not take effect.
type BatchTooLargeError struct {
	Stream Stream
	Size   int // bytes
	Limit  int // bytes
}

func (e *BatchTooLargeError) Error() string {
	return fmt.Sprintf("eventstore: %d bytes for stream %s do not fit into one request of %d bytes, nothing was stored: append fewer or smaller events, or, if the store accepts more, raise the sidecar's --max-body-size and the adapter's limit",
		e.Size, e.Stream, e.Limit)
}

// OutcomeUnknownError says that an append may have taken effect, or may still take effect, because
// the store did not answer in time. In any case it takes effect as a whole or not at all.
//
// [Reader.Outcome] finds out what became of the append, in this or any other process.
// [Session.Retry] takes this error and completes the append, without storing its events twice.
type OutcomeUnknownError struct {
	Stream   Stream
	CommitID string // empty if package aggregate does not know it, because the append did not return
	Base     int64  // the stream's version before the append
	Cause    error

	commit commit   // for Retry
	own    []record // the events of this append, if the commit has those of other appends too
}

func (e *OutcomeUnknownError) Error() string {
	if e.CommitID == "" {
		return withCause(fmt.Sprintf("eventstore: the append to stream %s after version %d may or may not have taken effect: repeat the command with the same idempotency id",
			e.Stream, e.Base), e.Cause)
	}
	return withCause(fmt.Sprintf("eventstore: the append to stream %s after version %d may or may not have taken effect: call Reader.Outcome(ctx, %d, %q), or pass this error to Session.Retry",
		e.Stream, e.Base, e.Base, e.CommitID), e.Cause)
}

// Unwrap returns the cause for errors.Is and errors.As. It leaves out the errors, such as a
// [StorageError], that claim that nothing was stored. The field Cause has all of them.
func (e *OutcomeUnknownError) Unwrap() error { return withoutClaims(e.Cause) }

// StorageError says that a request to the store failed. An append did not take effect and will not.
// If that is uncertain, Append returns an [OutcomeUnknownError] instead. A read had no effect.
//
// Opening, closing, deleting and changing snapshots may have taken effect. They are safe to repeat.
type StorageError struct {
	Stream    Stream
	Operation string // what the request was for: "open", "append", "read", "save a snapshot", …
	Cause     error
}

func (e *StorageError) Error() string {
	return withCause(fmt.Sprintf("eventstore: stream %s: storage failed to %s", e.Stream, e.Operation), e.Cause)
}

func (e *StorageError) Unwrap() error { return e.Cause }

// ArgumentError says that the caller passed an invalid argument. The operation did not take effect,
// and nothing was sent to the store.
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

// refused reports whether a request certainly did not take effect.
func refused(err error) bool { return errors.Is(err, driver.ErrRefused) }

// denied reports whether the store turned an attempt down, so that it did not take effect.
func denied(err error) bool { return errors.Is(err, driver.ErrDenied) }

// answered reports whether the store has finished with an attempt, with whatever result.
func answered(err error) bool { return denied(err) || errors.Is(err, driver.ErrAnswered) }
