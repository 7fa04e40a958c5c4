package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// DiffersError says that what the target has of a stream is not the beginning of what the source has. Where the copy had not
// begun to append, nothing was changed; from reading back it says that the target does not give what was stored.
type DiffersError struct {
	Stream  eventstore.Stream
	Version int64  // the first that differs; 0 where it is the stream as a whole
	Reason  string // without what events hold
}

func (e *DiffersError) Error() string {
	where := ""
	if e.Version != 0 {
		where = fmt.Sprintf(" at version %d", e.Version)
	}
	return fmt.Sprintf("transfer: stream %s in the target differs from the source%s: %s: is it the right target, and did nobody write to it? Copy into a store that has nothing under that name",
		e.Stream, where, e.Reason)
}

// Advice tells [eventstore.Advise] that copying again fails again.
func (e *DiffersError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// BusyError says that somebody else has the stream in the target, or has written to it meanwhile. What was copied until then
// stands.
type BusyError struct {
	Stream eventstore.Stream
	Cause  error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("transfer: somebody else uses stream %s in the target: stop the writers there and copy again: %v", e.Stream, e.Cause)
}

func (e *BusyError) Unwrap() error { return e.Cause }

// Advice tells [eventstore.Advise] that the copy can be repeated.
func (e *BusyError) Advice() eventstore.Advice { return eventstore.AdviceRetry }
