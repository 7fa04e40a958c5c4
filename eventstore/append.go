package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Expected is the version at which a caller expects a stream before an append,
// made by [ExpectVersion] or [ExpectAny]. The zero value expects an empty stream.
type Expected struct {
	version int64
	any     bool
}

// ExpectVersion lets an append take effect only if the stream is at that
// version; 0 is an empty stream.
func ExpectVersion(version int64) Expected { return Expected{version: version} }

// ExpectAny lets an append go wherever the stream stands. Such an append never fails with a
// [VersionMismatchError], unless an event names a sequence number.
func ExpectAny() Expected { return Expected{any: true} }

// Append appends events to the stream, all or none, and returns the version
// of the last. Each is a value of a registered Go type, or an [Event] to go with metadata of
// its own. When Append returns without an error the events are durable, as far as the store is, and
// every reader sees them.
//
// In a session that was opened with [Shared], an append with [ExpectAny] is placed again when another
// came before it, until ctx or the session ends.
//
// It returns a [StreamClosedError] or [StreamDeletedError]; an [IdempotencyIDUsedError]; a
// [VersionMismatchError] if the stream is not where expected, or an event's
// sequence number, says; a [TypeNotRegisteredError]; a
// [BatchTooLargeError] if the events do not fit into one request; an
// [ArgumentError], also for an event of a type that is bound to other aggregate types, see
// [ForAggregates]; a [StorageError] if it certainly did not take effect; an
// [OutcomeUnknownError] if that is not certain; a [LostWritesError]; and the errors of a session that has
// ended. Where several are wrong, Append returns the first in the order session, arguments,
// idempotency, version.
func (s *Session) Append(ctx context.Context, expected Expected, events ...any) (version int64, err error) {
	return s.append(ctx, OpAppend, expected, events, false)
}

// append is Append, or AppendRecorded of events that are Events.
func (s *Session) append(ctx context.Context, operation string, expected Expected, events []any, recorded bool) (version int64, err error) {
	ctx, o := s.observeExpecting(ctx, operation, expected, len(events))
	defer o.end(&err)
	return s.appendObserved(ctx, &o, expected, events, recorded)
}

// appendObserved is append inside of an operation that is observed already.
func (s *Session) appendObserved(ctx context.Context, o *observed, expected Expected, events []any, recorded bool) (version int64, err error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	began := time.Now()
	drafts, err := s.drafts(ctx, expected, events, recorded)
	if err != nil {
		return 0, err
	}
	err = s.exclusively(ctx, "append", func(ctx context.Context) error {
		s.writer.effort = effort{}
		defer s.writer.effort.tell(o)
		version, err = s.appendDrafts(ctx, expected, drafts)
		return err
	})
	if err != nil {
		return 0, err
	}
	o.result.Version, o.result.Events = version, len(events)
	s.history.log.DebugContext(ctx, "appended", "session", s.id, "version", version, "count", len(events), "duration", time.Since(began))
	return version, nil
}

// appendDrafts places and commits drafts. Where any version will do, it does so again as long as others
// come before. Each time one of them has appended, so all get their turn.
func (s *Session) appendDrafts(ctx context.Context, expected Expected, drafts []draft) (version int64, err error) {
	if err := s.tooLarge(drafts); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		c, err := s.place(ctx, expected, drafts)
		if err == nil {
			err = s.writer.commit(ctx, c)
		}
		var mismatch *VersionMismatchError
		if !errors.As(err, &mismatch) {
			return c.version(), err
		}
		s.writer.behind = mismatch.Actual > s.writer.head.version
		numbered := slices.ContainsFunc(drafts, func(d draft) bool { return d.metadata.Context.SequenceNumber != 0 })
		switch {
		case !expected.any || numbered:
			return 0, s.repeated(ctx, drafts, err)
		case s.writer.behind && !s.writer.shared:
			return 0, s.repeated(ctx, drafts, errMoved)
		case !pauseBefore(ctx, n):
			return 0, s.history.failed("append", fmt.Errorf("%w: others kept appending before: %w", driver.ErrRefused, over(ctx)))
		}
		s.writer.fresh = false
	}
}

