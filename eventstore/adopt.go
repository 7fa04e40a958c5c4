package eventstore

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// ticketed reports whether the head's ticket tells all that happened to the stream. It does not
// after a writer without a feed has appended, or has closed the stream. Such a writer deletes no
// stream that has a ticket.
func (h head) ticketed() bool {
	return h.deleted || h.ticket.To >= h.version && (!h.closed || h.ticket.Alone == journal.Closed)
}

// replaces reports whether a head is certainly a later one than another. A different ETag does not
// prove that, because a read may be stale.
func (h head) replaces(other head) bool {
	return h.version > other.version ||
		h.version == other.version && (len(h.tail) < len(other.tail) || h.closed && !other.closed)
}

// adopt swaps the head for one whose ticket tells everything, if the present one does not. The swap
// changes neither version nor commit, so to a session it is like a trim. (Rule F5)
func (h *streamHandle) adopt(ctx context.Context, operation string) error {
	return h.adoptNamed(ctx, operation, false)
}

// adoptNamed is adopt for a stream whose name may be known to stand.
func (h *streamHandle) adoptNamed(ctx context.Context, operation string, named bool) error {
	hd, etag, err := h.readHead(ctx, operation)
	if err != nil || hd.version == 0 || hd.ticketed() {
		return err
	}
	w := newWriter(h, openedStream{head: hd, etag: etag})
	w.shared, w.named = true, named
	if err := w.standing(ctx, h.journals, true); err != nil {
		return h.failed(operation, err)
	}
	n, err := h.journals.give(ctx)
	if err != nil {
		return h.noNumber(operation, err)
	}
	if _, err := w.refresh(ctx, operation); err != nil { // since the requests may have taken long (Rule 1)
		n.unused()
		return err
	}
	if w.head.ticket != hd.ticket || w.head.ticketed() {
		n.unused() // another writer came first, and the walk comes by again
		return nil
	}
	next := w.head
	next.ticket = journal.Ticket{Slot: n.Slot, From: w.notCovered(), To: next.version, After: hd.ticket.Slot, Alone: journal.Adopted}
	if next.closed {
		next.ticket.Alone = journal.Closed
	}
	err = h.state.Swap(ctx, h.keys.partition, driver.Swap{Key: h.keys.head(), Value: next.encode(h.keys.partition), ETag: w.etag})
	switch {
	case err == nil:
		n.used(h.journals.entryWrite(h.entryOfHead(next)))
		return nil
	case refused(err):
		n.unused()
		return h.failed(operation, err)
	}
	now, _, readErr := h.readHead(ctx, operation)
	if readErr != nil {
		return h.failed(operation, err)
	}
	switch last := hd.ticket; {
	case now.ticket.Slot == n.Slot || now.ticket.After == n.Slot:
		n.used(h.journals.entryWrite(h.entryOfHead(next)))
	case !last.IsZero() && (now.ticket == last && now.replaces(next) || now.ticket.After == last.Slot):
		n.unused() // another swap took the place of this one
	}
	// Otherwise the number stays undecided, because the swap may still take effect, or may have
	// done so before other commits. The walk comes by again.
	return nil
}
