package eventstore

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// idempotencyIDs returns the idempotency ids that drafts have.
func idempotencyIDs(drafts []draft) (ids []string) {
	for _, d := range drafts {
		if id := d.metadata.Context.IdempotencyID; id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// repeated returns an IdempotencyIDUsedError instead of a mismatch if the stream already holds one
// of the ids. Then the same command came twice, and finds the effect of its first delivery.
func (w *writer) repeated(ctx context.Context, ids []string, mismatch error) error {
	if len(ids) == 0 {
		return mismatch
	}
	hd, _, err := w.readHead(ctx, "append")
	if err == nil {
		err = w.deletedError(hd)
	}
	if err == nil {
		err = w.checkUnused(ctx, hd, ids)
	}
	if err != nil {
		return err
	}
	return mismatch
}

// checkUnused returns an IdempotencyIDUsedError for the first of the ids that the stream holds. It
// looks in the tail of the head, which was read before, and then under the idempotency keys, in one
// request. (Rule 9)
func (h *streamHandle) checkUnused(ctx context.Context, hd head, ids []string) error {
	var keys []string
	for _, id := range ids {
		if version := hd.versionOfID(id); version != 0 {
			return &IdempotencyIDUsedError{Stream: h.Stream, IdempotencyID: id, Version: version}
		}
		keys = append(keys, h.keys.idempotency(id))
	}
	items, err := h.getAll(ctx, "look up an idempotency id", keys)
	if err != nil {
		return err
	}
	for i, id := range ids {
		version, err := h.versionFromKey(hd, id, items[i])
		if err != nil {
			return err
		}
		if version != 0 {
			return &IdempotencyIDUsedError{Stream: h.Stream, IdempotencyID: id, Version: version}
		}
	}
	return nil
}

// getAll reads keys in one request, of which there may be one or none.
func (h *streamHandle) getAll(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	switch len(keys) {
	case 0:
		return nil, nil
	case 1:
		item, err := h.get(ctx, operation, keys[0])
		return []driver.Item{item}, err
	}
	return h.getMany(ctx, operation, keys)
}

// versionOfID returns the version of an idempotency id in the tail of the head, or 0.
func (h head) versionOfID(id string) int64 {
	for _, r := range h.tail {
		if r.idempotencyID == id && r.version >= h.first {
			return r.version
		}
	}
	return 0
}

// versionOfID returns the version of an idempotency id in the stream, or 0.
func (h *streamHandle) versionOfID(ctx context.Context, hd head, id string) (int64, error) {
	if version := hd.versionOfID(id); version != 0 {
		return version, nil
	}
	item, err := h.get(ctx, "look up an idempotency id", h.keys.idempotency(id))
	if err != nil {
		return 0, err
	}
	return h.versionFromKey(hd, id, item)
}

// versionFromKey returns the version to which an idempotency key leads, or 0 if it leads to none.
func (h *streamHandle) versionFromKey(hd head, id string, item driver.Item) (int64, error) {
	if !item.Found() {
		return 0, nil
	}
	version, err := decodeIdempotency(h.keys.partition, id, item.Value)
	if err != nil {
		return 0, h.damaged(item.Key, 0, err)
	}
	if version < hd.first {
		return 0, nil // from before the stream was deleted
	}
	return version, nil
}
