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

// bulkParallelism is how many keys of one bulk read the sidecar asks for at a time, of stores that can't
// be asked for several. SQL stores ignore it.
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

// GetMany implements [driver.State]. It asks for few keys until it has seen how large the values of the
// partition are. What an answer was too large for is asked for in one smaller portion, then key by key, so
// no value is fetched more than three times.
func (s *State) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	answers := make(map[string]driver.Item, len(keys))
	wanted := unique(keys)
	suspects := 0 // so many keys were in an answer that was too large
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
			if suspects > 0 { // sizes differ too much to be guessed
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

// readAttempts is how often a read is sent while the store is in the way of itself.
const readAttempts = 6

// again sends a read, and sends it again where transactions of the store got into each other's way, as a serialization failure of PostgreSQL
// says: it asks to be sent the same once more. Item finds such an error in an answer.
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

// passing reports whether a key was not read for such a reason.
func passing(items []*dapr.BulkStateItem) bool {
	return slices.ContainsFunc(items, func(item *dapr.BulkStateItem) bool { return refusal.Of(item.Error) == refusal.Passing })
}

// lasts warns, once, where the answer says that the store lets a key expire: the event store never asks for that. Dapr's Redis component, the one
// that takes a ttlInSeconds for all keys, does not say so in its answers.
func (s *State) lasts(ctx context.Context, key string, answered map[string]string) {
	expires, ok := answered["ttlExpireTime"]
	if !ok {
		return
	}
	s.expires.Do(func() {
		s.log.WarnContext(ctx, "the state store lets history expire: look for a time to live (ttlInSeconds, or what the store calls it) in the component's file and in the store itself, and take it away",
			"component", s.store, "kind", s.caps.Store, "key", key, "expires", expires)
	})
}

// inOrder lists the answers as they were asked for. Some stores shuffle them.
func inOrder(keys []string, answers map[string]driver.Item) []driver.Item {
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		item, ok := answers[key]
		if !ok {
			item = driver.Item{Key: key, Err: fmt.Errorf("sidecar: reading %s: the answer lacks the key", key)}
		}
		if len(answers) < len(keys) { // a key may be there twice, its value belongs to each
			item.Value = bytes.Clone(item.Value)
		}
		items[i] = item
	}
	return items
}

// unique returns the keys, each once.
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

// itemOf is the item of an answer. Of a key that is absent it has neither value nor ETag.
func itemOf(key string, value []byte, etag string) driver.Item {
	if etag == "" && len(value) > 0 {
		return driver.Item{Key: key, Err: fmt.Errorf("sidecar: reading %s: it has no ETag, as if something else than the state API had written it", key)}
	}
	return driver.Item{Key: key, Value: value, ETag: etag}
}

// failRead is failure for one key: what is too large there is the answer.
func failRead(ctx context.Context, doing string, err error) error {
	if !tooLarge(err) {
		return readFailure(ctx, doing, err)
	}
	return &requestError{
		text:  doing + ": the value is larger than this client receives: dial it with a larger grpc.MaxCallRecvMsgSize, and give the sidecar as large a --max-body-size",
		cause: err,
	}
}
