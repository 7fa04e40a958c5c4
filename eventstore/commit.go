package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file is the commit protocol:
//
//   - The commit is a conditional write of one key, the head.
//   - The head carries the new events in its tail, so they are durable and readable as soon as that
//     write succeeds. Then the writer stores each event under its own key. Once it knows that an
//     event is stored there, later heads no longer carry it.
//   - If the store's transactions really roll back, head and events go into one transaction
//     instead.
//   - If an answer is lost, the writer looks up what happened. It never guesses.
//
// What a writer knows of the head is in writer.go. Storing events under their own keys is in
// settle.go, and the lookup in outcome.go. The numbers of rules in comments are those in
// ARCHITECTURE.md.

// commit is one append on its way. Its bytes never change between attempts.
type commit struct {
	stream Stream
	id     string
	base   int64  // the stream's version before the commit
	after  string // id of the commit that made base; empty if the stream was empty, or if it is not known
	events []record

	// leaves, if set, is called just before the commit is sent for the first time. It returns false
	// if the commit must not be sent.
	leaves func() bool

	number number         // in a journal of this process; zero without a feed
	ticket journal.Ticket // likewise
	entry  driver.Write   // of the number's entry; likewise

	// beside holds what the inline projections write in the same transaction. It may be something
	// else in another attempt.
	beside []driver.Write

	// unproven says that a bulk read did not find the idempotency ids, which does not prove that
	// they are unused. Then the commit itself has to create their keys. (Rule 9)
	unproven bool
}

func (c commit) version() int64 { return c.base + int64(len(c.events)) }

func (c commit) idempotencyIDs() (ids []string) {
	for _, r := range c.events {
		if r.idempotencyID != "" {
			ids = append(ids, r.idempotencyID)
		}
	}
	return ids
}

// largest returns the size of the largest event, in bytes.
func (c commit) largest() (n int) {
	for _, r := range c.events {
		n = max(n, len(r.data))
	}
	return n
}

// metadata returns the metadata of the commit's first event.
func (c commit) metadata(h *streamHandle) Metadata {
	_, m, _, _ := decodeEvent(h.Stream, h.keys.partition, c.events[0].data)
	return m
}

// errLeft says that a commit was not sent, because an append of it has returned.
var errLeft = errors.New("an append of the commit has returned")

// errMoved says that the head holds a commit of another writer.
var errMoved = errors.New("another writer has written to the stream")

// commit makes c take effect once, at its base version, or returns why it did not.
func (w *writer) commit(ctx context.Context, c commit) error {
	w.sent, w.together = false, false
	err := w.carryOut(ctx, c)
	w.account(c, err) // not if the driver panics, because then the outcome is unknown
	return err
}

// carryOut is commit, but for what the journal is told.
func (w *writer) carryOut(ctx context.Context, c commit) (err error) {
	w.quick = w.appended && time.Since(w.ended) < etagTrust
	if err := w.makeRoom(ctx, c); err != nil {
		return err
	}
	if err := w.standingFor(ctx, c); err != nil {
		return w.failed("append", err)
	}
	if err := w.stillAt(ctx, c); err != nil {
		return err
	}
	if c.beside, _, err = w.applyInline(ctx, c); err != nil {
		return err
	}
	if c.leaves != nil && !c.leaves() {
		return errLeft
	}
	err = w.try(ctx, c)
	if err != nil {
		if used := w.used(ctx, c, err); used != nil {
			return used
		}
		if refused(err) {
			return w.failed("append", err)
		}
		if err := w.resolve(ctx, c, err, firstAttempt(err, w.etag)); err != nil {
			return err
		}
	}
	w.appended, w.ended = true, time.Now()
	w.settle(ctx)
	return nil
}

// stillAt makes sure that the head is still the one that c is based on. It reads the head if that
// is not certain.
func (w *writer) stillAt(ctx context.Context, c commit) error {
	actual, err := w.refresh(ctx, "append")
	switch {
	case err != nil && err != errMoved:
		return err
	case w.head.deleted || w.head.closed:
		return w.endError(w.head)
	case actual != c.base:
		return &VersionMismatchError{Stream: w.Stream, Expected: c.base, Actual: actual, Metadata: c.metadata(w.streamHandle)}
	case !c.follows(w.head):
		return errAdopted // nothing was sent
	}
	return nil
}

