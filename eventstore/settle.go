package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// writeUnsettled writes the events that are not known to stand under their own keys. Then all of the tail
// stands.
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

// settle writes the events of the tail under their own keys. It comes after the commit
// (Rule 2) and can fail without harm: the tail keeps what is not known to stand.
func (w *writer) settle(ctx context.Context) {
	if time.Since(w.told) >= etagTrust {
		return // the store may have lost what the head held then
	}
	if len(w.unsettled) > 0 {
		if err := w.writeUnsettled(ctx); err != nil {
			w.log.WarnContext(ctx, "events stay in the head until the next append", "version", w.head.version, "count", len(w.unsettled), "error", err)
			return
		}
	}
	w.trim(ctx)
}

// trim drops a long tail from the head once all of it stands. (Rule 11)
func (w *writer) trim(ctx context.Context) {
	size, carried := 0, 0
	for _, r := range w.head.tail {
		size += len(r.data)
		if r.commit != w.head.commit {
			carried++
		}
	}
	if size < trimBytes && carried < trimCarried {
		return
	}
	if _, err := w.refresh(ctx, "trim the head"); err != nil {
		return // whoever writes next has the same chance
	}
	if len(w.head.tail) == 0 || len(w.unsettled) > 0 { // it may be the head of somebody else by now
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

// fitsTransaction reports whether the commit can be one transaction.
func (w *writer) fitsTransaction(c commit) bool {
	if !w.caps.Atomic {
		return false
	}
	if w.caps.MaxCommitWrites == 0 && w.caps.MaxRequestBytes == 0 {
		return true
	}
	writes, size := 0, w.headBytes()
	for _, records := range [...][]record{w.carry(), c.events} {
		for _, r := range records {
			writes++
			size += w.requestBytes(w.keys.longest(), len(r.data))
			if r.idempotencyID != "" {
				writes++
				size += w.requestBytes(len(w.keys.idempotency(r.idempotencyID)), len(w.keys.partition)+3*len(r.idempotencyID)+256)
			}
		}
	}
	return (w.caps.MaxCommitWrites == 0 || writes <= w.caps.MaxCommitWrites) &&
		(w.caps.MaxRequestBytes == 0 || size <= w.caps.MaxRequestBytes)
}

// tooLarge returns a BatchTooLargeError if no head can carry the new events. (Rule 11)
func (w *writer) tooLarge(c commit) error {
	limit := w.caps.MaxRequestBytes
	if alone := w.headBytes() + size(c.events); limit > 0 && alone > limit && !w.fitsTransaction(c) {
		return &BatchTooLargeError{Stream: w.Stream, Size: alone, Limit: limit}
	}
	return nil
}

// makeRoom sees to it that the head can carry the new events, or says that it can't: by settling the old
// tail first if both together are too large. (Rule 11)
func (w *writer) makeRoom(ctx context.Context, c commit) error {
	limit := w.caps.MaxRequestBytes
	if limit == 0 || w.fitsTransaction(c) {
		return nil
	}
	if err := w.tooLarge(c); err != nil || w.headBytes()+size(c.events)+size(w.carry()) <= limit {
		return err
	}
	if err := w.seen(ctx, "append"); err != nil {
		return err
	}
	if err := w.writeUnsettled(ctx); err != nil {
		return w.failed("append", err)
	}
	return nil
}
