package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// If a store can restart with less than it had, a writer relies on what an answer told for a moment
// only. This concerns an ETag that the store can give again, and the knowledge that events are
// stored under their own keys. (Rules 1 and 3)
const (
	// etagTrust is the longest time between that answer and the next request that relies on it. No
	// server can restart and accept an append of another writer within that time.
	etagTrust = 10 * time.Millisecond

	// vouches is the longest time that a request may take so that its answer also covers the time
	// while it was under way. A request that a client below sends again takes longer. At its
	// default settings, Dapr's Redis client waits 3 s for an answer before it does so. If it cannot
	// reach a server, it gives up after about 0.1 s.
	vouches = 2 * time.Second
)

// writer is the writing side of one session. It is not safe for concurrent use.
type writer struct {
	*streamHandle

	head head   // as last read, or as written by a swap that was answered; its tail as stored
	etag string // belongs to head if fresh
	// fresh says that etag was read together with head, or counted after a swap that was answered.
	// told is when that was answered. (Rule 1)
	fresh bool
	told  time.Time

	// shared says that the session is shared. Its writer adopts a head that another writer has
	// made, which is no surprise because it holds no lock.
	shared bool

	// behind says that other writers are known to have written since head was read.
	behind bool

	// unsettled holds the records of the tail that are not known to be stored under their own keys.
	// known is when an answer told that the others are. (Rule 3)
	unsettled []record
	known     time.Time

	// unused holds ids that the stream did not hold when the head was unusedAt, see VersionsOf.
	unused   map[string]bool
	unusedAt headID

	// unknown holds the base versions of this writer's own commits whose outcome was not known at
	// first, by commit id.
	unknown map[string]int64

	// appended says that a commit of this writer took effect, and ended is when the last one did. A
	// writer is quick while it appends so often that its next head drops what is stored. (Rule 11)
	appended bool
	quick    bool
	ended    time.Time

	counts commitCounts // of the operation under way

	// sent says that the commit under way was sent, and together that an answer told that its entry
	// stands since it was in the same transaction.
	sent, together bool

	// named says that the name of the stream stands in a journal, and alone is the slot of a ticket
	// that only the head carries and whose entry stands.
	named bool
	alone journal.Slot
}

func newWriter(h *streamHandle, o openedStream) *writer {
	return &writer{streamHandle: h, head: o.head, etag: o.etag, fresh: true, told: time.Now(), unsettled: o.head.tail, unknown: map[string]int64{}}
}

// current reports whether the writer can use etag without reading the head again. If the store
// repeats ETags after it lost its last writes, it can do so for a moment only. After that, the ETag
// may belong to a head of another writer. (Rule 1)
func (w *writer) current() bool {
	return w.fresh && (w.caps.UniqueETags || time.Since(w.told) < etagTrust)
}

// carry returns the records of the tail that a new head has to carry along, because they are not
// known to be stored under their own keys. Like an ETag, that knowledge lasts for a moment only. A
// store that lost its last writes may have kept the head and lost the events under their own keys.
// (Rule 3)
func (w *writer) carry() []record {
	if !w.stood(time.Now()) {
		w.unsettled = w.head.tail
	}
	return w.unsettled[:len(w.unsettled):len(w.unsettled)]
}

// stood reports whether the writer still knew, at that time, which records of the tail are stored
// under their own keys.
func (w *writer) stood(at time.Time) bool { return at.Sub(w.known) < etagTrust }

// adopt takes over a head of this writer that was read by a request sent at the given time. The
// read does not tell which records of the tail are stored under their own keys. So the writer keeps
// what it knew of them before, if it still knew that when it sent the request and the answer came
// within vouches.
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

// take takes over a head, and nothing that is not in it: no record of its tail is known to be
// stored under its own key.
func (w *writer) take(h head, etag string) {
	w.head, w.etag, w.fresh, w.told, w.behind = h, etag, true, time.Now(), false
	w.unsettled = h.tail
}

// ours reports whether h is the head that this writer knows, or one that a commit of this writer
// has made since.
func (w *writer) ours(h head) bool {
	if h.version == w.head.version {
		return h.commit == w.head.commit
	}
	_, ours := w.unknown[h.commit]
	return ours && h.version > w.head.version
}

// undecided reports whether a commit of this writer may still take effect, or may have done so.
func (w *writer) undecided() bool {
	for _, base := range w.unknown {
		if base >= w.head.version {
			return true
		}
	}
	return false
}

// seen makes sure that the head still holds what this writer knows. The writer calls it before it
// stores events under their own keys, except right after its own swap. If the store has lost these
// events meanwhile, other events may have their versions. (Rule 3)
func (w *writer) seen(ctx context.Context, operation string) error {
	if time.Since(w.told) >= etagTrust {
		w.fresh = false
	}
	_, err := w.refresh(ctx, operation)
	return err
}

// refresh makes sure that head and ETag belong together. (Rule 1)
//
// An exclusive writer adopts only a head that it made or already knows. For any other head refresh
// returns errMoved and the version that it saw. A shared writer also adopts a head that follows the
// one it knows. If the head no longer holds what this writer knows as committed, refresh returns a
// LostWritesError.
func (w *writer) refresh(ctx context.Context, operation string) (actual int64, err error) {
	w.fresh = w.current()
	var damage error
	for n := 0; !w.fresh && n < readAttempts; n++ {
		if !backoff(ctx, n) {
			return 0, w.failed(operation, contextErr(ctx))
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
		case isA[*DamagedError](err): // it counts unless the stream was deleted since
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

// catchUp reads the head if a commit of this session is undecided, or if others are known to have
// written since.
func (w *writer) catchUp(ctx context.Context, operation string) error {
	if !w.undecided() && !w.behind {
		return nil
	}
	w.fresh = false
	_, err := w.refresh(ctx, operation)
	return err
}

// follows reports whether a newer head still holds the last event that this writer knows as
// committed.
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

// lostWrites returns the error that the store does not hold what this writer knows as committed.
func (w *writer) lostWrites(actual int64) error {
	return &LostWritesError{Stream: w.Stream, Version: w.head.version, CommitID: w.head.commit, Actual: actual}
}

// commitCounts counts the attempts and lookups of the writer's operation under way.
type commitCounts struct{ attempts, lookups int }

func (e *commitCounts) tell(o *observation) {
	o.result.Attempts, o.result.Lookups = e.attempts, e.lookups
}
