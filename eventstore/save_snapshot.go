package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// SaveSnapshot stores state, a value of a registered Go type, as the snapshot at a version. It
// replaces a snapshot that is already there, including its custom metadata. [WithCustom] sets
// custom metadata.
//
// The version must be committed, otherwise SaveSnapshot returns a [VersionNotFoundError]. A state
// that would be different when it is read is an [ArgumentError], see [Registry.Encode]. So is a
// state whose type is bound to other aggregate types, see [ForAggregates].
func (s *Session) SaveSnapshot(ctx context.Context, version int64, state any, options ...SnapshotOption) (err error) {
	ctx, o := s.observe(ctx, OpSaveSnapshot)
	defer o.end(&err)
	o.result.Version = version
	if err := s.check(); err != nil {
		return err
	}
	config, err := snapshotConfigOf(options)
	if err != nil {
		return err
	}
	return s.saveSnapshot(ctx, Snapshot{Version: version, Data: state, Created: time.Now(), Custom: config.custom}, config.keep, false)
}

// saveSnapshot saves a snapshot that may have been recorded before. The session must be open.
func (s *Session) saveSnapshot(ctx context.Context, snapshot Snapshot, keep int, recorded bool) error {
	if err := validVersion("version", snapshot.Version); err != nil {
		return err
	}
	if !recorded {
		if err := s.handle.registry.checkState(s.handle.Stream, snapshot.Data); err != nil {
			return err
		}
	}
	encoded, err := s.encodeSnapshot(ctx, snapshot, recorded)
	if err != nil {
		return err
	}
	_, err = s.saveSnapshots(ctx, []encodedSnapshot{encoded}, keep)
	return err
}

// An encodedSnapshot is a snapshot as it is stored.
type encodedSnapshot struct {
	listedSnapshot
	record []byte
}

func (s *Session) encodeSnapshot(ctx context.Context, snapshot Snapshot, recorded bool) (encodedSnapshot, error) {
	raw, err := s.encode(ctx, "state", &About{Version: snapshot.Version, Snapshot: true}, snapshot.Data, recorded)
	if err != nil {
		return encodedSnapshot{}, err
	}
	kind := snapshotKind{raw.Type, max(raw.SchemaVersion, 1)}
	return encodedSnapshot{listedSnapshot{snapshot.Version, kind}, encodeSnapshot(s.handle.keys.partition, snapshot, raw)}, nil
}

// saveSnapshots stores snapshots in ascending order of their versions. If keep is not 0, it removes
// all but the newest keep of their kind. It returns how many snapshots the list then names.
func (s *Session) saveSnapshots(ctx context.Context, snapshots []encodedSnapshot, keep int) (listed int, err error) {
	h := s.handle
	err = s.exclusively(ctx, "save a snapshot", func(ctx context.Context) error {
		if err := h.deletedError(s.writer.head); err != nil {
			return err
		}
		var writes []driver.Write
		for _, e := range snapshots {
			if hd := s.writer.head; !hd.holds(e.version) {
				return &VersionNotFoundError{Stream: h.Stream, Version: e.version, Current: hd.version}
			}
			w := driver.Write{Key: h.keys.snapshot(e.version), Value: e.record}
			if err := h.fitsRequest(w); err != nil {
				return err
			}
			writes = append(writes, w)
		}
		s.listed.Store(nil)
		// The list is written first. A listed version without a snapshot costs one read, but a
		// snapshot that is not listed would stay for ever.
		list, err := s.writer.knownAndListed(ctx)
		if err != nil {
			return err
		}
		var dropped []int64
		err = h.changeSnapshots(ctx, list, func(before snapshotList) (after snapshotList) {
			after, dropped = h.withSnapshots(before, snapshots, keep)
			listed = len(after.entries)
			return after
		})
		if err != nil {
			return err
		}
		for _, version := range dropped {
			writes = append(writes, driver.Write{Key: h.keys.snapshot(version)})
		}
		if err := h.state.Write(ctx, h.keys.partition, writes); err != nil {
			return h.failed("save a snapshot", err)
		}
		for _, e := range snapshots {
			h.log.DebugContext(ctx, "saved a snapshot", "session", s.id, "version", e.version)
		}
		return nil
	})
	return listed, err
}

// withSnapshots returns the list with more snapshots in it, and the versions that it no longer has.
// If keep is not 0, it keeps that many of the new snapshots' kind, and that many whose kind is not
// known, but never drops a new one.
func (h *streamHandle) withSnapshots(list snapshotList, more []encodedSnapshot, keep int) (after snapshotList, dropped []int64) {
	saved := map[int64]encodedSnapshot{}
	for _, e := range more {
		saved[e.version] = e
		after.entries = append(after.entries, e.listedSnapshot)
	}
	for _, e := range list.entries {
		if _, replaced := saved[e.version]; !replaced {
			after.entries = append(after.entries, e)
		}
	}
	slices.SortFunc(after.entries, func(a, b listedSnapshot) int { return cmp.Compare(a.version, b.version) })
	if keep > 0 {
		kept := map[snapshotKind]int{}
		for i, e := range slices.Backward(after.entries) {
			if e.kind != more[0].kind && e.kind.typeName != "" {
				continue
			}
			_, isNew := saved[e.version]
			if kept[e.kind]++; kept[e.kind] > keep && !isNew {
				dropped = append(dropped, e.version)
				after.entries = slices.Delete(after.entries, i, i+1)
			}
		}
	}
	if len(after.entries) == 0 {
		return after, dropped
	}
	newest := after.entries[len(after.entries)-1].version
	carried, record := list.carried, list.record
	if e, ok := saved[newest]; ok {
		carried, record = newest, e.record
	}
	if carried == newest && len(record) <= carriedBytes {
		after.carried, after.record = carried, record
	}
	size := len(after.encode(h.keys.partition))
	if limit := h.caps.MaxRequestBytes; limit > 0 && h.requestBytes(len(h.keys.snapshots()), size) > limit {
		after.carried, after.record = 0, nil
	}
	return after, dropped
}

