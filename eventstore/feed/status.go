package feed

import (
	"context"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Status is how a feed is at one moment.
type Status struct {
	End      Position // the position at the end of the log
	Journals int      // that may still grow, about one for each process that appends
	Open     int      // numbers of journals that the log waits for; most of them never come
	Waiting  int      // entries that stand in journals and are not in the log
}

// Status returns how the feed is. If Waiting grows, no process indexes. It counts at most 64
// entries for each journal. It takes a request for the root, one to three for the log, and one for
// every 15 journals. The errors are those of [Feed.Read].
func (f *Feed) Status(ctx context.Context) (s Status, err error) {
	root, _, err := f.inside.Root(ctx)
	if err != nil {
		return s, err
	}
	state, err := f.inside.LogState(ctx, f.inside.LogReader())
	if err != nil {
		return s, err
	}
	s.End = Position(state.Position)
	ids := map[string]bool{}
	for _, l := range root {
		ids[l.ID] = true
	}
	for id, p := range state.Vector {
		if !p.Ended {
			ids[id] = true
			s.Open += len(p.Open)
		}
	}
	var keys []string
	for id := range ids {
		p := state.Vector[id]
		if p.Ended {
			continue
		}
		s.Journals++
		for i := range journal.Window {
			keys = append(keys, f.name.Key(journal.Slot{Journal: id, Number: p.High + 1 + int64(i)}))
		}
		for _, n := range p.Open {
			keys = append(keys, f.name.Key(journal.Slot{Journal: id, Number: n}))
		}
	}
	for part := range slices.Chunk(keys, 1000) {
		items, err := f.inside.GetManyUnproven(ctx, readingFeed, part)
		if err != nil {
			return s, err
		}
		for _, item := range items {
			if item.Found() {
				s.Waiting++
			}
		}
	}
	return s, nil
}
