package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/refusal"
)

// bulkParallelism is how many keys of one bulk read the sidecar reads at a time, in stores without
// bulk reads. SQL stores ignore it.
const bulkParallelism = 32

// Get implements [driver.State].
func (s *State) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	doing := "reading " + key
	found, err := again(ctx, nil, func() (*dapr.StateItem, error) {
		return s.client.GetStateWithConsistency(ctx, s.store, key, partitionKey(partition), dapr.StateConsistencyStrong)
	})
	if err != nil {
		return driver.Item{}, failRead(ctx, doing, err)
	}
	s.lasts(ctx, key, found.Metadata)
	item := itemOf(key, found.Value, found.Etag)
	return item, item.Err
}

// GetMany implements [driver.State]. It requests few keys until it knows how large the values of
// the partition are. If an answer is too large, it requests those keys in one smaller portion, and
// then key by key. So no value is fetched more than three times.
func (s *State) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	answers := make(map[string]driver.Item, len(keys))
	wanted := unique(keys)
	suspects := 0 // how many keys were in an answer that was too large
	portion := s.portions.of(partition)
	for len(wanted) > 0 {
		asked := wanted[:min(portion, len(wanted))]
		found, err := again(ctx, passing, func() ([]*dapr.BulkStateItem, error) {
			return s.client.GetBulkState(ctx, s.store, asked, partitionKey(partition), bulkParallelism)
		})
		driver.Progress(ctx)
		switch {
		case tooLarge(err) && len(asked) > 1:
			bytes := max(answered(err), s.caps.MaxRequestBytes)
			portion = min(s.portions.learn(partition, len(asked), len(asked), bytes, s.caps.MaxRequestBytes), len(asked)/2)
			if suspects > 0 { // sizes differ too much to guess
				portion = 1
			}
			suspects = max(suspects, len(asked))
			continue
		case tooLarge(err):
			answers[asked[0]] = driver.Item{Key: asked[0], Err: failRead(ctx, "reading "+asked[0], err)}
		case err != nil:
			return nil, readFailure(ctx, fmt.Sprintf("reading %d keys from %s", len(asked), asked[0]), err)
		}
		held, bytes := 0, 0
		if err != nil {
			held, bytes = 1, max(answered(err), s.caps.MaxRequestBytes)
		}
		for _, f := range found {
			if len(f.Value) > 0 {
				held, bytes = held+1, bytes+len(f.Value)
			}
			if f.Error != "" {
				answers[f.Key] = driver.Item{Key: f.Key, Err: readFailure(ctx, "reading "+f.Key, errors.New(f.Error))}
			} else {
				s.lasts(ctx, f.Key, f.Metadata)
				answers[f.Key] = itemOf(f.Key, f.Value, f.Etag)
			}
		}
		wanted = wanted[len(asked):]
		next := s.portions.learn(partition, len(asked), held, bytes, s.caps.MaxRequestBytes)
		if suspects = max(0, suspects-len(asked)); suspects == 0 {
			portion = next
		}
	}
	return inOrder(keys, answers), nil
}

// readAttempts is how often a read is sent while concurrent transactions of the store disturb it.
const readAttempts = 6

// again sends a read. It sends the read again if concurrent transactions of the store disturbed
// each other, as in a serialization failure of PostgreSQL, which asks for exactly that. The
// function item finds such an error in an answer.
func again[T any](ctx context.Context, item func(T) bool, read func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		answer, err := read()
		if passes := err != nil && refusal.Of(err.Error()) == refusal.Passing || err == nil && item != nil && item(answer); !passes || n == readAttempts {
			return answer, err
		}
		driver.Progress(ctx)
		timer := time.NewTimer(5 * time.Millisecond << n) // 10 ms, doubling
		select {
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		case <-timer.C:
		}
	}
}

// passing reports whether a key could not be read because of such a temporary error.
func passing(items []*dapr.BulkStateItem) bool {
	return slices.ContainsFunc(items, func(item *dapr.BulkStateItem) bool { return refusal.Of(item.Error) == refusal.Passing })
}

// lasts logs a warning, once, if the answer says that the store lets a key expire, because the
// event store never asks for that. Only Dapr's Redis component accepts a ttlInSeconds for all keys,
// and its answers do not show it.
func (s *State) lasts(ctx context.Context, key string, answered map[string]string) {
	expires, ok := answered["ttlExpireTime"]
	if !ok {
		return
	}
	s.expires.Do(func() {
		s.log.WarnContext(ctx, "the state store lets history expire: remove the time to live (ttlInSeconds, or the store's own setting) from the component's file and from the store",
			"component", s.store, "kind", s.caps.Store, "key", key, "expires", expires)
	})
}

// inOrder returns the answers in the order of the keys, because some stores shuffle them.
func inOrder(keys []string, answers map[string]driver.Item) []driver.Item {
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		item, ok := answers[key]
		if !ok {
			item = driver.Item{Key: key, Err: fmt.Errorf("sidecar: reading %s: the answer lacks the key", key)}
		}
		if len(answers) < len(keys) { // a key may occur twice, and each caller owns its value
			item.Value = bytes.Clone(item.Value)
		}
		items[i] = item
	}
	return items
}

// unique returns the keys without duplicates.
func unique(keys []string) []string {
	seen := make(map[string]bool, len(keys))
	each := make([]string, 0, len(keys))
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			each = append(each, key)
		}
	}
	return each
}

// itemOf returns the item of an answer. The item of an absent key has neither value nor ETag.
func itemOf(key string, value []byte, etag string) driver.Item {
	if etag == "" && len(value) > 0 {
		return driver.Item{Key: key, Err: fmt.Errorf("sidecar: reading %s: the value has no ETag: it was probably not written through the state API", key)}
	}
	return driver.Item{Key: key, Value: value, ETag: etag}
}

// failRead is failure for the read of one key, where a message that is too large is the answer.
func failRead(ctx context.Context, doing string, err error) error {
	if !tooLarge(err) {
		return readFailure(ctx, doing, err)
	}
	return &requestError{
		text:  doing + ": the value is larger than this client accepts: dial it with a larger grpc.MaxCallRecvMsgSize, and set the sidecar's --max-body-size to the same size",
		cause: err,
	}
}
