package eventstore

import (
	"context"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// fitsTransaction reports whether the commit fits into one transaction.
func (w *writer) fitsTransaction(c commit) bool { return w.fitsWith(w.carry(), c) }

// fitsWith reports whether the commit fits into one transaction together with the records of a
// tail.
func (w *writer) fitsWith(tail []record, c commit) bool {
	if !w.caps.Atomic {
		return false
	}
	if w.caps.MaxCommitWrites == 0 && w.caps.MaxRequestBytes == 0 {
		return true
	}
	writes, size := 0, w.headBytes()
	if c.number.own != nil && w.carriesEntries() {
		writes++
		size += w.requestBytes(len(c.entry.Key)+len(c.entry.Partition), len(c.entry.Value))
	}
	for _, b := range c.beside {
		writes++
		size += w.requestBytes(len(b.Key)+len(b.Partition), len(b.Value))
	}
	for _, records := range [...][]record{tail, c.events} {
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

// tooLarge returns a BatchTooLargeError if neither a head nor a transaction can carry the new
// events. (Rule 11)
func (w *writer) tooLarge(c commit) error {
	limit := w.caps.MaxRequestBytes
	if alone := w.headBytes() + size(c.events); limit > 0 && alone > limit && !w.fitsTransaction(c) {
		return &BatchTooLargeError{Stream: w.Stream, Size: alone, Limit: limit}
	}
	return nil
}

// makeRoom makes sure that the head can carry the new events, or returns why it cannot. If they are
// too large together with the old tail, it first stores the events of the old tail under their own
// keys. (Rule 11)
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

// size returns how many bytes records take of a head.
func size(records []record) (n int) {
	for _, r := range records {
		n += len(r.data) + 40 // the line for it in the head's header
	}
	return n
}

// requestBytes returns an upper bound of how many bytes a key and its value take of a request to
// the store. It includes the partition and the options that go with them.
func (h *streamHandle) requestBytes(keyBytes, valueBytes int) int {
	return keyBytes + valueBytes + len(h.keys.partition) + 256
}

// headBytes returns requestBytes for a head without its tail.
func (h *streamHandle) headBytes() int {
	fields := 256
	if h.journals != nil {
		fields += ticketBytes
	}
	return h.requestBytes(len(h.keys.head()), len(h.keys.partition)+fields)
}

// fitsRequest returns a BatchTooLargeError if the store can't take the write in one request.
func (h *streamHandle) fitsRequest(w driver.Write) error {
	if size, limit := h.requestBytes(len(w.Key), len(w.Value)), h.caps.MaxRequestBytes; limit > 0 && size > limit {
		return &BatchTooLargeError{Stream: h.Stream, Size: size, Limit: limit}
	}
	return nil
}

// tooLarge returns a BatchTooLargeError if the drafts certainly do not fit into one request, before
// anything is sent. It does not measure drafts that are far below the limit.
func (s *Session) tooLarge(drafts []draft) error {
	size := 0
	for _, d := range drafts {
		size += len(d.raw.Payload) + 3*customBytes(d.metadata.Custom) // a byte may become %XX
	}
	if limit := s.handle.caps.MaxRequestBytes; limit == 0 || size < limit/2 {
		return nil
	}
	c := commit{base: s.writer.head.version, events: make([]record, len(drafts))}
	for i, d := range drafts {
		d.metadata.Context.SequenceNumber = c.base + int64(i) + 1
		c.events[i] = encodeEvent(s.handle.keys.partition, uuid.Nil.String(), d.metadata, d.raw)
	}
	return s.writer.tooLarge(c)
}
