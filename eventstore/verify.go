package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Verification is what [Reader.Verify] found of a stream.
type Verification struct {
	Stream  Stream
	First   int64 // the lowest version that counts
	Version int64 // the stream's version; 0 also if the head is damaged
	Events  int64 // how many events are there, intact and in their places

	Closed, Deleted bool // see [Session.CloseStream], [Session.DeleteStream]

	// InHead is how many events the head still carries because they are not known to be stored
	// under their own keys. They are safe. The next append stores them there.
	InHead int

	Snapshots []int64 // the versions of the snapshots that can be used

	// Damaged counts what is missing, unreadable, in the wrong place or above the head. Damage is
	// the first [MaxFindings] of it. Damage of snapshots only costs time.
	Damaged int64
	Damage  []*DamagedError

	// Misfits counts the events and snapshots that are intact but that the types registered here
	// cannot read. Unreadable is the first [MaxFindings] of them, each a [TypeMismatchError], a
	// [SchemaError] or a [TypeNotRegisteredError]. A misfit is not damage. If no type is registered
	// at all, as in a tool for any stream, Verify does not look for misfits. It does not open what
	// a [Sealer] sealed. There it checks only the type, the content type and the schema version.
	Misfits    int64
	Unreadable []error
}

// MaxFindings is how many errors of each kind a [Verification] holds, so that memory stays bounded
// even if a stream is damaged from end to end. [WithFindings] reports all of them.
const MaxFindings = 1000

// Sound reports whether nothing is damaged.
func (v Verification) Sound() bool { return v.Damaged == 0 }

// VerifyOption configures a [Reader.Verify].
type VerifyOption func(*verifyConfig) error

// verifyConfig is what the options of a verification set.
type verifyConfig struct {
	each func(error) error
}

// WithFindings makes [Reader.Verify] call found with each error as it finds it. The error is a
// [DamagedError], or of a kind that Verification.Unreadable lists. If found returns an error,
// Verify ends and returns that error. Calls come one at a time, from the goroutine that called
// Verify.
func WithFindings(found func(error) error) VerifyOption {
	return func(c *verifyConfig) error {
		if found == nil {
			return &ArgumentError{Argument: "WithFindings", Reason: "the function is nil"}
		}
		c.each = found
		return nil
	}
}

// verification is one call of Verify.
type verification struct {
	Verification
	verifyConfig
}

// add notes err if it is damage, and otherwise returns it.
func (v *verification) add(err error) error {
	var damage *DamagedError
	if !errors.As(err, &damage) {
		return err
	}
	if v.Damaged++; v.Damaged <= MaxFindings {
		v.Damage = append(v.Damage, damage)
	}
	return v.tell(damage)
}

// misfit notes an error of something that the registry cannot read.
func (v *verification) misfit(err error) error {
	if v.Misfits++; v.Misfits <= MaxFindings {
		v.Unreadable = append(v.Unreadable, err)
	}
	return v.tell(err)
}

func (v *verification) tell(finding error) error {
	if v.each == nil {
		return nil
	}
	return v.each(finding)
}

// Verify reads all of a stream and looks for damage. It goes on after damage, so that it finds all
// of it, and it changes nothing. It checks:
//
//   - the head
//   - every event: whether it is there, intact, in its place, and the same wherever it is stored
//   - the idempotency keys that lead to events
//   - that no event is stored above the head
//   - the snapshots
//
// If progress is not nil, Verify calls it after each chunk of events, with how many events it has
// checked, and of how many. It decodes payloads if the provider has a registry. A payload that does
// not decode is not damage, see Verification.Unreadable.
//
// The time that Verify takes grows with the number of events, even if all of them are damaged.
// Memory does not grow. [WithFindings] reports each finding as it is made.
//
// An error says that Verify could not read the stream to its end. It is a [StorageError], an error
// of a session that has ended, or the error that the function of [WithFindings] returned. The
// Verification then holds what was found so far. Verify returns at once when the context ends.
// Damage is not an error.
func (r *Reader) Verify(ctx context.Context, progress func(checked, of int64), options ...VerifyOption) (result Verification, err error) {
	ctx, seen := r.observe(ctx, OpVerify)
	defer seen.end(&err)
	found := &verification{Verification: Verification{Stream: r.Stream()}}
	defer func() { seen.result.Version, seen.result.Events = found.Version, int(found.Events) }()
	for _, option := range options {
		if option == nil {
			return found.Verification, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&found.verifyConfig); err != nil {
			return found.Verification, err
		}
	}
	err = r.verify(ctx, progress, found)
	return found.Verification, err
}

