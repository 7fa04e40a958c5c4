package eventstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file is for streams that were written before the feed. Their names stand first, in as few
// requests as possible, and then their heads get tickets.

// nameAll is name for many streams. One request holds the names of half a window, so that appends
// of this process still get numbers.
func (j *journals) nameAll(ctx context.Context, streams []string) error {
	for part := range slices.Chunk(streams, max(1, journal.Window/2)) {
		if err := j.nameTogether(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (j *journals) nameTogether(ctx context.Context, streams []string) error {
	type named struct {
		number number
		entry  driver.Write
	}
	given := map[string][]named{} // by journal
	for _, stream := range streams {
		n, err := j.give(ctx)
		if err != nil {
			for _, all := range given {
				for _, g := range all {
					g.number.unused()
				}
			}
			return err
		}
		given[n.Journal] = append(given[n.Journal], named{n, j.entryWrite(journal.Entry{Slot: n.Slot, What: journal.Named, Stream: stream})})
	}
	var failed error
	for id, all := range given {
		writes := make([]driver.Write, len(all))
		for i, g := range all {
			writes[i] = g.entry
		}
		err := j.state.Write(ctx, j.feed.Partition(id), writes)
		for _, g := range all {
			if err != nil {
				g.number.used(g.entry) // to be written again, because nothing tells whether it stands
			} else {
				g.number.stands()
			}
		}
		if err != nil {
			failed = fmt.Errorf("the feed %q cannot take the names of streams: %w", string(j.feed), err)
		}
	}
	j.tell()
	return failed
}

// Name makes the names of streams stand in journals, so that an indexer looks at their heads. (Rule
// F2)
func (in Inside) Name(ctx context.Context, operation string, names []string) error {
	if err := in.p.journals.nameAll(ctx, names); err != nil {
		return in.p.journals.logHandle().noNumber(operation, err)
	}
	return nil
}

// AdoptNamed is Adopt for a stream whose name is known to stand.
func (in Inside) AdoptNamed(ctx context.Context, operation, name string) error {
	h, err := in.named(name)
	if err != nil {
		return err
	}
	return h.adoptNamed(ctx, operation, true)
}

// Check returns an [ArgumentError] if the name of a stream is not possible.
func (in Inside) Check(stream Stream) error {
	_, err := in.p.handle(stream)
	return err
}
