package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// This file is the commit protocol. In short:
//
//   - A conditional write of one key, the head, is the commit.
//   - The head carries the new events in its tail, so they are durable and readable the moment that
//     write succeeds. Then each is written under its own key, and leaves the tail when its
//     writer knows that it stands there.
//   - Where the store's transactions truly roll back, head and events go together instead.
//   - A lost answer is looked up, never guessed.
//
// The numbers in comments are those of the rules in ARCHITECTURE.md.

// A tail is worth one more swap to drop it from some size on, since every reader of the head carries it, and from some number of
// records on that were carried along for earlier commits, since every session writes these again under their own keys: it
// does not know that they stand.
const (
	trimBytes   = 64 << 10
	trimCarried = 4
)

// What an answer told is trusted for a moment only, where a store can restart with less than it had: an ETag
// that can come back, and that events stand under their own keys. (Rules 1 and 3)
const (
	// etagTrust is how long it is trusted until the next request is sent. No server can restart and take
	// the append of another within that time.
	etagTrust = 10 * time.Millisecond

	// vouches is how long a request may take whose answer then vouches for the time that it took. What a
	// client sends again below takes longer, at the default settings of Dapr's Redis client: it waits 3 s
	// for an answer, and gives up after some 0.1 s where no server can be reached.
	vouches = 2 * time.Second
)

// commit is one append on its way: what is written never changes between attempts.
type commit struct {
	id     string
	base   int64  // the stream's version before
	after  string // id of the commit that made base; empty for an empty stream, or where it is not known
	events []record
}

func (c commit) version() int64 { return c.base + int64(len(c.events)) }

// idempotencyIDs returns the idempotency ids of the commit's events.
func (c commit) idempotencyIDs() (ids []string) {
	for _, r := range c.events {
		if r.idempotencyID != "" {
			ids = append(ids, r.idempotencyID)
		}
	}
	return ids
}

// metadata is that of the commit's first event.
func (c commit) metadata(h *streamHandle) Metadata {
	_, m, _, _ := decodeEvent(h.Stream, h.keys.partition, c.events[0].data)
	return m
}

// errMoved says that the head holds a commit of somebody else.
var errMoved = errors.New("somebody else has written to the stream")

// commit brings c into effect at its base version, once, or says why not.
func (w *writer) commit(ctx context.Context, c commit) error {
	if err := w.makeRoom(ctx, c); err != nil {
		return err
	}
	if err := w.stillAt(ctx, c); err != nil {
		return err
	}
	err := w.try(ctx, c)
	if err != nil {
		if refused(err) {
			return w.failed("append", err)
		}
		if err := w.resolve(ctx, c, err, firstAttempt(err, w.etag)); err != nil {
			return err
		}
	}
	w.settle(ctx)
	return nil
}

// stillAt makes sure that the head is the one on which c was made, if that is not certain any more.
func (w *writer) stillAt(ctx context.Context, c commit) error {
	actual, err := w.refresh(ctx, "append")
	switch {
	case err != nil && err != errMoved:
		return err
	case w.head.deleted || w.head.closed:
		return w.endError(w.head)
	case actual != c.base:
		return &VersionMismatchError{Stream: w.Stream, Expected: c.base, Actual: actual, Metadata: c.metadata(w.streamHandle)}
	}
	return nil
}

