package eventstore

import (
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
	return s.saveSnapshot(ctx, Snapshot{Version: version, Data: state, Created: time.Now(), Custom: config.custom}, false)
}

// saveSnapshot saves a snapshot that may have been recorded before. The session must be open.
func (s *Session) saveSnapshot(ctx context.Context, snapshot Snapshot, recorded bool) error {
	h, version := s.handle, snapshot.Version
	if err := validVersion("version", version); err != nil {
		return err
	}
	if !recorded {
		if err := h.registry.checkState(h.Stream, snapshot.Data); err != nil {
			return err
		}
	}
	raw, err := s.encode(ctx, "state", &About{Version: version, Snapshot: true}, snapshot.Data, recorded)
	if err != nil {
		return err
	}
	_, err = s.saveSnapshots(ctx, []driver.Write{{Key: h.keys.snapshot(version), Value: encodeSnapshot(h.keys.partition, snapshot, raw)}}, version)
	return err
}

// saveSnapshots stores encoded snapshots. Their versions are in ascending order. It returns how
// many snapshots the list of snapshots then names.
func (s *Session) saveSnapshots(ctx context.Context, snapshots []driver.Write, versions ...int64) (listed int, err error) {
	h := s.handle
	err = s.exclusively(ctx, "save a snapshot", func(ctx context.Context) error {
		if err := h.deletedError(s.writer.head); err != nil {
			return err
		}
		for i, version := range versions {
			if hd := s.writer.head; version < hd.first || version > hd.version {
				return &VersionNotFoundError{Stream: h.Stream, Version: version, Current: hd.version}
			}
			if err := h.fitsRequest(snapshots[i]); err != nil {
				return err
			}
		}
		s.listed.Store(nil)
		// The list is written first. A listed version without a snapshot costs one read, but a
		// snapshot that is not listed would stay for ever.
		list, err := s.writer.knownAndListed(ctx)
		if err != nil {
			return err
		}
		err = h.changeSnapshots(ctx, list, func(before []int64) []int64 {
			after := slices.Compact(slices.Sorted(slices.Values(append(before, versions...))))
			listed = len(after)
			return after
		})
		if err != nil {
			return err
		}
		if err := h.state.Write(ctx, h.keys.partition, snapshots); err != nil {
			return h.failed("save a snapshot", err)
		}
		for _, version := range versions {
			h.log.DebugContext(ctx, "saved a snapshot", "session", s.id, "version", version)
		}
		return nil
	})
	return listed, err
}

// fitsRequest returns a BatchTooLargeError if the store can't take the write in one request.
func (h *streamHandle) fitsRequest(w driver.Write) error {
	if size, limit := h.requestBytes(len(w.Key), len(w.Value)), h.caps.MaxRequestBytes; limit > 0 && size > limit {
		return &BatchTooLargeError{Stream: h.Stream, Size: size, Limit: limit}
	}
	return nil
}

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
		gone, err := h.listedVersions(item)
		switch {
		case err != nil && version == 0:
			h.log.WarnContext(ctx, "the list of snapshots is unreadable, replacing it", "session", s.id, "error", err)
			if err := h.swapSnapshots(ctx, nil, item.ETag); err != nil {
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
		return h.changeSnapshots(ctx, nil, func(versions []int64) []int64 {
			return slices.DeleteFunc(versions, func(v int64) bool { return slices.Contains(gone, v) })
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
func (h *streamHandle) changeSnapshots(ctx context.Context, list *driver.Item, change func([]int64) []int64) error {
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
		versions, err := h.listedVersions(item)
		if err != nil {
			return err
		}
		changed := change(slices.Clone(versions))
		if slices.Equal(versions, changed) {
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
func (h *streamHandle) swapSnapshots(ctx context.Context, versions []int64, etag string) error {
	return h.state.Swap(ctx, h.keys.partition, driver.Swap{Key: h.keys.snapshots(), Value: encodeSnapshots(h.keys.partition, versions), ETag: etag})
}
