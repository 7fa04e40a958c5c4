package eventstore

import (
	"context"
	"fmt"
)

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

// lookedUp is what a look at the store tells about a commit. The head and its ETag are the ones that
// were read for it.
type lookedUp struct {
	outcome Outcome
	head    head
	etag    string
}

// lookup tells what became of a commit: head first, then its tail, then the event key, never all at
// once. It needs the commit's id and base, and where it knows what the base was, it makes sure that
// it is still that. (Rule 6)
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
		case hd.deleted: // nothing tells any more
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
	return lookedUp{}, h.failed("look up an append", fmt.Errorf("the store keeps answering with less than version %d: a stale replica, or lost data?", base+1))
}
