// Package sidecar connects the event store to a Dapr sidecar, over Dapr's Go SDK: [State] through the
// state API and [Locker] through the lock API.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const (
	// defaultMaxRequestBytes leaves some of the 4 MiB, which a sidecar takes by default, for the
	// frame of a request.
	defaultMaxRequestBytes = 4<<20 - 64<<10

	// bulkReadParallelism is how many keys of a bulk read the sidecar asks for at once, of stores that can't
	// read several in one request.
	bulkReadParallelism = 100

	// perWriteBytes covers what goes with each key and value of a request: options and framing.
	perWriteBytes = 64
)

// State is a state component of a Dapr sidecar. It is safe for concurrent use.
type State struct {
	client        dapr.Client
	store         string
	caps          driver.Capabilities
	transactional bool // takes transactions, whatever these are worth
}

var _ driver.State = (*State)(nil)

// Option changes how [NewState] sets up.
type Option func(*State) error

// WithMaxRequestBytes says how large one request may be, for a sidecar that runs with another
// --max-body-size than 4 MiB; leave some 64 KiB of that for framing. Answers are bounded
// by the client that was dialled: raise grpc.MaxCallRecvMsgSize with it.
func WithMaxRequestBytes(n int) Option {
	return func(s *State) error {
		if n < 64<<10 {
			return fmt.Errorf("sidecar: WithMaxRequestBytes: %d is less than 65536", n)
		}
		s.caps.MaxRequestBytes = n
		return nil
	}
}

// proven are the kinds of store whose transactions were shown to roll back, with the number of keys that one
// transaction may write (0: any) and the longest key (0: any), the app id that the sidecar puts before it
// counted with 64 bytes. Stores that are not listed take the careful way.
var proven = map[string]struct{ commitWrites, keyBytes int }{
	"state.in-memory":  {},
	"state.sqlite":     {},
	"state.sqlite3":    {},
	"state.postgres":   {},
	"state.postgresql": {},
	"state.mysql":      {keyBytes: 255 - 64},
	"state.etcd":       {commitWrites: 127}, // of 128 operations, maxTxnOps, one is the head
}

// NewState connects to the state component of that name. It asks the sidecar what the component can do, and
// refuses one that does not exist or has no ETags, without which nothing can be
// committed safely.
//
// client must have been dialled without default call options that lower its message sizes, and stays the caller's to close.
func NewState(ctx context.Context, client dapr.Client, store string, options ...Option) (*State, error) {
	component, err := find(ctx, client, "state", store)
	if err != nil {
		return nil, err
	}
	s := &State{client: client, store: store, caps: driver.Capabilities{Store: component.Type, MaxRequestBytes: defaultMaxRequestBytes}}
	if !slices.Contains(component.Capabilities, "ETAG") {
		return nil, fmt.Errorf("sidecar: state store %q (%s) has no ETags, so that two writers would overwrite each other unseen: choose a component with the capability ETAG", store, component.Type)
	}
	s.transactional = slices.Contains(component.Capabilities, "TRANSACTIONAL")
	if limits, ok := proven[component.Type]; ok {
		s.caps.Atomic = s.transactional
		s.caps.MaxCommitWrites = limits.commitWrites
		s.caps.MaxKeyBytes = limits.keyBytes
	}
	// Redis transactions do not roll back; its ETags count.
	s.caps.CountedETags = component.Type == "state.redis"
	for _, option := range options {
		if err := option(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// find looks a component up in the sidecar's metadata. kind is "state" or "lock".
func find(ctx context.Context, client dapr.Client, kind, name string) (*dapr.MetadataRegisteredComponents, error) {
	if client == nil {
		return nil, errors.New("sidecar: the Dapr client is nil: make one with client.NewClient")
	}
	if strings.TrimSpace(name) == "" {
		return nil, fmt.Errorf("sidecar: the name of the %s component is blank", kind)
	}
	metadata, err := client.GetMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("sidecar: can't ask the Dapr sidecar for its components, does it run and is DAPR_GRPC_PORT its port? %w", failure(ctx, err))
	}
	var others []string
	for _, c := range metadata.RegisteredComponents {
		if !strings.HasPrefix(c.Type, kind+".") {
			continue
		}
		if c.Name == name {
			return c, nil
		}
		others = append(others, fmt.Sprintf("%q (%s)", c.Name, c.Type))
	}
	configured := "it has none"
	if len(others) > 0 {
		slices.Sort(others)
		configured = "it has " + strings.Join(others, ", ")
	}
	return nil, fmt.Errorf("sidecar: the Dapr sidecar has no %s component %q, %s: check the component's file, its scopes and --resources-path", kind, name, configured)
}

// Capabilities implements [driver.State].
func (s *State) Capabilities() driver.Capabilities { return s.caps }

func meta(partition string) map[string]string {
	return map[string]string{"partitionKey": partition}
}

var (
	firstWrite = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong}
	lastWrite  = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyLastWrite, Consistency: dapr.StateConsistencyStrong}
)

