package eventstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file is what a repair of the feed needs of the core.

// Retell returns the entries of a stream that are not covered, the oldest first, as the stream
// alone tells them. Unlike Derive, it needs no journals: the log has deleted their entries. What
// writers without a feed did is one adopted entry, even if it was several.
func (in Inside) Retell(ctx context.Context, operation, name string, hd StreamHead, covers func(journal.Slot) bool) ([]journal.Entry, error) {
	h, err := in.named(name)
	if err != nil {
		return nil, err
	}
	entries, err := h.retell(ctx, operation, hd.head, covers)
	slices.Reverse(entries)
	return entries, err
}

// retell is Retell with the newest entry first.
func (h *streamHandle) retell(ctx context.Context, operation string, hd head, covers covered) (entries []journal.Entry, err error) {
	slot, upper := hd.ticket.Slot, hd.ticket.To // of the entry to find next
	if covers(slot) {
		return nil, nil
	}
	if hd.ticket.Alone != "" {
		entries = append(entries, h.entryOfHead(hd))
		slot, upper = hd.ticket.After, hd.ticket.From-1
	}
	adopted := func(from int64, after journal.Slot) {
		entries = append(entries, journal.Entry{Slot: slot, What: journal.Adopted, Stream: h.keys.partition, From: from, To: upper, After: after})
		slot, upper = after, from-1
	}
	var e unfinished
	for c := range h.chunks(ctx, operation, hd, span{first: hd.first, last: upper, backwards: true}) {
		if c.err != nil {
			return nil, c.err
		}
		for i, data := range slices.Backward(c.data) {
			version := c.from + int64(i)
			if covers(slot) {
				return entries, nil
			}
			if version > upper {
				continue
			}
			if data == nil && hd.deleted {
				return entries, nil // the rest is gone
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
				if t.IsZero() {
					continue // it belongs to an entry that no event carries
				}
				if t.Slot != slot {
					if adopted(version+1, t.Slot); covers(slot) {
						return entries, nil
					}
				}
				e = unfinished{Entry: h.entryOf(t, r.commit)}
			}
			if !e.add(r, raw.Type) {
				continue
			}
			entries, slot, upper, e = append(entries, e.Entry), e.After, e.From-1, unfinished{}
		}
	}
	if !covers(slot) && !hd.deleted && upper >= hd.first {
		adopted(hd.first, journal.Slot{})
	}
	return entries, nil
}

// RewriteLog writes a version of the log again that is damaged. The caller has the log's lease.
func (in Inside) RewriteLog(ctx context.Context, operation string, version int64, raw Raw) error {
	h := in.p.journals.logHandle()
	hd, _, err := h.readHead(ctx, operation)
	if err != nil {
		return err
	}
	if version < 1 || version > hd.version {
		return h.failed(operation, fmt.Errorf("the log has no version %d", version))
	}
	id, err := newCommitID()
	if err != nil {
		return h.failed(operation, err)
	}
	commit := id
	if version == hd.version {
		commit = hd.commit
	}
	var m Metadata
	m.Message.ID, m.Message.Created = id, time.Now()
	m.Context.SequenceNumber, m.Context.Timestamp = version, m.Message.Created
	r := encodeEvent(h.keys.partition, commit, m, raw)
	if err := h.state.Write(ctx, h.keys.partition, []driver.Write{{Key: h.keys.event(version), Value: r.data}}); err != nil {
		return h.failed(operation, err)
	}
	return nil
}

// RebuildLogHead is [Provider.RebuildHead] for the log. It also returns how many events may be lost
// with the old head.
func (in Inside) RebuildLogHead(ctx context.Context) (found HeadRebuild, lost int, err error) {
	h := in.p.journals.logHandle()
	ctx, o := observe(ctx, in.p.observer, in.p.hasher, Operation{Name: OpRebuildHead, Stream: h.Stream, Expected: -1})
	defer o.end(&err)
	if !h.caps.Atomic {
		lost = h.settings.TailEvents
	}
	found, err = in.p.rebuildHead(ctx, &o, h, nil)
	return found, lost, err
}

// LookAtRoot makes the provider look at the root before its next number, and name its journals
// there again if they are missing. (Rule F14)
func (in Inside) LookAtRoot() {
	j := in.p.journals
	j.mu.Lock()
	defer j.mu.Unlock()
	j.checked = time.Time{}
}
