package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// CloseStream closes the stream for further appends, forever. From then on, an append in any
// session returns a [StreamClosedError]. Reading and snapshots go on as before. Closing a stream
// again does nothing.
//
// CloseStream returns a [VersionMismatchError] if the stream is not at the expected version, an
// [ArgumentError] if it is empty, and a [StreamDeletedError] if it was deleted. It also returns the
// errors of a session that has ended. After a [StorageError] it may have taken effect, and is safe
// to repeat.
func (s *Session) CloseStream(ctx context.Context, expected Expected) (err error) {
	ctx, o := s.observeExpecting(ctx, OpCloseStream, expected, 0)
	defer o.end(&err)
	return s.endStream(ctx, "close the stream", expected, func(ctx context.Context) error {
		w := s.writer
		err := w.end(ctx, "close the stream", expected, journal.Closed, func(now head) (next head, done bool, err error) {
			if now.version == 0 {
				return head{}, false, &ArgumentError{Argument: "stream", Reason: fmt.Sprintf("%s is empty: there is nothing to close", w.Stream)}
			}
			next = now
			next.closed, next.tail = true, w.carry()
			return next, now.closed && !now.deleted, nil
		})
		if err == nil {
			o.result.Version = w.head.version
			w.log.DebugContext(ctx, "closed the stream", "session", s.id, "version", w.head.version)
		}
		return err
	})
}

// DeleteStream deletes the stream, forever: its events, its idempotency keys and its snapshots.
// What remains is a head that says so, one version above the last event. So nothing can begin at
// version 1 again under that name.
//
// From then on, every operation on the stream returns a [StreamDeletedError], except for opening a
// session and DeleteStream itself. DeleteStream then removes what is still stored. Call it again if
// it was interrupted, or if a late request of a writer may have stored something since. Such data
// no longer counts, wherever it is. On a SQL store, a call that looks for late data may miss some
// of it if its connection breaks.
//
// DeleteStream returns a [VersionMismatchError] if the stream is not at the expected version. It
// returns an [ArgumentError] if the stream never had an event, because its name is probably
// mistyped. It also returns the errors of a session that has ended. After a [StorageError] it may
// have taken effect, wholly or in part, and is safe to repeat.
func (s *Session) DeleteStream(ctx context.Context, expected Expected) (err error) {
	ctx, o := s.observeExpecting(ctx, OpDeleteStream, expected, 0)
	defer o.end(&err)
	return s.deleteStream(ctx, &o, expected, func(now head) error {
		if now.version == 0 && !now.deleted && (expected.any || expected.version == 0) {
			return &ArgumentError{Argument: "stream", Reason: fmt.Sprintf("%s never had an event: there is nothing to delete; is its name right?", s.writer.Stream)}
		}
		return nil
	})
}

// deleteStream implements DeleteStream. It calls allowed with the current head to check whether
// that stream may be deleted.
func (s *Session) deleteStream(ctx context.Context, o *observation, expected Expected, allowed func(now head) error) error {
	const operation = "delete the stream"
	return s.endStream(ctx, operation, expected, func(ctx context.Context) error {
		w := s.writer
		id, err := newCommitID()
		if err != nil {
			return w.failed(operation, err)
		}
		err = w.end(ctx, operation, expected, journal.Deleted, func(now head) (next head, done bool, err error) {
			if err := allowed(now); err != nil {
				return head{}, false, err
			}
			if w.journals == nil && !now.ticket.IsZero() {
				return head{}, false, &ArgumentError{Argument: "provider", Reason: fmt.Sprintf("the stream %s is in a feed, so only a provider with that feed can delete it: see WithFeed", w.Stream)}
			}
			version := now.version + 1
			return head{version: version, first: version + 1, commit: id, closed: true, deleted: true, size: now.size}, now.deleted, nil
		})
		if err != nil {
			return err
		}
		if err := w.journalChain(ctx, operation); err != nil {
			return err
		}
		if err := w.sweep(ctx, operation, w.head); err != nil {
			return err
		}
		w.markSwept(ctx, operation)
		o.result.Version = w.head.version
		w.log.DebugContext(ctx, "deleted the stream", "session", s.id, "version", w.head.version)
		return nil
	})
}

// endStream runs an operation that closes or deletes the stream, while no other operation uses the
// session's writer.
func (s *Session) endStream(ctx context.Context, operation string, expected Expected, run func(context.Context) error) error {
	if err := s.check(); err != nil {
		return err
	}
	if !expected.any && expected.version < 0 {
		return &ArgumentError{Argument: "expected", Reason: fmt.Sprintf("version %d is negative", expected.version)}
	}
	return s.exclusively(ctx, operation, run)
}

// end swaps the head for one that allows no further appends, unless that is done already. change
// makes the new head from the current one. To do it twice is harmless, so after a lost answer end
// only needs to look at the head again.
func (w *writer) end(ctx context.Context, operation string, expected Expected, what journal.What, change func(now head) (next head, done bool, err error)) error {
	var n number
	if w.journals != nil {
		var err error
		if n, err = w.journals.give(ctx); err != nil {
			return w.noNumber(operation, err)
		}
	}
	w.sent, w.together = false, false
	err := w.endNumbered(ctx, operation, expected, n, what, change)
	ticket := w.head.ticket
	over := w.head.deleted || w.head.closed && what == journal.Closed
	switch {
	case n.own == nil:
	case ticket.Slot == n.Slot && w.together:
		n.stands()
		w.journals.tell()
	case ticket.Slot == n.Slot:
		n.used(w.journals.entryWrite(w.entryOfHead(w.head)))
	case ticket.After == n.Slot: // whoever deleted the stream after it was closed made the entry stand
		n.stands()
	case !w.sent || over && !ticket.IsZero(): // another writer came first, for good
		n.unused()
	}
	return err
}

