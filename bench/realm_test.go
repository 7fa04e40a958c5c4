package bench

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// realm is a part of a store that looks like an empty store of its own, because a store has one
// feed only. Its keys begin with a prefix. It counts what is sent to it.
type realm struct {
	driver.State
	prefix string

	requests, keys, bytes atomic.Int64
	snapshots             atomic.Int64 // of the log

	// grown holds a token once the log of the realm's feed has got another batch.
	grown chan struct{}

	mu    sync.Mutex
	reads *[][]string // the keys of each bulk read, with the prefix; nil: not recorded
}

func newRealm(state driver.State, prefix string) *realm {
	return &realm{State: state, prefix: prefix, grown: make(chan struct{}, 1)}
}

const (
	logHead      = "{:feed:" + feedName + "}:head"
	logSnapshots = "{:feed:" + feedName + "}:snapshots" // the list of them
)

// traffic is what was sent to a store and came back.
type traffic struct{ requests, keys, bytes float64 }

func (t traffic) minus(o traffic) traffic {
	return traffic{t.requests - o.requests, t.keys - o.keys, t.bytes - o.bytes}
}

func (t traffic) over(n float64) traffic { return traffic{t.requests / n, t.keys / n, t.bytes / n} }

func (r *realm) traffic() traffic {
	return traffic{float64(r.requests.Load()), float64(r.keys.Load()), float64(r.bytes.Load())}
}

// count counts a part of a request.
func (r *realm) count(keys ...string) {
	r.keys.Add(int64(len(keys)))
	for _, key := range keys {
		r.bytes.Add(int64(len(key)))
	}
}

func (r *realm) answer(i driver.Item) driver.Item {
	r.bytes.Add(int64(len(i.Value)))
	i.Key = strings.TrimPrefix(i.Key, r.prefix)
	return i
}

func (r *realm) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	r.requests.Add(1)
	r.count(key)
	item, err := r.State.Get(ctx, partition, r.prefix+key)
	return r.answer(item), err
}

func (r *realm) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	r.requests.Add(1)
	r.count(keys...)
	own := make([]string, len(keys))
	for i, key := range keys {
		own[i] = r.prefix + key
	}
	r.mu.Lock()
	if r.reads != nil {
		*r.reads = append(*r.reads, own)
	}
	r.mu.Unlock()
	items, err := r.State.GetMany(ctx, partition, own)
	for i := range items {
		items[i] = r.answer(items[i])
	}
	return items, err
}

func (r *realm) Swap(ctx context.Context, partition string, s driver.Swap) error {
	r.requests.Add(1)
	return r.swapped(s.Key, r.State.Swap(ctx, partition, r.swap(s)))
}

func (r *realm) Commit(ctx context.Context, partition string, s driver.Swap, writes []driver.Write) error {
	r.requests.Add(1)
	return r.swapped(s.Key, r.State.Commit(ctx, partition, r.swap(s), r.writes(writes)))
}

func (r *realm) Write(ctx context.Context, partition string, writes []driver.Write) error {
	r.requests.Add(1)
	return r.State.Write(ctx, partition, r.writes(writes))
}

func (r *realm) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	r.requests.Add(1)
	own := make([]driver.Swap, len(swaps))
	for i, s := range swaps {
		own[i] = r.swap(s)
	}
	return driver.SwapMany(ctx, r.State, partition, own)
}

func (r *realm) swap(s driver.Swap) driver.Swap {
	r.count(s.Key)
	r.bytes.Add(int64(len(s.Value)))
	s.Key = r.prefix + s.Key
	return s
}

func (r *realm) writes(all []driver.Write) []driver.Write {
	own := make([]driver.Write, len(all))
	for i, w := range all {
		r.count(w.Key)
		r.bytes.Add(int64(len(w.Value)))
		w.Key = r.prefix + w.Key
		own[i] = w
	}
	return own
}

func (r *realm) swapped(key string, err error) error {
	if err == nil && key == logSnapshots {
		r.snapshots.Add(1)
	}
	if err == nil && key == logHead {
		select {
		case r.grown <- struct{}{}:
		default:
		}
	}
	return err
}

// record returns the keys of the bulk reads that f sends, with the prefix.
func (r *realm) record(f func() error) (reads [][]string, err error) {
	set := func(to *[][]string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reads = to
	}
	set(&reads)
	err = f()
	set(nil)
	return reads, err
}

// realmLocker keeps the locks of realms apart.
type realmLocker struct {
	driver.Locker
	prefix string
}

func (l realmLocker) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	return l.Locker.TryLock(ctx, l.prefix+resource, owner, expiry)
}

func (l realmLocker) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	return l.Locker.Unlock(ctx, l.prefix+resource, owner)
}
