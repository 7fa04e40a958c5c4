package eventstore

import (
	"context"
	"errors"
	"fmt"
)

// Verification is what [Reader.Verify] found of a stream.
type Verification struct {
	Stream  Stream
	First   int64 // the lowest version that counts
	Version int64 // the stream's version, 0 also where the head is damaged
	Events  int64 // that are there, whole and in their places

	Closed, Deleted bool // see [Session.CloseStream], [Session.DeleteStream]

	// InHead is how many events the head still carries because they are not known to stand under their own keys. They are
	// safe; the next append gives them their keys.
	InHead int

	Snapshots []int64 // the versions of those that can be used

	// Damage is all that is missing, unreadable, in the wrong place or above the head. What is damaged of snapshots
	// costs time only.
	Damage []*DamagedError

	// Unreadable is what is whole and what the types that are registered here can't read: a [TypeMismatchError],
	// [SchemaError] or [TypeNotRegisteredError] for each such event and snapshot. It is no damage. Where no type is
	// registered at all, as in a tool for any stream, it is not looked for. What a [Sealer] sealed is not opened: of it only the
	// type, the content type and the schema version are checked.
	Unreadable []error
}

// Sound reports whether nothing is damaged.
func (v Verification) Sound() bool { return len(v.Damage) == 0 }

// add notes an error if it is damage, and returns it if it is not.
func (v *Verification) add(err error) error {
	var damage *DamagedError
	if errors.As(err, &damage) {
		v.Damage = append(v.Damage, damage)
		return nil
	}
	return err
}

// Verify reads all of a stream and looks for damage: the head; every event, whether it is there, whole, in its place and
// the same wherever it stands; what leads to it from its idempotency id; what stands above the head; the
// snapshots. It goes on after damage, so that all of it is found, and changes nothing.
//
// Progress, if it is not nil, is called after each chunk of events with how many of them were checked, and of how many. Payloads are
// decoded if the provider has a registry, and what does not decode is no damage: see Verification.Unreadable.
//
// The error says that the stream could not be read to its end, a [StorageError] or those of a session that has
// ended; what was found until then is in the Verification. Damage is not an error.
func (r *Reader) Verify(ctx context.Context, progress func(checked, of int64)) (found Verification, err error) {
	ctx, seen := r.observe(ctx, "verify")
	defer seen.end(&err)
	defer func() { seen.result.Version, seen.result.Events = found.Version, int(found.Events) }()
	found.Stream = r.Stream()
	if err := r.begin(ctx); err != nil {
		return found, err
	}
	h := r.history
	o, err := h.open(ctx, "verify")
	if err != nil {
		return found, found.add(err)
	}
	found.First, found.Version, found.InHead = o.head.first, o.head.version, len(o.head.tail)
	found.Closed, found.Deleted = o.head.closed, o.head.deleted
	v := view{head: o.head, snapshots: o.snapshots}
	total := found.Version - found.First + 1
	for from := found.First; from <= found.Version; from += chunkEvents {
		c := r.fetch(ctx, v, chunk{from: from, to: min(found.Version, from+chunkEvents-1)})
		if c.err != nil {
			return found, c.err
		}
		if err := r.verifyChunk(ctx, v, c, &found); err != nil {
			return found, err
		}
		if progress != nil {
			progress(c.to-found.First+1, total)
		}
	}
	for _, check := range [...]func(context.Context, view, *Verification) error{r.verifyTail, r.verifyEnd, r.verifySnapshots} {
		if err := check(ctx, v, &found); err != nil {
			return found, err
		}
	}
	return found, r.guard()
}

