package feed

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// Index makes the log of the feed, until ctx ends. Run it in every instance of every service, or in
// one: one of them works while the others wait to take its place. They ask once or twice a second
// whether it is free. Without any, streams can be neither listed nor followed, and nothing is lost.
//
// Index returns nil when ctx has ended. It goes on after errors of the store, which it logs as
// warnings. It returns an [eventstore.DamagedError] if the log itself is damaged, and an
// [eventstore.ArgumentError] if the store has a feed of another name.
func (f *Feed) Index(ctx context.Context) error {
	ctx = polling.Mark(ctx)
	ix := &indexer{Feed: f, walk: walk{whole: time.Now()}, pace: newPace()}
	defer f.listen(ctx)()
	defer func() { ix.reportEnd(ctx) }()
	for failures := 0; ctx.Err() == nil; {
		err := ix.turn(ctx)
		switch {
		case err == nil:
			failures = 0
			continue
		case isA[*eventstore.OpenTimeoutError](err): // another indexer works
			ix.reportEnd(ctx)
			ix.walk.whole = time.Now()
			pause.For(ctx, jitter.Of(ctx, pollMost)) // many may wait
			continue
		case lapsed(err) && failures == 0: // a round took longer than the lease
			f.log.DebugContext(ctx, "indexing the feed took longer than its lease", "error", err)
			ix.forget()
			failures++
			continue
		case !unsure(ctx, err) && ctx.Err() == nil:
			return err
		case ctx.Err() == nil:
			f.log.WarnContext(ctx, "indexing the feed failed", "error", err)
		}
		ix.forget()
		failures++
		pause.For(ctx, min(100*time.Millisecond<<min(failures, 6), 5*time.Second))
	}
	return nil
}

// indexer is one call of Index.
type indexer struct {
	*Feed

	state   journal.State
	version int64     // of the log; state is as of then
	commit  string    // that made the version, since a store that lost writes may have another one
	time    time.Time // of the newest batch
	loaded  bool
	pace    pace
	named   bool // the store has no feed of another name

	journals  map[string]*watched
	live      int                  // journals that have not ended
	idleSince time.Time            // when idleLeft was set
	idleLeft  int                  // numbers of idle journals that may be looked at until a second later
	tidied    time.Time            // when journals that had ended were removed from the root
	blocked   map[journal.Slot]int // rounds in which an entry waited for the one before
	names     names
	pages     pages
	walk      walk
	suspects  map[string]suspect    // by the names of their streams
	batches   int                   // since the last snapshot
	reported  bool                  // an observer was told that this process indexes
	advanced  time.Time             // when the log took over something last
	found     candidates            // entries that the log has not taken over yet
	waiting   map[string]bool       // journals that have some
	derived   map[journal.Slot]bool // those of found that no journal has shown
}

// lapsed reports whether the session on the log has ended before its time. Another indexer may work
// by now.
func lapsed(err error) bool {
	return isA[*eventstore.SessionExpiredError](err) || isA[*eventstore.SessionLostError](err)
}

// forget makes the indexer read everything again that it knows.
func (ix *indexer) forget() {
	*ix = indexer{Feed: ix.Feed, walk: walk{whole: ix.walk.whole}, pace: ix.pace, named: ix.named, reported: ix.reported}
}

