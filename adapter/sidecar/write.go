package sidecar

import (
	"context"
	"fmt"
	"unicode/utf8"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// A key is always written in the same mode: first-write if writes of it depend on its ETag,
// otherwise last-write. Only in a transaction that rolls back, a key of the second kind can be
// created first-write. Set both modes explicitly, because the SDK's default is last-write, with
// which Redis ignores ETags.
var (
	firstWrite = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong}
	lastWrite  = &dapr.StateOptions{Concurrency: dapr.StateConcurrencyLastWrite, Consistency: dapr.StateConsistencyStrong}
)

// Swap implements [driver.State].
func (s *State) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	doing := "swapping " + swap.Key
	if err := notSent(ctx, doing); err != nil {
		return err
	}
	if err := s.takes(doing, partition, swap.Key, swap.Value); err != nil {
		return err
	}
	return swapFailure(ctx, doing, s.client.SaveBulkState(ctx, s.store, swapItem(partition, swap)))
}

// SwapMany implements [driver.ManySwapper]. Where transactions roll back, it sends transactions. On
// Redis it sends bulk saves, because a Redis transaction does not note that it created a key
// first-write. Of other kinds it is unknown whether they honour each condition, so each swap is a
// request.
func (s *State) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	if !s.caps.Atomic && !s.caps.CountedETags || len(swaps) == 1 {
		return driver.SwapEach(ctx, s, partition, swaps)
	}
	for first := true; len(swaps) > 0; first = false {
		doing := "swapping many keys from " + swaps[0].Key
		items := make([]*dapr.SetStateItem, 0, len(swaps))
		for total := 0; len(items) < len(swaps); {
			swap := swaps[len(items)]
			if total += size(partition, swap.Key, swap.Value); len(items) > 0 && total > s.caps.MaxRequestBytes {
				break
			}
			items = append(items, swapItem(partition, swap))
		}
		err := s.swapItems(ctx, doing, partition, items)
		switch {
		case err == nil:
		case !first:
			return afterOthers(err)
		default:
			return err
		}
		driver.Progress(ctx)
		swaps = swaps[len(items):]
	}
	return nil
}

// swapItems sends swaps that fit in one request, or a single one.
func (s *State) swapItems(ctx context.Context, doing, partition string, items []*dapr.SetStateItem) error {
	if err := notSent(ctx, doing); err != nil {
		return err
	}
	for _, item := range items {
		if err := s.takes(doing, partition, item.Key, item.Value); err != nil {
			return err
		}
	}
	if !s.caps.Atomic {
		return swapFailure(ctx, doing, s.client.SaveBulkState(ctx, s.store, items...))
	}
	operations := make([]*dapr.StateOperation, len(items))
	for i, item := range items {
		operations[i] = &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: item}
	}
	return swapFailure(ctx, doing, s.client.ExecuteStateTransaction(ctx, s.store, partitionKey(partition), operations))
}

// Commit implements [driver.State].
func (s *State) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	doing := fmt.Sprintf("committing %s and %d writes", swap.Key, len(writes))
	if err := notSent(ctx, doing); err != nil {
		return err
	}
	if !s.caps.Atomic {
		return refuse("%s: the transactions of %s are not known to roll back", doing, s.caps.Store)
	}
	if limit := s.caps.MaxCommitWrites; limit > 0 && len(writes) > limit {
		return refuse("%s: at most %d writes are possible", doing, limit)
	}
	total := size(partition, swap.Key, swap.Value)
	operations := make([]*dapr.StateOperation, 0, len(writes)+1)
	operations = append(operations, &dapr.StateOperation{Type: dapr.StateOperationTypeUpsert, Item: swapItem(partition, swap)})
	for _, w := range writes {
		total += size(partition, w.Key, w.Value) + len(w.Partition)
		operations = append(operations, operation(partition, w))
	}
	if err := s.fits(doing, total); err != nil {
		return err
	}
	return swapFailure(ctx, doing, s.client.ExecuteStateTransaction(ctx, s.store, partitionKey(partition), operations))
}

// Write implements [driver.State]. If the store has transactions, several writes are sent as one,
// because that is the fastest way. It need not be atomic. Otherwise they are sent as one bulk save
// and one bulk delete.
func (s *State) Write(ctx context.Context, partition string, writes []driver.Write) error {
	for first := true; len(writes) > 0; first = false {
		n := s.portion(partition, writes)
		if err := s.write(ctx, partition, writes[:n]); err != nil {
			if !first {
				return afterOthers(err)
			}
			return err
		}
		driver.Progress(ctx)
		writes = writes[n:]
	}
	return nil
}

