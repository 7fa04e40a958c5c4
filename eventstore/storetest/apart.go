package storetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// apart is a part of a store that looks like a store of its own. A store has one feed, and the
// cases must not get in the way of each other or of a feed that is there.
type apart struct {
	driver.State
	tag string // ends each partition
}

// key adds the tag to the partition of a key.
func (a apart) key(key string) string {
	partition, rest, _ := strings.Cut(key, "}:")
	return partition + a.tag + "}:" + rest
}

func (a apart) writes(writes []driver.Write) []driver.Write {
	all := make([]driver.Write, len(writes))
	for i, w := range writes {
		if w.Key = a.key(w.Key); w.Partition != "" {
			w.Partition += a.tag
		}
		all[i] = w
	}
	return all
}

func (a apart) Capabilities() driver.Capabilities {
	caps := a.State.Capabilities()
	if caps.MaxKeyBytes > 0 {
		caps.MaxKeyBytes -= len(a.tag)
	}
	return caps
}

func (a apart) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := a.State.Get(ctx, partition+a.tag, a.key(key))
	item.Key = key
	return item, err
}

func (a apart) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	tagged := make([]string, len(keys))
	for i, key := range keys {
		tagged[i] = a.key(key)
	}
	items, err := a.State.GetMany(ctx, partition+a.tag, tagged)
	for i := range items {
		items[i].Key = keys[i]
	}
	return items, err
}

func (a apart) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	swap.Key = a.key(swap.Key)
	return a.State.Swap(ctx, partition+a.tag, swap)
}

func (a apart) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return a.State.Write(ctx, partition+a.tag, a.writes(writes))
}

func (a apart) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	swap.Key = a.key(swap.Key)
	return a.State.Commit(ctx, partition+a.tag, swap, a.writes(writes))
}

func (a apart) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	swaps = slices.Clone(swaps)
	for i := range swaps {
		swaps[i].Key = a.key(swaps[i].Key)
	}
	return driver.SwapMany(ctx, a.State, partition+a.tag, swaps)
}

// apartLocks are the locks of a part of a store.
type apartLocks struct {
	driver.Locker
	tag string
}

func (a apartLocks) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	return a.Locker.TryLock(ctx, resource+a.tag, owner, expiry)
}

func (a apartLocks) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	return a.Locker.Unlock(ctx, resource+a.tag, owner)
}

// headAlone is a store whose transactions are not used.
type headAlone struct{ driver.State }

func (s headAlone) Capabilities() driver.Capabilities {
	caps := s.State.Capabilities()
	caps.Atomic = false
	return caps
}
