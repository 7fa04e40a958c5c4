package transfer

import (
	"context"
	"fmt"
	"iter"
	"reflect"

	"github.com/hexalith/eventstores-go/eventstore"
)

// compare reads a range of versions from both stores, side by side.
func (j *job) compare(ctx context.Context, stage Stage, from, to int64) error {
	if from > to {
		return nil
	}
	of := []eventstore.ReadOption{eventstore.FromVersion(from), eventstore.ToVersion(to), eventstore.AsRaw()}
	copies, stop := iter.Pull2(j.target.Read(ctx, of...))
	defer stop()
	version := from
	for event, err := range j.source.Read(ctx, of...) {
		if err != nil {
			return err
		}
		theirs, err, ok := copies()
		switch {
		case err != nil:
			return err
		case !ok:
			return &DiffersError{Stream: j.stream, Version: version, Reason: "the target has lost it"}
		}
		if reason := difference(event, theirs); reason != "" {
			return &DiffersError{Stream: j.stream, Version: version, Reason: reason}
		}
		j.result.Verified++
		if done := version - from + 1; done%tellEvery == 0 || version == to {
			j.tell(stage, done, to-from+1)
		}
		version++
	}
	if version != to+1 {
		return &DiffersError{Stream: j.stream, Version: version, Reason: "the source has lost it"}
	}
	return nil
}

// tellEvery is after how many events progress is told.
const tellEvery = 500

// difference is how two events of one version differ, without their content; empty if they do not.
func difference(a, b eventstore.Event) string {
	switch {
	case !reflect.DeepEqual(a.Metadata, b.Metadata):
		return "its metadata is not that of the source"
	case !reflect.DeepEqual(a, b):
		return "its content is not that of the source"
	}
	return ""
}

// verify reads back what was copied, then looks over all of the target.
func (j *job) verify(ctx context.Context, from int64, source eventstore.Verification) error {
	if err := j.compare(ctx, Verifying, from, source.Version); err != nil {
		return err
	}
	found, err := j.target.Verify(ctx, nil)
	switch {
	case err != nil:
		return err
	case !found.Sound():
		return fmt.Errorf("transfer: the target is damaged: %w", found.Damage[0])
	case found.Version != source.Version || found.Closed != source.Closed:
		return &BusyError{Stream: j.stream, Cause: &eventstore.VersionMismatchError{Stream: j.stream, Expected: source.Version, Actual: found.Version}}
	}
	j.log.DebugContext(ctx, "copied a stream", "version", source.Version, "count", j.result.Copied, "before", j.result.Before)
	return nil
}
