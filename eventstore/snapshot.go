package eventstore

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Snapshot is the state of an aggregate at one version of its stream. It saves reading the events
// up to that version. Snapshots are derived: a missing or unreadable one costs time but changes no
// result.
//
// A snapshot that was stored as [JSON] is not used if its Go type would be stored with other fields
// today. The next snapshot that is saved is used again.
type Snapshot struct {
	// Version is the version of the last event that went into Data. It is 0 if there is no
	// snapshot.
	Version int64 `json:"version,omitempty"`

	// Data is a value of a registered Go type, or a [Raw].
	Data any `json:"data,omitempty"`

	Created time.Time `json:"created,omitzero"` // UTC

	// Custom is the metadata that [WithCustom] stored with the snapshot. It is nil if there is
	// none.
	Custom map[string]string `json:"custom,omitempty"`
}

// Snapshots returns the versions at which there are snapshots, in ascending order.
func (r *Reader) Snapshots(ctx context.Context) (versions []int64, err error) {
	ctx, o := r.observe(ctx, OpSnapshots)
	defer o.end(&err)
	v, err := r.look(ctx, true)
	if err != nil {
		return nil, err
	}
	return r.snapshotVersions(ctx, v)
}

// Snapshot reads the snapshot at a version. It accepts the options [AsRaw] and [MustExist].
//
// It returns a [SnapshotNotFoundError] if there is no such snapshot, and a [DamagedError] if the
// snapshot can't be read. If the registered type does not fit it, the error is a
// [TypeMismatchError], [SchemaError] or [TypeNotRegisteredError].
func (r *Reader) Snapshot(ctx context.Context, version int64, options ...ReadOption) (snapshot Snapshot, err error) {
	ctx, o := r.observe(ctx, OpSnapshot)
	defer o.end(&err)
	rng, err := snapshotOptions(append([]ReadOption{ToVersion(version)}, options...))
	if err == nil && rng.to != version {
		err = &ArgumentError{Argument: "option", Reason: "ToVersion contradicts the version argument"}
	}
	if err != nil {
		return Snapshot{}, err
	}
	if err := r.begin(ctx); err != nil {
		return Snapshot{}, err
	}
	h := r.handle
	items, err := h.getMany(ctx, "read a snapshot", []string{h.keys.head(), h.keys.snapshot(version)})
	if err != nil {
		return Snapshot{}, err
	}
	if hd, _, err := h.headOf(items[0]); err == nil && hd.deleted {
		return Snapshot{}, h.endError(hd)
	} else if err == nil {
		if err := h.exists(hd, rng); err != nil {
			return Snapshot{}, err
		}
	}
	snapshot, err = h.snapshotOf(ctx, items[1], version, rng)
	o.result.Version = snapshot.Version
	return snapshot, err
}

// LastSnapshot reads the newest snapshot that can be read. With [ToVersion] it reads the newest one
// at or below that version. It also accepts [AsRaw] and [MustExist]. Any other option is an
// [ArgumentError].
//
// It returns a [SnapshotNotFoundError] if there is no snapshot. If none can be read, it returns the
// error of the newest one.
func (r *Reader) LastSnapshot(ctx context.Context, options ...ReadOption) (snapshot Snapshot, err error) {
	ctx, o := r.observe(ctx, OpLastSnapshot)
	defer o.end(&err)
	rng, err := snapshotOptions(options)
	if err != nil {
		return Snapshot{}, err
	}
	v, err := r.lookFor(ctx, rng, true)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot, err = r.newest(ctx, v, rng)
	o.result.Version = snapshot.Version
	return snapshot, err
}

// Load returns the newest usable snapshot and the events after it, to be read as from
// [Reader.Read]. If there is no usable snapshot, its Version is 0 and all events follow.
//
// With [ToVersion], neither the snapshot nor the events go beyond that version. Load also accepts
// [AsRaw] and [MustExist]. Any other option is an [ArgumentError].
func (r *Reader) Load(ctx context.Context, options ...ReadOption) (snapshot Snapshot, events iter.Seq2[Event, error], err error) {
	caller := ctx // for the loop over the events, which runs after this operation
	ctx, o := r.observe(caller, OpLoad)
	defer o.end(&err)
	rng, err := snapshotOptions(options)
	if err != nil {
		return Snapshot{}, nil, err
	}
	v, err := r.lookFor(ctx, rng, true)
	if err != nil {
		return Snapshot{}, nil, err
	}
	snapshot, err = r.newest(ctx, v, rng)
	if err != nil && ctx.Err() != nil {
		return Snapshot{}, nil, err
	}
	rng.from, o.result.Version = snapshot.Version+1, snapshot.Version
	return snapshot, func(yield func(Event, error) bool) {
		r.loop(caller, yield, func(context.Context) (view, readRange, error) { return v, rng, nil })
	}, nil
}

