package transfer

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// DiffersError says that the events in the target are not the beginning of the events in the
// source. If Copy had not begun to append, nothing was changed. If Copy was reading back, the
// target does not return what was stored.
type DiffersError struct {
	Stream  eventstore.Stream
	Version int64  // the first that differs; 0 if it is the whole stream
	Reason  string // without the content of events
}

func (e *DiffersError) Error() string {
	where := ""
	if e.Version != 0 {
		where = fmt.Sprintf(" at version %d", e.Version)
	}
	return fmt.Sprintf("transfer: stream %s in the target differs from the source%s: %s: check that it is the right target and that no one wrote to it, or copy into a store without that stream",
		e.Stream, where, e.Reason)
}

// Advice tells [eventstore.Advise] that copying again would fail again.
func (e *DiffersError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// BusyError says that another writer holds the stream in the target, or wrote to it during the
// copy. What was copied until then remains.
type BusyError struct {
	Stream eventstore.Stream
	Cause  error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("transfer: another writer uses stream %s in the target: stop the writers there and copy again: %v", e.Stream, e.Cause)
}

func (e *BusyError) Unwrap() error { return e.Cause }

// Advice tells [eventstore.Advise] that the copy can be repeated.
func (e *BusyError) Advice() eventstore.Advice { return eventstore.AdviceRetry }
