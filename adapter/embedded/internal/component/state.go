// Package component runs a Dapr state component in this process, for the packages of
// adapter/embedded.
package component

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dapr/components-contrib/state"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// BulkParallelism is how many keys a component reads at a time if it has no bulk reads.
const BulkParallelism = 32

// Store is a component with transactions.
type Store interface {
	state.Store
	state.TransactionalStore
}

// Config describes a component.
type Config struct {
	Package      string // the package that opens the component; every error text begins with it
	Capabilities driver.Capabilities

	// SendsOnce says that the component sends each request once. Then a request that the store
	// refused certainly had no effect.
	SendsOnce bool

	// Repeats is how often a request that may safely be sent twice is sent again when its
	// connection breaks.
	Repeats int
}

// State is a Dapr state component in this process, for [driver.State]. It is safe for concurrent
// use. A request returns as soon as its context ends. The component may be busy with it for some
// seconds more.
//
// The packages of the stores embed it, so each exported method is part of their API.
type State struct {
	store  Store
	config Config
	closed atomic.Bool
}

var (
	_ driver.State       = (*State)(nil)
	_ driver.ManySwapper = (*State)(nil)
)

// New returns the State of a component that is started, or that needs no start.
func New(store Store, config Config) *State { return &State{store: store, config: config} }

// StoreOf returns the component of a State, for tests. It is not a method, because every package
// that embeds State would export it.
func StoreOf(s *State) Store { return s.store }

// Capabilities implements [driver.State].
func (s *State) Capabilities() driver.Capabilities { return s.config.Capabilities }

// Close releases the component. Values in memory are lost, and files and servers keep theirs. End
// all requests first, because later ones fail. Closing again does nothing and returns nil.
func (s *State) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.store.Close()
}

// Get implements [driver.State].
func (s *State) Get(ctx context.Context, _, key string) (driver.Item, error) {
	if err := s.ready(ctx); err != nil {
		return driver.Item{}, err
	}
	found, err := repeat(ctx, s.config.Repeats, nil, func() (*state.GetResponse, error) {
		return s.store.Get(ctx, &state.GetRequest{Key: key, Options: strongRead})
	})
	if err != nil {
		return driver.Item{}, s.readFailure(ctx, "reading "+key, err)
	}
	item := s.item(key, found.Data, found.ETag)
	return item, item.Err
}

// GetMany implements [driver.State].
func (s *State) GetMany(ctx context.Context, _ string, keys []string) ([]driver.Item, error) {
	if err := s.ready(ctx); err != nil || len(keys) == 0 {
		return nil, err
	}
	doing := fmt.Sprintf("reading %d keys from %s", len(keys), keys[0])
	requests := make([]state.GetRequest, len(keys))
	for i, key := range keys {
		requests[i] = state.GetRequest{Key: key, Options: strongRead}
	}
	found, err := repeat(ctx, s.config.Repeats, firstFailure, func() ([]state.BulkGetResponse, error) {
		return s.store.BulkGet(ctx, requests, state.BulkGetOpts{Parallelism: BulkParallelism})
	})
	if err == nil {
		// A SQL component reports keys as absent that it had not read when the context ended.
		err = ctx.Err()
	}
	if err != nil {
		return nil, s.readFailure(ctx, doing, err)
	}
	answers := make(map[string]*state.BulkGetResponse, len(found))
	for i := range found {
		answers[found[i].Key] = &found[i]
	}
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		switch answer, ok := answers[key]; {
		case !ok:
			items[i] = driver.Item{Key: key, Err: fmt.Errorf("%s: reading %s: the answer lacks the key", s.config.Package, key)}
		case answer.Error != "":
			items[i] = driver.Item{Key: key, Err: s.readFailure(ctx, "reading "+key, errors.New(answer.Error))}
		default:
			items[i] = s.item(key, answer.Data, answer.ETag)
		}
	}
	return items, nil
}

// item returns the item of an answer. The value is a copy, because the in-memory component returns
// its own. The item of an absent key has neither value nor ETag.
func (s *State) item(key string, value []byte, etag *string) driver.Item {
	switch {
	case etag != nil && *etag != "":
		return driver.Item{Key: key, Value: bytes.Clone(value), ETag: *etag}
	case len(value) > 0:
		return driver.Item{Key: key, Err: fmt.Errorf("%s: reading %s: the value has no ETag: it was probably not written through Dapr", s.config.Package, key)}
	default:
		return driver.Item{Key: key}
	}
}

// Swap implements [driver.State].
func (s *State) Swap(ctx context.Context, _ string, swap driver.Swap) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	request := swapRequest(swap)
	_, err := await(ctx, func() (none, error) { return none{}, s.store.Set(ctx, &request) })
	return s.swapFailure(ctx, "swapping "+swap.Key, err)
}

