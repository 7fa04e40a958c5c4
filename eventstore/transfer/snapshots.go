package transfer

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
)

// snapshots makes the target's snapshots those of the source up to that version.
func (j *job) snapshots(ctx context.Context, to int64) error {
	wanted, err := j.source.Snapshots(ctx)
	switch {
	case errors.As(err, new(*eventstore.DamagedError)): // of the list; so none can be used
		j.log.WarnContext(ctx, "the source's list of snapshots can't be read, none is copied", "error", err)
	case err != nil:
		return err
	}
	there, err := j.target.Snapshots(ctx)
	if err != nil && !errors.As(err, new(*eventstore.DamagedError)) {
		return err
	}
	if err != nil {
		if err := j.clear(ctx, 0); err != nil {
			return err
		}
	}
	for _, version := range wanted {
		if version > to {
			continue // made since
		}
		snapshot, err := j.source.Snapshot(ctx, version, eventstore.AsRaw())
		switch {
		case errors.As(err, new(*eventstore.DamagedError)), errors.As(err, new(*eventstore.SnapshotNotFoundError)):
			j.result.Unusable = append(j.result.Unusable, version)
			continue
		case err != nil:
			return err
		}
		same := slices.Contains(there, version) // one that its list does not name is not found
		there = slices.DeleteFunc(there, func(v int64) bool { return v == version })
		if same {
			if same, err = j.sameSnapshot(ctx, snapshot); err != nil {
				return err
			}
		}
		if !same {
			if err := j.save(ctx, snapshot); err != nil {
				return err
			}
			j.result.Saved++
		}
		j.result.Snapshots++
	}
	for _, version := range there {
		if err := j.clear(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// save saves one snapshot in the target and reads it back.
func (j *job) save(ctx context.Context, snapshot eventstore.Snapshot) error {
	s, err := j.open(ctx)
	if err == nil {
		err = j.busy(s.SaveRecordedSnapshot(ctx, snapshot))
	}
	if err != nil {
		return err
	}
	same, err := j.sameSnapshot(ctx, snapshot)
	if err == nil && !same {
		err = &DiffersError{Stream: j.stream, Version: snapshot.Version, Reason: "the snapshot that was saved there just now is not that of the source"}
	}
	return err
}

// sameSnapshot reports whether the target has that snapshot.
func (j *job) sameSnapshot(ctx context.Context, snapshot eventstore.Snapshot) (bool, error) {
	theirs, err := j.target.Snapshot(ctx, snapshot.Version, eventstore.AsRaw())
	if errors.As(err, new(*eventstore.SnapshotNotFoundError)) || errors.As(err, new(*eventstore.DamagedError)) {
		return false, nil
	}
	return reflect.DeepEqual(theirs, snapshot), err
}

// clear removes a snapshot of the target that the source does not have; version 0 removes all.
func (j *job) clear(ctx context.Context, version int64) error {
	s, err := j.open(ctx)
	switch {
	case err != nil:
		return err
	case version == 0:
		return s.ClearSnapshots(ctx)
	}
	if err = s.ClearSnapshot(ctx, version); errors.As(err, new(*eventstore.SnapshotNotFoundError)) {
		return nil
	}
	return err
}
