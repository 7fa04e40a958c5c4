package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// BuildSnapshots reads the whole history and saves a snapshot at every version that is a multiple
// of every. The state begins as initial, and fold returns the next state after an event. The
// state's type must be registered. Use BuildSnapshots for streams without snapshots, or with
// snapshots that a new type made unusable.
//
// BuildSnapshots returns the versions at which it saved snapshots, also together with an error. It
// returns an error of fold unchanged. Snapshots that were saved before an error remain usable.
// Another call replaces them and builds the rest.
//
// Requests and bytes grow in proportion to the history. Memory holds the snapshots that are not
// saved yet: 64 KiB, or 128 bytes for each snapshot of the stream if that is more.
//
// An every below 1, a nil fold, and a state that can't be stored are an [ArgumentError]. Other
// errors are those of [Reader.Read] and [Session.SaveSnapshot].
func BuildSnapshots[S any](ctx context.Context, session *Session, every int64, initial S, fold func(state S, event Event) (S, error)) (versions []int64, err error) {
	ctx, o := session.observe(ctx, OpBuildSnapshots)
	defer o.end(&err)
	defer func() {
		if n := len(versions); n > 0 {
			o.result.Version = versions[n-1]
		}
	}()
	if every < 1 {
		return nil, &ArgumentError{Argument: "every", Reason: fmt.Sprintf("%d is not positive", every)}
	}
	if fold == nil {
		return nil, &ArgumentError{Argument: "fold", Reason: "it is nil"}
	}
	if err := session.check(); err != nil {
		return nil, err
	}
	if err := session.handle.registry.checkState(session.handle.Stream, initial); err != nil {
		return nil, err
	}
	b := snapshotBuilder{session: session}
	state := initial
	for event, err := range session.Read(ctx) {
		if err == nil {
			state, err = fold(state, event)
		}
		if err == nil && event.Version%every == 0 {
			err = b.add(ctx, event.Version, state)
		}
		if err != nil {
			_ = b.flush(ctx) // the snapshots before the error are correct; err matters more
			return b.saved, err
		}
	}
	err = b.flush(ctx)
	return b.saved, err
}

// A snapshotBuilder saves many snapshots in as few bytes as it can. Each save rewrites the list of
// snapshots, so a save for each snapshot would write bytes that grow with the square of their
// number. The builder therefore collects snapshots until they are listShare times larger than the
// list. Lists are then a bounded share of what is written.
//
// Writing the whole list first would be simpler. But a reader that loads the stream during the
// build, or after a crash, would then look for many snapshots that do not exist. So each batch
// writes its versions into the list right before its snapshots. A crash between these two requests
// leaves the versions of one batch without snapshots. Each of them costs a reader one read, until a
// newer snapshot is saved.
type snapshotBuilder struct {
	session   *Session
	collected []encodedSnapshot
	bytes     int // of the collected snapshots
	listed    int // known number of snapshots in the list
	saved     []int64
}

const (
	buildBytes  = 64 << 10 // collected snapshots are saved from this size on
	listedBytes = 48       // approximate size of a version in the list
	listShare   = 8
)

// add adds a snapshot, and saves the collected snapshots if there are enough.
func (b *snapshotBuilder) add(ctx context.Context, version int64, state any) error {
	s := b.session
	h := s.handle
	encoded, err := s.encodeSnapshot(ctx, Snapshot{Version: version, Data: state, Created: time.Now()}, false)
	if err != nil {
		return err
	}
	key := h.keys.snapshot(version)
	if err := h.fitsRequest(driver.Write{Key: key, Value: encoded.record}); err != nil {
		return err
	}
	b.collected, b.bytes = append(b.collected, encoded), b.bytes+len(key)+len(encoded.record)
	if b.bytes < max(buildBytes, listShare*listedBytes*b.listed) {
		return nil
	}
	return b.flush(ctx)
}

// flush saves the collected snapshots. It drops them if it can't save them.
func (b *snapshotBuilder) flush(ctx context.Context) error {
	if len(b.collected) == 0 {
		return nil
	}
	collected := b.collected
	b.collected, b.bytes = nil, 0
	listed, err := b.session.saveSnapshots(ctx, collected, 0)
	if err != nil {
		return err
	}
	b.listed = listed
	for _, e := range collected {
		b.saved = append(b.saved, e.version)
	}
	return nil
}
