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
// request. It does not ask again for ids that VersionsOf has looked up for the same head. If proven
// is set, it asks again for each key that the store may have missed, see Capabilities.BulkMisses.
// (Rule 9)
func (w *writer) checkUnused(ctx context.Context, hd head, ids []string, proven bool) error {
	var asked []string
	for _, id := range ids {
		if version := hd.versionOfID(id); version != 0 {
			return &IdempotencyIDUsedError{Stream: w.Stream, IdempotencyID: id, Version: version}
		}
		if !w.unused[id] || w.unusedAt != hd.id() {
			asked = append(asked, id)
		}
	}
	versions, err := w.versionsFromKeys(ctx, hd, asked, proven)
	if err != nil {
		return err
	}
	for i, id := range asked {
		if versions[i] != 0 {
			return &IdempotencyIDUsedError{Stream: w.Stream, IdempotencyID: id, Version: versions[i]}
		}
	}
	return nil
}

// versionsFromKeys returns the versions to which the keys of idempotency ids lead, or 0 for an id
// whose key leads to none. It takes one request at most, unless proven is set.
func (h *streamHandle) versionsFromKeys(ctx context.Context, hd head, ids []string, proven bool) ([]int64, error) {
	keys, versions := make([]string, len(ids)), make([]int64, len(ids))
	for i, id := range ids {
		keys[i] = h.keys.idempotency(id)
	}
	items, err := h.getAll(ctx, "look up an idempotency id", keys, proven)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if versions[i], err = h.versionFromKey(hd, id, items[i]); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// VersionsOf returns the versions of the events that were appended with these idempotency ids. It
// leaves out an id that no event of the stream has. It looks all ids up in one request, or in none
// if the head has them all. It returns the errors of [Reader.VersionOf], except that for a missing
// id.
//
// If the session then appends events with ids that were left out, [Session.Append] does not look
// them up again, unless another writer has appended in between.
func (s *Session) VersionsOf(ctx context.Context, idempotencyIDs ...string) (versions map[string]int64, err error) {
	ctx, o := s.observe(ctx, OpVersionsOf)
	defer o.end(&err)
	if err := s.check(); err != nil {
		return nil, err
	}
	for _, id := range idempotencyIDs {
		if err := validateName("idempotency id", id); err != nil {
			return nil, err
		}
	}
	err = s.exclusively(ctx, "look up an idempotency id", func(ctx context.Context) (err error) {
		versions, err = s.writer.versionsOf(ctx, idempotencyIDs)
		return err
	})
	return versions, err
}

// versionsOf implements VersionsOf.
//
// It looks under the keys after the head was read. So an id that it does not find is not in that
// head's stream. If another process stores the id afterwards, that moves the head. The writer's
// next commit is conditional on the ETag of its head. So it either finds the new head before, which
// has another id, and looks again, or the commit fails. Therefore unused holds for that head for as
// long as the writer lives. (Rule 9)
func (w *writer) versionsOf(ctx context.Context, ids []string) (map[string]int64, error) {
	if err := w.catchUp(ctx, "look up an idempotency id"); err != nil {
		return nil, err
	}
	if err := w.deletedError(w.head); err != nil {
		return nil, err
	}
	found := map[string]int64{}
	var asked []string
	for _, id := range ids {
		if version := w.head.versionOfID(id); version != 0 {
			found[id] = version
		} else {
			asked = append(asked, id)
		}
	}
	versions, err := w.versionsFromKeys(ctx, w.head, asked, true)
	if err != nil {
		return nil, err
	}
	w.unused, w.unusedAt = map[string]bool{}, w.head.id()
	for i, id := range asked {
		if versions[i] != 0 {
			found[id] = versions[i]
		} else {
			w.unused[id] = true
		}
	}
	return found, nil
}

// headID tells the heads of a stream apart by the events that they commit. A head that only lost
// its tail has the same headID.
type headID struct {
	commit         string
	first, version int64
}

func (h head) id() headID { return headID{h.commit, h.first, h.version} }

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
