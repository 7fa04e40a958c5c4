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

// commit is one append on its way: what is written never changes between attempts.
type commit struct {
	id     string
	base   int64 // the stream's version before
	events []record
}

func (c commit) version() int64 { return c.base + int64(len(c.events)) }

// metadata is that of the commit's first event.
func (c commit) metadata(h *history) Metadata {
	_, m, _, _ := decodeEvent(h.Stream, h.keys.partition, c.events[0].data)
	return m
}

// writer is the writing side of one session. It is not safe for concurrent use.
type writer struct {
	*history

	head head   // as last read, or written by an answered swap; its tail as stored
	etag string // belongs to head, if fresh
	// fresh says that etag was read together with head, or is counted after an answered swap. (Rule 1)
	fresh bool

	// unsettled are those records of the tail that are not known to stand under
	// their own keys. (Rule 3)
	unsettled []record

	// unknown are the own commits whose outcome was not known at first, by id, with their base versions.
	unknown map[string]int64

	effort effort // of the operation under way
}

func newWriter(h *history, o opening) *writer {
	return &writer{history: h, head: o.head, etag: o.etag, fresh: true, unsettled: o.head.tail, unknown: map[string]int64{}}
}

// adopt takes over a head as it was read. Whether its tail's records stand is not known then, but of those
// that were known before.
func (w *writer) adopt(h head, etag string) {
	settled := w.head.version
	if len(w.unsettled) > 0 {
		settled = w.unsettled[0].version - 1
	}
	w.head, w.etag, w.fresh = h, etag, true
	w.unsettled = nil
	for _, r := range h.tail {
		if r.version > settled {
			w.unsettled = append(w.unsettled, r)
		}
	}
}

// ours reports whether a head is the one that this writer knows, or was made by a commit
// of its own since.
func (w *writer) ours(h head) bool {
	if h.version == w.head.version {
		return h.commit == w.head.commit
	}
	_, ours := w.unknown[h.commit]
	return ours && h.version > w.head.version
}

// undecided reports whether a commit of this writer may still take effect, or may have.
func (w *writer) undecided() bool {
	for _, base := range w.unknown {
		if base >= w.head.version {
			return true
		}
	}
	return false
}

// errMoved says that the head holds a commit of somebody else.
var errMoved = errors.New("somebody else has written to the stream")

// refresh makes sure that head and ETag belong together. It adopts only a head that
// this writer made or already knows (Rule 1), else it returns errMoved and the version it saw.
func (w *writer) refresh(ctx context.Context, operation string) (actual int64, err error) {
	for n := 0; !w.fresh && n < readAttempts; n++ {
		if !backoff(ctx, n) {
			return 0, w.failed(operation, over(ctx))
		}
		h, etag, err := w.readHead(ctx, operation)
		switch {
		case err != nil:
			return 0, err
		case h.version < w.head.version: // a stale read
			continue
		case w.ours(h), h.deleted:
			w.adopt(h, etag)
		default:
			return h.version, errMoved
		}
	}
	if !w.fresh {
		return 0, w.failed(operation, fmt.Errorf("the store keeps answering with a head below version %d, which is committed: a stale replica?", w.head.version))
	}
	return w.head.version, nil
}

// Outcome is what became of an append, see [Reader.Outcome].
type Outcome int

const (
	OutcomePending   Outcome = iota // not in effect so far; a request still under way may bring it
	OutcomeCommitted                // in effect, and it stays so
	OutcomeRejected                 // another append took its place; it never will be
)