// resolve finishes a commit that failed or went unanswered: looks it up, and tries
// again with the same bytes while it is not in effect. It ends early where the answers say that no try will do.
func (w *writer) resolve(ctx context.Context, c commit, cause error, so attempts) error {
	w.fresh = false
	w.unknown[c.id] = c.base
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, w.settings.CommitTimeout)
	defer cancel()
	var last error
	for n := 0; ; n++ {
		w.counts.lookups++
		sent := time.Now()
		found, err := w.lookup(ctx, c)
		outcome, h, etag := found.outcome, found.head, found.etag
		switch {
		case isA[*StreamDeletedError](err), isA[*LostWritesError](err):
			return err
		case err != nil:
			last = err
			so.notSeen(err)
		case outcome == OutcomePending && h.version < w.head.version:
			last = errors.New("the store answered with an older head than before")
		case outcome == OutcomePending:
			w.adopt(h, etag, sent)
			if so.seen(etag); so.refused() {
				return w.failed("append", so.last)
			}
			if so.useless() {
				last = so.last
				break
			}
			if last = w.makeRoom(ctx, c); last == nil && w.current() {
				if last = w.try(ctx, c); last != nil {
					so.note(last, w.etag)
				}
			}
			if last == nil && w.head.commit != c.id {
				last = errors.New("the head that was looked up is no longer current")
			}
			if last == nil {
				return nil
			}
			w.fresh = false
		default:
			if w.ours(h) {
				w.adopt(h, etag, sent)
			}
			if outcome == OutcomeRejected && h.closed && h.version == c.base {
				return w.endError(h)
			}
			if outcome == OutcomeRejected {
				return &VersionMismatchError{Stream: w.Stream, Expected: c.base, Actual: max(h.version, w.head.version), Metadata: c.metadata(w.streamHandle)}
			}
			if c.version() > w.head.version { // somebody else came after it, which the next refresh says
				w.head = head{version: c.version(), first: w.head.first, commit: c.id}
			}
			return nil
		}
		if so.useless() || !backoff(ctx, n+1) {
			if caller.Err() != nil && !errors.Is(last, caller.Err()) {
				last = fmt.Errorf("%w; %w", last, contextErr(caller))
			}
			w.log.WarnContext(ctx, "outcome of an append is unknown", "version", c.base, "commit", c.id, "error", last)
			return &OutcomeUnknownError{Stream: w.Stream, CommitID: c.id, Base: c.base, Cause: fmt.Errorf("%w; then: %w", cause, last), commit: c}
		}
	}
}

// try attempts the commit once. On success head is what was written. On an error
// it may have taken effect all the same.
func (w *writer) try(ctx context.Context, c commit) error {
	w.counts.attempts++
	next := head{version: c.version(), first: w.head.first, commit: c.id, time: time.Now()}
	if w.fitsTransaction(c) {
		// Every record of the tail that is replaced goes along. (Rule 3)
		writes := w.eventWrites(append(w.carry(), c.events...))
		swap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}
		if err := w.state.Commit(ctx, w.keys.partition, swap, writes); err != nil {
			return err
		}
		w.written(next)
		w.unsettled = nil
		return nil
	}
	next.tail = append(w.carry(), c.events...)
	if err := w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}); err != nil {
		return err
	}
	w.written(next)
	w.unsettled = next.tail
	return nil
}

// written notes a swap of the head that was answered with success. Only then may the next ETag
// be counted. (Rule 1)
func (w *writer) written(next head) {
	before := w.etag
	w.head, w.etag, w.fresh, w.told = next, "", false, time.Now()
	if !w.caps.CountedETags {
		return
	}
	if before == "" {
		w.etag, w.fresh = "1", true
	} else if n, err := strconv.ParseUint(before, 10, 63); err == nil {
		w.etag, w.fresh = strconv.FormatUint(n+1, 10), true
	}
}

// eventWrites are the writes that make records stand: the event, and what leads to it
// from its idempotency id. (Rules 3 and 4)
func (w *writer) eventWrites(records []record) []driver.Write {
	writes := make([]driver.Write, 0, len(records))
	bytes := 0
	for _, r := range records {
		bytes += len(r.data)
		writes = append(writes, driver.Write{Key: w.keys.event(r.version), Value: r.data})
		if r.idempotencyID != "" {
			writes = append(writes, driver.Write{Key: w.keys.idempotency(r.idempotencyID), Value: encodeIdempotency(w.keys.partition, r)})
		}
	}
	if len(records) > 0 {
		w.size.saw(bytes, len(records))
	}
	return writes
}

// size returns how many bytes of a head records take.
func size(records []record) (n int) {
	for _, r := range records {
		n += len(r.data) + 40 // its place in the tail
	}
	return n
}
