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

// adopt swaps the head for one whose ticket tells everything, if the present one does not. The swap
// changes neither version nor commit, so to a session it is like a trim. (Rule F5)
func (h *streamHandle) adopt(ctx context.Context, operation string) error {
	hd, etag, err := h.readHead(ctx, operation)
	if err != nil || hd.version == 0 || hd.ticketed() {
		return err
	}
	w := newWriter(h, openedStream{head: hd, etag: etag})
	if err := w.standing(ctx, true); err != nil {
		return h.failed(operation, err)
	}
	n, err := h.journals.give(ctx)
	if err != nil {
		return h.failed(operation, err)
	}
	next := hd
	next.ticket = journal.Ticket{Slot: n.Slot, From: w.notCovered(), To: hd.version, After: hd.ticket.Slot, Alone: journal.Adopted}
	if hd.closed {
		next.ticket.Alone = journal.Closed
	}
	err = h.state.Swap(ctx, h.keys.partition, driver.Swap{Key: h.keys.head(), Value: next.encode(h.keys.partition), ETag: etag})
	switch {
	case err == nil:
		n.used(h.entryOfHead(next))
	case refused(err):
		n.unused()
		return h.failed(operation, err)
	default:
		now, _, readErr := h.readHead(ctx, operation)
		switch before := hd.ticket.Slot; {
		case readErr != nil:
			return h.failed(operation, err)
		case now.ticket.Slot == n.Slot:
			n.used(h.entryOfHead(now))
		case now.version > hd.version && !before.IsZero() && (now.ticket.Slot == before || now.ticket.After == before):
			n.unused() // another commit took the place of the swap
		}
		// Otherwise the number stays undecided, because the swap may still take effect, or may have
		// done so before other commits. The walk comes by again.
	}
	return nil
}