func (r *Reader) verify(ctx context.Context, progress func(checked, of int64), found *verification) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	h := r.handle
	o, err := h.open(ctx, "verify", true)
	if err != nil {
		return found.add(err)
	}
	found.First, found.Version, found.InHead = o.head.first, o.head.version, len(o.head.tail)
	found.Closed, found.Deleted = o.head.closed, o.head.deleted
	v := view{head: o.head, snapshots: o.snapshots}
	total := found.Version - found.First + 1
	for c := range h.chunks(ctx, "verify", v.head, span{first: found.First, last: found.Version}) {
		if c.err != nil {
			return c.err
		}
		if err := r.verifyChunk(ctx, v, c, found); err != nil {
			return err
		}
		if progress != nil {
			progress(c.to-found.First+1, total)
		}
	}
	for _, check := range [...]func(context.Context, view, *verification) error{r.verifyTail, r.verifyEnd, r.verifySnapshots} {
		if err := check(ctx, v, found); err != nil {
			return err
		}
	}
	return r.guard()
}

// leading is an event and the idempotency id whose key leads to it.
type leading struct {
	version int64
	id      string
}

// verifyChunk checks events, and the idempotency keys that lead to them.
func (r *Reader) verifyChunk(ctx context.Context, v view, c chunk, found *verification) error {
	h := r.handle
	var named []leading
	// check checks one event, and reports whether it is intact.
	check := func(version int64, data []byte) (bool, error) {
		if ctx.Err() != nil {
			return false, h.failed("verify", contextErr(ctx))
		}
		_, m, raw, err := decodeEventAt(h.Stream, h.keys.partition, version, data)
		if err != nil {
			return false, nil
		}
		found.Events++
		if id := m.Context.IdempotencyID; id != "" {
			named = append(named, leading{version, id})
		}
		_, err = r.verifyType(ctx, h.keys.event(version), version, raw, found)
		return true, err
	}
	var doubtful []int64
	for i, data := range c.data {
		version := c.from + int64(i)
		whole, err := check(version, data)
		if err != nil {
			return err
		}
		if !whole {
			doubtful = append(doubtful, version)
		}
	}
	if len(doubtful) > 0 {
		// They are damaged only if they still are after a new read of the head and then of the
		// keys. (Rule 5) One such read serves all of them.
		if err := r.verifyAgain(ctx, doubtful, check, found); err != nil {
			return err
		}
	}
	return r.verifyNamed(ctx, v, named, found)
}

