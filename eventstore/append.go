package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Expected is the version at which a caller expects a stream before an append. [ExpectVersion] and
// [ExpectAny] make one. The zero value expects an empty stream.
type Expected struct {
	version int64
	any     bool
}

// ExpectVersion lets an append take effect only if the stream is at that version. Version 0 is an
// empty stream.
func ExpectVersion(version int64) Expected { return Expected{version: version} }

// ExpectAny lets an append take effect at whatever version the stream is. Such an append fails with
// a [VersionMismatchError] only if an event names a sequence number.
func ExpectAny() Expected { return Expected{any: true} }

// Append appends events to the stream, all or none, and returns the version of the last one. Each
// event is a value of a registered Go type, or an [Event], which also has metadata. Once Append has
// returned without an error, the events are as durable as the store makes them, and every reader
// sees them.
//
// In a session that was opened with [Shared], an append with [ExpectAny] tries again when another
// append came first, until ctx or the session ends. Appends with ExpectAny that wait for each other
// in one session are stored together, in the order of their calls, at most 100 events or 256 KiB at
// a time. Each of them returns its own version or error.
//
// Append returns one of these errors. If several apply, it returns the first in the order session,
// arguments, idempotency, version.
//
//   - The errors of a session that has ended, see [Session].
//   - A [StreamClosedError] or a [StreamDeletedError].
//   - An [ArgumentError], also if an event has a type that is bound to other aggregate types, see
//     [ForAggregates].
//   - A [TypeNotRegisteredError].
//   - A [BatchTooLargeError] if the events do not fit into one request.
//   - An [IdempotencyIDUsedError].
//   - An [InlineError] if an inline projection refuses the events, see package projection.
//   - A [VersionMismatchError] if the stream is not at the expected version, or if an event names a
//     sequence number that it would not get.
//   - A [StorageError] if the append certainly did not take effect.
//   - An [OutcomeUnknownError] if that is not certain.
//   - A [LostWritesError] if the store no longer holds what it acknowledged.
func (s *Session) Append(ctx context.Context, expected Expected, events ...any) (version int64, err error) {
	return s.append(ctx, OpAppend, expected, events, false)
}

// append implements Append and, if recorded is true, AppendRecorded. Then each event is an Event.
func (s *Session) append(ctx context.Context, operation string, expected Expected, events []any, recorded bool) (version int64, err error) {
	ctx, o := s.observeExpecting(ctx, operation, expected, len(events))
	defer o.end(&err)
	return s.appendObserved(ctx, &o, expected, events, recorded)
}

// appendObserved is append within an operation that the caller observes already.
func (s *Session) appendObserved(ctx context.Context, o *observation, expected Expected, events []any, recorded bool) (version int64, err error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	began := time.Now()
	drafts, err := s.drafts(ctx, expected, events, recorded)
	if err != nil {
		return 0, err
	}
	alone := func() (int64, commitCounts, error) { return s.appendAlone(ctx, expected, drafts) }
	var counts commitCounts
	if expected.any && !recorded && !numbered(drafts) {
		version, counts, err = s.gathering.join(ctx, drafts, alone, s.storeGathered)
		err = s.handle.leftError(err)
	} else {
		version, counts, err = alone()
	}
	counts.tell(o)
	if err != nil {
		return 0, err
	}
	o.result.Version, o.result.Events = version, len(events)
	s.handle.log.DebugContext(ctx, "appended", "session", s.id, "version", version, "count", len(events), "duration", time.Since(began))
	return version, nil
}

// appendAlone appends the drafts of one call.
func (s *Session) appendAlone(ctx context.Context, expected Expected, drafts []draft) (version int64, counts commitCounts, err error) {
	err = s.exclusively(ctx, "append", func(ctx context.Context) error {
		s.writer.counts = commitCounts{}
		version, err = s.appendDrafts(ctx, expected, drafts)
		counts = s.writer.counts
		return err
	})
	return version, counts, err
}

// appendDrafts plans and commits the drafts. If any version will do, it tries again as long as
// other appends come first. Each time one of them has appended, so all writers make progress.
func (s *Session) appendDrafts(ctx context.Context, expected Expected, drafts []draft) (version int64, err error) {
	if err := s.tooLarge(drafts); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		c, err := s.planCommit(ctx, expected, drafts)
		if err == nil {
			err = s.writer.commit(ctx, c)
		}
		mismatch, first := errors.AsType[*VersionMismatchError](err)
		switch {
		case !first && err != errAdopted:
			return c.version(), err
		case first && (!expected.any || numbered(drafts)):
			s.writer.behind = mismatch.Actual > s.writer.head.version
			return 0, s.writer.repeated(ctx, idempotencyIDs(drafts), err)
		}
		if err := s.overtaken(ctx, n, drafts, err); err != nil {
			return 0, err
		}
	}
}

// numbered reports whether one of the drafts names its sequence number.
func numbered(drafts []draft) bool {
	return slices.ContainsFunc(drafts, func(d draft) bool { return d.metadata.Context.SequenceNumber != 0 })
}