// endNumbered is end with a number for its entry.
func (w *writer) endNumbered(ctx context.Context, operation string, expected Expected, n number, what journal.What, change func(now head) (next head, done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, w.settings.CommitTimeout)
	defer cancel()
	var (
		last    error
		certain = true // the store turned down every attempt so far
		written string // the commit whose head had its tail stored under its own keys
	)
	together := n.own != nil && w.carriesEntries()
	for try := 0; backoff(ctx, try); try++ {
		if !expected.any && expected.version != w.head.version || w.undecided() || w.head.version == 0 {
			w.fresh = false // the session may be behind
		}
		actual, err := w.refresh(ctx, operation)
		elsewhere := !expected.any && expected.version != actual
		switch {
		case err == errMoved && elsewhere:
			return &VersionMismatchError{Stream: w.Stream, Expected: expected.version, Actual: actual}
		case err == errMoved || err != nil && try == 0:
			return err
		case err != nil:
			last = err
			continue
		}
		next, done, err := change(w.head)
		if done || err != nil {
			return err
		}
		if w.head.deleted {
			return w.endError(w.head)
		}
		if elsewhere {
			return &VersionMismatchError{Stream: w.Stream, Expected: expected.version, Actual: actual}
		}
		if denied(last) || refused(last) { // and the head has not changed
			w.sent = w.sent && !certain
			return w.failed(operation, last)
		}
		if last = w.standing(ctx, w.journals, !together); last != nil {
			continue
		}
		if next.deleted && written != w.head.commit && w.current() && len(w.carry()) > 0 {
			// What only the head carries would be lost with it. Sweep finds idempotency keys
			// through the events, and the tickets of commits are in them. (Rule F10)
			if last = w.writeUnsettled(ctx); last != nil {
				continue
			}
			written = w.head.commit
		}
		if !w.current() {
			w.fresh = false
			continue
		}
		next.time = time.Now()
		if n.own != nil {
			next.ticket = journal.Ticket{Slot: n.Slot, From: w.notCovered(), To: next.version, After: w.head.ticket.Slot, Alone: what}
		}
		swap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}
		if together {
			last = w.state.Commit(ctx, w.keys.partition, swap, []driver.Write{w.journals.entryWrite(w.entryOfHead(next))})
		} else {
			last = w.state.Swap(ctx, w.keys.partition, swap)
		}
		if w.sending(last) == nil {
			w.written(next)
			w.together = together
			return nil
		}
		certain = certain && (denied(last) || refused(last))
		w.fresh = false
	}
	cause := contextErr(ctx)
	if last != nil {
		cause = fmt.Errorf("%w; before that: %w", cause, last)
	}
	return w.failed(operation, cause)
}

// markSwept notes in the head that sweep has removed everything. Without the mark, the next sweep
// does all of its work once more. So markSwept does not try again.
func (w *writer) markSwept(ctx context.Context, operation string) {
	if w.head.swept || !w.caps.BulkMisses {
		return
	}
	if _, err := w.refresh(ctx, operation); err != nil {
		return
	}
	marked := w.head
	marked.swept = true
	if err := w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: marked.encode(w.keys.partition), ETag: w.etag}); err != nil {
		w.fresh = false
		return
	}
	w.written(marked)
}

// sweep removes what is left of a deleted stream. It removes idempotency keys before the events
// that name them, because it finds the keys through the events.
//
// Unless the head says that the stream was swept before, sweep proves for every event that it is
// gone. Otherwise it only looks for what was stored late. A bulk read may miss that, and a later
// sweep finds it. (Rule 10)
func (h *streamHandle) sweep(ctx context.Context, operation string, deleted head) error {
	remove := func(keys []string) error {
		if len(keys) == 0 {
			return nil
		}
		deletes := make([]driver.Write, len(keys))
		for i, key := range keys {
			deletes[i] = driver.Write{Key: key}
		}
		if err := h.state.Write(ctx, h.keys.partition, deletes); err != nil {
			return h.failed(operation, err)
		}
		return nil
	}
	for c := range h.chunks(ctx, operation, head{}, span{first: 1, last: deleted.version - 1, unexpected: deleted.swept}) {
		if c.err != nil {
			return c.err
		}
		var named, events []string
		for i, data := range c.data {
			if data == nil {
				continue
			}
			events = append(events, h.keys.event(c.from+int64(i)))
			if event, _, _, err := decodeEvent(h.Stream, h.keys.partition, data); err == nil && event.idempotencyID != "" {
				named = append(named, h.keys.idempotency(event.idempotencyID))
			}
		}
		if err := remove(named); err != nil {
			return err
		}
		if err := remove(events); err != nil {
			return err
		}
	}
	list, err := h.get(ctx, operation, h.keys.snapshots())
	if err != nil || !list.Found() {
		return err
	}
	listed, _ := h.listOf(list) // a damaged list does not tell which snapshots there are
	versions := listed.versions()
	if len(versions) == 0 {
		return nil
	}
	keys := make([]string, len(versions))
	for i, version := range versions {
		keys[i] = h.keys.snapshot(version)
	}
	if err := remove(keys); err != nil {
		return err
	}
	if err := h.swapSnapshots(ctx, snapshotList{}, list.ETag); err != nil {
		return h.failed(operation, err)
	}
	return nil
}
