package eventstore

import (
	"context"
	"errors"
	"time"
)

// writer is the writing side of one session. It is not safe for concurrent use.
type writer struct {
	*streamHandle

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

	counts commitCounts // of the operation under way
}

func newWriter(h *streamHandle, o openedStream) *writer {
	return &writer{streamHandle: h, head: o.head, etag: o.etag, fresh: true, told: time.Now(), unsettled: o.head.tail, unknown: map[string]int64{}}
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

// commitCounts is what the writer's operation under way has taken so far.
type commitCounts struct{ attempts, lookups int }

func (e *commitCounts) tell(o *observation) {
	o.result.Attempts, o.result.Lookups = e.attempts, e.lookups
}