// overtaken prepares the next try of an append, after another append or an adoption came first. It
// returns an error if there cannot be another try.
func (s *Session) overtaken(ctx context.Context, n int, drafts []draft, err error) error {
	if err == errAdopted {
		if !pauseBefore(ctx, n+1) {
			return s.handle.failed("append", err)
		}
		return nil
	}
	if first, ok := errors.AsType[*VersionMismatchError](err); ok {
		s.writer.behind = first.Actual > s.writer.head.version
	}
	switch {
	case s.writer.behind && !s.writer.shared:
		return s.writer.repeated(ctx, idempotencyIDs(drafts), errMoved)
	case !pauseBefore(ctx, n):
		return s.handle.failed("append", fmt.Errorf("%w: other appends kept coming first: %w", driver.ErrRefused, contextErr(ctx)))
	}
	s.writer.fresh = false
	return nil
}

// Retry completes an append whose outcome was unknown. It looks up what became of the append. If
// the append has not taken effect, Retry appends the very same events at the very same version. It
// may be called in the session of the append or in a later one.
//
// Retry returns the errors of [Session.Append]. A [VersionMismatchError] says that the append will
// never take effect.
func (s *Session) Retry(ctx context.Context, unknown *OutcomeUnknownError) (version int64, err error) {
	again := Operation{Name: OpRetry, Expected: -1}
	if unknown != nil {
		again.Events, again.Expected = len(unknown.events()), unknown.Base
	}
	ctx, o := s.observeAt(ctx, again)
	defer o.end(&err)
	if err := s.check(); err != nil {
		return 0, err
	}
	if unknown == nil || len(unknown.commit.events) == 0 {
		return 0, &ArgumentError{Argument: "unknown", Reason: "it is not an OutcomeUnknownError that Append returned"}
	}
	if unknown.Stream != s.handle.Stream {
		return 0, &ArgumentError{Argument: "unknown", Reason: fmt.Sprintf("it is for stream %s, but the session is on stream %s", unknown.Stream, s.handle.Stream)}
	}
	own := commit{events: unknown.events()}
	err = s.exclusively(ctx, "append", func(ctx context.Context) error {
		s.writer.counts = commitCounts{}
		defer s.writer.counts.tell(&o)
		s.writer.sent, s.writer.together = true, false
		err := s.writer.resolve(ctx, unknown.commit, unknown.Cause, attempts{})
		s.writer.account(unknown.commit, err)
		if err == errAdopted {
			return s.handle.failed("append", err)
		}
		if err == nil {
			s.writer.appended = true
			s.writer.settle(ctx)
		}
		if isA[*VersionMismatchError](err) {
			s.writer.behind = true
			return s.writer.repeated(ctx, own.idempotencyIDs(), err)
		}
		var used *IdempotencyIDUsedError
		if errors.As(err, &used) && !slices.Contains(own.idempotencyIDs(), used.IdempotencyID) {
			return s.handle.failed("append", fmt.Errorf("%w: another append was part of its commit, and %v", driver.ErrRefused, used))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	o.result.Version, o.result.Events = unknown.version(), len(own.events)
	return o.result.Version, nil
}

// events returns the events of this append in the commit.
func (e *OutcomeUnknownError) events() []record {
	if e.own != nil {
		return e.own
	}
	return e.commit.events
}

// version returns the version of the last event of this append.
func (e *OutcomeUnknownError) version() int64 {
	if e.own != nil {
		return e.own[len(e.own)-1].version
	}
	return e.commit.version()
}

// planCommit determines the version of the first draft, checks everything that depends on it, and
// makes the records of the drafts.
func (s *Session) planCommit(ctx context.Context, expected Expected, drafts []draft) (commit, error) {
	w := s.writer
	if mismatch := s.checkVersions(expected, drafts, w.head.version); mismatch != nil || w.undecided() || w.behind {
		w.fresh = false // the session may be behind, or the head may be its own commit whose outcome is unknown
	}
	actual, err := w.refresh(ctx, "append")
	if err != nil && !errors.Is(err, errMoved) {
		return commit{}, err
	}
	if err == nil {
		if err := s.handle.endError(w.head); err != nil {
			return commit{}, err
		}
	}
	if mismatch := s.checkVersions(expected, drafts, actual); mismatch != nil {
		return commit{}, mismatch
	}
	if err != nil {
		return commit{}, s.writer.repeated(ctx, idempotencyIDs(drafts), err)
	}
	id, err := newCommitID()
	if err != nil {
		return commit{}, s.handle.failed("append", err)
	}
	base := w.head.version
	c := commit{stream: s.handle.Stream, id: id, base: base, after: w.head.commit, events: make([]record, len(drafts))}
	if err := w.giveNumber(ctx, &c, drafts); err != nil {
		return commit{}, err
	}
	for i, d := range drafts {
		d.metadata.Context.SequenceNumber = base + int64(i) + 1
		if i < len(drafts)-1 {
			c.events[i] = encodeEvent(s.handle.keys.partition, c.id, d.metadata, d.raw)
		} else {
			c.events[i] = encodeLastEvent(s.handle.keys.partition, c.id, c.ticket, d.metadata, d.raw)
		}
	}
	ids := idempotencyIDs(drafts)
	c.unproven = w.caps.BulkMisses && len(ids) > 1 && w.fitsTransaction(c)
	if err := w.checkUnused(ctx, w.head, ids, !c.unproven); err != nil {
		c.number.unused()
		return commit{}, err
	}
	return c, nil
}
