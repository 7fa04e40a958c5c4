package eventstore

import (
	"context"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// repeated returns an IdempotencyIDUsedError instead of mismatch if the stream already holds one of
// the drafts. Then the same command came twice, and finds the effect of its first delivery.
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

// checkUnused returns an IdempotencyIDUsedError if the stream holds an event with that idempotency
// id. It looks in the tail of the head, which was read before, and then under the idempotency key.
// (Rule 9)
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

// versionOfID returns the version of the event with that idempotency id, or 0 if there is none.
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