// portion returns how many of the writes fit in one request, at least one.
func (s *State) portion(partition string, writes []driver.Write) int {
	total := 0
	for i, w := range writes {
		total += size(partition, w.Key, w.Value)
		if i > 0 && total > s.caps.MaxRequestBytes {
			return i
		}
	}
	return len(writes)
}

// write sends writes that fit in one request, or a single write.
func (s *State) write(ctx context.Context, partition string, writes []driver.Write) error {
	doing := fmt.Sprintf("writing %d keys from %s", len(writes), writes[0].Key)
	if len(writes) == 1 {
		doing = "writing " + writes[0].Key
	}
	if err := notSent(ctx, doing); err != nil {
		return err
	}
	if len(writes) > 1 && s.transacts {
		operations := make([]*dapr.StateOperation, len(writes))
		for i, w := range writes {
			operations[i] = operation(partition, w)
		}
		return failure(ctx, doing, s.client.ExecuteStateTransaction(ctx, s.store, partitionKey(partition), operations))
	}
	var puts []*dapr.SetStateItem
	var deletes []*dapr.DeleteStateItem
	for _, w := range writes {
		item := item(partition, w.Key, w.Value, lastWrite)
		if w.Value == nil {
			deletes = append(deletes, (*dapr.DeleteStateItem)(item))
		} else if err := s.takes(doing, partition, w.Key, w.Value); err != nil {
			return err
		} else {
			puts = append(puts, item)
		}
	}
	if len(puts) > 0 {
		if err := s.client.SaveBulkState(ctx, s.store, puts...); err != nil {
			return failure(ctx, doing, err)
		}
		driver.Progress(ctx)
	}
	var err error
	switch len(deletes) {
	case 0:
		return nil
	case 1:
		err = s.client.DeleteStateWithETag(ctx, s.store, deletes[0].Key, nil, partitionKey(partition), lastWrite)
	default:
		err = s.client.DeleteBulkStateItems(ctx, s.store, deletes)
	}
	if err = failure(ctx, doing, err); err != nil && len(puts) > 0 {
		return afterOthers(err)
	}
	return err
}

func item(partition, key string, value []byte, options *dapr.StateOptions) *dapr.SetStateItem {
	return &dapr.SetStateItem{Key: key, Value: value, Metadata: partitionKey(partition), Options: options}
}

func swapItem(partition string, swap driver.Swap) *dapr.SetStateItem {
	item := item(partition, swap.Key, swap.Value, firstWrite)
	if swap.ETag != "" {
		item.Etag = &dapr.ETag{Value: swap.ETag}
	}
	return item
}

func operation(partition string, w driver.Write) *dapr.StateOperation {
	kind := dapr.StateOperationTypeUpsert
	if w.Value == nil {
		kind = dapr.StateOperationTypeDelete
	}
	if w.Partition != "" {
		partition = w.Partition
	}
	if w.IfAbsent || w.ETag != "" {
		return &dapr.StateOperation{Type: kind, Item: swapItem(partition, driver.Swap{Key: w.Key, Value: w.Value, ETag: w.ETag})}
	}
	return &dapr.StateOperation{Type: kind, Item: item(partition, w.Key, w.Value, lastWrite)}
}

// size returns an upper bound for the size of one write in a request.
func size(partition, key string, value []byte) int {
	return len(partition) + len(key) + len(value) + perWrite
}

// takes returns an error if the store or the sidecar would reject the value.
func (s *State) takes(doing, partition, key string, value []byte) error {
	if s.textOnly && !utf8.Valid(value) {
		return refuse("%s: the value of %s is not UTF-8, and %s stores nothing else: encode events and snapshots as text, for example as JSON", doing, key, s.caps.Store)
	}
	return s.fits(doing, size(partition, key, value))
}

// fits returns an error if a request is larger than the sidecar accepts.
func (s *State) fits(doing string, bytes int) error {
	if bytes > s.caps.MaxRequestBytes {
		return refuse("%s: %d bytes exceed the limit of %d bytes per request: see WithMaxRequestBytes", doing, bytes, s.caps.MaxRequestBytes)
	}
	return nil
}