// verifyChunk checks events, and what leads to them from their idempotency ids.
func (r *Reader) verifyChunk(ctx context.Context, v view, c chunk, found *Verification) error {
	h := r.history
	var keys []string
	var named []Event
	for i, data := range c.data {
		event, err := r.decode(ctx, c.from+int64(i), data, true)
		if err != nil {
			if err = found.add(err); err != nil {
				return err
			}
			continue
		}
		found.Events++
		r.verifyType(ctx, h.keys.event(event.Version), event.Version, event.Data, found)
		if id := event.Metadata.Context.IdempotencyID; id != "" {
			keys, named = append(keys, h.keys.idempotency(id)), append(named, event)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	items, err := h.getMany(ctx, "verify", keys)
	if err != nil {
		return err
	}
	for i, event := range named {
		id := event.Metadata.Context.IdempotencyID
		version, err := h.versionIn(v.head, id, items[i])
		if err == nil && version != event.Version {
			// The head may still carry it, or it has come under its key since.
			var hd head
			if hd, _, err = h.readHead(ctx, "verify"); err == nil {
				version, err = h.versionOf(ctx, hd, id)
			}
		}
		if err == nil && version != event.Version {
			err = h.damaged(keys[i], event.Version, fmt.Errorf("idempotency id %q leads to version %d", id, version))
		}
		if err = found.add(err); err != nil {
			return err
		}
	}
	return nil
}

// verifyType checks that the registry reads what is whole, and reports it.
func (r *Reader) verifyType(ctx context.Context, key string, version int64, data any, found *Verification) bool {
	registry := r.history.registry
	if len(registry.byName) == 0 {
		return true
	}
	raw := data.(Raw)
	about := &About{Stream: found.Stream, Version: version}
	_, codec, _, err := registry.known(raw)
	_, sealed := codec.(Sealer)
	switch {
	case err != nil:
		err = registry.located(err, found.Stream, key, version, raw)
	case sealed: // to look inside takes keys, which who verifies need not have
	case key == r.history.keys.snapshot(version):
		_, err = registry.decodeSnapshot(ctx, about, key, raw)
	default:
		_, _, err = registry.decodeAt(ctx, about, key, raw)
	}
	if err != nil {
		found.Unreadable = append(found.Unreadable, r.history.hasher.hide(err, found.Stream))
	}
	return err == nil
}

// verifyTail checks that events that the head carries are the same under their own keys, where they stand there too. (Rule 4)
func (r *Reader) verifyTail(ctx context.Context, v view, found *Verification) error {
	h := r.history
	for _, record := range v.head.tail {
		key := h.keys.event(record.version)
		item, err := h.get(ctx, "verify", key)
		if err != nil {
			return err
		}
		if item.Found() && string(item.Value) != string(record.data) {
			_ = found.add(h.damaged(key, record.version, errors.New("it is not the event that the head carries, which is the one that counts")))
		}
	}
	return nil
}

// verifyEnd checks that no event stands above the head. (Rule 2)
func (r *Reader) verifyEnd(ctx context.Context, v view, found *Verification) error {
	h := r.history
	above := v.head.version + 1
	item, err := h.get(ctx, "verify", h.keys.event(above))
	if err != nil || !item.Found() {
		return err
	}
	hd, _, err := h.readHead(ctx, "verify") // it may have been committed since
	if err != nil {
		return found.add(err)
	}
	if hd.version < above {
		_ = found.add(h.damaged(h.keys.event(above), above, fmt.Errorf("the event stands above the head, which is at version %d: was the head restored from a backup that is older?", hd.version)))
	}
	return nil
}

// verifySnapshots checks the list of snapshots and each that it names. One that is listed and not there
// was under way, or is being cleared.
func (r *Reader) verifySnapshots(ctx context.Context, v view, found *Verification) error {
	versions, err := r.snapshotVersions(ctx, v, 0)
	if err != nil {
		return found.add(err)
	}
	for _, version := range versions {
		snapshot, err := r.history.snapshot(ctx, version, true)
		if errors.Is(err, &SnapshotNotFoundError{}) {
			continue
		}
		if err == nil && r.verifyType(ctx, r.history.keys.snapshot(version), version, snapshot.Data, found) {
			found.Snapshots = append(found.Snapshots, version)
		}
		if err = found.add(err); err != nil {
			return err
		}
	}
	return nil
}
