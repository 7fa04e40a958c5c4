package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// kindBatch is the type of the log's events.
const kindBatch = "batch"

// logged is a batch with its version in the log.
type logged struct {
	journal.Batch
	version int64
}

func rawBatch(batch journal.Batch) eventstore.Raw {
	return eventstore.Raw{Type: kindBatch, ContentType: contentType, Payload: batch.Encode()}
}

// rawState returns the snapshot of the log.
func rawState(state journal.State) eventstore.Raw {
	return eventstore.Raw{Type: "journals", ContentType: contentType, Payload: state.Encode()}
}

const contentType = "text/plain; charset=utf-8"

func (f *Feed) decode(event eventstore.Event) (logged, error) {
	raw := event.Data.(eventstore.Raw)
	batch, err := journal.DecodeBatch(raw.Payload)
	if raw.Type != kindBatch || raw.SchemaVersion > 1 {
		err = fmt.Errorf("it is a %q of schema version %d, which this version of the library does not know: update the library", raw.Type, raw.SchemaVersion)
	}
	if err != nil {
		return logged{}, f.damaged(f.inside.LogKey(event.Version), event.Version, err)
	}
	return logged{batch, event.Version}, nil
}

// batchesAfter reads the batches that hold entries after a position. A snapshot before them is
// known.
func (f *Feed) batchesAfter(ctx context.Context, log *eventstore.Reader, position int64, known snapshot) iter.Seq2[logged, error] {
	return func(yield func(logged, error) bool) {
		view, err := f.inside.ViewLog(ctx, log)
		var version int64
		if err == nil {
			version, err = f.versionAfter(ctx, view, position, known)
		}
		if err != nil {
			yield(logged{}, err)
			return
		}
		for event, err := range view.Read(ctx, version, view.Version, false) {
			if err != nil {
				yield(logged{}, err)
				return
			}
			batch, err := f.decode(event)
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// snapshot is one of the log. The zero value is the beginning of the log.
type snapshot struct{ position, version int64 }

// versionAfter returns the version of the first batch that holds an entry after a position, which
// is not before a known snapshot. It may be one above the last version. It searches the log after
// the snapshot, so it takes as many requests as the number of batches there has binary digits.
func (f *Feed) versionAfter(ctx context.Context, log eventstore.LogView, position int64, known snapshot) (int64, error) {
	if position <= known.position {
		return known.version + 1, nil
	}
	low, high := known.version+1, log.Version+1 // the answer is from low to high
	for low < high {
		middle := (low + high) / 2
		batch, err := f.batch(ctx, log, middle)
		if err != nil {
			return 0, err
		}
		if batch.Last() > position {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// batch reads one batch.
func (f *Feed) batch(ctx context.Context, log eventstore.LogView, version int64) (logged, error) {
	for event, err := range log.Read(ctx, version, version, false) {
		if err != nil {
			return logged{}, err
		}
		return f.decode(event)
	}
	return logged{}, fmt.Errorf("the log has no version %d", version)
}

// place is where a reader is in the log.
type place struct {
	position int64 // all entries up to it were read
	version  int64 // of the log, from which the entries after it are; 0 if that is not known
	end      int64 // the highest position that is known to be in the log

	since time.Time // batches before that are left out, until one is not
}

// end returns the place at the end of the log.
func (f *Feed) end(ctx context.Context, log eventstore.LogView) (place, error) {
	if log.Version == 0 {
		return place{version: 1}, f.checkName(ctx)
	}
	last, err := f.batch(ctx, log, log.Version)
	return place{position: last.Last(), version: log.Version + 1, end: last.Last()}, err
}

// checkName returns an error if the store has a feed of another name. Whoever finds the log empty
// calls it.
func (f *Feed) checkName(ctx context.Context) error {
	_, _, err := f.inside.Root(ctx)
	return err
}

// sinceTime returns the place before all that the log took over at or after a time.
func (f *Feed) sinceTime(ctx context.Context, t time.Time) (place, error) {
	number, before, err := f.firstLogPage(ctx, func(p journal.Page) bool { return p.Version == 0 || !p.Time.Before(t) })
	at := place{position: number * journal.PageEntries, version: max(1, before.Version), since: t}
	at.end = at.position
	return at, err
}

// run is a part of the log, or its end.
type run struct {
	first   int64 // the position of the first entry, or of the end
	entries []journal.Entry
	end     bool // the log has no more as of now
}

// after returns the part of a batch after a position.
func after(b journal.Batch, position int64) run {
	skip := max(0, position+1-b.First)
	return run{first: b.First + skip, entries: b.Entries[skip:]}
}

// pagesAtOnce is how many pages a follower that is behind reads in one request.
const pagesAtOnce = 8

// forward yields the log from a place on. If live is true, it then waits for more, until ctx ends.
func (f *Feed) forward(ctx context.Context, at place, live bool) iter.Seq2[run, error] {
	return func(yield func(run, error) bool) {
		for r, err := range f.pagesFrom(ctx, &at) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		if live {
			defer f.listen(ctx)()
		}
		log, checked := f.inside.LogReader(), false
		looking := ctx
		for pace := newPace(); ; {
			news := f.news.waiter()
			view, err := f.inside.ViewLog(looking, log)
			if err == nil {
				f.news.seen(view.Version)
				if at.version <= view.Version {
					pace.found()
				}
				err = f.search(ctx, view, &at)
			}
			if err == nil && view.Version == 0 && !checked {
				checked, err = true, f.checkName(ctx)
			}
			if err == nil && view.Version < at.version-1 {
				err = &eventstore.LostWritesError{Stream: f.stream(), Version: at.version - 1, Actual: view.Version}
			}
			if err != nil {
				yield(run{}, err)
				return
			}
			for event, err := range view.Read(ctx, at.version, view.Version, false) {
				var batch logged
				if err == nil {
					batch, err = f.decode(event)
				}
				if err == nil && batch.First > max(at.end, at.position)+1 {
					err = f.damaged(f.inside.LogKey(event.Version), event.Version, fmt.Errorf("it begins at position %d, but the batch before ends at %d", batch.First, at.end))
				}
				if err != nil {
					yield(run{}, err)
					return
				}
				at.version, at.end = event.Version+1, batch.Last()
				if batch.Time.Before(at.since) && batch.Last() > at.position {
					at.position = batch.Last()
				}
				if batch.Last() <= at.position {
					continue
				}
				at.since = time.Time{}
				r := after(batch.Batch, at.position)
				at.position = batch.Last()
				if !yield(r, nil) {
					return
				}
			}
			if at.position > at.end {
				yield(run{}, f.beyond("After", at.position, at.end))
				return
			}
			if !yield(run{first: at.position, end: true}, nil) || !live {
				return
			}
			looking = polling.Mark(ctx)
			f.inside.CheckIndexed(looking)
			if !news.wait(ctx, view.Version, pace.wait()) {
				return
			}
		}
	}
}

// beyond returns the error of reading from a position that the feed does not have.
func (f *Feed) beyond(argument string, position, end int64) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf("position %d is beyond the end of the feed %q, which is at %d: is it a position of another feed, or did the store lose its last writes?", position, f.Name(), end)}
}

// pagesFrom yields the pages from a place on, and moves the place. It does nothing if the place in
// the log is known.
func (f *Feed) pagesFrom(ctx context.Context, at *place) iter.Seq2[run, error] {
	return func(yield func(run, error) bool) {
		if at.version != 0 && at.since.IsZero() {
			return
		}
		number := journal.PageOf(at.position + 1) // that has the next position
		first, last := number, number+pagesAtOnce-1
		if number > 0 { // most readers continue near the end
			first, last = number-1, number
		}
		for {
			found, err := f.logPages(ctx, first, last)
			if err != nil {
				yield(run{}, err)
				return
			}
			for i, p := range found {
				n := first + int64(i)
				if p.Version == 0 && n >= number {
					return
				}
				if p.Version == 0 {
					continue
				}
				at.version, at.end = p.Version, p.Last()
				if p.Last() <= at.position {
					continue
				}
				r := after(p.Batch, at.position)
				at.position, at.since = p.Last(), time.Time{}
				if !yield(r, nil) {
					return
				}
			}
			first, last = last+1, last+pagesAtOnce
		}
	}
}

// search finds the version of a place if no page has told it.
func (f *Feed) search(ctx context.Context, log eventstore.LogView, at *place) error {
	if at.version != 0 {
		return nil
	}
	if at.position == 0 {
		at.version = 1
		return nil
	}
	end, err := f.end(ctx, log)
	if err != nil {
		return err
	}
	if at.position > end.position {
		return f.beyond("After", at.position, end.position)
	}
	at.version, err = f.versionAfter(ctx, log, at.position, snapshot{})
	at.end = at.position
	return err
}

// backward yields the log before a position, the newest part first. Position 0 is the end of the
// log. The entries of each part are in the order of the log.
func (f *Feed) backward(ctx context.Context, before int64) iter.Seq2[run, error] {
	return func(yield func(run, error) bool) {
		fail := func(err error) { yield(run{}, err) }
		view, err := f.inside.ViewLog(ctx, f.inside.LogReader())
		if err != nil {
			fail(err)
			return
		}
		end, err := f.end(ctx, view)
		if err != nil {
			fail(err)
			return
		}
		if before == 0 {
			before = end.position + 1
		}
		if before > end.position+1 {
			fail(f.beyond("Before", before, end.position))
			return
		}
		if before == 1 {
			yield(run{end: true}, nil)
			return
		}
		number, page, err := f.pageBelow(ctx, before, end.position)
		if err != nil {
			fail(err)
			return
		}
		if page.Last() < before-1 { // the rest is in the log only
			for event, err := range view.Read(ctx, max(1, page.Version), view.Version, true) {
				var batch logged
				if err == nil {
					batch, err = f.decode(event)
				}
				if err != nil {
					fail(err)
					return
				}
				if !yield(after(batch.Batch, page.Last()), nil) {
					return
				}
			}
		}
		if number >= 0 && !yield(run{first: page.First, entries: page.Entries}, nil) {
			return
		}
		for last := number - 1; last >= 0; last -= pagesAtOnce {
			first := max(0, last-pagesAtOnce+1)
			found, err := f.allLogPages(ctx, first, last)
			if err != nil {
				fail(err)
				return
			}
			for i, p := range slices.Backward(found) {
				if p.Version == 0 {
					fail(f.damaged(f.name.Page(first+int64(i)), 0, errors.New("the page is missing, but pages after it are not")))
					return
				}
				if !yield(run{first: p.First, entries: p.Entries}, nil) {
					return
				}
			}
		}
		yield(run{end: true}, nil)
	}
}

// pageBelow returns the highest page that has entries before a position, and its number. If there
// is none, the number is -1.
func (f *Feed) pageBelow(ctx context.Context, before, end int64) (int64, journal.Page, error) {
	number := min(journal.PageOf(before-1), end/journal.PageEntries-1)
	if number < 0 {
		return -1, journal.Page{}, nil
	}
	found, err := f.logPages(ctx, number, number)
	if err != nil {
		return 0, journal.Page{}, err
	}
	if found[0].Version != 0 {
		return number, found[0], nil
	}
	count, last, err := f.lastLogPage(ctx)
	return count - 1, last, err
}
