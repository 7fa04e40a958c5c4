package feed

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file finds commits that no journal shows. (Rule F8)

// walk is how far an indexer has looked through the heads of all streams.
type walk struct {
	page int64
	last time.Time

	began time.Time // the lap
	whole time.Time // the last lap that is complete; before the first one, when this process began to index
}

// lapSteps is how many steps a lap of the walk takes at least, or rather, the time of so many. So
// the heads of a few streams are not read again and again.
const lapSteps = 10

// walkDue reports whether the next step of the walk is due.
func (ix *indexer) walkDue() bool {
	if ix.walk.page == 0 && len(ix.suspects) == 0 && time.Since(ix.walk.began) < lapSteps*ix.walkEvery {
		return false
	}
	return time.Since(ix.walk.last) >= ix.walkEvery
}

// repair looks at the streams of entries that wait for an earlier one. If the earlier entry does
// not stand, the stream itself tells what it is.
func (ix *indexer) repair(ctx context.Context) error {
	waiting := map[journal.Slot]int{}
	streams := map[string]bool{}
	for _, slot := range ix.found.sorted() {
		e := ix.found[slot]
		if e.What == journal.Ended || ix.state.Vector.Covers(slot) || ix.state.Vector.Covers(e.After) || ix.ahead(e.After) {
			continue
		}
		if _, ok := ix.found[e.After]; ok {
			continue
		}
		if waiting[slot] = ix.blocked[slot] + 1; waiting[slot] >= repairAfter {
			streams[e.Stream] = true
		}
	}
	ix.blocked = waiting
	if len(streams) == 0 {
		return nil
	}
	return ix.derive(ctx, slices.Sorted(maps.Keys(streams)))
}

// repairAfter is in how many rounds an entry waits for an earlier one, which may be on its way.
const repairAfter = 3

// walkOn looks at the heads of the next page of names.
func (ix *indexer) walkOn(ctx context.Context) error {
	ix.walk.last = time.Now()
	var late []string
	for name, seen := range ix.suspects {
		if seen.adopt || !ix.state.Vector.Covers(seen.slot) && !ix.ahead(seen.slot) {
			late = append(late, name)
		}
	}
	slices.Sort(late)
	ix.suspects = map[string]suspect{}
	if ix.walk.page == 0 {
		ix.walk.began = ix.walk.last
	}
	page, err := ix.page(ctx, ix.walk.page)
	if err != nil {
		return err
	}
	ix.walk.page++
	if len(page.Names) == 0 {
		ix.walk.page = 0
		if ix.walk.began.After(ix.walk.whole) {
			ix.walk.whole = ix.walk.began
		}
	}
	names := make([]string, len(page.Names))
	for i, n := range page.Names {
		names[i] = n.Stream
	}
	heads, errs, err := ix.heads(ctx, names)
	if err != nil {
		return err
	}
	for i, name := range names {
		h := heads[i]
		seen := suspect{h.Ticket().Slot, h.Version > 0 && !h.Ticketed()}
		if errs[i] != nil || seen.adopt || !ix.state.Vector.Covers(seen.slot) {
			ix.suspects[name] = seen
		}
	}
	return ix.derive(ctx, late)
}

// heads reads the heads of streams. If the store does not return one of them, its error is in errs,
// so that it does not keep the indexer from all the others. If it does not return several, the
// error is that of heads.
func (ix *indexer) heads(ctx context.Context, names []string) (heads []eventstore.StreamHead, errs map[int]error, err error) {
	heads, errs, err = ix.inside.Heads(ctx, indexing, names)
	switch {
	case err == nil || ctx.Err() != nil:
		return heads, errs, err
	case len(names) == 1:
		return make([]eventstore.StreamHead, 1), map[int]error{0: err}, nil
	}
	half := len(names) / 2
	heads, errs, err = ix.inside.Heads(ctx, indexing, names[:half])
	rest, failed, restErr := ix.inside.Heads(ctx, indexing, names[half:])
	switch {
	case err != nil && restErr != nil:
		return nil, nil, err
	case err != nil:
		heads, errs, err = ix.heads(ctx, names[:half])
	case restErr != nil:
		rest, failed, err = ix.heads(ctx, names[half:])
	}
	for i, err := range failed {
		errs = with(errs, half+i, err)
	}
	return append(heads, rest...), errs, err
}

// suspect is a stream whose head the log did not cover when the walk saw it. The walk derives what
// is missing in its next step, because most of it is just on its way.
type suspect struct {
	slot  journal.Slot
	adopt bool
}

// derive adds to what was found what the heads of streams show and the log does not cover.
func (ix *indexer) derive(ctx context.Context, streams []string) error {
	if len(streams) == 0 {
		return nil
	}
	heads, errs, err := ix.heads(ctx, streams)
	if err != nil {
		return err
	}
	for i, name := range streams {
		h := heads[i]
		if errs[i] == nil && h.Version > 0 && !h.Ticketed() {
			errs = with(errs, i, ix.inside.Adopt(ctx, indexing, name))
		}
		if errs[i] == nil && !h.Ticket().IsZero() {
			var entries []journal.Entry
			// The chain may go through entries that were found, to one that was not.
			entries, err := ix.inside.Derive(ctx, indexing, name, h, ix.state.Vector.Covers)
			for _, e := range entries {
				if impossible := ix.state.Vector.Check(e.Slot); impossible != nil && ix.quiet(e.Journal) {
					err = &eventstore.DamagedError{Key: "{" + name + "}:head", Cause: impossible}
				}
				if ix.ahead(e.Slot) {
					continue // taking it over would remember all numbers before it as absent
				}
				if _, shown := ix.found[e.Slot]; !shown {
					ix.derived[e.Slot] = true
				}
				ix.found[e.Slot] = e
			}
			errs = with(errs, i, err)
			if err == nil && ix.state.Vector.Covers(h.Ticket().Slot) {
				ix.release(name, h.Ticket())
			}
		}
		if err := errs[i]; err != nil {
			if ctx.Err() != nil {
				return err
			}
			ix.log.WarnContext(ctx, "the feed cannot look at a stream", "of", name, "error", err)
		}
	}
	return nil
}

// release lets entries of a stream no longer wait for the ones before. Its head's ticket is in the
// log, and covers what they are about. So an older version of this library has dropped a ticket
// since, and what they wait for may be in no chain. What they tell is in the log again then.
func (ix *indexer) release(stream string, last journal.Ticket) {
	for slot, e := range ix.found {
		if e.Stream == stream && e.To <= last.To {
			e.After = journal.Slot{}
			ix.found[slot] = e
		}
	}
}

func with(errs map[int]error, i int, err error) map[int]error {
	if err == nil {
		return errs
	}
	if errs == nil {
		errs = map[int]error{}
	}
	errs[i] = err
	return errs
}
