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

// sorted returns the slots in the order in which their commits are likely to have been made. If the
// log takes them over in this order, few of its journals have open numbers.
func (c candidates) sorted() []journal.Slot {
	return slices.SortedFunc(maps.Keys(c), func(a, b journal.Slot) int {
		return cmp.Or(c[a].Time.Compare(c[b].Time), cmp.Compare(a.Journal, b.Journal), cmp.Compare(a.Number, b.Number))
	})
}

// watched is how an indexer looks at one journal.
type watched struct {
	wake   int64     // as the root told last
	busy   time.Time // when an entry was found last, or the journal's process woke up
	found  time.Time // when an entry was found last
	looked time.Time // when it was looked at last
	full   time.Time // when the whole window was looked at last
	high   int64     // the highest number that the log had at the last look
	read   int64     // the highest number that was looked at in this round
	open   int64     // the open number that was looked at last
	empty  int       // looks since one found an entry
	near   int       // how many numbers beyond the highest are likely to have an entry; 0 if unknown
}

// find notes that the last look found an entry. What comes until the next look is likely to be as
// much.
func (w *watched) find(number int64) {
	w.busy = time.Now()
	w.found = w.busy
	if w.empty > 0 {
		w.empty, w.near = 0, glance
	}
	w.near = max(w.near, min(journal.Window, glance+2*int(number-w.high)))
}

// every returns how often to look at the whole window of the journal. Most journals in which
// nothing was found for a while belong to processes that have ended.
func (w *watched) every(now time.Time) time.Duration {
	return min(max(fullEvery, now.Sub(w.busy)/4), idleEvery)
}

const (
	// glance is how many numbers it looks at where nothing is going on.
	glance = 2

	fullEvery = time.Second      // how often it looks at the whole window all the same, at first
	idleAfter = 2 * time.Minute  // when it no longer looks at a journal in each round,
	idleEvery = 30 * time.Second // but only this often

	// A process that is killed leaves its journal behind for ever. These limits keep a round short,
	// however many there are. What is beyond them waits its turn.
	lookAtOnce = 4000 // numbers in a round
	idleAtOnce = 1000 // numbers of idle journals in a second
	openAtOnce = 500  // open numbers of a journal
	readOn     = 1000 // numbers in a round behind what the log takes over
)

// poll reads the root, and finds what stands in the journals beyond what the log has taken over.
func (ix *indexer) poll(ctx context.Context) error {
	root, etag, err := ix.inside.Root(ctx)
	if err != nil {
		return err
	}
	ix.tidy(ctx, root, etag)
	return ix.find(ctx, ix.wanted(root)) // the next round asks again for what the store has missed
}

// find adds what stands in slots to what was found.
func (ix *indexer) find(ctx context.Context, slots []journal.Slot) error {
	return ix.readSlots(ctx, indexing, slots, func(slot journal.Slot, item driver.Item) error {
		e, err := journal.DecodeEntry(ix.name, slot, item.Value)
		if err != nil {
			return ix.damaged(item.Key, 0, err)
		}
		ix.found[slot] = e
		ix.journals[e.Journal].find(e.Number)
		return nil
	})
}

// behind returns the slots to read next of the journals of which entries were taken. More may stand
// behind the last one that was read, if that one stands.
func (ix *indexer) behind(vector journal.Vector, taken []journal.Entry) (slots []journal.Slot) {
	journals := map[string]bool{}
	for _, e := range taken {
		journals[e.Journal] = true
	}
	for _, id := range slices.Sorted(maps.Keys(journals)) {
		w, p := ix.journals[id], vector[id]
		if w == nil || p.Ended {
			continue
		}
		if _, waits := ix.found[journal.Slot{Journal: id, Number: w.read}]; !waits && !p.Covers(w.read) {
			continue
		}
		for w.read = max(w.read, p.High); w.read < p.High+int64(journal.Window); w.read++ {
			slot := journal.Slot{Journal: id, Number: w.read + 1}
			if _, known := ix.found[slot]; !known {
				slots = append(slots, slot)
			}
		}
	}
	return slots
}

const indexing = "index the feed"

// readSlots calls found with what stands in slots. The store may have missed some of it.
func (f *Feed) readSlots(ctx context.Context, operation string, slots []journal.Slot, found func(journal.Slot, driver.Item) error) error {
	for part := range slices.Chunk(slots, 1000) {
		keys := make([]string, len(part))
		for i, slot := range part {
			keys[i] = f.name.Key(slot)
		}
		items, err := f.inside.GetManyUnproven(ctx, operation, keys)
		if err != nil {
			return err
		}
		for i, item := range items {
			if !item.Found() {
				continue
			}
			if err := found(part[i], item); err != nil {
				return err
			}
		}
	}
	return nil
}