// verifyAgain checks events that seemed to be damaged, as they are stored now.
func (r *Reader) verifyAgain(ctx context.Context, versions []int64, check func(int64, []byte) (bool, error), found *verification) error {
	h := r.handle
	hd, _, err := h.readHead(ctx, "verify")
	if err != nil {
		return found.add(err)
	}
	if err := h.deletedError(hd); err != nil {
		return err
	}
	keys := make([]string, len(versions))
	for i, version := range versions {
		keys[i] = h.keys.event(version)
	}
	items, err := h.getMany(ctx, "verify", keys)
	if err != nil {
		return err
	}
	for i, version := range versions {
		data := items[i].Value
		record, inTail := hd.inTail(version)
		if inTail {
			data = record.data
		}
		switch {
		case inTail || items[i].Found():
			whole, err := check(version, data)
			if err != nil {
				return err
			}
			if !whole {
				_, _, _, err := decodeEventAt(h.Stream, h.keys.partition, version, data)
				if err := found.add(h.damaged(keys[i], version, err)); err != nil {
					return err
				}
			}
		case version < hd.first:
			return &VersionNotFoundError{Stream: h.Stream, Version: version, Current: hd.version}
		case version > hd.version:
			return &LostWritesError{Stream: h.Stream, Version: version, Actual: hd.version}
		default:
			if err := found.add(h.damaged(keys[i], version, errMissing)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyNamed checks the idempotency keys that lead to events.
func (r *Reader) verifyNamed(ctx context.Context, v view, named []leading, found *verification) error {
	h := r.handle
	hd := v.head
	for look := range 2 {
		if len(named) == 0 {
			return nil
		}
		keys := make([]string, len(named))
		for i, event := range named {
			keys[i] = h.keys.idempotency(event.id)
		}
		tail := map[string]int64{}
		if look > 0 {
			// The head may still carry the id, or its key was written since.
			var err error
			if hd, _, err = h.readHead(ctx, "verify"); err != nil {
				return found.add(err)
			}
			for _, record := range slices.Backward(hd.tail) { // if an id is there twice, the first counts
				if record.idempotencyID != "" && record.version >= hd.first {
					tail[record.idempotencyID] = record.version
				}
			}
		}
		items, err := h.getMany(ctx, "verify", keys)
		if err != nil {
			return err
		}
		var doubtful []leading
		for i, event := range named {
			version, err := h.versionFromKey(hd, event.id, items[i])
			if inTail, ok := tail[event.id]; ok {
				version, err = inTail, nil
			}
			switch {
			case err == nil && version == event.version:
				continue
			case err == nil && look == 0:
				doubtful = append(doubtful, event)
				continue
			case err == nil:
				err = h.damaged(keys[i], event.version, fmt.Errorf("idempotency id %q leads to version %d", event.id, version))
			}
			if err = found.add(err); err != nil {
				return err
			}
		}
		named = doubtful
	}
	return nil
}

// verifyType checks that the registry can read a value that is intact. It notes what it cannot
// read, and reports whether it can.
func (r *Reader) verifyType(ctx context.Context, key string, version int64, data any, found *verification) (bool, error) {
	registry := r.handle.registry
	if len(registry.byName) == 0 {
		return true, nil
	}
	raw := data.(Raw)
	about := &About{Stream: found.Stream, Version: version}
	_, codec, _, err := registry.known(raw)
	_, sealed := codec.(Sealer)
	switch {
	case err != nil:
		err = registry.located(err, found.Stream, key, version, raw)
	case sealed: // opening it takes keys, which the caller may not have
	case key == r.handle.keys.snapshot(version):
		_, err = registry.decodeSnapshot(ctx, about, key, raw)
	default:
		_, _, err = registry.decodeAt(ctx, about, key, raw)
	}
	if err != nil {
		return false, found.misfit(r.handle.hasher.hide(err, found.Stream))
	}
	return true, nil
}

// verifyTail checks that the events in the head's tail are the same under their own keys, if they
// are stored there too. (Rule 4)
func (r *Reader) verifyTail(ctx context.Context, v view, found *verification) error {
	h := r.handle
	for _, record := range v.head.tail {
		key := h.keys.event(record.version)
		item, err := h.get(ctx, "verify", key)
		if err != nil {
			return err
		}
		if item.Found() && string(item.Value) != string(record.data) {
			if err := found.add(h.damaged(key, record.version, errors.New("it differs from the event in the head, which is the one that counts"))); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyEnd checks that no event is stored above the head. (Rule 2)
func (r *Reader) verifyEnd(ctx context.Context, v view, found *verification) error {
	h := r.handle
	above := v.head.version + 1
	item, err := h.get(ctx, "verify", h.keys.event(above))
	if err != nil || !item.Found() {
		return err
	}
	hd, _, err := h.readHead(ctx, "verify") // the event may have been committed since
	if err != nil {
		return found.add(err)
	}
	if hd.version < above {
		return found.add(h.damaged(h.keys.event(above), above, fmt.Errorf("the event is above the head, which is at version %d: was the head restored from an older backup?", hd.version)))
	}
	return nil
}

// verifySnapshots checks the list of snapshots, and each snapshot that it names. A snapshot that is
// listed but missing was being saved, or is being cleared.
func (r *Reader) verifySnapshots(ctx context.Context, v view, found *verification) error {
	versions, err := r.snapshotVersions(ctx, v)
	if err != nil {
		return found.add(err)
	}
	for _, version := range versions {
		snapshot, err := r.handle.snapshot(ctx, version, readRange{raw: true})
		if isA[*SnapshotNotFoundError](err) {
			continue
		}
		if err != nil {
			if err := found.add(err); err != nil {
				return err
			}
			continue
		}
		readable, err := r.verifyType(ctx, r.handle.keys.snapshot(version), version, snapshot.Data, found)
		if err != nil {
			return err
		}
		if readable {
			found.Snapshots = append(found.Snapshots, version)
		}
	}
	return nil
}
