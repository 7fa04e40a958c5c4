package transfer

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
)

// snapshots makes the target's snapshots up to version to equal the source's.
func (j *job) snapshots(ctx context.Context, to int64) error {
	wanted, err := j.source.Snapshots(ctx)
	switch {
	case errors.As(err, new(*eventstore.DamagedError)): // the list is damaged, so no snapshot can be used
		j.log.WarnContext(ctx, "could not read the source's list of snapshots: no snapshot is copied", "error", err)
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
			continue // saved after the copy began
		}
		snapshot, err := j.source.Snapshot(ctx, version, eventstore.AsRaw())
		switch {
		case errors.As(err, new(*eventstore.DamagedError)), errors.As(err, new(*eventstore.SnapshotNotFoundError)):
			j.result.Unusable = append(j.result.Unusable, version)
			continue
		case err != nil:
			return err
		}
		same := slices.Contains(there, version) // a snapshot that is not in the list cannot be read
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
		err = &DiffersError{Stream: j.stream, Version: snapshot.Version, Reason: "the snapshot that was just saved differs from the source"}
	}
	return err
}

// sameSnapshot reports whether the target has the same snapshot.
func (j *job) sameSnapshot(ctx context.Context, snapshot eventstore.Snapshot) (bool, error) {
	theirs, err := j.target.Snapshot(ctx, snapshot.Version, eventstore.AsRaw())
	if errors.As(err, new(*eventstore.SnapshotNotFoundError)) || errors.As(err, new(*eventstore.DamagedError)) {
		return false, nil
	}
	return reflect.DeepEqual(theirs, snapshot), err
}

// clear removes a snapshot that only the target has. Version 0 removes all snapshots.
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
