package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// writeUnsettled stores the events that are not known to be stored under their own keys. Then all
// records of the tail are stored there.
func (w *writer) writeUnsettled(ctx context.Context) error {
	sent, current := time.Now(), w.current()
	if err := w.state.Write(ctx, w.keys.partition, w.eventWrites(w.unsettled)); err != nil {
		return err
	}
	w.unsettled, w.known = nil, time.Now()
	if current && w.known.Sub(sent) < vouches {
		w.told = w.known
	}
	return nil
}

// settle stores the events of the tail under their own keys. It comes after the commit (Rule 2) and
// can fail without harm, because the tail keeps what is not known to be stored.
func (w *writer) settle(ctx context.Context) {
	if time.Since(w.told) >= etagTrust {
		return // the store may have lost what the head held then
	}
	if len(w.unsettled) > 0 && !w.tailIsFull() {
		return
	}
	if len(w.unsettled) > 0 {
		if err := w.writeUnsettled(ctx); err != nil {
			w.log.WarnContext(ctx, "events stay in the head until the next append", "version", w.head.version, "count", len(w.unsettled), "error", err)
			return
		}
	}
	w.trim(ctx)
}

// tailBytes limits the bytes of events that only the head holds, see Settings.TailEvents.
const tailBytes = 16 << 10

// tailIsFull reports whether the head carries as many events as it may. Every append writes them
// again, every reader of the head transfers them, and a lost head costs them.
//
// The first event of a stream shows that a head is missing. (Rule 7) So a shared session stores it
// at once, and an exclusive session when it closes.
func (w *writer) tailIsFull() bool {
	begins := w.unsettled[0].version == 1 && w.unsettled[0].commit == w.head.commit
	return w.caps.Atomic || begins && w.shared || len(w.unsettled) >= w.settings.TailEvents || size(w.unsettled) >= tailBytes
}

// settleAtEnd stores the events that an exclusive session's own appends left in the head. The
// session releases its lock at the same time. Nothing depends on the lock here, because these
// writes change nothing that is committed. (Rules 4 and 8)
func (w *writer) settleAtEnd(ctx context.Context) {
	if w.shared || !w.appended || len(w.unsettled) == 0 || w.undecided() {
		return
	}
	err := w.seen(ctx, "close")
	if err == nil && len(w.unsettled) > 0 {
		err = w.writeUnsettled(ctx)
	}
	if err != nil {
		w.log.WarnContext(ctx, "events stay in the head until the next append", "version", w.head.version, "count", len(w.unsettled), "error", err)
	}
}

// trim removes a tail of trimBytes or more, because every reader of the head transfers it. It also
// removes a tail with trimCarried or more records of earlier commits, unless the writer is quick:
// then its next head drops them. Every session stores such records under their own keys again,
// because it does not know that they are there.
const (
	trimBytes   = 64 << 10
	trimCarried = 4
)

// trim removes a long tail from the head once all of it is stored under its own keys. (Rule 11)
func (w *writer) trim(ctx context.Context) {
	size, carried := 0, 0
	for _, r := range w.head.tail {
		size += len(r.data)
		if r.commit != w.head.commit {
			carried++
		}
	}
	if size < trimBytes && (carried < trimCarried || w.quick && !w.caps.Atomic) {
		return
	}
	if _, err := w.refresh(ctx, "trim the head"); err != nil {
		return // the next writer has the same chance
	}
	if len(w.head.tail) == 0 || len(w.unsettled) > 0 { // refresh may have adopted the head of another writer
		return
	}
	trimmed := w.head
	trimmed.tail = nil
	if err := w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: trimmed.encode(w.keys.partition), ETag: w.etag}); err != nil {
		w.fresh = false
		w.log.DebugContext(ctx, "the head keeps its tail", "version", w.head.version, "error", err)
		return
	}
	w.written(trimmed)
}