// Get implements [driver.State].
func (s *State) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := s.client.GetState(ctx, s.store, key, meta(partition)) // strong
	if err != nil {
		return driver.Item{}, failure(ctx, err)
	}
	return itemOf(key, item.Value, item.Etag)
}

// itemOf makes an item of an answer; an absent key is one without a value.
func itemOf(key string, value []byte, etag string) (driver.Item, error) {
	if len(value) > 0 && etag == "" {
		return driver.Item{}, fmt.Errorf("sidecar: key %s came without an ETag", key)
	}
	if len(value) == 0 {
		return driver.Item{Key: key}, nil
	}
	return driver.Item{Key: key, Value: value, ETag: etag}, nil
}

// GetMany implements [driver.State]. An answer that is too large for the client to receive is asked for in halves.
func (s *State) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := s.client.GetBulkState(ctx, s.store, keys, meta(partition), bulkReadParallelism)
	if status.Code(err) == codes.ResourceExhausted {
		if len(keys) == 1 {
			return nil, fmt.Errorf("sidecar: the value at key %s is larger than the client receives: dial it with a larger grpc.MaxCallRecvMsgSize: %w", keys[0], failure(ctx, err))
		}
		half := len(keys) / 2
		low, err := s.GetMany(ctx, partition, keys[:half])
		if err != nil {
			return nil, err
		}
		high, err := s.GetMany(ctx, partition, keys[half:])
		return append(low, high...), err
	}
	if err != nil {
		return nil, failure(ctx, err)
	}
	items := make([]driver.Item, len(keys))
	if inOrder(found, keys) {
		for i, f := range found {
			items[i] = bulkItem(f)
		}
		return items, nil
	}
	byKey := make(map[string]*dapr.BulkStateItem, len(found))
	for _, f := range found {
		byKey[f.Key] = f
	}
	for i, key := range keys {
		if f, ok := byKey[key]; ok {
			items[i] = bulkItem(f)
		} else {
			items[i] = driver.Item{Key: key, Err: errors.New("the sidecar's answer lacks the key")}
		}
	}
	return items, nil
}

// inOrder reports whether the items came in the order asked for, as from most stores; PostgreSQL shuffles them.
func inOrder(found []*dapr.BulkStateItem, keys []string) bool {
	return slices.EqualFunc(found, keys, func(f *dapr.BulkStateItem, key string) bool { return f.Key == key })
}

func bulkItem(f *dapr.BulkStateItem) driver.Item {
	if f.Error != "" {
		return driver.Item{Key: f.Key, Err: errors.New(f.Error)}
	}
	item, err := itemOf(f.Key, f.Value, f.Etag)
	if err != nil {
		return driver.Item{Key: f.Key, Err: err}
	}
	return item
}

// Swap implements [driver.State].
func (s *State) Swap(ctx context.Context, partition, key string, value []byte, etag string) error {
	item := put(partition, key, value, firstWrite)
	if etag != "" {
		item.Etag = &dapr.ETag{Value: etag}
	}
	if err := s.fits(ctx, size(partition, key, value)); err != nil {
		return err
	}
	return failure(ctx, s.client.SaveBulkState(ctx, s.store, item))
}

