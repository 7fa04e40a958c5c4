package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// streamHandle is how a provider reaches one stream: the stream's name, its keys and the store that
// they are in. It reads the records of the protocol. Of what it has read, it keeps only about how
// large an event is.
type streamHandle struct {
	Stream
	keys     keys
	state    driver.State
	caps     driver.Capabilities
	registry *Registry
	settings Settings
	log      *slog.Logger // adds the stream to each record
	hasher   *idHasher    // nil: ids are not hidden
	observer Observer     // nil: none
	queues   *queues      // the provider's, for the locks
	size     sizeHint
}

// readAttempts limits how often a read is repeated whose answer cannot be true, such as that of a
// stale replica.
const readAttempts = 8

// get reads one key with the strongest consistency.
func (h *streamHandle) get(ctx context.Context, operation, key string) (driver.Item, error) {
	item, err := h.state.Get(ctx, h.keys.partition, key)
	if err != nil {
		return driver.Item{}, h.failed(operation, err)
	}
	return item, nil
}

// getMany reads keys in one request. An item that failed fails the whole read. If the store's bulk
// reads do not prove that a key is absent, getMany asks for each absent key alone.
func (h *streamHandle) getMany(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	items, err := h.getManyUnproven(ctx, operation, keys)
	if err != nil {
		return nil, err
	}
	return items, h.prove(ctx, operation, items)
}

// proveAtOnce is how many keys prove asks for at the same time.
const proveAtOnce = 32

// prove asks for each key that a bulk read has called absent, if a bulk read does not prove that.
// It stops at the first key that cannot be read, so that a store that is down does not get a
// thousand more requests.
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

// getManyUnproven reads keys in one request. The store may have missed a key that it calls absent,
// see Capabilities.BulkMisses.
func (h *streamHandle) getManyUnproven(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	items, err := h.state.GetMany(ctx, h.keys.partition, keys)
	if err != nil {
		return nil, h.failed(operation, err)
	}
	if len(items) != len(keys) {
		return nil, h.failed(operation, fmt.Errorf("the store returned %d items for %d keys", len(items), len(keys)))
	}
	for _, item := range items {
		if item.Err != nil {
			return nil, h.failed(operation, fmt.Errorf("key %s: %w", item.Key, item.Err))
		}
	}
	return items, nil
}

// readHead reads the head and its ETag. A stream without a head is empty, and its ETag is "".
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

// openedStream is what open has read of a stream.
type openedStream struct {
	head      head
	etag      string
	snapshots *driver.Item // the list of snapshots; nil if it was not found, which does not prove that there is none
}

// open reads the head, the snapshot list and event 1 in one request. If the head is missing, the
// stream is empty only if the other two are missing as well. (Rule 7)
func (h *streamHandle) open(ctx context.Context, operation string) (openedStream, error) {
	items, err := h.getManyUnproven(ctx, operation, []string{h.keys.head(), h.keys.snapshots(), h.keys.event(1)})
	proven := !h.caps.BulkMisses
	if err == nil && !items[0].Found() { // if there is a head, the others do not matter yet
		proven, err = true, h.prove(ctx, operation, items)
	}
	if err != nil {
		return openedStream{}, err
	}
	headItem, snapshots, first := items[0], items[1], items[2]
	if !headItem.Found() && (snapshots.Found() || first.Found()) {
		// A bulk read does not read all keys at the same moment: the stream may just have begun.
		if headItem, err = h.get(ctx, operation, h.keys.head()); err != nil {
			return openedStream{}, err
		}
		if !headItem.Found() {
			return openedStream{}, h.damaged(h.keys.head(), 0,
				errors.New("the head is missing but events or snapshots exist: did the store evict or expire it? Provider.RebuildHead can rebuild it"))
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

// notBegun returns the error of an operation whose context had ended before anything was sent.
func (h *streamHandle) notBegun(ctx context.Context, operation string) error {
	return h.failed(operation, fmt.Errorf("%w: %w", driver.ErrRefused, contextErr(ctx)))
}

func (h *streamHandle) damaged(key string, version int64, cause error) error {
	return &DamagedError{Stream: h.Stream, Key: key, Version: version, Cause: cause}
}

// requestBytes returns an upper bound of how many bytes a key and its value take of a request to
// the store. It includes the partition and the options that go with them.
func (h *streamHandle) requestBytes(keyBytes, valueBytes int) int {
	return keyBytes + valueBytes + len(h.keys.partition) + 256
}

// headBytes returns requestBytes for a head without its tail.
func (h *streamHandle) headBytes() int {
	return h.requestBytes(len(h.keys.head()), len(h.keys.partition)+256)
}