// String returns "pending", "committed" or "rejected".
func (o Outcome) String() string {
	switch o {
	case OutcomePending:
		return "pending"
	case OutcomeCommitted:
		return "committed"
	case OutcomeRejected:
		return "rejected"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// lookup tells what became of a commit with that base version: head first, then its tail,
// then the event key, never all at once. (Rule 6)
func (h *history) lookup(ctx context.Context, base int64, id string) (Outcome, head, string, error) {
	for n := range readAttempts {
		if !backoff(ctx, n) {
			return OutcomePending, head{}, "", h.failed("look up an append", over(ctx))
		}
		hd, etag, err := h.readHead(ctx, "look up an append")
		if err != nil {
			return OutcomePending, head{}, "", err
		}
		switch {
		case hd.version < base: // a stale read
			continue
		case hd.version == base && hd.closed:
			return OutcomeRejected, hd, etag, nil
		case hd.version == base:
			return OutcomePending, hd, etag, nil
		case hd.commit == id:
			return OutcomeCommitted, hd, etag, nil
		case hd.deleted: // nothing tells any more
			return OutcomePending, head{}, "", h.endOf(hd)
		}
		event, found := hd.inTail(base + 1)
		if !found {
			if event, found, err = h.event(ctx, "look up an append", base+1); err != nil {
				return OutcomePending, head{}, "", err
			}
		}
		switch {
		case !found: // missing is never "not ours"
			continue
		case event.commit == id:
			return OutcomeCommitted, hd, etag, nil
		default:
			return OutcomeRejected, hd, etag, nil
		}
	}
	return OutcomePending, head{}, "", h.failed("look up an append", fmt.Errorf("the store keeps answering with less than version %d: a stale replica, or lost data?", base+1))
}

// commit brings c into effect at its base version, once, or says why not.
func (w *writer) commit(ctx context.Context, c commit) error {
	if err := w.makeRoom(ctx, c); err != nil {
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

// resolve finishes a commit that failed or went unanswered: looks it up, and tries
// again with the same bytes while it is not in effect. It ends early where the answers say that no try will do.
func (w *writer) resolve(ctx context.Context, c commit, cause error, so attempts) error {
	w.fresh = false
	w.unknown[c.id] = c.base
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, w.settings.CommitTimeout)
	defer cancel()
	var last error
	for n := 0; ; n++ {
		w.effort.lookups++
		outcome, h, etag, err := w.lookup(ctx, c.base, c.id)
		switch {
		case errors.Is(err, &StreamDeletedError{}):
			return err
		case err != nil:
			last = err
			so.notSeen(err)
		case outcome == OutcomePending && h.version < w.head.version:
			last = errors.New("the store answered with an older head than before")
		case outcome == OutcomePending:
			w.adopt(h, etag)
			if so.seen(etag); so.refused() {
				return w.failed("append", so.last)
			}
			if so.useless() {
				last = so.last
				break
			}
			if last = w.makeRoom(ctx, c); last == nil {
				if last = w.try(ctx, c); last != nil {
					so.note(last, w.etag)
				}
			}
			if last == nil {
				return nil
			}
			w.fresh = false
		default:
			if w.ours(h) {
				w.adopt(h, etag)
			}
			if outcome == OutcomeRejected && h.closed && h.version == c.base {
				return w.endOf(h)
			}
			if outcome == OutcomeRejected {
				return &VersionMismatchError{Stream: w.Stream, Expected: c.base, Actual: max(h.version, w.head.version), Metadata: c.metadata(w.history)}
			}
			if c.version() > w.head.version { // somebody else came after it, which the next refresh says
				w.head = head{version: c.version(), first: w.head.first, commit: c.id}
			}
			return nil
		}
		if so.useless() || !backoff(ctx, n+1) {
			if asked.Err() != nil && !errors.Is(last, asked.Err()) {
				last = fmt.Errorf("%w; %w", last, over(asked))
			}
			w.log.WarnContext(ctx, "outcome of an append is unknown", "version", c.base, "commit", c.id, "error", last)
			return &OutcomeUnknownError{Stream: w.Stream, CommitID: c.id, Base: c.base, Cause: fmt.Errorf("%w; then: %w", cause, last), commit: c}
		}
	}
}

// try attempts the commit once. On success head is what was written. On an error
// it may have taken effect all the same.
func (w *writer) try(ctx context.Context, c commit) error {
	w.effort.attempts++
	next := head{version: c.version(), first: w.head.first, commit: c.id, time: time.Now()}
	if w.fitsTransaction(c) {
		// Every record of the tail that is replaced goes along. (Rule 3)
		writes := w.eventWrites(append(w.unsettled[:len(w.unsettled):len(w.unsettled)], c.events...))
		swap := driver.Swap{Key: w.keys.head(), Value: next.encode(w.keys.partition), ETag: w.etag}
		if err := w.state.Commit(ctx, w.keys.partition, swap, writes); err != nil {
			return err
		}
		w.written(next)
		w.unsettled = nil
		return nil
	}
	next.tail = append(w.unsettled[:len(w.unsettled):len(w.unsettled)], c.events...)
	if err := w.state.Swap(ctx, w.keys.partition, w.keys.head(), next.encode(w.keys.partition), w.etag); err != nil {
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
	w.head, w.etag, w.fresh = next, "", false
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
	for _, r := range records {
		writes = append(writes, driver.Write{Key: w.keys.event(r.version), Value: r.data})
		if r.idempotencyID != "" {
			writes = append(writes, driver.Write{Key: w.keys.idempotency(r.idempotencyID), Value: encodeIdempotency(w.keys.partition, r)})
		}
	}
	return writes
}

// settle writes the events of the tail under their own keys. It comes after the commit
// (Rule 2) and can fail without harm: the tail keeps what is not known to stand.
func (w *writer) settle(ctx context.Context) {
	if len(w.unsettled) > 0 {
		if err := w.state.Write(ctx, w.keys.partition, w.eventWrites(w.unsettled)); err != nil {
			w.log.WarnContext(ctx, "events stay in the head until the next append", "version", w.head.version, "count", len(w.unsettled), "error", err)
			return
		}
		w.unsettled = nil
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
	if len(w.head.tail) == 0 {
		return
	}
	trimmed := w.head
	trimmed.tail = nil
	if err := w.state.Swap(ctx, w.keys.partition, w.keys.head(), trimmed.encode(w.keys.partition), w.etag); err != nil {
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
	for _, records := range [...][]record{w.unsettled, c.events} {
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

// makeRoom sees to it that the head can carry the new events, or says that it can't: by settling the old
// tail first if both together are too large. (Rule 11)
func (w *writer) makeRoom(ctx context.Context, c commit) error {
	limit := w.caps.MaxRequestBytes
	if limit == 0 || w.fitsTransaction(c) {
		return nil
	}
	size := func(records []record) (n int) {
		for _, r := range records {
			n += len(r.data) + 40 // its place in the tail
		}
		return n
	}
	alone := w.headBytes() + size(c.events)
	if alone > limit {
		return &BatchTooLargeError{Stream: w.Stream, Size: alone, Limit: limit}
	}
	if alone+size(w.unsettled) <= limit {
		return nil
	}
	if err := w.state.Write(ctx, w.keys.partition, w.eventWrites(w.unsettled)); err != nil {
		return w.failed("append", err)
	}
	w.unsettled = nil
	return nil
}
