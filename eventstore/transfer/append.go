package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// copy appends a range of versions to the target.
func (j *job) copy(ctx context.Context, from, to int64) error {
	if from > to {
		return nil
	}
	var batch []eventstore.Event
	bytes := 0
	flush := func() error {
		if err := j.append(ctx, batch); err != nil {
			return err
		}
		j.tell(Copying, batch[len(batch)-1].Version-from+1, to-from+1)
		batch, bytes = batch[:0], 0
		return nil
	}
	for event, err := range j.source.Read(ctx, eventstore.FromVersion(from), eventstore.ToVersion(to), eventstore.AsRaw()) {
		if err != nil {
			return err
		}
		size := len(event.Data.(eventstore.Raw).Payload)
		if len(batch) > 0 && (len(batch) >= j.batchEvents || bytes+size > j.batchBytes) {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, bytes = append(batch, event), bytes+size
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// append appends events to the target. If one request cannot hold them, it appends each half
// separately.
func (j *job) append(ctx context.Context, events []eventstore.Event) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	_, err = s.AppendRecorded(ctx, eventstore.ExpectVersion(events[0].Version-1), events...)
	if errors.As(err, new(*eventstore.BatchTooLargeError)) && len(events) > 1 {
		half := len(events) / 2
		if err := j.append(ctx, events[:half]); err != nil {
			return err
		}
		return j.append(ctx, events[half:])
	}
	if err != nil {
		return j.busy(err)
	}
	j.result.Copied += int64(len(events))
	for _, event := range events {
		j.result.Bytes += int64(len(event.Data.(eventstore.Raw).Payload))
	}
	return nil
}

// busy wraps an error in a [BusyError] if another writer caused it.
func (j *job) busy(err error) error {
	if errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.SessionLostError)) || errors.As(err, new(*eventstore.StreamClosedError)) {
		return &BusyError{Stream: j.stream, Cause: err}
	}
	return err
}

// open returns a session on the target that has at least half of its time left.
func (j *job) open(ctx context.Context) (*eventstore.Session, error) {
	if j.session != nil && time.Now().Before(j.renew) {
		return j.session, nil
	}
	j.release()
	s, err := j.to.Open(ctx, j.stream)
	if errors.As(err, new(*eventstore.OpenTimeoutError)) && ctx.Err() == nil {
		return nil, &BusyError{Stream: j.stream, Cause: err}
	}
	if err != nil {
		return nil, err
	}
	j.session, j.renew = s, time.Now().Add(time.Until(s.ExpiresAt())/2)
	return s, nil
}

// release releases the target's lock.
func (j *job) release() {
	if j.session == nil {
		return
	}
	if err := j.session.Close(); err != nil { // the lock expires anyway
		j.log.Debug("could not release the target's lock", "error", err)
	}
	j.session = nil
}
