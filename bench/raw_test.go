package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/dapr/components-contrib/state"
	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// raw sends the requests of the floor and does nothing else. It prepares the content of each
// request before it is timed. Options and metadata are the same as the adapters send.
type raw interface {
	// get reads one key and returns its ETag.
	get(ctx context.Context, partition, key string) (etag string, err error)

	// read prepares a bulk read, which returns how many of the keys exist.
	read(partition string, keys []string) func(ctx context.Context) (found int, err error)

	// swap prepares a first-write of one key.
	swap(partition string, w driver.Write) func(ctx context.Context, etag string) error

	// transaction prepares a transaction: a first-write of the head, if it is not nil, and
	// last-writes of the others.
	transaction(partition string, head *driver.Write, others []driver.Write) func(ctx context.Context, etag string) error
}

// parallelism is the same as in the adapters' bulk reads.
const parallelism = 32

// viaSidecar sends requests through the Dapr SDK.
type viaSidecar struct {
	client dapr.Client
	store  string
}

var (
	firstWrite = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong}
	lastWrite  = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyLastWrite, Consistency: dapr.StateConsistencyStrong}
)

func partitionKey(partition string) map[string]string {
	return map[string]string{"partitionKey": partition}
}

func (r viaSidecar) get(ctx context.Context, partition, key string) (string, error) {
	found, err := r.client.GetStateWithConsistency(ctx, r.store, key, partitionKey(partition), dapr.StateConsistencyStrong)
	if err != nil {
		return "", err
	}
	return found.Etag, nil
}

func (r viaSidecar) read(partition string, keys []string) func(context.Context) (int, error) {
	metadata := partitionKey(partition)
	return func(ctx context.Context) (found int, err error) {
		items, err := r.client.GetBulkState(ctx, r.store, keys, metadata, parallelism)
		for _, item := range items {
			if item.Error != "" {
				return 0, fmt.Errorf("reading %s: %s", item.Key, item.Error)
			}
			if item.Etag != "" {
				found++
			}
		}
		return found, err
	}
}

func setItem(partition string, w driver.Write, options *dapr.StateOptions) *dapr.SetStateItem {
	return &dapr.SetStateItem{Key: w.Key, Value: w.Value, Metadata: partitionKey(partition), Options: options}
}

func withETag(item *dapr.SetStateItem, etag string) {
	item.Etag = nil
	if etag != "" {
		item.Etag = &dapr.ETag{Value: etag}
	}
}

func (r viaSidecar) swap(partition string, w driver.Write) func(context.Context, string) error {
	item := setItem(partition, w, firstWrite)
	return func(ctx context.Context, etag string) error {
		withETag(item, etag)
		return r.client.SaveBulkState(ctx, r.store, item)
	}
}

func (r viaSidecar) transaction(partition string, head *driver.Write, others []driver.Write) func(context.Context, string) error {
	operations := make([]*dapr.StateOperation, 0, len(others)+1)
	first := &dapr.SetStateItem{}
	if head != nil {
		first = setItem(partition, *head, firstWrite)
		operations = append(operations, &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: first})
	}
	for _, w := range others {
		operations = append(operations, &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: setItem(partition, w, lastWrite)})
	}
	metadata := partitionKey(partition)
	return func(ctx context.Context, etag string) error {
		withETag(first, etag)
		return r.client.ExecuteStateTransaction(ctx, r.store, metadata, operations)
	}
}

// save prepares a bulk save of last-writes.
func (r viaSidecar) save(partition string, writes []driver.Write) func(context.Context) error {
	items := make([]*dapr.SetStateItem, len(writes))
	for i, w := range writes {
		items[i] = setItem(partition, w, lastWrite)
	}
	return func(ctx context.Context) error { return r.client.SaveBulkState(ctx, r.store, items...) }
}

// inProcess sends requests to a Dapr component in this process.
type inProcess struct {
	store state.Store
}

var strongRead = state.GetStateOption{Consistency: state.Strong}

func (r inProcess) get(ctx context.Context, _, key string) (string, error) {
	found, err := r.store.Get(ctx, &state.GetRequest{Key: key, Options: strongRead})
	if err != nil {
		return "", err
	}
	return value(found.ETag), nil
}

func (r inProcess) read(_ string, keys []string) func(context.Context) (int, error) {
	requests := make([]state.GetRequest, len(keys))
	for i, key := range keys {
		requests[i] = state.GetRequest{Key: key, Options: strongRead}
	}
	return func(ctx context.Context) (found int, err error) {
		items, err := r.store.BulkGet(ctx, requests, state.BulkGetOpts{Parallelism: parallelism})
		for _, item := range items {
			if item.Error != "" {
				return 0, fmt.Errorf("reading %s: %s", item.Key, item.Error)
			}
			if value(item.ETag) != "" {
				found++
			}
		}
		return found, err
	}
}

func value(etag *string) string {
	if etag == nil {
		return ""
	}
	return *etag
}

func setRequest(w driver.Write, concurrency string) state.SetRequest {
	return state.SetRequest{Key: w.Key, Value: w.Value, Options: state.SetStateOption{Concurrency: concurrency, Consistency: state.Strong}}
}

func (r inProcess) swap(_ string, w driver.Write) func(context.Context, string) error {
	request := setRequest(w, state.FirstWrite)
	return func(ctx context.Context, etag string) error {
		request.ETag = nil
		if etag != "" {
			request.ETag = &etag
		}
		return r.store.Set(ctx, &request)
	}
}

func (r inProcess) transaction(_ string, head *driver.Write, others []driver.Write) func(context.Context, string) error {
	operations := make([]state.TransactionalStateOperation, 0, len(others)+1)
	if head != nil {
		operations = append(operations, setRequest(*head, state.FirstWrite))
	}
	for _, w := range others {
		operations = append(operations, setRequest(w, state.LastWrite))
	}
	multi := r.store.(state.TransactionalStore)
	return func(ctx context.Context, etag string) error {
		if head != nil && etag != "" {
			first := setRequest(*head, state.FirstWrite)
			first.ETag = &etag
			operations[0] = first
		}
		return multi.Multi(ctx, &state.TransactionalStateRequest{Operations: operations})
	}
}

// locks sends raw requests to a lock component.
type locks struct {
	client dapr.Client
	store  string
}

func (l locks) lock(ctx context.Context, resource, owner string) error {
	answer, err := l.client.TryLockAlpha1(ctx, l.store, &dapr.LockRequest{ResourceID: resource, LockOwner: owner, ExpiryInSeconds: int32(sessionTimeout.Seconds())})
	if err == nil && !answer.Success {
		err = errors.New("the lock is taken")
	}
	return err
}

func (l locks) unlock(ctx context.Context, resource, owner string) error {
	answer, err := l.client.UnlockAlpha1(ctx, l.store, &dapr.UnlockRequest{ResourceID: resource, LockOwner: owner})
	if err == nil && answer.StatusCode != 0 {
		err = errors.New("the lock was not held: " + answer.Status)
	}
	return err
}
