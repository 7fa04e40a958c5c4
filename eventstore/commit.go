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
func (c commit) metadata(h *history) Metadata {
	_, m, _, _ := decodeEvent(h.Stream, h.keys.partition, c.events[0].data)
	return m
}

// writer is the writing side of one session. It is not safe for concurrent use.
type writer struct {
	*history

	head head   // as last read, or written by an answered swap; its tail as stored
	etag string // belongs to head, if fresh
	// fresh says that etag was read together with head, or is counted after an answered swap, and told
	// is when that was answered. (Rule 1)
	fresh bool
	told  time.Time

	// shared writers adopt a head that others have made. They hold no lock, so this is no surprise.
	shared bool

	// behind says that others are known to have written since head was read.
	behind bool

	// unsettled are those records of the tail that are not known to stand under
	// their own keys, and known is when an answer told that the others do. (Rule 3)
	unsettled []record
	known     time.Time

	// unknown are the own commits whose outcome was not known at first, by id, with their base versions.
	unknown map[string]int64

	effort effort // of the operation under way
}

func newWriter(h *history, o opening) *writer {
	return &writer{history: h, head: o.head, etag: o.etag, fresh: true, told: time.Now(), unsettled: o.head.tail, unknown: map[string]int64{}}
}

// current reports whether etag can be used without reading the head again. Where a store repeats ETags
// after it lost its last writes, that is only so for a moment: then the ETag may stand for a head of
// somebody else. (Rule 1)
func (w *writer) current() bool {
	return w.fresh && (w.caps.UniqueETags || time.Since(w.told) < etagTrust)
}

// carry returns the records of the tail that a new head has to carry along: those not known to stand under
// their own keys. Like an ETag that knowledge lasts for a moment only. A store that lost its last writes
// may have kept the head and lost what stood under the events' own keys. (Rule 3)
func (w *writer) carry() []record {
	if !w.stood(time.Now()) {
		w.unsettled = w.head.tail
	}
	return w.unsettled[:len(w.unsettled):len(w.unsettled)]
}

// stood reports whether it was still known at that time which records of the tail stand under their own keys.
func (w *writer) stood(at time.Time) bool { return at.Sub(w.known) < etagTrust }

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

// adopt takes over a head of this writer as it was read. Whether its tail's records stand is not known
// then, but of those that were known before, if that is still known since the read was sent.
func (w *writer) adopt(h head, etag string, sent time.Time) {
	if !w.stood(sent) || time.Since(sent) >= vouches {
		w.take(h, etag)
		return
	}
	w.known = time.Now()
	settled := w.head.version
	if len(w.unsettled) > 0 {
		settled = w.unsettled[0].version - 1
	}
	w.take(h, etag)
	w.unsettled = nil
	for _, r := range h.tail {
		if r.version > settled {
			w.unsettled = append(w.unsettled, r)
		}
	}
}

// take takes over a head of which nothing is known but what it says: none of its tail is known to stand.
func (w *writer) take(h head, etag string) {
	w.head, w.etag, w.fresh, w.told, w.behind = h, etag, true, time.Now(), false
	w.unsettled = h.tail
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

// seen makes sure that the head still holds what this writer knows, before it writes events under their own
// keys other than right after its own swap. If the store has lost these events meanwhile, others stand
// there. (Rule 3)
func (w *writer) seen(ctx context.Context, operation string) error {
	if time.Since(w.told) >= etagTrust {
		w.fresh = false
	}
	_, err := w.refresh(ctx, operation)
	return err
}

// refresh makes sure that head and ETag belong together. An exclusive writer adopts only a head that
// it made or already knows, else refresh returns errMoved and the version it saw. A shared writer
// also adopts a head that follows on the one it knows. A head that no longer holds what this writer
// knows as committed is a LostWritesError. (Rule 1)
func (w *writer) refresh(ctx context.Context, operation string) (actual int64, err error) {
	w.fresh = w.current()
	var damage error
	for n := 0; !w.fresh && n < readAttempts; n++ {
		if !backoff(ctx, n) {
			return 0, w.failed(operation, over(ctx))
		}
		sent := time.Now()
		h, etag, err := w.readHead(ctx, operation)
		if err != nil {
			return 0, err
		}
		actual = h.version
		switch {
		case h.version < w.head.version: // a stale read
			continue
		case w.ours(h):
			w.adopt(h, etag, sent)
			continue
		case h.deleted:
			w.take(h, etag)
			continue
		case h.version == w.head.version:
			return actual, w.lostWrites(actual)
		}
		follows, err := w.follows(ctx, operation, h)
		switch {
		case isA[*DamagedError](err): // unless the stream was deleted since
			damage = err
			continue
		case err != nil:
			return actual, err
		case !follows:
			return actual, w.lostWrites(actual)
		case !w.shared:
			return actual, errMoved
		}
		w.take(h, etag)
	}
	switch {
	case w.fresh:
		return w.head.version, nil
	case damage != nil:
		return actual, damage
	}
	return actual, w.lostWrites(actual)
}

// follows reports whether a newer head still holds the last event that this writer knows as committed.
func (w *writer) follows(ctx context.Context, operation string, h head) (bool, error) {
	if w.head.version < h.first {
		return true, nil // the stream was empty
	}
	event, found := h.inTail(w.head.version)
	if !found {
		var err error
		if event, found, err = w.event(ctx, operation, w.head.version); err != nil {
			return false, err
		}
	}
	if !found {
		return false, w.damaged(w.keys.event(w.head.version), w.head.version, errors.New("the event is committed but its key is missing"))
	}
	return event.commit == w.head.commit, nil
}

// lostWrites says that the store does not hold what this writer knows as committed.
func (w *writer) lostWrites(actual int64) error {
	return &LostWritesError{Stream: w.Stream, Version: w.head.version, CommitID: w.head.commit, Actual: actual}
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

// lookup tells what became of a commit: head first, then its tail, then the event key, never all at
// once. It needs the commit's id and base, and where it knows what the base was, it makes sure that
// it is still that. (Rule 6)
func (h *history) lookup(ctx context.Context, c commit) (Outcome, head, string, error) {
	base, id := c.base, c.id
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
		case hd.version == base && c.after != "" && c.after != hd.commit:
			return OutcomePending, head{}, "", &LostWritesError{Stream: h.Stream, Version: base, CommitID: c.after, Actual: base}
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
		return w.endOf(w.head)
	case actual != c.base:
		return &VersionMismatchError{Stream: w.Stream, Expected: c.base, Actual: actual, Metadata: c.metadata(w.history)}
	}
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
		sent := time.Now()
		outcome, h, etag, err := w.lookup(ctx, c)
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

// size returns how many bytes of a head records take.
func size(records []record) (n int) {
	for _, r := range records {
		n += len(r.data) + 40 // its place in the tail
	}
	return n
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
