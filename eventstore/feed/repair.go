package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

const (
	// repairLease is how long a repair may take while it keeps the log for itself.
	repairLease = 10 * time.Minute

	// repairWait is how long it waits for the indexer to give the log back.
	repairWait = time.Minute
)

// Repair finds what is wrong with the records of the feed, as [Feed.Verify] does, and derives them
// again. It never invents an event, and it does not change the events of any stream:
//
//   - A batch of the log is written again from its page, exactly as it was. A batch that is on no
//     page, which is one of the last, is derived from the streams. Positions after it stay as they
//     are, and so do those of subscriptions. Within it the order may be another one, see
//     Verification.Moved. If it is the last batch, nothing tells how many positions it had. Then
//     the log leaves out 1,000 positions, and what the batch had comes after them, once more for
//     readers that had it.
//   - A lost head of the log is rebuilt, unless a batch is damaged too. Where it carried the last
//     batches, they are derived.
//   - A page or a snapshot of the log, the catalogue and its marks are made from the log.
//   - An entry of a journal is derived from its stream. If nothing tells what it was, it is
//     removed, so that indexing goes on. It then comes with the next append of its stream.
//   - The root is made of what is legible of it and of what the log knows. A process whose journal
//     is missing in it adds the journal within a minute of its next append. If an entry in such a
//     journal is damaged too, indexing then ends with an [eventstore.DamagedError]. Repair again.
//   - With [WithStreams], streams that the feed does not know are imported.
//
// Repair does not check whether the events are there. Verify does.
//
// Services may write meanwhile. Repair takes the lease of the log, so that no indexer works, and
// waits for up to a minute until the present one gives it back. If a repair takes more than 10
// minutes, it ends with an [eventstore.SessionExpiredError]. It can be run again then, and at any
// time. Other errors are those of Verify, an [eventstore.OpenTimeoutError], and an
// [eventstore.DamagedError] if something cannot be derived, such as the head of the log while a
// batch is damaged too. Bring one of both back from a backup then.
func (f *Feed) Repair(ctx context.Context, options ...VerifyOption) (Verification, error) {
	x, err := f.newExam(options)
	if err != nil {
		return Verification{}, err
	}
	x.fixing = true
	r := &repair{exam: x}
	if err := r.head(ctx); err != nil {
		return r.result, err
	}
	if err := r.underLease(ctx); err != nil {
		return r.result, err
	}
	return r.result, r.importStreams(ctx)
}

// repair is one call of Repair.
type repair struct {
	*exam
	session *eventstore.Session
	lost    int  // how many batches may be lost with the log's head
	derived bool // a part of the log was derived from streams
	tail    []lostEntry
}

// head rebuilds the head of the log if it is damaged or missing.
func (r *repair) head(ctx context.Context) error {
	_, err := r.inside.ViewLog(ctx, r.log)
	if err != nil && !isA[*eventstore.DamagedError](err) {
		return err
	}
	found, lost, err := r.inside.RebuildLogHead(ctx)
	if err != nil || found.Damage == nil {
		return err
	}
	r.lost = lost
	r.damage(found.Damage.Key, found.Damage, fmt.Sprintf("rebuilt at version %d", found.Version))
	return nil
}

