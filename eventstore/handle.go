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
	journals *journals    // the provider's; nil: the provider has no feed
	inline   *inlines     // the provider's
	feedless *sync.Once   // the provider's, for a warning
	size     sizeHint
}

// readAttempts limits how often a read is repeated whose answer cannot be true, such as that of a
// stale replica.
const readAttempts = 8

// get reads one key with the strongest consistency.
func (h *streamHandle) get(ctx context.Context, operation, key string) (driver.Item, error) {
	return h.getOf(ctx, operation, h.keys.partition, key)
}

func (h *streamHandle) getOf(ctx context.Context, operation, partition, key string) (driver.Item, error) {
	item, err := h.state.Get(ctx, partition, key)
	if err != nil {
		return driver.Item{}, h.failed(operation, err)
	}
	return item, nil
}

// getMany reads keys in one request. An item that failed fails the whole read. If the store's bulk
// reads do not prove that a key is absent, getMany asks for each absent key alone.
func (h *streamHandle) getMany(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	return h.getManyOf(ctx, operation, h.keys.partition, keys)
}

func (h *streamHandle) getManyOf(ctx context.Context, operation, partition string, keys []string) ([]driver.Item, error) {
	items, err := h.getManyUnprovenOf(ctx, operation, partition, keys)
	if err != nil {
		return nil, err
	}
	return items, h.proveOf(ctx, operation, partition, items)
}

// proveAtOnce is how many keys prove asks for at the same time.
const proveAtOnce = 32

// prove asks for each key that a bulk read has called absent, if a bulk read does not prove that.
// It stops at the first key that cannot be read, so that a store that is down does not get a
// thousand more requests.
func (h *streamHandle) prove(ctx context.Context, operation string, items []driver.Item) error {
	return h.proveOf(ctx, operation, h.keys.partition, items)
}

func (h *streamHandle) proveOf(ctx context.Context, operation, partition string, items []driver.Item) error {
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
			found, err := h.getOf(ctx, operation, partition, item.Key)
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
	return h.getManyUnprovenOf(ctx, operation, h.keys.partition, keys)
}

func (h *streamHandle) getManyUnprovenOf(ctx context.Context, operation, partition string, keys []string) ([]driver.Item, error) {
	items, err := h.state.GetMany(ctx, partition, keys)
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
	snapshots *driver.Item // the list of snapshots; nil if it was not asked for, or perhaps only missed
}

// open reads the head, and in the same request the list of snapshots if it is asked for. If the
// head is missing, the stream is empty only if event 1 and the list are missing as well. (Rule 7)
func (h *streamHandle) open(ctx context.Context, operation string, withList bool) (openedStream, error) {
	var o openedStream
	keys := []string{h.keys.head()}
	if withList {
		keys = append(keys, h.keys.snapshots())
	}
	items, err := h.getUnproven(ctx, operation, keys)
	if err != nil {
		return o, err
	}
	headItem := items[0]
	if withList && (items[1].Found() || !h.caps.BulkMisses) {
		o.snapshots = &items[1]
	}
	if !headItem.Found() {
		if headItem, err = h.missingHead(ctx, operation, withList && h.caps.BulkMisses); err != nil {
			return openedStream{}, err
		}
	}
	if o.head, o.etag, err = h.headOf(headItem); err != nil {
		return openedStream{}, err
	}
	h.size.expect(o.head)
	return o, nil
}

// missingHead returns the head of a stream whose head was not found, or perhaps only missed. It is
// absent if nothing else of the stream exists. (Rule 7)
func (h *streamHandle) missingHead(ctx context.Context, operation string, missed bool) (driver.Item, error) {
	// The stream is probably empty. A bulk read that does not prove it would only cost a request.
	others := []driver.Item{{Key: h.keys.snapshots()}, {Key: h.keys.event(1)}}
	var err error
	if h.caps.BulkMisses {
		err = h.prove(ctx, operation, others)
	} else {
		others, err = h.getMany(ctx, operation, []string{others[0].Key, others[1].Key})
	}
	if err != nil {
		return driver.Item{}, err
	}
	if missed || others[0].Found() || others[1].Found() {
		// The stream may just have begun.
		headItem, err := h.get(ctx, operation, h.keys.head())
		if err != nil || headItem.Found() {
			return headItem, err
		}
	}
	if others[0].Found() || others[1].Found() {
		return driver.Item{}, h.damaged(h.keys.head(), 0,
			errors.New("the head is missing but events or snapshots exist: did the store evict or expire it? Provider.RebuildHead can rebuild it"))
	}
	return driver.Item{}, nil
}

// getUnproven reads keys in one request. If there are several, an item that is absent may only have
// been missed, see Capabilities.BulkMisses.
func (h *streamHandle) getUnproven(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	if len(keys) == 1 {
		item, err := h.get(ctx, operation, keys[0])
		return []driver.Item{item}, err
	}
	return h.getManyUnproven(ctx, operation, keys)
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

// endError returns the error of appending to a stream with that head, or nil if it takes appends.
func (h *streamHandle) endError(hd head) error {
	switch {
	case hd.deleted:
		return &StreamDeletedError{Stream: h.Stream, Version: hd.version, DeletedAt: hd.time}
	case hd.closed:
		return &StreamClosedError{Stream: h.Stream, Version: hd.version}
	}
	return nil
}

// deletedError returns the error of reading a stream with that head, or nil if it was not deleted.
func (h *streamHandle) deletedError(hd head) error {
	if hd.deleted {
		return h.endError(hd)
	}
	return nil
}
