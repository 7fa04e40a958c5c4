package subscription

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// HandlerError says that an item could not be handled, and that Run has stopped because of it. The
// position of its partition is before the item. So the next Run delivers the item again.
type HandlerError struct {
	Subscription string
	Partition    int
	Position     feed.Position
	Stream       eventstore.Stream
	What         feed.What
	Version      int64
	Attempts     int   // how often the handler was called for it
	Cause        error // what the handler returned, a [PanicError], or why the event cannot be decoded
}

func (e *HandlerError) Error() string {
	return fmt.Sprintf("subscription %s: version %d of stream %s (%s, position %d, partition %d) could not be handled in %d attempts: mend the handler and run it again, or see WithParking and WithSkipping: %v",
		e.Subscription, e.Version, e.Stream, e.What, e.Position, e.Partition, e.Attempts, e.Cause)
}

func (e *HandlerError) Unwrap() error { return e.Cause }

// Advice tells [eventstore.Advise] that running again would fail again.
func (e *HandlerError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// PanicError says that the handler panicked. Its text has no value of the program in it, except
// from errors of the Go runtime.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	if err, ok := e.Value.(runtime.Error); ok {
		return "the handler panicked: " + err.Error()
	}
	return fmt.Sprintf("the handler panicked with a value of type %T, see the log for its stack", e.Value)
}

// HungError says that the handler did not return although its context had ended. It is still
// running. The item that it was called for will be delivered again.
type HungError struct {
	Subscription string
	Partition    int
	Stream       eventstore.Stream
	Version      int64
	Waited       time.Duration // since the handler was called
}

func (e *HungError) Error() string {
	return fmt.Sprintf("subscription %s: the handler hangs at version %d of stream %s (partition %d), called %s ago: make it return when its context ends",
		e.Subscription, e.Version, e.Stream, e.Partition, e.Waited.Round(time.Millisecond))
}

// Advice tells [eventstore.Advise] that the program has to change.
func (e *HungError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// AheadError says that a partition has handled more than the feed holds. The store has lost its
// last writes, or the feed is another one. Nothing was delivered from the partition.
// [Subscription.Reset] to the end of the feed, or to an earlier position, makes it go on.
type AheadError struct {
	Subscription string
	Partition    int
	Position     feed.Position
	End          feed.Position // of the feed
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("subscription %s: partition %d is at position %d, but the feed ends at %d: the store lost its last writes, or it is another feed; check the store, then call Reset",
		e.Subscription, e.Partition, e.Position, e.End)
}

// Advice tells [eventstore.Advise] that a person has to look at the store.
func (e *AheadError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// NotFoundError says that the feed has no such subscription: it never ran, or it was dropped. Run
// returns it if the subscription is dropped meanwhile.
type NotFoundError struct{ Subscription string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("subscription %s does not exist: it never ran, or it was dropped", e.Subscription)
}

// Advice tells [eventstore.Advise] that the same call would fail again.
func (e *NotFoundError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// NotParkedError says that a stream is not parked. Nothing was changed.
type NotParkedError struct {
	Subscription string
	Stream       eventstore.Stream
}

func (e *NotParkedError) Error() string {
	return fmt.Sprintf("subscription %s: stream %s is not parked: see Parked", e.Subscription, e.Stream)
}

// Advice tells [eventstore.Advise] that the same call would fail again.
func (e *NotParkedError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// ParkedError says that an item cannot be waited for, because its stream is parked.
type ParkedError struct {
	Subscription string
	Stream       eventstore.Stream
	Version      int64 // of the item that could not be handled
}

func (e *ParkedError) Error() string {
	return fmt.Sprintf("subscription %s has not handled %s from version %d on: the stream is parked, see Parked and Retry", e.Subscription, e.Stream, e.Version)
}

// Advice tells [eventstore.Advise] that the same call would fail again.
func (e *ParkedError) Advice() eventstore.Advice { return eventstore.AdviceGiveUp }

// The reasons for which a partition ends. They never leave the package.
var (
	errLost     = errors.New("another instance has the partition")
	errLapsed   = errors.New("the lease of this instance is over")
	errReleased = errors.New("the partition goes to another instance")
	errMoved    = errors.New("the subscription has another position")
)

// errInPart is the cause of a HandlerError of a stage.
var errInPart = errors.New("effects of the item may be durable from a run that ended before, so it must be handled, and can be neither parked nor left out")

// errTooManyParked is the cause of a HandlerError.
var errTooManyParked = fmt.Errorf("the partition has %d parked streams, which is as many as it can hold", maxParked)

// errHandlerTimeout is the cause with which the context of a handler ends.
var errHandlerTimeout = errors.New("the handler took longer than WithHandlerTimeout allows")

// errGoexit is the error of a handler whose goroutine ended.
var errGoexit = errors.New("the handler ended its goroutine instead of returning")

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