// SwapMany implements [driver.ManySwapper]. Where transactions roll back, it is one of them.
func (s *State) SwapMany(ctx context.Context, _ string, swaps []driver.Swap) error {
	if err := s.ready(ctx); err != nil || len(swaps) == 0 {
		return err
	}
	doing := fmt.Sprintf("swapping %d keys from %s", len(swaps), swaps[0].Key)
	if !s.config.Capabilities.Atomic {
		requests := make([]state.SetRequest, len(swaps))
		for i, swap := range swaps {
			requests[i] = swapRequest(swap)
		}
		_, err := await(ctx, func() (none, error) {
			return none{}, s.store.BulkSet(ctx, requests, state.BulkStoreOpts{Parallelism: BulkParallelism})
		})
		return s.swapFailure(ctx, doing, err)
	}
	operations := make([]state.TransactionalStateOperation, len(swaps))
	for i, swap := range swaps {
		operations[i] = swapRequest(swap)
	}
	return s.swapFailure(ctx, doing, s.transact(ctx, operations))
}

// Commit implements [driver.State].
func (s *State) Commit(ctx context.Context, _ string, swap driver.Swap, writes []driver.Write) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	doing := fmt.Sprintf("committing %s and %d writes", swap.Key, len(writes))
	if !s.config.Capabilities.Atomic {
		return fmt.Errorf("%s: %s: the transactions of %s do not roll back: %w", s.config.Package, doing, s.config.Capabilities.Store, driver.ErrRefused)
	}
	operations := append(make([]state.TransactionalStateOperation, 0, len(writes)+1), swapRequest(swap))
	for _, w := range writes {
		operations = append(operations, writeRequest(w))
	}
	return s.swapFailure(ctx, doing, s.transact(ctx, operations))
}

// Write implements [driver.State] with one transaction, which is the fastest way with every
// component here.
func (s *State) Write(ctx context.Context, _ string, writes []driver.Write) error {
	if err := s.ready(ctx); err != nil || len(writes) == 0 {
		return err
	}
	operations := make([]state.TransactionalStateOperation, len(writes))
	for i, w := range writes {
		operations[i] = writeRequest(w)
	}
	doing := fmt.Sprintf("writing %d keys from %s", len(writes), writes[0].Key)
	_, err := repeat(ctx, s.config.Repeats, nil, func() (none, error) { return none{}, s.transact(ctx, operations) })
	return s.failure(ctx, doing, err)
}

func (s *State) transact(ctx context.Context, operations []state.TransactionalStateOperation) error {
	_, err := await(ctx, func() (none, error) {
		return none{}, s.store.Multi(ctx, &state.TransactionalStateRequest{Operations: operations})
	})
	return err
}

type none struct{}

// await returns what request returns, or the context's error once ctx has ended. Components notice
// the end of a context late: SQLite waits for another writer, and Redis for an answer, until their
// own timeouts. Until then the request may still take effect.
func await[T any](ctx context.Context, request func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := request()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var nothing T
		return nothing, ctx.Err()
	}
}

var strongRead = state.GetStateOption{Consistency: state.Strong}

// swapRequest returns the first-write request of a swap. It copies the value, since the in-memory
// component keeps the slice that it is given.
func swapRequest(swap driver.Swap) state.SetRequest {
	request := state.SetRequest{
		Key:     swap.Key,
		Value:   bytes.Clone(swap.Value),
		Options: state.SetStateOption{Concurrency: state.FirstWrite, Consistency: state.Strong},
	}
	if swap.ETag != "" {
		request.ETag = &swap.ETag
	}
	return request
}

// writeRequest returns the request of a write. It is first-write only if it has a condition, in a
// transaction that rolls back.
func writeRequest(w driver.Write) state.TransactionalStateOperation {
	if w.Value == nil {
		return state.DeleteRequest{Key: w.Key, Options: state.DeleteStateOption{Concurrency: state.LastWrite, Consistency: state.Strong}}
	}
	if w.IfAbsent || w.ETag != "" {
		return swapRequest(driver.Swap{Key: w.Key, Value: w.Value, ETag: w.ETag})
	}
	return state.SetRequest{
		Key:     w.Key,
		Value:   bytes.Clone(w.Value),
		Options: state.SetStateOption{Concurrency: state.LastWrite, Consistency: state.Strong},
	}
}

var errClosed = errors.New("the store is closed")

// ready refuses requests after Close, and requests whose context has ended.
func (s *State) ready(ctx context.Context) error {
	var err error
	switch {
	case s.closed.Load():
		err = errClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		return nil
	}
	return fmt.Errorf("%s: %w: %w", s.config.Package, err, driver.ErrRefused)
}
