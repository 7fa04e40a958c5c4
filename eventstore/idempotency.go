package eventstore

import (
	"context"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// repeated returns an IdempotencyIDUsedError in the place of a mismatch where the stream holds one of
// the drafts already: the same command came twice, and what it finds is its own effect.
func (s *Session) repeated(ctx context.Context, drafts []draft, mismatch error) error {
	var ids []string
	for _, d := range drafts {
		if id := d.metadata.Context.IdempotencyID; id != "" {
			ids = append(ids, id)
		}
	}
	return s.writer.repeated(ctx, ids, mismatch)
}

func (w *writer) repeated(ctx context.Context, ids []string, mismatch error) error {
	if len(ids) == 0 {
		return mismatch
	}
	hd, _, err := w.readHead(ctx, "append")
	if err == nil {
		err = w.deletedError(hd)
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := w.checkUnused(ctx, hd, id); err != nil {
			return err
		}
	}
	return mismatch
}

// checkUnused checks that the stream holds no event with that idempotency id: the tail of the head first,
// which was read before, then the idempotency key. (Rule 9)
func (h *streamHandle) checkUnused(ctx context.Context, hd head, id string) error {
	if strings.TrimSpace(id) == "" {
		return nil
	}
	version, err := h.versionOfID(ctx, hd, id)
	if err != nil || version == 0 {
		return err
	}
	return &IdempotencyIDUsedError{Stream: h.Stream, IdempotencyID: id, Version: version}
}

// versionOfID finds the version of an idempotency id, or 0.
func (h *streamHandle) versionOfID(ctx context.Context, hd head, id string) (int64, error) {
	for _, r := range hd.tail {
		if r.idempotencyID == id && r.version >= hd.first {
			return r.version, nil
		}
	}
	item, err := h.get(ctx, "look up an idempotency id", h.keys.idempotency(id))
	if err != nil {
		return 0, err
	}
	return h.versionFromKey(hd, id, item)
}

// versionFromKey is the version to which an idempotency key leads, or 0.
func (h *streamHandle) versionFromKey(hd head, id string, item driver.Item) (int64, error) {
	if !item.Found() {
		return 0, nil
	}
	version, err := decodeIdempotency(h.keys.partition, id, item.Value)
	if err != nil {
		return 0, h.damaged(item.Key, 0, err)
	}
	if version < hd.first {
		return 0, nil // of before the stream was deleted
	}
	return version, nil
}
