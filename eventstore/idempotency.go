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
		err = w.checkUnused(ctx, hd, ids, true)
	}
	if err != nil {
		return err
	}
	return mismatch
}

// checkUnused returns an IdempotencyIDUsedError for the first of the ids that the stream holds. It
// looks in the tail of the head, which was read before, and then under the idempotency keys, in one
// request. If proven is set, it asks again for each key that the store may have missed, see
// Capabilities.BulkMisses. (Rule 9)
func (h *streamHandle) checkUnused(ctx context.Context, hd head, ids []string, proven bool) error {
	var keys []string
	for _, id := range ids {
		if version := hd.versionOfID(id); version != 0 {
			return &IdempotencyIDUsedError{Stream: h.Stream, IdempotencyID: id, Version: version}
		}
		keys = append(keys, h.keys.idempotency(id))
	}
	items, err := h.getAll(ctx, "look up an idempotency id", keys, proven)
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
func (h *streamHandle) getAll(ctx context.Context, operation string, keys []string, proven bool) ([]driver.Item, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := h.getUnproven(ctx, operation, keys)
	if err == nil && proven && len(keys) > 1 {
		err = h.prove(ctx, operation, items)
	}
	return items, err
}

// proveUnused makes sure that the ids of a commit are unused, if a bulk read did not prove it.
func (w *writer) proveUnused(ctx context.Context, c *commit) error {
	if !c.unproven {
		return nil
	}
	err := w.checkUnused(ctx, w.head, c.idempotencyIDs(), true)
	c.unproven = err != nil
	return err
}

// used returns the IdempotencyIDUsedError that explains why an attempt certainly had no effect. It
// returns nil if there is another reason.
func (w *writer) used(ctx context.Context, c commit, failure error) error {
	if refused(failure) {
		failure = w.proveUnused(ctx, &c)
	}
	if isA[*IdempotencyIDUsedError](failure) {
		return failure
	}
	return nil
}

// createIDs makes a transaction fail if a key of the commit's idempotency ids exists.
func (w *writer) createIDs(writes []driver.Write, c commit) {
	created := map[string]bool{}
	for _, id := range c.idempotencyIDs() {
		created[w.keys.idempotency(id)] = true
	}
	for i := range writes {
		writes[i].IfAbsent = created[writes[i].Key]
	}
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