// unended returns the ids of the journals that may still grow, sorted: those that the root names,
// and those that tickets have told of.
func unended(root journal.Root, vector journal.Vector) (ids []string) {
	for _, l := range root {
		if !vector[l.ID].Ended {
			ids = append(ids, l.ID)
		}
	}
	for id, p := range vector {
		if !p.Ended {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// outstanding returns the slots of a journal in which something may stand that the log has not
// taken over.
func outstanding(id string, p journal.Progress) []journal.Slot {
	return append(open(id, p), beyond(id, p, journal.Window)...)
}

// open returns the slots of a journal that were absent when the log took over later ones.
func open(id string, p journal.Progress) (slots []journal.Slot) {
	for _, n := range p.Open {
		slots = append(slots, journal.Slot{Journal: id, Number: n})
	}
	return slots
}

// beyond returns so many slots beyond the highest number of a journal that the log has taken over.
func beyond(id string, p journal.Progress, count int) []journal.Slot {
	slots := make([]journal.Slot, count)
	for i := range slots {
		slots[i] = journal.Slot{Journal: id, Number: p.High + 1 + int64(i)}
	}
	return slots
}

// wanted returns the slots to look at in this round.
func (ix *indexer) wanted(root journal.Root) (slots []journal.Slot) {
	wakes := map[string]int64{}
	for _, l := range root {
		wakes[l.ID] = l.Wake
	}
	now := time.Now()
	ids := unended(root, ix.state.Vector)
	ix.live = len(ids)
	for _, id := range ids {
		w := ix.journals[id]
		if w == nil {
			w = &watched{busy: now}
			ix.journals[id] = w
		}
		if wake := wakes[id]; wake != w.wake {
			w.wake, w.busy = wake, now
		}
	}
	ix.waiting = map[string]bool{}
	for slot := range ix.found {
		ix.waiting[slot.Journal] = true
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
		idle := now.Sub(w.busy) >= idleAfter
		busy := now.Sub(w.busy) < fullEvery
		near := busy || ix.waiting[id] // more may stand behind what waits
		full := now.Sub(w.full) >= w.every(now) || busy && w.empty > 1 || near && w.near == 0
		limit := lookAtOnce
		if hot(id) {
			limit = lookAtOnce * 3 / 4 // the rest is for those that may be hot too
		}
		if len(slots) >= limit || idle && (!full || ix.idleLeft <= 0) {
			continue
		}
		var more []journal.Slot
		switch {
		case full:
			w.full = now
			more = append(ix.openOf(id, w), beyond(id, p, journal.Window)...)
		case near:
			more = append(ix.openOf(id, w), beyond(id, p, w.near)...)
		default:
			more = beyond(id, p, glance)
		}
		w.read = more[len(more)-1].Number
		more = slices.DeleteFunc(more, func(slot journal.Slot) bool { _, known := ix.found[slot]; return known })
		w.looked, w.high = now, p.High
		w.empty++
		if idle {
			ix.idleLeft -= len(more)
		}
		slots = append(slots, more...)
	}
	return slots
}

// openOf returns open numbers of a journal that were not found. If there are many, they come in
// turns.
func (ix *indexer) openOf(id string, w *watched) []journal.Slot {
	slots := slices.DeleteFunc(open(id, ix.state.Vector[id]), func(slot journal.Slot) bool { _, known := ix.found[slot]; return known })
	if len(slots) <= openAtOnce {
		return slots
	}
	next := max(0, slices.IndexFunc(slots, func(slot journal.Slot) bool { return slot.Number > w.open }))
	slots = append(slots[next:], slots[:next]...)[:openAtOnce]
	w.open = slots[openAtOnce-1].Number
	return slots
}

// ahead reports whether the log has not got near a slot: other entries of the journal come first,
// because a process writes at most so far ahead of a number whose entry does not stand. (Rule F3)
// If the log gets no further, the store has lost some of them.
func (ix *indexer) ahead(slot journal.Slot) bool {
	return slot.Number > ix.state.Vector[slot.Journal].High+int64(journal.Window) &&
		time.Since(ix.advanced) < 2*fullEvery && (ix.waiting[slot.Journal] || !ix.quiet(slot.Journal))
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
