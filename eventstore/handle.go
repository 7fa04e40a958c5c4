package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// streamHandle is one stream as a provider reaches it: its name, its keys, the store they are
// in. It knows how to read what the protocol consists of, and holds nothing of what it has read but
// about how large an event is.
type streamHandle struct {
	Stream
	keys     keys
	state    driver.State
	caps     driver.Capabilities
	registry *Registry
	settings Settings
	log      *slog.Logger // says which stream
	hasher   *idHasher    // nil: ids are not hidden
	observer Observer     // nil: none
	queues   *queues      // of the provider, before the locks
	size     sizeHint
}

// readAttempts bounds how often a read that can't be true, as one of a stale replica, is repeated.
const readAttempts = 8

// get reads one key with the strongest consistency.
func (h *streamHandle) get(ctx context.Context, operation, key string) (driver.Item, error) {
	item, err := h.state.Get(ctx, h.keys.partition, key)
	if err != nil {
		return driver.Item{}, h.failed(operation, err)
	}
	return item, nil
}

// getMany reads keys in one request; an item that failed fails the whole. What is absent in the answer is asked for alone where
// the store's bulk reads are no proof of that.
func (h *streamHandle) getMany(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	items, err := h.getManyUnproven(ctx, operation, keys)
	if err != nil {
		return nil, err
	}
	return items, h.prove(ctx, operation, items)
}

// proveAtOnce is how many keys are asked for at a time.
const proveAtOnce = 32

// prove asks for each key that a bulk read has called absent, where that is no proof. It ends with the first that can't be read: a store that
// is away is not asked for a thousand more.
func (h *streamHandle) prove(ctx context.Context, operation string, items []driver.Item) error {
	if !h.caps.BulkMisses {
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		turns = make(chan struct{}, proveAtOnce)
		all   sync.WaitGroup
		once  sync.Once
		first error
	)
	for i, item := range items {
		if item.Found() {
			continue
		}
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			found, err := h.get(ctx, operation, item.Key)
			if err != nil {
				once.Do(func() { first = err; stop() })
				return
			}
			items[i] = found
		})
	}
	all.Wait()
	if first == nil && ctx.Err() != nil {
		return h.failed(operation, contextErr(ctx))
	}
	return first
}

// getManyUnproven reads keys in one request. What it calls absent may have been missed, see Capabilities.BulkMisses.
func (h *streamHandle) getManyUnproven(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	items, err := h.state.GetMany(ctx, h.keys.partition, keys)
	if err != nil {
		return nil, h.failed(operation, err)
	}
	if len(items) != len(keys) {
		return nil, h.failed(operation, fmt.Errorf("the store gave %d items for %d keys", len(items), len(keys)))
	}
	for _, item := range items {
		if item.Err != nil {
			return nil, h.failed(operation, fmt.Errorf("key %s: %w", item.Key, item.Err))
		}
	}
	return items, nil
}

// readHead reads the head and the ETag that belongs to it. A stream without a head is empty, with
// the ETag "".
func (h *streamHandle) readHead(ctx context.Context, operation string) (head, string, error) {
	item, err := h.get(ctx, operation, h.keys.head())
	if err != nil {
		return head{}, "", err
	}
	return h.headOf(item)
}

func (h *streamHandle) headOf(item driver.Item) (head, string, error) {
	if !item.Found() {
		return emptyHead(), "", nil
	}
	hd, err := decodeHead(h.Stream, h.keys.partition, item.Value)
	if err != nil {
		return head{}, "", h.damaged(h.keys.head(), 0, err)
	}
	return hd, item.ETag, nil
}

// openedStream is what a stream is found as.
type openedStream struct {
	head      head
	etag      string
	snapshots *driver.Item // the list of snapshots; nil where it was not found, which is no proof that there is none
}

// open reads head, snapshot list and event 1 in one request. A missing head means
// an empty stream only if nothing else stands.
func (h *streamHandle) open(ctx context.Context, operation string) (openedStream, error) {
	items, err := h.getManyUnproven(ctx, operation, []string{h.keys.head(), h.keys.snapshots(), h.keys.event(1)})
	proven := !h.caps.BulkMisses
	if err == nil && !items[0].Found() { // of a stream with a head nothing else matters yet
		proven, err = true, h.prove(ctx, operation, items)
	}
	if err != nil {
		return openedStream{}, err
	}
	headItem, snapshots, first := items[0], items[1], items[2]
	if !headItem.Found() && (snapshots.Found() || first.Found()) {
		// A bulk read is no snapshot in time: the stream may just have begun.
		if headItem, err = h.get(ctx, operation, h.keys.head()); err != nil {
			return openedStream{}, err
		}
		if !headItem.Found() {
			return openedStream{}, h.damaged(h.keys.head(), 0,
				errors.New("the head is missing but events or snapshots are there: did the store evict or expire it? Provider.RebuildHead can make it anew"))
		}
	}
	hd, etag, err := h.headOf(headItem)
	if err != nil {
		return openedStream{}, err
	}
	if h.size.bytes.Load() == 0 {
		largest := len(first.Value)
		for _, r := range hd.tail {
			largest = max(largest, len(r.data))
		}
		h.size.saw(largest, 1)
	}
	o := openedStream{head: hd, etag: etag, snapshots: &snapshots}
	if !proven && !snapshots.Found() {
		o.snapshots = nil
	}
	return o, nil
}

// event reads one committed event from its key.
func (h *streamHandle) event(ctx context.Context, operation string, version int64) (r record, found bool, err error) {
	key := h.keys.event(version)
	item, err := h.get(ctx, operation, key)
	if err != nil || !item.Found() {
		return record{}, false, err
	}
	r, _, _, err = decodeEventAt(h.Stream, h.keys.partition, version, item.Value)
	if err != nil {
		return record{}, false, h.damaged(key, version, err)
	}
	return r, true, nil
}

func (h *streamHandle) failed(operation string, cause error) error {
	return &StorageError{Stream: h.Stream, Operation: operation, Cause: cause}
}

// notBegun is the error of an operation whose context had ended before anything was sent.
func (h *streamHandle) notBegun(ctx context.Context, operation string) error {
	return h.failed(operation, fmt.Errorf("%w: %w", driver.ErrRefused, contextErr(ctx)))
}

func (h *streamHandle) damaged(key string, version int64, cause error) error {
	return &DamagedError{Stream: h.Stream, Key: key, Version: version, Cause: cause}
}

// requestBytes is an upper bound of what a key and its value take of a request to the store, with
// the partition and options that go with them.
func (h *streamHandle) requestBytes(keyBytes, valueBytes int) int {
	return keyBytes + valueBytes + len(h.keys.partition) + 256
}

// headBytes is requestBytes of a head without its tail.
func (h *streamHandle) headBytes() int {
	return h.requestBytes(len(h.keys.head()), len(h.keys.partition)+256)
}
