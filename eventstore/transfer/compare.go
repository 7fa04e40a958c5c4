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
			return &DiffersError{Stream: j.stream, Version: version, Reason: "the target has lost this event"}
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
		return &DiffersError{Stream: j.stream, Version: version, Reason: "the source has lost this event"}
	}
	return nil
}

// tellEvery is the number of events between two reports of progress.
const tellEvery = 500

// difference says how two events of one version differ, without revealing their content. It returns
// an empty string if they are the same.
func difference(a, b eventstore.Event) string {
	switch {
	case !reflect.DeepEqual(a.Metadata, b.Metadata):
		return "its metadata differs from the source"
	case !reflect.DeepEqual(a, b):
		return "its content differs from the source"
	}
	return ""
}

// verify reads the copied events back, then checks the whole target.
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
