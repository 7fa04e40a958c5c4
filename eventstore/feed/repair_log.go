package feed

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file derives what the log and the journals have lost.

// fillHoles writes the damaged batches of the log again.
func (r *repair) fillHoles(ctx context.Context) error {
	var empty []*hole
	for _, h := range r.holes {
		if !h.filled {
			empty = append(empty, h)
		}
	}
	if len(empty) > 0 {
		r.derived = true
		if r.stored != nil { // the names of streams may be lost as well
			for s, err := range r.stored {
				if err != nil {
					return err
				}
				r.known(s.String())
			}
		}
		lost, err := r.lostEntries(ctx, empty[0])
		if err != nil {
			return err
		}
		if rest := distribute(empty, lost); len(rest) > 0 {
			return r.damaged(r.inside.LogKey(empty[0].first), empty[0].first, fmt.Errorf("%d commits that it must have had do not fit into it", len(rest)))
		}
	}
	for _, h := range r.holes {
		if err := r.fillHole(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// lostEntry is an entry that was in a damaged batch.
type lostEntry struct {
	journal.Entry
	after, before int64 // its position was between these
	order         int   // among the entries of its stream
}

// lostEntries returns what the log has lost since the first hole that no page fills, as far as
// something in the log comes after it. The rest is at the end of the log, see addMissing.
func (r *repair) lostEntries(ctx context.Context, first *hole) (lost []lostEntry, err error) {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(r.streams)), headsAtOnce) {
		heads, errs, err := r.inside.Heads(ctx, repairing, names)
		if err != nil {
			return nil, err
		}
		for i, name := range names {
			if errs[i] != nil || heads[i].Version == 0 {
				continue // it is told later
			}
			entries, err := r.inside.Retell(ctx, repairing, name, heads[i], first.before.Covers)
			if isA[*eventstore.DamagedError](err) {
				s, _ := eventstore.ParseStream(name)
				r.note(Finding{Kind: EventUnreadable, Stream: s, Err: err})
				continue
			}
			if err != nil {
				return nil, err
			}
			settled, tail := r.lostOf(entries, first.from-1)
			lost, r.tail = append(lost, settled...), append(r.tail, tail...)
		}
	}
	return lost, nil
}

// lostOf returns those entries of a stream that the log has lost. All entries are not covered by
// what the log tells up to a position. The tail are those after which the log has none.
func (r *repair) lostOf(entries []journal.Entry, after int64) (lost, tail []lostEntry) {
	waiting := 0 // how many at the end of lost have no position before which they were
	for i, e := range entries {
		position, there := r.later[e.Slot]
		if !there {
			lost = append(lost, lostEntry{Entry: e, after: after, order: i})
			waiting++
			continue
		}
		for ; waiting > 0; waiting-- {
			lost[len(lost)-waiting].before = position
		}
		after = position
	}
	// A snapshot may tell that the log had them.
	for ; waiting > 0 && r.proven.Vector.Covers(lost[len(lost)-waiting].Slot); waiting-- {
		lost[len(lost)-waiting].before = r.proven.Position + 1
	}
	return lost[:len(lost)-waiting], lost[len(lost)-waiting:]
}

// distribute distributes entries among holes, so that each is in a hole within its bounds. It fills
// the holes from the last to the first, with what can only be there before the rest. It returns the
// entries that do not fit.
func distribute(holes []*hole, lost []lostEntry) (rest []lostEntry) {
	rest = slices.Clone(lost)
	slices.SortStableFunc(rest, func(a, b lostEntry) int { // the latest first
		return cmp.Or(cmp.Compare(b.after, a.after), cmp.Compare(a.Stream, b.Stream), cmp.Compare(b.order, a.order))
	})
	for _, h := range slices.Backward(holes) {
		var here, others []lostEntry
		blocked := map[string]bool{} // streams with an entry that must be before this hole
		room := h.to - h.from + 1
		for _, e := range rest {
			fits := e.after < h.from && e.before > h.from && h.to != 0 && int64(len(here)) < room
			if fits && !blocked[e.Stream] {
				here = append(here, e)
				continue
			}
			blocked[e.Stream] = blocked[e.Stream] || e.before > h.from && e.after < h.from
			others = append(others, e)
		}
		rest = others
		h.entries = inOrderOfTime(here)
	}
	return rest
}

// inOrderOfTime returns entries in the order of their times, and those of a stream in their own.
func inOrderOfTime(lost []lostEntry) (entries []journal.Entry) {
	chains := map[string][]lostEntry{}
	for _, e := range lost {
		chains[e.Stream] = append(chains[e.Stream], e)
	}
	for _, chain := range chains {
		slices.SortFunc(chain, func(a, b lostEntry) int { return cmp.Compare(a.order, b.order) })
	}
	for len(chains) > 0 {
		next := ""
		for name, chain := range chains {
			if next == "" {
				next = name
				continue
			}
			if c := cmp.Or(chain[0].Time.Compare(chains[next][0].Time), cmp.Compare(name, next)); c < 0 {
				next = name
			}
		}
		entries = append(entries, chains[next][0].Entry)
		if chains[next] = chains[next][1:]; len(chains[next]) == 0 {
			delete(chains, next)
		}
	}
	return entries
}

// fillHole writes the batches of a hole. Positions of which nothing tells are filled first, so that
// a reader that has read a part of the hole rather gets an entry again than misses it.
func (r *repair) fillHole(ctx context.Context, h *hole) error {
	batches := h.last - h.first + 1
	positions := h.to - h.from + 1
	if h.to == 0 {
		positions = batches * batchEntries // nothing tells how many there were, but not more
	}
	if positions < batches {
		return r.damaged(r.inside.LogKey(h.first), h.first, fmt.Errorf("it is one of %d batches with the positions %d to %d, which is not possible", batches, h.from, h.to))
	}
	entries := slices.Repeat([]journal.Entry{filler}, int(positions)-len(h.entries))
	unknown := len(entries)
	entries = append(entries, h.entries...)
	first := h.from
	for v := h.first; v <= h.last; v++ {
		// All but the last get one entry, so that none begins after a page that names it.
		part := entries[:1]
		if v == h.last {
			part = entries
		}
		batch := journal.Batch{First: first, Time: h.time, Entries: part}
		if err := r.held(); err != nil {
			return err
		}
		if err := r.inside.RewriteLog(ctx, repairing, v, rawBatch(batch)); err != nil {
			return err
		}
		entries, first = entries[len(part):], first+int64(len(part))
		how := fmt.Sprintf("derived from streams: positions %d to %d, %d of them without what they told", h.from, h.from+positions-1, unknown)
		if h.filled {
			how = "written again from pages of the log"
		}
		r.damage(r.inside.LogKey(v), errUnreadable, how)
	}
	if !h.filled {
		r.result.Moved = append(r.result.Moved, Range{Position(h.from), Position(h.from + positions - 1)})
	}
	return nil
}

// fixEntries derives damaged entries of journals. Since everybody who writes an entry writes the
// same bytes, the derived one is what was there.
func (r *repair) fixEntries(ctx context.Context) error {
	if len(r.entries) == 0 {
		return nil
	}
	bad := map[journal.Slot]badEntry{}
	for _, b := range r.entries {
		bad[b.slot] = b
	}
	// Most streams are legible. Only for the others, look at all.
	var names []string
	for _, b := range r.entries {
		if name, ok := legibleStream(b.data); ok {
			names = append(names, name)
		}
	}
	if err := r.deriveEntries(ctx, slices.Compact(slices.Sorted(slices.Values(names))), bad); err != nil {
		return err
	}
	if len(bad) > 0 {
		if err := r.deriveEntries(ctx, slices.Sorted(maps.Keys(r.streams)), bad); err != nil {
			return err
		}
	}
	if len(bad) > 0 && r.stored != nil {
		var part []string
		for s, err := range r.stored {
			if err != nil {
				return err
			}
			if part = append(part, s.String()); len(part) == headsAtOnce {
				if err := r.deriveEntries(ctx, part, bad); err != nil {
					return err
				}
				part = part[:0]
			}
		}
		if err := r.deriveEntries(ctx, part, bad); err != nil {
			return err
		}
	}
	for _, b := range r.entries {
		if _, left := bad[b.slot]; !left {
			continue
		}
		if err := r.replaceEntry(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// deriveEntries writes those of the bad entries again that streams tell of.
func (r *repair) deriveEntries(ctx context.Context, streams []string, bad map[journal.Slot]badEntry) error {
	for names := range slices.Chunk(streams, headsAtOnce) {
		heads, errs, err := r.inside.Heads(ctx, repairing, names)
		if err != nil {
			return err
		}
		for i, name := range names {
			if errs[i] != nil || heads[i].Version == 0 || len(bad) == 0 {
				continue
			}
			entries, err := r.inside.Retell(ctx, repairing, name, heads[i], r.state.Vector.Covers)
			if err != nil && !isA[*eventstore.DamagedError](err) {
				return err
			}
			for _, e := range entries {
				b, ok := bad[e.Slot]
				if !ok {
					continue
				}
				if err := r.writeEntry(ctx, e); err != nil {
					return err
				}
				delete(bad, e.Slot)
				r.damage(r.name.Key(e.Slot), b.err, "derived from stream "+e.Stream)
			}
		}
	}
	return nil
}

func (r *repair) writeEntry(ctx context.Context, e journal.Entry) error {
	return r.write(ctx, r.name.Partition(e.Journal), driver.Write{Key: r.name.Key(e.Slot), Value: e.Encode(r.name)})
}

// replaceEntry replaces an entry of which no stream tells. If it names a stream, the name takes its
// place: it was a name, or the stream was deleted. Otherwise it is removed. Then its number stays
// open, and the next append of its stream brings what it told.
func (r *repair) replaceEntry(ctx context.Context, b badEntry) error {
	key := r.name.Key(b.slot)
	if name, ok := legibleStream(b.data); ok {
		if err := r.writeEntry(ctx, journal.Entry{Slot: b.slot, What: journal.Named, Stream: name}); err != nil {
			return err
		}
		r.damage(key, b.err, "replaced by the name of stream "+name)
		return nil
	}
	if err := r.write(ctx, r.name.Partition(b.slot.Journal), driver.Write{Key: key}); err != nil {
		return err
	}
	r.damage(key, b.err, "removed, because nothing tells what it was")
	return nil
}

// addMissing appends to the log what it has lost at its end, and what it has taken over without an
// entry.
func (r *repair) addMissing(ctx context.Context) error {
	ix := &indexer{Feed: r.Feed}
	if err := ix.load(ctx, r.session); err != nil {
		return err
	}
	if err := r.addUntold(ctx, ix); err != nil {
		return err
	}
	added, err := r.addTail(ctx, ix)
	if err != nil {
		return err
	}
	if r.lost > 0 {
		if err := r.addBehind(ctx, ix); err != nil {
			return err
		}
	}
	if r.derived || r.lost > 0 {
		if err := r.endJournals(ctx, ix); err != nil {
			return err
		}
	}
	for _, g := range r.gaps {
		from := max(g.from, added[g.stream]+1)
		if from > g.ticket.To {
			continue
		}
		e := journal.Entry{Slot: g.ticket.Slot, What: journal.Adopted, Stream: g.stream, From: from, To: g.ticket.To}
		if err := ix.append(ctx, r.session, journal.Batch{First: ix.state.Position + 1, Entries: []journal.Entry{e}}); err != nil {
			return err
		}
		r.missing(g.stream, from, g.ticket.To, fmt.Sprintf("added at position %d", ix.state.Position))
	}
	r.result.End = Position(ix.state.Position)
	if ix.version > 0 && (r.derived || r.lost > 0 || r.noList || len(r.snapshots) > 0) {
		return r.session.SaveSnapshot(ctx, ix.version, rawState(ix.state))
	}
	return nil
}

// addTail appends the entries that damaged batches had, and after which the log has none of their
// streams. It returns up to which version it did so.
func (r *repair) addTail(ctx context.Context, ix *indexer) (added map[string]int64, err error) {
	added = map[string]int64{}
	tail := slices.DeleteFunc(r.tail, func(e lostEntry) bool { return r.standing[e.Slot] }) // those are not in the log yet
	for _, e := range tail {
		if k := r.streams[e.Stream]; k == nil || k.begun == 0 && !k.listed { // a mark that is left would hide it
			if err := r.write(ctx, r.name.Log(), driver.Write{Key: r.name.Mark(e.Stream)}); err != nil {
				return nil, err
			}
		}
	}
	for entries := range slices.Chunk(inOrderOfTime(tail), batchEntries) {
		if err := ix.append(ctx, r.session, journal.Batch{First: ix.state.Position + 1, Entries: entries}); err != nil {
			return nil, err
		}
		for _, e := range entries {
			added[e.Stream] = max(added[e.Stream], e.To)
		}
	}
	return added, nil
}

// addBehind appends what streams tell that the log does not have, because it has lost its last
// batches.
func (r *repair) addBehind(ctx context.Context, ix *indexer) error {
	found := candidates{}
	for names := range slices.Chunk(r.behind, headsAtOnce) {
		heads, errs, err := r.inside.Heads(ctx, repairing, names)
		if err != nil {
			return err
		}
		for i, name := range names {
			if errs[i] != nil {
				continue
			}
			entries, err := r.inside.Retell(ctx, repairing, name, heads[i], ix.state.Vector.Covers)
			if err != nil && !isA[*eventstore.DamagedError](err) {
				return err
			}
			for _, e := range entries {
				found[e.Slot] = e
			}
		}
	}
	for {
		batch := ix.order(found)
		if len(batch.Entries) == 0 {
			return nil
		}
		if err := ix.append(ctx, r.session, batch); err != nil {
			return err
		}
	}
}

// addUntold leaves out positions that may have been in the log before its head was lost. So none of
// them comes again with something else.
func (r *repair) addUntold(ctx context.Context, ix *indexer) error {
	if r.lost == 0 {
		return nil
	}
	first := ix.state.Position + 1
	for range r.lost {
		batch := journal.Batch{First: ix.state.Position + 1, Entries: slices.Repeat([]journal.Entry{filler}, batchEntries)}
		if err := ix.append(ctx, r.session, batch); err != nil {
			return err
		}
	}
	r.result.Moved = append(r.result.Moved, Range{Position(first), Position(ix.state.Position)})
	return nil
}

// endJournals ends journals whose end stands, but waits for numbers of which nothing tells any
// more: a process ends a journal only when all its entries stand, so the log has had them. They
// were names of streams.
func (r *repair) endJournals(ctx context.Context, ix *indexer) error {
	var ended []journal.Entry
	for _, id := range slices.Sorted(maps.Keys(r.ends)) {
		e, p := r.ends[id], ix.state.Vector[id]
		if p.Ended || ix.state.Vector.Ready(e) {
			continue
		}
		stands := false
		for slot := range r.standing {
			stands = stands || slot.Journal == id && slot.Number < e.Number && !p.Covers(slot.Number)
		}
		if !stands {
			ended = append(ended, e)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	return ix.append(ctx, r.session, journal.Batch{First: ix.state.Position + 1, Entries: ended})
}