// underLease does what excludes indexers.
func (r *repair) underLease(ctx context.Context) (err error) {
	if r.session, err = r.inside.OpenLog(ctx, repairLease, repairWait); err != nil {
		return err
	}
	defer func() {
		if closed := r.session.Close(); err == nil && !isA[*eventstore.SessionExpiredError](closed) {
			err = closed
		}
	}()
	for try := 0; ; try++ {
		r.reset()
		if err := r.run(ctx); err != nil {
			return err
		}
		if len(r.holes) == 0 {
			break
		}
		if try > 0 {
			return r.damaged(r.inside.LogKey(r.holes[0].first), r.holes[0].first, errors.New("it was written again and is damaged already"))
		}
		if err := r.fillHoles(ctx); err != nil {
			return err
		}
	}
	for _, step := range [...]func(context.Context) error{
		r.fixRoot, r.fixSnapshots, r.fixPages, r.fixMarks, r.fixNames, r.fixEntries, r.addMissing,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// write writes keys of the feed, if the log's lease still lasts.
func (r *repair) write(ctx context.Context, partition string, writes ...driver.Write) error {
	if err := r.held(); err != nil {
		return err
	}
	if err := r.inside.State().Write(ctx, partition, writes); err != nil {
		return r.failed(repairing, err)
	}
	return nil
}

const repairing = "repair the feed"

// held returns an error if the log's lease has ended.
func (r *repair) held() error {
	if time.Until(r.session.ExpiresAt()) > 0 {
		return nil
	}
	return &eventstore.SessionExpiredError{Stream: r.stream(), Session: r.session.ID(), ExpiredAt: r.session.ExpiresAt()}
}

// fixRoot writes the root again with the journals that are legible in it, and those that the log
// knows.
func (r *repair) fixRoot(ctx context.Context) error {
	if !r.noRoot {
		return nil
	}
	_, _, damage := r.inside.Root(ctx)
	if !isA[*eventstore.DamagedError](damage) {
		return damage
	}
	root, etag, err := r.legibleRoot(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(r.state.Vector)) {
		if !r.state.Vector[id].Ended && !root.Names(id) {
			root = root.With(id)
		}
	}
	if err := r.held(); err != nil {
		return err
	}
	swap := driver.Swap{Key: journal.RootKey, Value: root.Encode(r.name), ETag: etag}
	if err := r.inside.State().Swap(ctx, journal.RootPartition, swap); err != nil {
		return r.failed(repairing, err)
	}
	r.inside.LookAtRoot()
	r.damage(journal.RootKey, damage, fmt.Sprintf("written again with %d journals", len(root)))
	return nil
}

// fixSnapshots removes snapshots of the log that are damaged. They only save time.
func (r *repair) fixSnapshots(ctx context.Context) error {
	prefix := "{" + r.name.Log() + "}:snapshot"
	if r.noList {
		if err := r.session.ClearSnapshots(ctx); err != nil {
			return err
		}
		r.damage(prefix+"s", errUnreadable, "replaced by an empty list")
	}
	for _, v := range r.snapshots {
		if err := r.session.ClearSnapshot(ctx, v); err != nil && !isA[*eventstore.SnapshotNotFoundError](err) {
			return err
		}
		r.damage(fmt.Sprintf("%s:%d", prefix, v), errUnreadable, "removed")
	}
	return nil
}

var errUnreadable = errors.New("it cannot be read, or is not what the log tells")

// fixPages writes pages of the log again.
func (r *repair) fixPages(ctx context.Context) error {
	for _, n := range r.pages {
		version, err := r.versionAfter(ctx, r.view, n*journal.PageEntries, snapshot{})
		if err != nil {
			return err
		}
		page := journal.Page{Batch: journal.Batch{First: n*journal.PageEntries + 1}}
		for event, err := range r.view.Read(ctx, version, r.view.Version, false) {
			if err != nil {
				return err
			}
			batch, err := r.decode(event)
			if err != nil {
				return err
			}
			for i, e := range batch.Entries {
				if batch.First+int64(i) >= page.First && len(page.Entries) < journal.PageEntries {
					page.Entries = append(page.Entries, e)
				}
			}
			if len(page.Entries) == journal.PageEntries {
				page.Time, page.Version = batch.Time, event.Version
				break
			}
		}
		if err := r.write(ctx, r.name.Log(), driver.Write{Key: r.name.Page(n), Value: page.Encode(r.name)}); err != nil {
			return err
		}
		r.damage(r.name.Page(n), errUnreadable, "written again from the log")
	}
	return nil
}

// fixNames makes the catalogue again, if a page of it is damaged or lacks a stream.
func (r *repair) fixNames(ctx context.Context) error {
	var lines []journal.Name
	var unlisted []string
	for name, k := range r.streams {
		switch {
		case k.begun > 0:
			lines = append(lines, journal.Name{Stream: name, Position: k.begun, Begun: true, Time: k.time})
			if !k.listed {
				unlisted = append(unlisted, name)
			}
		case k.named > 0:
			lines = append(lines, journal.Name{Stream: name, Position: k.named})
			if !k.name {
				unlisted = append(unlisted, name)
			}
		case k.name: // the log has lost what it told of the stream
			lines = append(lines, k.line)
		}
	}
	if len(unlisted) > 0 && len(r.badNames) == 0 {
		// An indexer that has crashed after its last batch has not listed the streams of
		// it. Another one does that when it begins, and that is no damage.
		if err := (&indexer{Feed: r.Feed}).load(ctx, r.session); err != nil {
			return err
		}
		late, err := r.stillUnlisted(ctx, unlisted)
		if err != nil {
			return err
		}
		unlisted = late
	}
	if len(r.badNames) == 0 && len(unlisted) == 0 {
		return nil
	}
	slices.SortFunc(lines, func(a, b journal.Name) int { return int(a.Position - b.Position) })
	if err := r.writeNames(ctx, lines); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(r.badNames)) {
		r.damage(r.name.Names(n), r.badNames[n], "written again from the log")
	}
	if len(r.badNames) == 0 {
		slices.Sort(unlisted)
		for _, name := range unlisted {
			s, err := eventstore.ParseStream(name)
			r.note(Finding{Kind: StreamUnlisted, Stream: s, Err: err, Repaired: "listed"})
		}
	}
	return nil
}

// stillUnlisted returns those of the streams that the catalogue does not list now.
func (r *repair) stillUnlisted(ctx context.Context, streams []string) (unlisted []string, err error) {
	listed := map[string]bool{}
	for n := int64(0); ; n++ {
		page, err := r.page(ctx, n)
		if err != nil {
			return nil, err
		}
		if page.Position == 0 {
			break
		}
		for _, name := range page.Names {
			if name.Begun || r.known(name.Stream).begun == 0 {
				listed[name.Stream] = true
			}
		}
	}
	return slices.DeleteFunc(streams, func(name string) bool { return listed[name] }), nil
}

// writeNames writes all pages and marks of the catalogue.
func (r *repair) writeNames(ctx context.Context, lines []journal.Name) error {
	number := int64(0)
	for part := range slices.Chunk(lines, journal.PageNames) {
		page := journal.NamesPage{Names: part, Position: part[len(part)-1].Position}
		if int(number+1)*journal.PageNames >= len(lines) {
			page.Position = r.state.Position
		}
		key := r.name.Names(number)
		item, err := r.inside.State().Get(ctx, r.name.Log(), key)
		if err == nil {
			if err := r.held(); err != nil {
				return err
			}
			err = r.inside.State().Swap(ctx, r.name.Log(), driver.Swap{Key: key, Value: page.Encode(r.name), ETag: item.ETag})
		}
		if err != nil {
			return r.failed(repairing, err)
		}
		if err := r.mark(ctx, part); err != nil {
			return err
		}
		number++
	}
	for ; ; number++ { // pages that are too many
		key := r.name.Names(number)
		item, err := r.inside.State().Get(ctx, r.name.Log(), key)
		if err != nil {
			return r.failed(repairing, err)
		}
		if !item.Found() {
			return nil
		}
		if err := r.write(ctx, r.name.Log(), driver.Write{Key: key}); err != nil {
			return err
		}
	}
}

// fixMarks writes marks again from the catalogue.
func (r *repair) fixMarks(ctx context.Context) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(r.marks)), headsAtOnce) {
		writes := make([]driver.Write, len(names))
		for i, name := range names {
			n := journal.Name{Stream: name, Begun: r.streams[name].listed}
			writes[i] = driver.Write{Key: r.name.Mark(name), Value: journal.EncodeMark(r.name, n)}
		}
		if err := r.write(ctx, r.name.Log(), writes...); err != nil {
			return err
		}
		for _, name := range names {
			r.damage(r.name.Mark(name), r.marks[name], "written again from the catalogue")
		}
	}
	return nil
}

// importStreams imports streams that the feed does not know.
func (r *repair) importStreams(ctx context.Context) error {
	if r.stored == nil {
		return nil
	}
	for i, err := range r.Import(ctx, r.unknown(r.stored)) {
		if err != nil {
			return err
		}
		f := Finding{Kind: StreamUnlisted, Stream: i.Stream, Err: i.Err}
		switch i.Result {
		case ImportAdded:
			f.Repaired = "imported"
		case ImportKnown:
			// Its head has a ticket, so an indexer finds out what is missing once it has the name.
			if err := r.inside.Name(ctx, repairing, []string{i.Stream.String()}); err != nil {
				return err
			}
			f.Repaired = "named"
		case ImportDeleted, ImportAbsent:
			continue
		}
		r.note(f)
	}
	return nil
}

// unknown returns those of the streams that neither the log nor the catalogue tell of.
func (r *repair) unknown(streams iter.Seq2[eventstore.Stream, error]) iter.Seq2[eventstore.Stream, error] {
	return func(yield func(eventstore.Stream, error) bool) {
		for s, err := range streams {
			if err == nil && r.streams[s.String()] != nil {
				continue
			}
			if !yield(s, err) {
				return
			}
		}
	}
}
