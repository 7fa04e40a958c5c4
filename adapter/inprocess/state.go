// Package inprocess runs Dapr's own state components inside this process, without a sidecar: in memory for
// tests, a SQLite file for local work and single services, Redis. They behave as they do behind a
// sidecar, but for the key prefix that a sidecar adds: the two do not see each other's streams.
//
// There are no lock components; sessions use the lease that the event store keeps
// in the state store itself.
package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/dapr/components-contrib/state"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// State is a Dapr state component in this process. It is safe for concurrent use. Close it when done.
type State struct {
	store state.Store
	multi state.TransactionalStore
	caps  driver.Capabilities
}

var _ driver.State = (*State)(nil)

// Capabilities implements [driver.State].
func (s *State) Capabilities() driver.Capabilities { return s.caps }

// Close releases the component. The state in memory is gone with it, all else stays where it is.
func (s *State) Close() error { return s.store.Close() }

const strong = state.Strong

// Get implements [driver.State].
func (s *State) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	answer, err := s.store.Get(ctx, &state.GetRequest{Key: key, Options: state.GetStateOption{Consistency: strong}})
	if err != nil {
		return driver.Item{}, failure(ctx, err)
	}
	return itemOf(key, answer.Data, answer.ETag)
}

// itemOf makes an item that is the caller's own of an answer; an absent key is one without a value.
func itemOf(key string, data []byte, etag *string) (driver.Item, error) {
	if len(data) == 0 {
		return driver.Item{Key: key}, nil
	}
	if etag == nil || *etag == "" {
		return driver.Item{}, fmt.Errorf("inprocess: key %s came without an ETag", key)
	}
	return driver.Item{Key: key, Value: bytes.Clone(data), ETag: *etag}, nil
}

// GetMany implements [driver.State].
func (s *State) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	requests := make([]state.GetRequest, len(keys))
	for i, key := range keys {
		requests[i] = state.GetRequest{Key: key, Options: state.GetStateOption{Consistency: strong}}
	}
	answers, err := s.store.BulkGet(ctx, requests, state.BulkGetOpts{Parallelism: 100})
	if err != nil {
		return nil, failure(ctx, err)
	}
	byKey := make(map[string]*state.BulkGetResponse, len(answers))
	for i := range answers {
		byKey[answers[i].Key] = &answers[i]
	}
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		answer, ok := byKey[key]
		switch {
		case !ok:
			items[i] = driver.Item{Key: key, Err: errors.New("the component's answer lacks the key")}
		case answer.Error != "":
			items[i] = driver.Item{Key: key, Err: errors.New(answer.Error)}
		default:
			item, err := itemOf(key, answer.Data, answer.ETag)
			item.Key, item.Err = key, err
			items[i] = item
		}
	}
	return items, nil
}

// Swap implements [driver.State].
func (s *State) Swap(ctx context.Context, partition, key string, value []byte, etag string) error {
	if err := cancelled(ctx); err != nil {
		return err
	}
	request := swapRequest(driver.Swap{Key: key, Value: value, ETag: etag})
	return failure(ctx, s.store.Set(ctx, &request))
}

// Commit implements [driver.State].
func (s *State) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if !s.caps.Atomic {
		return fmt.Errorf("inprocess: %s has no transactions that can be trusted: %w", s.caps.Store, driver.ErrRefused)
	}
	if err := cancelled(ctx); err != nil {
		return err
	}
	operations := append(make([]state.TransactionalStateOperation, 0, len(writes)+1), swapRequest(swap))
	for _, w := range writes {
		operations = append(operations, writeRequest(w))
	}
	return failure(ctx, s.multi.Multi(ctx, &state.TransactionalStateRequest{Operations: operations}))
}

// Write implements [driver.State], by one transaction: on every component here that is the fastest.
func (s *State) Write(ctx context.Context, partition string, writes []driver.Write) error {
	if err := cancelled(ctx); err != nil || len(writes) == 0 {
		return err
	}
	operations := make([]state.TransactionalStateOperation, len(writes))
	for i, w := range writes {
		operations[i] = writeRequest(w)
	}
	return failure(ctx, s.multi.Multi(ctx, &state.TransactionalStateRequest{Operations: operations}))
}

func swapRequest(swap driver.Swap) state.SetRequest {
	request := state.SetRequest{
		Key:     swap.Key,
		Value:   bytes.Clone(swap.Value),
		Options: state.SetStateOption{Concurrency: state.FirstWrite, Consistency: strong},
	}
	if swap.ETag != "" {
		request.ETag = &swap.ETag
	}
	return request
}

func writeRequest(w driver.Write) state.TransactionalStateOperation {
	if w.Value == nil {
		return state.DeleteRequest{Key: w.Key, Options: state.DeleteStateOption{Concurrency: state.LastWrite, Consistency: strong}}
	}
	return state.SetRequest{
		Key:     w.Key,
		Value:   bytes.Clone(w.Value), // the in-memory component keeps it
		Options: state.SetStateOption{Concurrency: state.LastWrite, Consistency: strong},
	}
}

// cancelled refuses what no one waits for any more.
func cancelled(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), driver.ErrRefused)
	}
	return nil
}

// failure makes a component's error match the context's where that is why.
func failure(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(err, context.Cause(ctx), ctx.Err())
	}
	return err
}
