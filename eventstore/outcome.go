package eventstore

import (
	"context"
	"fmt"
)

// Outcome is what became of an append, see [Reader.Outcome].
type Outcome int

const (
	OutcomePending   Outcome = iota // not in effect so far; a request still under way may bring it into effect
	OutcomeCommitted                // in effect, and stays so
	OutcomeRejected                 // not in effect, and never will be: another append took its place
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

// lookedUp is what lookup found out about a commit, with the head that it read for it and that
// head's ETag.
type lookedUp struct {
	outcome Outcome
	head    head
	etag    string
}

// lookup returns what became of a commit. It reads the head, then its tail, then the event key, one
// after the other and never all at once. It needs the commit's id and base. If it knows which
// commit made the base, it also makes sure that this is still so. (Rule 6)
func (h *streamHandle) lookup(ctx context.Context, c commit) (lookedUp, error) {
	base, id := c.base, c.id
	for n := range readAttempts {
		if !backoff(ctx, n) {
			return lookedUp{}, h.failed("look up an append", contextErr(ctx))
		}
		hd, etag, err := h.readHead(ctx, "look up an append")
		if err != nil {
			return lookedUp{}, err
		}
		switch {
		case hd.version < base: // a stale read
			continue
		case hd.version == base && c.after != "" && c.after != hd.commit:
			return lookedUp{}, &LostWritesError{Stream: h.Stream, Version: base, CommitID: c.after, Actual: base}
		case hd.version == base && hd.closed:
			return lookedUp{OutcomeRejected, hd, etag}, nil
		case hd.version == base:
			return lookedUp{OutcomePending, hd, etag}, nil
		case hd.commit == id:
			return lookedUp{OutcomeCommitted, hd, etag}, nil
		case hd.deleted: // the event that would tell is gone
			return lookedUp{}, h.endError(hd)
		}
		event, found := hd.inTail(base + 1)
		if !found {
			if event, found, err = h.event(ctx, "look up an append", base+1); err != nil {
				return lookedUp{}, err
			}
		}
		switch {
		case !found: // missing is never "not ours"
			continue
		case event.commit == id:
			return lookedUp{OutcomeCommitted, hd, etag}, nil
		default:
			return lookedUp{OutcomeRejected, hd, etag}, nil
		}
	}
	return lookedUp{}, h.failed("look up an append", fmt.Errorf("the store keeps returning versions below %d: is it a stale replica, or did it lose data?", base+1))
}
