package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file finds out, from a stream itself, what should stand in journals. A commit whose process
// crashed before its entry stood is found in this way. (Rule F8)

// covered reports whether the log has taken over the entry of a slot.
type covered func(journal.Slot) bool

// notStanding says that an entry can be derived from nothing and does not stand. Unless reads are
// stale, the log has taken it over since its state was read.
type notStanding struct{ slot journal.Slot }

func (e *notStanding) Error() string {
	return fmt.Sprintf("the entry %s is neither in the log nor in its journal, and the stream does not tell of it", e.slot)
}

// chain returns the entries of a stream's commits that are not covered, the newest first. It begins
// with the commit whose last event has that version and whose ticket is for that slot. It follows
// the tickets down to the first that is covered. What the events do not tell it reads from the
// journals: entries that no event carries, and those of a deleted stream that is being swept. (Rule
// F10) With a notStanding error, the entries so far are right.
func (h *streamHandle) chain(ctx context.Context, operation string, hd head, version int64, slot journal.Slot, covers covered) (entries []journal.Entry, err error) {
	if covers(slot) {
		return nil, nil
	}
	highest := version // that the rest of the chain may be about
	var e unfinished
	// standing reads entries from the journals, down to the one whose ticket the event of a version
	// carries, or until they are about earlier versions.
	standing := func(version int64, carried journal.Slot) error {
		for slot != carried && version <= highest && !covers(slot) {
			alone, err := h.standingEntry(ctx, operation, slot)
			if err != nil {
				return err
			}
			entries, slot, highest = append(entries, alone), alone.After, alone.From-1
		}
		return nil
	}
	for c := range h.chunks(ctx, operation, hd, span{first: 1, last: version, backwards: true}) {
		if c.err != nil {
			return nil, c.err
		}
		for i, data := range slices.Backward(c.data) {
			version := c.from + int64(i)
			if version > highest {
				continue
			}
			if data == nil && hd.deleted {
				e = unfinished{} // its types would be incomplete
				if err := standing(version, journal.Slot{}); err != nil || covers(slot) {
					return entries, err
				}
				continue
			}
			if data == nil {
				return nil, h.damaged(h.keys.event(version), version, errMissing)
			}
			r, _, raw, err := decodeEventAt(h.Stream, h.keys.partition, version, data)
			if err != nil {
				return nil, h.damaged(h.keys.event(version), version, err)
			}
			if e.IsZero() {
				t := r.ticket
				if err := standing(version, t.Slot); err != nil || covers(slot) {
					return entries, err
				}
				if version > highest {
					continue
				}
				if t.To != version {
					return nil, h.damaged(h.keys.event(version), version, fmt.Errorf("it has the ticket of version %d", t.To))
				}
				e = unfinished{Entry: h.entryOf(t, r.commit)}
			}
			if !e.add(r, raw.Type) {
				continue
			}
			entries, slot, highest, e = append(entries, e.Entry), e.After, e.From-1, unfinished{}
			if covers(slot) {
				return entries, nil
			}
		}
	}
	return entries, &notStanding{slot}
}

// standingEntry reads an entry from its journal. It returns a notStanding error if there
// is none.
func (h *streamHandle) standingEntry(ctx context.Context, operation string, slot journal.Slot) (journal.Entry, error) {
	feed := h.journals.feed
	item, err := h.state.Get(ctx, feed.Partition(slot.Journal), feed.Key(slot))
	if err != nil {
		return journal.Entry{}, h.failed(operation, err)
	}
	if !item.Found() {
		return journal.Entry{}, &notStanding{slot}
	}
	e, err := journal.DecodeEntry(feed, slot, item.Value)
	if err == nil && e.Stream != h.keys.partition {
		err = errors.New("it is about another stream")
	}
	if err != nil {
		return journal.Entry{}, h.damaged(item.Key, 0, err)
	}
	return e, nil
}

// unfinished is an entry that is put together from the events of its commit, the newest first.
type unfinished struct {
	journal.Entry
	types []string // of the events, the newest first
	mixed bool     // it covers events of other commits
}

// add adds an event. It reports whether the entry is complete.
func (u *unfinished) add(event record, eventType string) (complete bool) {
	u.types = append(u.types, eventType)
	u.mixed = u.mixed || event.commit != u.Commit
	if event.version > u.From {
		return false
	}
	if !u.mixed {
		u.Types = eachOnce(u.types)
	}
	return true
}

// eachOnce returns the types of events, given the newest first, in the order of the events.
func eachOnce(newestFirst []string) (types []string) {
	for _, t := range slices.Backward(newestFirst) {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// derive returns the entries that should stand in journals for a stream, as its head tells, and
// that are not covered. The oldest comes first.
func (h *streamHandle) derive(ctx context.Context, operation string, hd head, covers covered) (entries []journal.Entry, err error) {
	t := hd.ticket
	if covers(t.Slot) {
		return nil, nil
	}
	if t.Alone == "" {
		entries, err = h.chain(ctx, operation, hd, t.To, t.Slot, covers)
	} else {
		entries, err = h.chain(ctx, operation, hd, t.From-1, t.After, covers)
		if err == nil || isA[*notStanding](err) {
			entries = slices.Insert(entries, 0, h.entryOfHead(hd))
		}
	}
	slices.Reverse(entries)
	return entries, err
}

// journalChain makes the entries of a deleted stream stand, before the events that tell of them are
// removed. (Rule F10)
func (w *writer) journalChain(ctx context.Context, operation string) error {
	if w.journals == nil || w.head.ticket.IsZero() {
		return nil
	}
	var entries []journal.Entry
	for n := 0; ; n++ {
		if !backoff(ctx, n) {
			return w.failed(operation, contextErr(ctx))
		}
		state, err := readLog(ctx, newReader(w.journals.logHandle()))
		if err != nil {
			return err
		}
		entries, err = w.derive(ctx, operation, w.head, state.Vector.Covers)
		if err == nil {
			break
		}
		missing, ok := err.(*notStanding)
		if !ok {
			return err
		}
		if n >= readAttempts {
			return w.damaged(w.journals.feed.Key(missing.slot), 0, err)
		}
	}
	byJournal := map[string][]driver.Write{}
	var ids []string
	for _, e := range entries {
		if byJournal[e.Journal] == nil {
			ids = append(ids, e.Journal)
		}
		byJournal[e.Journal] = append(byJournal[e.Journal], w.journals.entryWrite(e))
	}
	for _, id := range ids {
		if err := w.state.Write(ctx, w.journals.feed.Partition(id), byJournal[id]); err != nil {
			return w.failed(operation, err)
		}
	}
	return nil
}