// carriedBytes limits the snapshot that the list of snapshots carries. A larger one is read from
// its own key, with one more request.
const carriedBytes = 256 << 10

// ClearSnapshot removes the snapshot at a version. It returns a [SnapshotNotFoundError] if there is
// none.
func (s *Session) ClearSnapshot(ctx context.Context, version int64) (err error) {
	ctx, o := s.observe(ctx, OpClearSnapshot)
	defer o.end(&err)
	o.result.Version = version
	if err := validVersion("version", version); err != nil {
		return err
	}
	return s.clearSnapshots(ctx, version)
}

// ClearSnapshots removes all snapshots, if there are any. It replaces a damaged list of snapshots
// with an empty one.
func (s *Session) ClearSnapshots(ctx context.Context) (err error) {
	ctx, o := s.observe(ctx, OpClearSnapshots)
	defer o.end(&err)
	return s.clearSnapshots(ctx, 0)
}

// clearSnapshots removes one snapshot, or all if version is 0. It removes first the snapshots, then
// their versions from the list.
func (s *Session) clearSnapshots(ctx context.Context, version int64) error {
	if err := s.check(); err != nil {
		return err
	}
	h := s.handle
	return s.exclusively(ctx, "clear snapshots", func(ctx context.Context) error {
		if err := h.deletedError(s.writer.head); err != nil {
			return err
		}
		s.listed.Store(nil)
		item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
		if err != nil {
			return err
		}
		list, err := h.listOf(item)
		gone := list.versions()
		switch {
		case err != nil && version == 0:
			h.log.WarnContext(ctx, "the list of snapshots is unreadable, replacing it", "session", s.id, "error", err)
			if err := h.swapSnapshots(ctx, snapshotList{}, item.ETag); err != nil {
				return h.failed("clear snapshots", err)
			}
			return nil
		case err != nil:
			return err
		case version != 0 && !slices.Contains(gone, version):
			return &SnapshotNotFoundError{Stream: h.Stream, Version: version}
		case version != 0:
			gone = []int64{version}
		case len(gone) == 0:
			return nil
		}
		deletes := make([]driver.Write, len(gone))
		for i, v := range gone {
			deletes[i] = driver.Write{Key: h.keys.snapshot(v)}
		}
		if err := h.state.Write(ctx, h.keys.partition, deletes); err != nil {
			return h.failed("clear snapshots", err)
		}
		return h.changeSnapshots(ctx, nil, func(list snapshotList) snapshotList {
			list.entries = slices.DeleteFunc(list.entries, func(e listedSnapshot) bool { return slices.Contains(gone, e.version) })
			if slices.Contains(gone, list.carried) {
				list.carried, list.record = 0, nil
			}
			return list
		})
	})
}

// knownAndListed reads the list of snapshots. In the same request it checks that the store still
// holds the commit that the writer knows. Otherwise a snapshot could contain events that the store
// has lost, and readers would believe it for ever. (Rule 12)
func (w *writer) knownAndListed(ctx context.Context) (*driver.Item, error) {
	const operation = "read the list of snapshots"
	items, err := w.getMany(ctx, operation, []string{w.keys.snapshots(), w.keys.head()})
	if err != nil {
		return nil, err
	}
	hd, _, err := w.headOf(items[1])
	if err != nil {
		return nil, err
	}
	if hd.version != w.head.version || hd.commit != w.head.commit {
		w.fresh = false
		if _, err := w.refresh(ctx, operation); err != nil {
			return nil, err
		}
	}
	return &items[0], nil
}

// changeSnapshots replaces the list of snapshots with the result of change. It reads the list first
// if list is nil.
func (h *streamHandle) changeSnapshots(ctx context.Context, list *driver.Item, change func(snapshotList) snapshotList) error {
	var failure error
	for n := range readAttempts {
		if !backoff(ctx, n) {
			break
		}
		if list == nil {
			item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
			if err != nil {
				return err
			}
			list = &item
		}
		item := *list
		list = nil
		before, err := h.listOf(item)
		if err != nil {
			return err
		}
		changed := before
		changed.entries = slices.Clone(before.entries)
		if changed = change(changed); bytes.Equal(before.encode(h.keys.partition), changed.encode(h.keys.partition)) {
			return nil
		}
		if denied(failure) || refused(failure) { // and the list has not changed
			break
		}
		if failure = h.swapSnapshots(ctx, changed, item.ETag); failure == nil {
			return nil
		}
	}
	switch {
	case failure == nil:
		failure = contextErr(ctx)
	case ctx.Err() != nil:
		failure = fmt.Errorf("%w; before that: %w", contextErr(ctx), failure)
	}
	return h.failed("change the list of snapshots", failure)
}

// swapSnapshots replaces the list of snapshots.
func (h *streamHandle) swapSnapshots(ctx context.Context, list snapshotList, etag string) error {
	return h.state.Swap(ctx, h.keys.partition, driver.Swap{Key: h.keys.snapshots(), Value: list.encode(h.keys.partition), ETag: etag})
}