// tooLarge returns a BatchTooLargeError if the drafts certainly fit into no request, before anything is sent.
// Drafts that are far from that are not measured.
func (s *Session) tooLarge(drafts []draft) error {
	size := 0
	for _, d := range drafts {
		size += len(d.raw.Payload) + 3*customBytes(d.metadata.Custom) // a byte may become %XX
	}
	if limit := s.history.caps.MaxRequestBytes; limit == 0 || size < limit/2 {
		return nil
	}
	c := commit{base: s.writer.head.version, events: make([]record, len(drafts))}
	for i, d := range drafts {
		d.metadata.Context.SequenceNumber = c.base + int64(i) + 1
		c.events[i] = encodeEvent(s.history.keys.partition, uuid.Nil.String(), d.metadata, d.raw)
	}
	return s.writer.tooLarge(c)
}

// repeated returns an IdempotencyIDUsedError in the place of a mismatch where the stream holds one of
// the drafts already: the same command came twice, and what it finds is its own effect.
func (s *Session) repeated(ctx context.Context, drafts []draft, mismatch error) error {
	var ids []string
	for _, d := range drafts {
		if id := d.metadata.Context.IdempotencyID; id != "" {
			ids = append(ids, id)
		}
	}
	return s.writer.repeated(ctx, ids, mismatch)
}

func (w *writer) repeated(ctx context.Context, ids []string, mismatch error) error {
	if len(ids) == 0 {
		return mismatch
	}
	hd, _, err := w.readHead(ctx, "append")
	if err == nil {
		err = w.gone(hd)
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := w.unused(ctx, hd, id); err != nil {
			return err
		}
	}
	return mismatch
}