// Commit implements [driver.State].
func (s *State) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if !s.caps.Atomic {
		return fmt.Errorf("sidecar: %s has no transactions that can be trusted: %w", s.caps.Store, driver.ErrRefused)
	}
	total := size(partition, swap.Key, swap.Value)
	head := put(partition, swap.Key, swap.Value, firstWrite)
	if swap.ETag != "" {
		head.Etag = &dapr.ETag{Value: swap.ETag}
	}
	operations := make([]*dapr.StateOperation, 0, len(writes)+1)
	operations = append(operations, &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: head})
	for _, w := range writes {
		total += size(partition, w.Key, w.Value)
		operations = append(operations, operation(partition, w))
	}
	if err := s.fits(ctx, total); err != nil {
		return err
	}
	return failure(ctx, s.client.ExecuteStateTransaction(ctx, s.store, meta(partition), operations))
}

// Write implements [driver.State]: by transactions where the store takes them, since these are one
// round trip, by bulk saves and deletes elsewhere.
func (s *State) Write(ctx context.Context, partition string, writes []driver.Write) error {
	for len(writes) > 0 {
		n := s.chunk(partition, writes)
		if err := s.writeChunk(ctx, partition, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

// chunk counts how many of the writes fit one request, at least one.
func (s *State) chunk(partition string, writes []driver.Write) int {
	total := 0
	for i, w := range writes {
		total += size(partition, w.Key, w.Value)
		if i > 0 && (total > s.caps.MaxRequestBytes || s.caps.MaxCommitWrites > 0 && i >= s.caps.MaxCommitWrites) {
			return i
		}
	}
	return len(writes)
}

func (s *State) writeChunk(ctx context.Context, partition string, writes []driver.Write) error {
	if len(writes) == 1 {
		w := writes[0]
		if w.Value == nil {
			return failure(ctx, s.client.DeleteStateWithETag(ctx, s.store, w.Key, nil, meta(partition), lastWrite))
		}
		if err := s.fits(ctx, size(partition, w.Key, w.Value)); err != nil {
			return err
		}
		return failure(ctx, s.client.SaveBulkState(ctx, s.store, put(partition, w.Key, w.Value, lastWrite)))
	}
	if s.transactional {
		operations := make([]*dapr.StateOperation, len(writes))
		for i, w := range writes {
			operations[i] = operation(partition, w)
		}
		return failure(ctx, s.client.ExecuteStateTransaction(ctx, s.store, meta(partition), operations))
	}
	var puts []*dapr.SetStateItem
	var deletes []*dapr.DeleteStateItem
	for _, w := range writes {
		item := put(partition, w.Key, w.Value, lastWrite)
		if w.Value == nil {
			deletes = append(deletes, (*dapr.DeleteStateItem)(item))
		} else {
			puts = append(puts, item)
		}
	}
	if len(puts) > 0 {
		if err := s.client.SaveBulkState(ctx, s.store, puts...); err != nil {
			return failure(ctx, err)
		}
	}
	return failure(ctx, s.client.DeleteBulkStateItems(ctx, s.store, deletes))
}

func put(partition, key string, value []byte, options *dapr.StateOptions) *dapr.SetStateItem {
	return &dapr.SetStateItem{Key: key, Value: value, Metadata: meta(partition), Options: options}
}

func operation(partition string, w driver.Write) *dapr.StateOperation {
	kind := dapr.StateOperationTypeUpsert
	if w.Value == nil {
		kind = dapr.StateOperationTypeDelete
	}
	return &dapr.StateOperation{Type: kind, Item: put(partition, w.Key, w.Value, lastWrite)}
}

func size(partition, key string, value []byte) int {
	return len(partition) + len(key) + len(value) + perWriteBytes
}

// fits refuses what the sidecar would not take, and what no one waits for any more.
func (s *State) fits(ctx context.Context, bytes int) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(context.Cause(ctx), driver.ErrRefused)
	}
	if bytes > s.caps.MaxRequestBytes {
		return fmt.Errorf("sidecar: a request of %d bytes is over the limit of %d: %w", bytes, s.caps.MaxRequestBytes, driver.ErrRefused)
	}
	return nil
}
