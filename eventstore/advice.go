package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// Advice is what a caller can do about an error. Larger values are more careful: where several
// apply, the largest holds.
type Advice int

const (
	// AdviceNone means that there is nothing to do, because there was no error.
	AdviceNone Advice = iota

	// AdviceAlreadyStored means that the command took effect before, under the same idempotency id.
	// This call stored nothing. The caller can continue as after a success.
	AdviceAlreadyStored

	// AdviceRetry means that the caller can send the same call again later. No event was stored.
	AdviceRetry

	// AdviceConflict means that another writer changed the stream first. No event was stored. The
	// caller reads the stream again, decides again and appends with the new version.
	AdviceConflict

	// AdviceGiveUp means that the same call will fail again. A person has to change the call, the
	// program or the stored data. Errors that this package does not know get this advice too.
	AdviceGiveUp

	// AdviceRepeatWithSameID means that the events may have been stored, or may still be. The
	// caller sends the command again with the same idempotency id, or passes the
	// [OutcomeUnknownError] to [Session.Retry]. If the command has no idempotency id,
	// [Reader.Outcome] tells what became of the append.
	AdviceRepeatWithSameID
)

func (a Advice) String() string {
	names := [...]string{"none", "already stored", "retry", "conflict", "give up", "repeat with the same id"}
	if a < 0 || int(a) >= len(names) {
		return fmt.Sprintf("Advice(%d)", int(a))
	}
	return names[a]
}

// Advise returns what a caller can do about an error of an operation on a stream. It returns
// [AdviceNone] for a nil error.
//
// Advise looks at the whole error: wrapped and joined errors, and the causes of each. Where their
// advice differs, it returns the most careful one. So an append whose outcome is unknown never
// counts as one that failed.
//
// An error type of another package takes part with a method Advice() Advice. A context error
// without an error of this package gets [AdviceRepeatWithSameID], because it does not tell what was
// done before. Any other error alone gets [AdviceGiveUp].
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

// adviseAll returns the most careful advice of the errors that err consists of, or AdviceNone if
// none of them has any.
func adviseAll(err error) Advice {
	advice := adviceOf(err)
	for _, inner := range unwrapped(err) {
		advice = max(advice, adviseAll(inner))
	}
	return advice
}

// adviceOf returns the advice of one error without its causes, or AdviceNone if it has none.
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
	case *InlineError:
		if e.Conflicts > 0 {
			return AdviceRetry
		}
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
