package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// Advice is what a caller can do about an error. A larger value is the more careful one: it holds
// where several apply.
type Advice int

const (
	// AdviceNone means that there is nothing to do: there was no error.
	AdviceNone Advice = iota

	// AdviceAlreadyStored means that the command took effect before, under the same idempotency id. The
	// caller can go on as after a success. Nothing was stored this time.
	AdviceAlreadyStored

	// AdviceRetry means that the same call can be sent again later, as it was. No event was stored.
	AdviceRetry

	// AdviceConflict means that somebody else changed the stream first. No event was stored. The
	// caller reads the stream again, decides again and appends with the new version.
	AdviceConflict

	// AdviceGiveUp means that the same call will fail again. A person has to change the call, the program
	// or what is stored. Errors of which this package knows nothing get this advice, too.
	AdviceGiveUp

	// AdviceRepeatWithSameID means that the events may have been stored, or may still be. The caller
	// sends the command again with the same idempotency id, or passes the [OutcomeUnknownError] to
	// [Session.Retry]. Without an idempotency id, [Reader.Outcome] tells what became of the append.
	AdviceRepeatWithSameID
)

func (a Advice) String() string {
	names := [...]string{"none", "already stored", "retry", "conflict", "give up", "repeat with the same id"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("Advice(%d)", int(a))
	}
	return names[a]
}

// Advise returns what a caller can do about an error of an operation on a stream. A nil error gets
// [AdviceNone].
//
// It looks at the whole error: what it wraps, what it was joined from, and the causes of each. Where these
// differ it returns the most careful advice, so that an append whose outcome is unknown is never
// taken for one that failed.
//
// An error type of another package takes part with a method Advice() Advice. The error of a context, where
// nothing of this package is with it, gets [AdviceRepeatWithSameID]: nobody knows what was done by then.
// Any other error alone gets [AdviceGiveUp].
func Advise(err error) Advice {
	if err == nil {
		return AdviceNone
	}
	if advice := adviseAll(err); advice != AdviceNone {
		return advice
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return AdviceRepeatWithSameID
	}
	return AdviceGiveUp
}

// adviseAll returns the most careful advice of the errors that err consists of, or AdviceNone where none
// of them has one.
func adviseAll(err error) Advice {
	advice := adviceOf(err)
	for _, inner := range unwrapped(err) {
		advice = max(advice, adviseAll(inner))
	}
	return advice
}

// adviceOf returns the advice of one error without its causes, or AdviceNone where it has none.
func adviceOf(err error) Advice {
	switch e := err.(type) {
	case *IdempotencyIDUsedError:
		return AdviceAlreadyStored
	case *StorageError, *SessionExpiredError, *OpenTimeoutError:
		return AdviceRetry
	case *VersionMismatchError, *SessionLostError, *LostWritesError:
		return AdviceConflict
	case *ArgumentError, *NotOpenError, *BatchTooLargeError, *StreamClosedError, *StreamDeletedError,
		*StreamNotFoundError, *VersionNotFoundError, *SnapshotNotFoundError, *IdempotencyIDNotFoundError,
		*DamagedError, *TypeNotRegisteredError, *TypeMismatchError, *SchemaError:
		return AdviceGiveUp
	case *OutcomeUnknownError:
		return AdviceRepeatWithSameID
	case interface{ Advice() Advice }:
		return e.Advice()
	}
	return AdviceNone
}

// unwrapped returns the errors that err wraps directly.
func unwrapped(err error) []error {
	switch e := err.(type) {
	case *OutcomeUnknownError:
		return nil // its cause can't be more careful than it is
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return []error{inner}
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}
