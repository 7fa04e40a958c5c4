package eventstore

import "context"

// Prepare returns events as [Reader.Read] with [AsRaw] will return them after they have been
// appended after that version. It completes and checks them as [Session.Append] does. It sends
// nothing and stores nothing. To store the prepared events, pass them to Append in the same
// session, with ExpectVersion(version). [Registry.Decode] turns each Data into what a reader
// without AsRaw will get.
//
// So a program can look at events before they are stored, for example at the state that will follow
// from them. Prepare is safe for concurrent use.
//
// Prepare returns an [ArgumentError], a [TypeNotRegisteredError], or a [VersionMismatchError] if an
// event names another version than it would get. It also returns the errors of a session that has
// ended.
func (s *Session) Prepare(version int64, events ...any) ([]Event, error) {
	return s.PrepareFor(context.Background(), version, events...)
}

// PrepareFor is [Session.Prepare] with a context for the [Sealer] of a type, which may ask for
// keys. It also returns a [StorageError] if the Sealer gets no key.
func (s *Session) PrepareFor(ctx context.Context, version int64, events ...any) ([]Event, error) {
	if err := s.check(); err != nil {
		if s == nil || s.Reader == nil || s.handle == nil {
			return nil, err
		}
		return nil, s.handle.hasher.hide(err, s.handle.Stream)
	}
	prepared, err := s.prepare(ctx, version, events)
	return prepared, s.handle.hasher.hide(err, s.handle.Stream)
}

// prepare implements PrepareFor for a session that is open.
func (s *Session) prepare(ctx context.Context, version int64, events []any) ([]Event, error) {
	expected := ExpectVersion(version)
	drafts, err := s.drafts(ctx, expected, events, false)
	if err != nil {
		return nil, err
	}
	if err := s.checkVersions(expected, drafts, version); err != nil {
		return nil, err
	}
	h := s.handle
	prepared := make([]Event, len(drafts))
	for i, d := range drafts {
		d.metadata.Context.SequenceNumber = version + int64(i) + 1
		// A record holds less than Go values do, for example of times and empty slices. So what is
		// read back from the record counts.
		r := encodeEvent(h.keys.partition, "prepared", d.metadata, d.raw)
		_, metadata, raw, err := decodeEventAt(h.Stream, h.keys.partition, r.version, r.data)
		if err != nil {
			return nil, h.damaged(h.keys.event(r.version), r.version, err)
		}
		prepared[i] = Event{Version: r.version, Data: raw, Metadata: metadata}
	}
	return prepared, nil
}