// resolve completes a commit that failed or got no answer. It looks up what became of the commit,
// and tries again with the same bytes while the commit is not in effect. It stops early if the
// answers show that no further try can succeed.
func (w *writer) resolve(ctx context.Context, c commit, cause error, so attempts) error {
	w.fresh = false
	w.unknown[c.id] = c.base
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, w.settings.CommitTimeout)
	defer cancel()
	var last error
	inline := inlineTries{until: time.Now().Add(w.settings.CommitTimeout / 2)}
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
		case outcome == OutcomePending && (h.version < w.head.version || c.older(h)):
			last = errors.New("the store answered with an older head than before")
		case outcome == OutcomePending:
			w.adopt(h, etag, sent)
			if last = w.proveUnused(ctx, &c); last != nil {
				if used, ok := last.(*IdempotencyIDUsedError); ok && used.Version <= c.base {
					return used
				}
				break
			}
			if inline.refusal != nil {
				return inline.refusal
			}
			if so.seen(etag); so.refused() {
				return w.failed("append", so.last)
			}
			if !c.follows(h) {
				return errAdopted
			}
			if so.useless() {
				last = so.last
				break
			}
			if last = w.makeRoom(ctx, c); last == nil {
				last = w.standingFor(ctx, c)
			}
			if last == nil {
				beside, docs, err := w.applyInline(ctx, c)
				if last = inline.next(w, c.beside, docs, err, &so); last == nil {
					c.beside = beside
				}
			}
			if last == nil && w.current() {
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
			if c.version() > w.head.version { // another commit came after it, as the next refresh will notice
				w.head = head{version: c.version(), first: w.head.first, commit: c.id, ticket: w.ticketOf(c)}
			}
			return nil
		}
		if so.useless() || !inline.pause(ctx, n+1) {
			if caller.Err() != nil && !errors.Is(last, caller.Err()) {
				last = fmt.Errorf("%w; %w", last, contextErr(caller))
			}
			w.log.WarnContext(ctx, "outcome of an append is unknown", "version", c.base, "commit", c.id, "error", last)
			return &OutcomeUnknownError{Stream: w.Stream, CommitID: c.id, Base: c.base, Cause: fmt.Errorf("%w; then: %w", cause, last), commit: c}
		}
	}
}

// try makes one attempt at the commit. On success, w.head is what was written. After an error, the
// commit may still have taken effect.
func (w *writer) try(ctx context.Context, c commit) error {
	w.counts.attempts++
	next := head{version: c.version(), first: w.head.first, commit: c.id, time: time.Now(), size: c.largest(), ticket: w.ticketOf(c)}
	if w.fitsTransaction(c) {
		// The transaction also stores each record of the tail that it replaces. (Rule 3)
		writes := w.eventWrites(append(w.carry(), c.events...))
		if c.unproven {
			w.createIDs(writes, c)
		}
		withEntry := c.number.own != nil && w.carriesEntries()
		if withEntry {
			writes = append(writes, c.entry)
		}
		writes = append(writes, c.beside...)
		swap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}
		if err := w.sending(w.state.Commit(ctx, w.keys.partition, swap, writes)); err != nil {
			return err
		}
		w.written(next)
		w.unsettled, w.together = nil, withEntry
		return nil
	}
	if len(c.beside) > 0 {
		return w.sending(fmt.Errorf("%w: %w", driver.ErrRefused, errNotBeside))
	}
	if err := w.proveUnused(ctx, &c); err != nil { // the tail has grown since planCommit
		return err
	}
	next.tail = append(w.carry(), c.events...)
	if err := w.sending(w.state.Swap(ctx, w.keys.partition, driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag})); err != nil {
		return err
	}
	w.written(next)
	w.unsettled = next.tail
	return nil
}

// written notes a swap of the head that was answered with success. Only after such an answer may
// the writer count the next ETag instead of reading it. (Rule 1)
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

// eventWrites returns the writes that store records under their own keys. For each record these are
// its event, and the idempotency key that leads to the event if it has an idempotency id. (Rules 3
// and 4)
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