// snapshotOptions applies the options and refuses those that have no meaning for snapshots.
func snapshotOptions(options []ReadOption) (readRange, error) {
	r, err := readOptions(options)
	if err == nil && r.after != nil {
		err = &ArgumentError{Argument: "After", Reason: "it is for reading events: to read snapshots use ToVersion and AsRaw"}
	}
	if err == nil && (r.from != 1 || r.backwards) {
		err = &ArgumentError{Argument: "option", Reason: "FromVersion and Backwards are for reading events: to read snapshots use ToVersion and AsRaw"}
	}
	return r, err
}

// newest returns the newest snapshot that can be read. Its error says why there is none.
//
// It passes over snapshots of types and schema versions that the registry can't read, so that
// snapshots from before a change of the type cost no requests. Of snapshots that turn out to be
// unreadable it tries at most snapshotTries.
func (r *Reader) newest(ctx context.Context, v view, rng readRange) (Snapshot, error) {
	h := r.handle
	list, err := r.snapshotList(ctx, v)
	if err != nil {
		h.log.WarnContext(ctx, "can't read the list of snapshots, using none", "error", err)
		return Snapshot{}, err
	}
	var failure error = &SnapshotNotFoundError{Stream: h.Stream}
	tries := 0
	for _, e := range slices.Backward(list.entries) {
		if !v.head.holds(e.version) || rng.to != 0 && e.version > rng.to {
			continue
		}
		if err := h.registry.readsKind(e.kind); err != nil && !rng.raw {
			if tries == 0 {
				failure = h.registry.located(err, h.Stream, h.keys.snapshot(e.version), e.version, Raw{Type: e.kind.typeName, SchemaVersion: e.kind.schema})
			}
			continue
		}
		snapshot, err := h.listedSnapshot(ctx, list, e.version, rng)
		if err == nil {
			return snapshot, nil
		}
		if tries == 0 || ctx.Err() != nil {
			failure = err
		}
		if tries++; tries == snapshotTries || ctx.Err() != nil {
			break
		}
		if !isA[*SnapshotNotFoundError](err) { // else another session has just cleared it, or is saving it
			h.log.WarnContext(ctx, "a snapshot is not used", "version", e.version, "error", err)
		}
	}
	return Snapshot{}, failure
}

// snapshotTries limits how many snapshots a load tries to read.
const snapshotTries = 8

// holds reports whether the stream holds a committed event of that version.
func (h head) holds(version int64) bool { return version >= h.first && version <= h.version }

// snapshotList returns the list of snapshots. It reads the list if the view does not have it.
func (r *Reader) snapshotList(ctx context.Context, v view) (snapshotList, error) {
	h := r.handle
	list := v.snapshots
	if list == nil {
		item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
		if err != nil {
			return snapshotList{}, err
		}
		list = &item
	}
	return h.listOf(*list)
}

// snapshotVersions returns the versions of the snapshots at committed versions.
func (r *Reader) snapshotVersions(ctx context.Context, v view) ([]int64, error) {
	list, err := r.snapshotList(ctx, v)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.versions(), func(version int64) bool { return !v.head.holds(version) }), nil
}

// listOf decodes the list of snapshots.
func (h *streamHandle) listOf(item driver.Item) (snapshotList, error) {
	if !item.Found() {
		return snapshotList{}, nil
	}
	list, err := decodeSnapshots(h.keys.partition, item.Value)
	if err != nil {
		return snapshotList{}, h.damaged(h.keys.snapshots(), 0, err)
	}
	return list, nil
}

// listedSnapshot returns a snapshot that a list names: the one that the list carries, or the one
// under its own key.
func (h *streamHandle) listedSnapshot(ctx context.Context, list snapshotList, version int64, rng readRange) (Snapshot, error) {
	if list.carried == version {
		carried := driver.Item{Key: h.keys.snapshot(version), Value: list.record, ETag: "carried"}
		if s, err := h.snapshotOf(ctx, carried, version, rng); err == nil {
			return s, nil
		}
	}
	return h.snapshot(ctx, version, rng)
}

// snapshot reads one snapshot from its key.
func (h *streamHandle) snapshot(ctx context.Context, version int64, rng readRange) (Snapshot, error) {
	item, err := h.get(ctx, "read a snapshot", h.keys.snapshot(version))
	if err != nil {
		return Snapshot{}, err
	}
	return h.snapshotOf(ctx, item, version, rng)
}

// snapshotOf decodes the value of a snapshot's key.
func (h *streamHandle) snapshotOf(ctx context.Context, item driver.Item, version int64, rng readRange) (Snapshot, error) {
	key := h.keys.snapshot(version)
	if !item.Found() {
		return Snapshot{}, &SnapshotNotFoundError{Stream: h.Stream, Version: version}
	}
	s, stored, err := decodeSnapshot(h.keys.partition, version, item.Value)
	if err != nil {
		return Snapshot{}, h.damaged(key, version, err)
	}
	s.Data = stored
	if !rng.raw {
		if s.Data, err = h.registry.decodeSnapshot(ctx, &About{Stream: h.Stream, Version: version, Snapshot: true}, key, stored); err != nil {
			return Snapshot{}, err
		}
	}
	rng.count(stored.Payload)
	return s, nil
}