// turn indexes for as long as one session on the log lasts.
func (ix *indexer) turn(ctx context.Context) (err error) {
	if !ix.named { // before anything is written
		if _, _, err := ix.inside.Root(ctx); err != nil {
			return err
		}
		ix.named = true
	}
	s, err := ix.inside.OpenLog(ctx, ix.lease, 0)
	if err != nil {
		return err
	}
	defer func() {
		if closed := s.Close(); err == nil && !isA[*eventstore.SessionExpiredError](closed) {
			err = closed
		}
	}()
	defer ix.inside.Indexing()()
	if err := ix.load(ctx, s); err != nil {
		return err
	}
	for ctx.Err() == nil && time.Until(s.ExpiresAt()) > ix.lease/4 {
		stood, rung := ix.inside.Committed().Next(), ix.rung.Next()
		took, err := ix.round(ctx, s)
		if err != nil {
			return err
		}
		if took > 0 {
			ix.pace.found()
			pause.For(ctx, gather)
			continue
		}
		timer := time.NewTimer(ix.pace.wait())
		select {
		case <-ctx.Done():
		case <-stood:
		case <-rung:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// mostFound limits how many entries an indexer keeps that wait for others. It finds them again.
const mostFound = 20000

// gather is how long an indexer waits after a batch, so that the next one has more entries.
const gather = 5 * time.Millisecond

// load reads how far the log has got, unless the indexer knows it.
func (ix *indexer) load(ctx context.Context, s *eventstore.Session) error {
	version, err := s.Version(ctx)
	if err != nil {
		return err
	}
	if ix.loaded && version == ix.version && ix.inside.Commit(s) == ix.commit {
		if ix.pages.behind {
			return ix.keepPages(ctx, ix.catchUpPages(ctx, s))
		}
		return nil
	}
	ix.forget()
	if ix.state, err = ix.inside.LogState(ctx, s.Reader); err != nil {
		return err
	}
	ix.version, ix.commit, ix.loaded = version, ix.inside.Commit(s), true
	ix.batches = int(version - ix.state.KeptVersion)
	ix.journals, ix.blocked = map[string]*watched{}, map[journal.Slot]int{}
	ix.found, ix.derived = candidates{}, map[journal.Slot]bool{}
	if version > 0 { // its entries may not have been deleted
		event, err := s.Event(ctx, version, eventstore.AsRaw())
		if err != nil {
			return err
		}
		last, err := ix.decode(event)
		if err != nil {
			return err
		}
		ix.time = last.Time
		if err := ix.clear(ctx, last.Batch); err != nil {
			return err
		}
	}
	if err := ix.catchUpNames(ctx, s); err != nil {
		return err
	}
	return ix.keepPages(ctx, ix.catchUpPages(ctx, s))
}

// round takes over what stands in the journals now. It returns how many entries that were.
func (ix *indexer) round(ctx context.Context, s *eventstore.Session) (int, error) {
	if len(ix.found) > mostFound {
		ix.found, ix.derived = candidates{}, map[journal.Slot]bool{}
	}
	if err := ix.poll(ctx); err != nil {
		return 0, err
	}
	if err := ix.repair(ctx); err != nil {
		return 0, err
	}
	if ix.walkDue() {
		if err := ix.walkOn(ctx); unsure(ctx, err) {
			ix.log.WarnContext(ctx, "the feed cannot look at some streams", "error", err) // it comes by again
		} else if err != nil {
			return 0, err
		}
	}
	batch, err := ix.gatherBatch(ctx)
	if err != nil {
		return 0, err
	}
	if len(batch.Entries) > 0 {
		if err := ix.appendObserved(ctx, s, batch); err != nil {
			return 0, err
		}
	}
	ix.report(ctx, batch, len(ix.found))
	for _, e := range batch.Entries {
		delete(ix.derived, e.Slot)
	}
	return len(batch.Entries), nil
}

const (
	batchEntries = 1000
	batchBytes   = 256 << 10
)

// order returns the entries that the log can take over now.
func (ix *indexer) order(found candidates) journal.Batch {
	b := ix.newBatch()
	b.take(found)
	return b.Batch
}

// gatherBatch returns the entries that the log can take over now, and reads on where it takes over
// all that it has read of a journal.
func (ix *indexer) gatherBatch(ctx context.Context) (journal.Batch, error) {
	b := ix.newBatch()
	for left := readOn; ; {
		taken := b.take(ix.found)
		if len(taken) == 0 || b.full() {
			return b.Batch, nil
		}
		slots := ix.behind(b.vector, taken)
		if left -= len(slots); len(slots) == 0 || left < 0 {
			return b.Batch, nil
		}
		if err := ix.find(ctx, slots); err != nil {
			return b.Batch, err
		}
	}
}

// batch is a batch that is being made.
type batch struct {
	journal.Batch
	vector journal.Vector // with the entries
	bytes  int
}

func (ix *indexer) newBatch() *batch {
	return &batch{Batch: journal.Batch{First: ix.state.Position + 1}, vector: ix.state.Vector.Clone()}
}

func (b *batch) full() bool { return len(b.Entries) == batchEntries || b.bytes > batchBytes }

// take adds the entries that the log can take over, each after the one that its ticket names. It
// removes them from found, and returns them. (Rule F7)
func (b *batch) take(found candidates) []journal.Entry {
	before := len(b.Entries)
	waiting := found.sorted()
	for progress := true; progress; {
		progress = false
		rest := waiting[:0]
		for _, slot := range waiting {
			e := found[slot]
			if b.vector.Covers(slot) {
				delete(found, slot)
				continue
			}
			if !b.vector.Ready(e) {
				rest = append(rest, slot)
				continue
			}
			if b.full() {
				return b.Entries[before:]
			}
			b.vector.Take(e)
			b.Entries = append(b.Entries, e)
			b.bytes += e.Size()
			delete(found, slot)
			progress = true
		}
		waiting = rest
	}
	return b.Entries[before:]
}

// append commits a batch to the log, and does what may only be done after that. (Rules F6 and F9)
func (ix *indexer) append(ctx context.Context, s *eventstore.Session, batch journal.Batch) error {
	// Times never go back, although clocks do, so that Since finds its place by them.
	if now := time.UnixMilli(time.Now().UnixMilli()).UTC(); now.After(ix.time) {
		ix.time = now
	}
	batch.Time = ix.time
	version, err := s.Append(ctx, eventstore.ExpectVersion(ix.version), rawBatch(batch))
	if err != nil {
		return err // whoever loads the log again finds out whether the batch is in it
	}
	if err := ix.state.Take(batch); err != nil {
		return err
	}
	ix.version, ix.commit = version, ix.inside.Commit(s)
	ix.advanced = time.Now()
	ix.news.tell(version)
	ix.inside.Ring(eventstore.NewsOfLog)
	if err := ix.clear(ctx, batch); err != nil {
		return err
	}
	if err := ix.addNames(ctx, batch); err != nil {
		return err
	}
	if err := ix.keepPages(ctx, ix.addPages(ctx, logged{batch, version})); err != nil {
		return err
	}
	if ix.batches++; ix.batches >= snapshotEvery {
		ix.batches = 0
		if err := s.SaveSnapshot(ctx, version, rawState(ix.state)); err != nil {
			ix.log.WarnContext(ctx, "the log of the feed has no new snapshot", "version", version, "error", err)
		}
	}
	return nil
}

// snapshotEvery is how many batches may follow the log's newest snapshot. Whoever begins to read
// the log reads at most that many.
const snapshotEvery = 100

// isA reports whether err is an E, or wraps one.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
