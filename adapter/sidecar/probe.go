package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/probe"
)

// startTimeout limits each request while a State or Locker is created. Later requests have the time
// that the event store gives them.
const startTimeout = 15 * time.Second

// probe tests the component, and turns transactions off if only writes without them are safe.
func (s *State) probe(ctx context.Context) error {
	found, err := probe.Run(ctx, bounded{s}, probe.Options{Text: s.textOnly})
	switch {
	case err == nil:
	case errors.Is(err, probe.ErrFailed):
		return fmt.Errorf("sidecar: state store %q (%s): %w: check that the store is running and that this app may write to it, or use WithoutProbe", s.store, s.caps.Store, err)
	default:
		return fmt.Errorf("sidecar: state store %q (%s) %w. %s", s.store, s.caps.Store, err, s.advice(err))
	}
	if found.Transactions != nil && s.transacts {
		s.transacts, s.caps.Atomic, s.caps.Conditions = false, false, false
		s.log.InfoContext(ctx, "the state store is used without transactions, because they damage values, as Dapr's automatic encryption does",
			"component", s.store, "kind", s.caps.Store)
		return nil
	}
	if found.Transactions != nil { // they were written without a transaction, so there is no alternative
		return fmt.Errorf("sidecar: state store %q (%s): %w. %s", s.store, s.caps.Store, found.Transactions, s.advice(found.Transactions))
	}
	return nil
}

// advice says what to do about an unsuitable store.
func (s *State) advice(err error) string {
	switch {
	case errors.Is(err, probe.ErrFoldsCase) && s.caps.Store == "state.mysql":
		return "Create its database with COLLATE utf8mb4_bin, and create its table again"
	case errors.Is(err, probe.ErrFoldsCase):
		return "Give the store's key column a case-sensitive collation"
	case errors.Is(err, probe.ErrNoRollback):
		return "Check the storage engine of its table, or use WithoutTransactions"
	case errors.Is(err, probe.ErrOtherBytes):
		return "Check the settings of the component, such as encryption, and which other programs write to the store"
	}
	return "Choose another store"
}

// bounded is a State whose requests end after startTimeout.
type bounded struct{ *State }

func within[T any](ctx context.Context, send func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return send(ctx)
}

func (b bounded) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return within(ctx, func(ctx context.Context) (driver.Item, error) { return b.State.Get(ctx, partition, key) })
}

func (b bounded) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return within(ctx, func(ctx context.Context) ([]driver.Item, error) { return b.State.GetMany(ctx, partition, keys) })
}

func (b bounded) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return b.send(ctx, func(ctx context.Context) error { return b.State.Swap(ctx, partition, swap) })
}

func (b bounded) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return b.send(ctx, func(ctx context.Context) error { return b.State.Write(ctx, partition, writes) })
}

func (b bounded) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return b.send(ctx, func(ctx context.Context) error { return b.State.Commit(ctx, partition, swap, writes) })
}

func (b bounded) send(ctx context.Context, request func(context.Context) error) error {
	_, err := within(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, request(ctx) })
	return err
}
