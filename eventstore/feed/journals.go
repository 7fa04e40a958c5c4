package feed

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file reads the journals, and removes from them what the log has taken over.

// candidates are entries that were found and may not be in the log.
type candidates map[journal.Slot]journal.Entry

func (c candidates) sorted() []journal.Slot {
	return slices.SortedFunc(maps.Keys(c), func(a, b journal.Slot) int {
		return cmp.Or(cmp.Compare(a.Journal, b.Journal), cmp.Compare(a.Number, b.Number))
	})
}

// watched is how an indexer looks at one journal.
type watched struct {
	wake   int64     // as the root told last
	busy   time.Time // when an entry was found last, or the journal's process woke up
	found  time.Time // when an entry was found last
	looked time.Time // when it was looked at last
	full   time.Time // when the whole window was looked at last
}

const (
	// glance is how many numbers it looks at where nothing is going on.
	glance = 2

	fullEvery = time.Second      // how often it looks at the whole window all the same
	idleAfter = 2 * time.Minute  // when it no longer looks at a journal in each round,
	idleEvery = 30 * time.Second // but only this often

	// A process that is killed leaves its journal behind for ever. These limits keep a round short,
	// however many there are. What is beyond them waits its turn.
	lookAtOnce = 4000 // numbers in a round
	idleAtOnce = 1000 // numbers of idle journals in a second
)

// poll reads the root, and what stands in the journals beyond what the log has taken over.
func (ix *indexer) poll(ctx context.Context) (candidates, error) {
	root, etag, err := ix.inside.Root(ctx)
	if err != nil {
		return nil, err
	}
	ix.tidy(ctx, root, etag)
	slots := ix.wanted(root)
	found := candidates{}
	for part := range slices.Chunk(slots, 1000) {
		keys := make([]string, len(part))
		for i, slot := range part {
			keys[i] = ix.name.Key(slot)
		}
		items, err := ix.inside.GetManyUnproven(ctx, indexing, keys) // the next round asks again for what was missed
		if err != nil {
			return nil, err
		}
		for i, item := range items {
			if !item.Found() {
				continue
			}
			e, err := journal.DecodeEntry(ix.name, part[i], item.Value)
			if err != nil {
				return nil, ix.damaged(item.Key, 0, err)
			}
			found[part[i]] = e
			w := ix.journals[e.Journal]
			w.busy = time.Now()
			w.found = w.busy
		}
	}
	return found, nil
}

const indexing = "index the feed"

// wanted returns the slots to look at in this round. The journals are those of the root, and those
// that tickets have told of.
func (ix *indexer) wanted(root journal.Root) (slots []journal.Slot) {
	wakes := map[string]int64{}
	for _, l := range root {
		wakes[l.ID] = l.Wake
	}
	for id, p := range ix.state.Vector {
		if _, listed := wakes[id]; !listed && !p.Ended {
			wakes[id] = 0
		}
	}
	now := time.Now()
	ix.live = 0
	var ids []string
	for id, wake := range wakes {
		if ix.state.Vector[id].Ended {
			continue
		}
		ix.live++
		w := ix.journals[id]
		if w == nil {
			w = &watched{busy: now}
			ix.journals[id] = w
		}
		if wake != w.wake {
			w.wake, w.busy = wake, now
		}
		ids = append(ids, id)
	}
	hot := func(id string) bool { return now.Sub(ix.journals[id].found) < 2*fullEvery }
	slices.SortFunc(ids, func(a, b string) int { // ids begin with a time, and the newest journals are likely to be in use
		if hot(a) != hot(b) {
			if hot(a) {
				return -1
			}
			return 1
		}
		return cmp.Or(ix.journals[a].looked.Compare(ix.journals[b].looked), -cmp.Compare(a, b))
	})
	if now.Sub(ix.idleSince) >= time.Second {
		ix.idleSince, ix.idleLeft = now, idleAtOnce
	}
	for _, id := range ids {
		w, p := ix.journals[id], ix.state.Vector[id]
		every, n := fullEvery, int64(glance)
		idle := now.Sub(w.busy) >= idleAfter
		if idle {
			every, n = idleEvery, 0
		}
		full := now.Sub(w.full) >= every || now.Sub(w.busy) < fullEvery
		if full {
			n = int64(journal.Window)
		}
		limit := lookAtOnce
		if hot(id) {
			limit = lookAtOnce * 3 / 4 // the rest is for those that may be hot too
		}
		if n == 0 || len(slots) >= limit || idle && ix.idleLeft <= 0 {
			continue
		}
		w.looked = now
		before := len(slots)
		if full {
			w.full = now
			for _, open := range p.Open {
				slots = append(slots, journal.Slot{Journal: id, Number: open})
			}
		}
		for i := range n {
			slots = append(slots, journal.Slot{Journal: id, Number: p.High + 1 + i})
		}
		if idle {
			ix.idleLeft -= len(slots) - before
		}
	}
	return slots
}

// quiet reports whether nothing was found in a journal for a while. Then the log has taken over all
// that stands in it.
func (ix *indexer) quiet(id string) bool {
	w := ix.journals[id]
	return w == nil || time.Since(w.busy) > 2*fullEvery
}

// clear deletes the entries that the log has taken over. (Rule F9)
func (ix *indexer) clear(ctx context.Context, batch journal.Batch) error {
	writes := map[string][]driver.Write{}
	for _, e := range batch.Entries {
		writes[e.Journal] = append(writes[e.Journal], driver.Write{Key: ix.name.Key(e.Slot)})
	}
	for _, id := range slices.Sorted(maps.Keys(writes)) {
		if err := ix.inside.State().Write(ctx, ix.name.Partition(id), writes[id]); err != nil {
			return ix.failed(indexing, err)
		}
	}
	return nil
}

// tidy removes journals from the root that have ended. (Rule F11) If that fails, it is tried again
// a second later.
func (ix *indexer) tidy(ctx context.Context, root journal.Root, etag string) {
	var ended []string
	for _, l := range root {
		if ix.state.Vector[l.ID].Ended {
			ended = append(ended, l.ID)
		}
	}
	if len(ended) == 0 || time.Since(ix.tidied) < time.Second {
		return
	}
	ix.tidied = time.Now()
	swap := driver.Swap{Key: journal.RootKey, Value: root.Without(ended...).Encode(ix.name), ETag: etag}
	if err := ix.inside.State().Swap(ctx, journal.RootPartition, swap); err != nil {
		ix.log.DebugContext(ctx, "the root still names journals that have ended", "error", err)
	}
}