// Retry brings an append whose outcome was unknown to its end: it looks up what became of it and,
// where it has not taken effect, appends the very same events at the very same
// version. It may be called in the session of the append or in a later one. Errors are those of Append; a
// [VersionMismatchError] says that the append will never take effect.
func (s *Session) Retry(ctx context.Context, unknown *OutcomeUnknownError) (version int64, err error) {
	again := Operation{Name: OpRetry, Expected: -1}
	if unknown != nil {
		again.Events, again.Expected = len(unknown.commit.events), unknown.Base
	}
	ctx, o := s.observeAt(ctx, again)
	defer o.end(&err)
	if err := s.check(); err != nil {
		return 0, err
	}
	if unknown == nil || len(unknown.commit.events) == 0 {
		return 0, &ArgumentError{Argument: "unknown", Reason: "it is no OutcomeUnknownError that Append returned"}
	}
	if unknown.Stream != s.history.Stream {
		return 0, &ArgumentError{Argument: "unknown", Reason: fmt.Sprintf("it is of stream %s, the session is on %s", unknown.Stream, s.history.Stream)}
	}
	err = s.exclusively(ctx, "append", func(ctx context.Context) error {
		s.writer.effort = effort{}
		defer s.writer.effort.tell(&o)
		err := s.writer.resolve(ctx, unknown.commit, unknown.Cause, attempts{})
		if err == nil {
			s.writer.settle(ctx)
		}
		if isA[*VersionMismatchError](err) {
			s.writer.behind = true
			return s.writer.repeated(ctx, unknown.commit.idempotencyIDs(), err)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	o.result.Version, o.result.Events = unknown.commit.version(), len(unknown.commit.events)
	return o.result.Version, nil
}

// draft is one event of an append before it has its place.
type draft struct {
	metadata Metadata
	raw      Raw
}

// drafts checks what can be checked without looking at the stream, and encodes the payloads.
func (s *Session) drafts(ctx context.Context, expected Expected, events []any, recorded bool) ([]draft, error) {
	if len(events) == 0 {
		return nil, &ArgumentError{Argument: "events", Reason: "there are none to append"}
	}
	if !expected.any && expected.version < 0 {
		return nil, &ArgumentError{Argument: "expected", Reason: fmt.Sprintf("version %d is negative", expected.version)}
	}
	if !recorded {
		if err := s.history.registry.checkEvents(s.history.Stream, events); err != nil {
			return nil, err
		}
	}
	drafts := make([]draft, len(events))
	used := map[string]int{}
	for i, event := range events {
		argument := fmt.Sprintf("events[%d]", i)
		e, ok := event.(Event)
		if p, isPointer := event.(*Event); isPointer && p != nil {
			e, ok = *p, true
		}
		if !ok {
			e = Event{Data: event}
		}
		m := e.Metadata
		custom, err := checkCustom(argument, m.Custom)
		if err != nil {
			return nil, err
		}
		m.Custom = custom
		if m.Message.ID == "" && !recorded {
			id, err := uuid.NewV7() // before the payload is encoded: a Sealer ties it to its event
			if err != nil {
				return nil, &ArgumentError{Argument: argument, Reason: "no id could be made for it", Cause: err}
			}
			m.Message.ID = id.String()
		}
		raw, err := s.encode(ctx, argument, &About{Version: e.Version, Metadata: m}, e.Data, recorded)
		if err != nil {
			return nil, err
		}
		if m.Context.SequenceNumber == 0 {
			m.Context.SequenceNumber = e.Version
		}
		switch n := m.Context.SequenceNumber; {
		case e.Version != 0 && e.Version != n:
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its version is %d, its sequence number %d", e.Version, n)}
		case n < 0:
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its sequence number %d is negative", n)}
		case n > 0 && n <= int64(i):
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its sequence number %d leaves no room for the %d events before it", n, i)}
		}
		if recorded {
			err = whole(argument, e)
		} else {
			m.Context.SessionID = s.id
		}
		if err == nil {
			err = s.complete(argument, &m, raw)
		}
		if err != nil {
			return nil, err
		}
		if id := m.Context.IdempotencyID; id != "" {
			if other, ok := used[id]; ok {
				return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its idempotency id %q is that of events[%d] too", id, other)}
			}
			used[id] = i
		}
		drafts[i] = draft{metadata: m, raw: raw}
	}
	return drafts, nil
}

// encode makes what is stored of an event's data. What was recorded before is taken as it is: history
// is copied whatever is registered here.
func (s *Session) encode(ctx context.Context, argument string, about *About, data any, recorded bool) (Raw, error) {
	if raw, ok := data.(Raw); ok && recorded {
		return raw, checkRecorded(argument, raw)
	}
	registry := s.history.registry
	about.Stream = s.history.Stream
	raw, err := registry.encodeAt(ctx, argument, about, data)
	if isA[*TypeNotRegisteredError](err) && registry.holdsSeveral(data) {
		err = &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %T, which is several events in one value: pass it with events..., as a []any, so that each is an event", data)}
	}
	return raw, err
}

// complete fills in and checks an event's metadata, all but its place and its session.
func (s *Session) complete(argument string, m *Metadata, raw Raw) error {
	const aggregateID = "aggregate id"
	stream := s.history.Stream
	bad := func(format string, args ...any) error {
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
	}
	for _, given := range [...]struct {
		what  string
		value *string
		want  string
	}{
		{"aggregate type", &m.Message.AggregateType, stream.Type},
		{aggregateID, &m.Message.AggregateID, stream.ID},
		{"partition id", &m.Context.PartitionID, stream.Database},
	} {
		if *given.value != "" && *given.value != given.want {
			is, want := *given.value, given.want
			if given.what == aggregateID {
				is, want = s.history.hasher.id(is), s.history.hasher.id(want)
			}
			return bad("its %s is %q, the stream's is %q", given.what, is, want)
		}
		*given.value = given.want
	}
	if id := m.Context.IdempotencyID; id != "" {
		if err := validateName("idempotency id of "+argument, id); err != nil {
			return err
		}
		if limit := s.history.caps.MaxKeyBytes; limit > 0 && len(s.history.keys.idempotency(id)) > limit {
			return bad("with its idempotency id %q a key would have %d bytes, the store takes %d", id, len(s.history.keys.idempotency(id)), limit)
		}
	}
	if m.Message.Created.IsZero() {
		m.Message.Created = time.Now()
	}
	if m.Context.Timestamp.IsZero() {
		m.Context.Timestamp = m.Message.Created
	}
	for _, t := range [...]*time.Time{&m.Message.Created, &m.Context.Timestamp} {
		*t = t.UTC().Round(0)
		if t.Year() < 1 || t.Year() > 9999 {
			return bad("its time %s is outside the years 1 to 9999", t)
		}
	}
	m.Message.Type, m.Message.SchemaVersion = raw.Type, raw.SchemaVersion
	return nil
}

// place finds the version at which the drafts go, checks all that depends on
// it, and makes their records.
func (s *Session) place(ctx context.Context, expected Expected, drafts []draft) (commit, error) {
	w := s.writer
	if mismatch := s.fit(expected, drafts, w.head.version); mismatch != nil || w.undecided() || w.behind {
		w.fresh = false // the session may be behind, or the head is one of ours that we do not know
	}
	actual, err := w.refresh(ctx, "append")
	if err != nil && !errors.Is(err, errMoved) {
		return commit{}, err
	}
	if err == nil {
		if err := s.history.endOf(w.head); err != nil {
			return commit{}, err
		}
	}
	if mismatch := s.fit(expected, drafts, actual); mismatch != nil {
		return commit{}, mismatch
	}
	if err != nil {
		return commit{}, s.repeated(ctx, drafts, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return commit{}, s.history.failed("append", err)
	}
	base := w.head.version
	c := commit{id: id.String(), base: base, after: w.head.commit, events: make([]record, len(drafts))}
	for i, d := range drafts {
		if err := w.unused(ctx, w.head, d.metadata.Context.IdempotencyID); err != nil {
			return commit{}, err
		}
		d.metadata.Context.SequenceNumber = base + int64(i) + 1
		c.events[i] = encodeEvent(s.history.keys.partition, c.id, d.metadata, d.raw)
	}
	return c, nil
}

// fit returns a VersionMismatchError if drafts do not fit a stream that is at that version.
func (s *Session) fit(expected Expected, drafts []draft, version int64) error {
	if !expected.any && expected.version != version {
		return &VersionMismatchError{Stream: s.history.Stream, Expected: expected.version, Actual: version, Metadata: drafts[0].metadata}
	}
	for i, d := range drafts {
		if n := d.metadata.Context.SequenceNumber; n != 0 && n != version+int64(i)+1 {
			return &VersionMismatchError{Stream: s.history.Stream, Expected: n - int64(i) - 1, Actual: version, Metadata: d.metadata}
		}
	}
	return nil
}

// unused checks that the stream holds no event with that idempotency id: the tail of the head first,
// which was read before, then the idempotency key. (Rule 9)
func (h *history) unused(ctx context.Context, hd head, id string) error {
	if strings.TrimSpace(id) == "" {
		return nil
	}
	version, err := h.versionOf(ctx, hd, id)
	if err != nil || version == 0 {
		return err
	}
	return &IdempotencyIDUsedError{Stream: h.Stream, IdempotencyID: id, Version: version}
}

// versionOf finds the version of an idempotency id, or 0.
func (h *history) versionOf(ctx context.Context, hd head, id string) (int64, error) {
	for _, r := range hd.tail {
		if r.idempotencyID == id && r.version >= hd.first {
			return r.version, nil
		}
	}
	item, err := h.get(ctx, "look up an idempotency id", h.keys.idempotency(id))
	if err != nil {
		return 0, err
	}
	return h.versionIn(hd, id, item)
}

// versionIn is the version to which an idempotency key leads, or 0.
func (h *history) versionIn(hd head, id string, item driver.Item) (int64, error) {
	if !item.Found() {
		return 0, nil
	}
	version, err := decodeIdempotency(h.keys.partition, id, item.Value)
	if err != nil {
		return 0, h.damaged(item.Key, 0, err)
	}
	if version < hd.first {
		return 0, nil // of before the stream was deleted
	}
	return version, nil
}
