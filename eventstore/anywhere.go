package eventstore

import (
	"context"
	"strings"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// partitionsAtOnce is how many requests getAnywhere has under way at the same time.
const partitionsAtOnce = 32

// getAnywhere reads keys of any partitions with get: in one request if the store allows it, and
// otherwise in one for each partition.
func (h *streamHandle) getAnywhere(ctx context.Context, operation string, keys []string, get func(*streamHandle, context.Context, string, string, []string) ([]driver.Item, error)) ([]driver.Item, error) {
	if h.caps.AnyPartition || len(keys) == 0 {
		return get(h, ctx, operation, h.keys.partition, keys)
	}
	places := map[string][]int{} // by partition
	for i, key := range keys {
		places[partitionOf(key)] = append(places[partitionOf(key)], i)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		items = make([]driver.Item, len(keys))
		turns = make(chan struct{}, partitionsAtOnce)
		all   sync.WaitGroup
		once  sync.Once
		first error
	)
	for partition, at := range places {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			part := make([]string, len(at))
			for i, place := range at {
				part[i] = keys[place]
			}
			found, err := get(h, ctx, operation, partition, part)
			if err != nil {
				once.Do(func() { first = err; stop() })
				return
			}
			for i, place := range at {
				items[place] = found[i]
			}
		})
	}
	all.Wait()
	return items, first
}

// partitionOf returns the partition of a key, which is what its braces hold.
func partitionOf(key string) string {
	partition, _, _ := strings.Cut(strings.TrimPrefix(key, "{"), "}:")
	return partition
}
