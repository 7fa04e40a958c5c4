package subscription

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Stage handles the items of one partition, from when an instance takes it to when the instance
// gives it up. A [Handler] is a stage that keeps nothing. The methods are not called at the same
// time.
type Stage interface {
	// Handle handles one item, as a Handler does. After an error it has no effect.
	Handle(ctx context.Context, item feed.Item) error

	// Flush makes the effects of all items durable that were handled so far. Only then is the
	// position saved. After an error it is called again, or the partition is lost.
	Flush(ctx context.Context) error

	// Full reports whether the stage keeps as much as it should, so that the position is saved now.
	Full() bool
}

// Handle calls the handler.
func (h Handler) Handle(ctx context.Context, item feed.Item) error { return h(ctx, item) }

// Flush does nothing: the effects of a handler are its own.
func (h Handler) Flush(context.Context) error { return nil }

// Full returns false.
func (h Handler) Full() bool { return false }

// Patient makes Run try an item again for as long as the store does not answer its handler. Such a
// try does not count. It is for handlers of this module, whose work is done in the store.
func (s *Subscription) Patient(permit.Permit) { s.patient = true }

// Kind says what the subscription belongs to, such as "projection". Run refuses a subscription that
// exists for another kind. It is for the packages of this module.
func (s *Subscription) Kind(_ permit.Permit, kind string) { s.kind = kind }

// waitsFor reports whether an error says that the store does not answer, and not that the item
// cannot be handled.
func (s *Subscription) waitsFor(err error) bool {
	away := isA[*eventstore.StorageError](err) || isA[*eventstore.OutcomeUnknownError](err)
	return s.patient && away && !errors.Is(err, errHandlerTimeout)
}

// protect calls a function and sends what came of it, whatever the function does.
func protect(call func() error, done chan<- error) {
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
		done <- err
	}()
	err = call()
}

// flush makes what was handled durable.
func (w *worker) flush(ctx context.Context) error {
	done := make(chan error, 1)
	go protect(func() error { return w.stage.Flush(ctx) }, done)
	return <-done
}

// Partitions returns into how many partitions the subscription divides the streams. It is for the
// packages of this module.
func (s *Subscription) Partitions(_ permit.Permit, ctx context.Context) (int, error) {
	sh, err := s.readShared(ctx, "read a subscription")
	return sh.partitions, err
}
