package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// draft is one event of an append before its version is known.
type draft struct {
	metadata Metadata
	raw      Raw
}

// drafts checks what it can check without looking at the stream, and encodes the payloads.
func (s *Session) drafts(ctx context.Context, expected Expected, events []any, recorded bool) ([]draft, error) {
	if len(events) == 0 {
		return nil, &ArgumentError{Argument: "events", Reason: "there are none to append"}
	}
	if !expected.any && expected.version < 0 {
		return nil, &ArgumentError{Argument: "expected", Reason: fmt.Sprintf("version %d is negative", expected.version)}
	}
	if !recorded {
		if err := s.handle.registry.checkEvents(s.handle.Stream, events); err != nil {
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
			id, err := uuid.NewV7() // before the payload is encoded, because a Sealer ties the payload to its event
			if err != nil {
				return nil, &ArgumentError{Argument: argument, Reason: "cannot make an id for it", Cause: err}
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
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its version is %d but its sequence number is %d", e.Version, n)}
		case n < 0:
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its sequence number %d is negative", n)}
		case n > 0 && n <= int64(i):
			return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its sequence number %d leaves no room for the %d events before it", n, i)}
		}
		if recorded {
			err = checkRecordedEvent(argument, e)
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
				return nil, &ArgumentError{Argument: argument, Reason: fmt.Sprintf("its idempotency id %q is also used by events[%d]", id, other)}
			}
			used[id] = i
		}
		drafts[i] = draft{metadata: m, raw: raw}
	}
	return drafts, nil
}

// encode returns what is stored of an event's data. It takes recorded data as it is, because a copy
// of a stream must not depend on the types that are registered here.
func (s *Session) encode(ctx context.Context, argument string, about *About, data any, recorded bool) (Raw, error) {
	if raw, ok := data.(Raw); ok && recorded {
		return raw, checkRecorded(argument, raw)
	}
	registry := s.handle.registry
	about.Stream = s.handle.Stream
	raw, err := registry.encodeAt(ctx, argument, about, data)
	if isA[*TypeNotRegisteredError](err) && registry.holdsSeveral(data) {
		err = &ArgumentError{Argument: argument, Reason: fmt.Sprintf("it is a %T, which holds several events: pass it as events... with a []any, so that each is one event", data)}
	}
	return raw, err
}

// complete fills in and checks an event's metadata, except for its sequence number and its session.
func (s *Session) complete(argument string, m *Metadata, raw Raw) error {
	const aggregateID = "aggregate id"
	stream := s.handle.Stream
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
				is, want = s.handle.hasher.id(is), s.handle.hasher.id(want)
			}
			return bad("its %s is %q, the stream's is %q", given.what, is, want)
		}
		*given.value = given.want
	}
	if id := m.Context.IdempotencyID; id != "" {
		if err := validateName("idempotency id of "+argument, id); err != nil {
			return err
		}
		if limit := s.handle.caps.MaxKeyBytes; limit > 0 && len(s.handle.keys.idempotency(id)) > limit {
			return bad("with its idempotency id %q a key would have %d bytes, but the store takes at most %d", id, len(s.handle.keys.idempotency(id)), limit)
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

// checkVersions returns a VersionMismatchError if the drafts do not fit a stream at that version.
func (s *Session) checkVersions(expected Expected, drafts []draft, version int64) error {
	if !expected.any && expected.version != version {
		return &VersionMismatchError{Stream: s.handle.Stream, Expected: expected.version, Actual: version, Metadata: drafts[0].metadata}
	}
	for i, d := range drafts {
		if n := d.metadata.Context.SequenceNumber; n != 0 && n != version+int64(i)+1 {
			return &VersionMismatchError{Stream: s.handle.Stream, Expected: n - int64(i) - 1, Actual: version, Metadata: d.metadata}
		}
	}
	return nil
}
