package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/probe"
)

// startTimeout is how long one request may take while a State or Locker is made. Later ones have the time that the event store gives them.
const startTimeout = 15 * time.Second

// probe tries the component out, and takes the careful way where only that is safe.
func (s *State) probe(ctx context.Context) error {
	found, err := probe.Run(ctx, bounded{s}, probe.Options{Text: s.textOnly})
	switch {
	case err == nil:
	case errors.Is(err, probe.ErrFailed):
		return fmt.Errorf("sidecar: state store %q (%s): %w: is the store up, and may this app write to it? An app that may not write when it starts uses WithoutProbe", s.store, s.caps.Store, err)
	default:
		return fmt.Errorf("sidecar: state store %q (%s) %w. %s", s.store, s.caps.Store, err, s.advice(err))
	}
	if found.Transactions != nil && s.transacts {
		s.transacts, s.caps.Atomic = false, false
		s.log.InfoContext(ctx, "the state store is used without transactions, which damage what is written, as they do with Dapr's automatic encryption",
			"component", s.store, "kind", s.caps.Store)
		return nil
	}
	if found.Transactions != nil { // it has written them one by one, which nothing is left to stand in for
		return fmt.Errorf("sidecar: state store %q (%s): %w. %s", s.store, s.caps.Store, found.Transactions, s.advice(found.Transactions))
	}
	return nil
}

// advice is what to do about a store that is not fit.
func (s *State) advice(err error) string {
	switch {
	case errors.Is(err, probe.ErrFoldsCase) && s.caps.Store == "state.mysql":
		return "Create its database with COLLATE utf8mb4_bin, and its table anew"
	case errors.Is(err, probe.ErrFoldsCase):
		return "Give the store's key column a collation that tells case apart"
	case errors.Is(err, probe.ErrNoRollback):
		return "Look at the storage engine of its table, or use WithoutTransactions"
	case errors.Is(err, probe.ErrOtherBytes):
		return "Look at the settings of the component, as its encryption, and at what else writes to the store"
	}
	return "Choose another store"
}

// bounded is a State each of whose requests ends after startTimeout.
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
