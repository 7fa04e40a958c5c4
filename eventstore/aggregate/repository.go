package aggregate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Repository loads and updates the aggregates of one type. It is safe for concurrent use, holds nothing open, and
// is meant to live as long as the process.
type Repository[S any] struct {
	provider *eventstore.Provider
	name     string
	fold     func(state S, event eventstore.Event) (S, error)
	settings settings
}

// NewRepository makes the repository of an aggregate type. Fold makes the next state of the one before, which begins
// as the zero S, and one more event. It must not change what an earlier state refers to, as a map in it, and has to know every type of event
// that the streams hold: an error of fold is an error of loading. It sends nothing; what can't work is an
// [eventstore.ArgumentError].
func NewRepository[S any](provider *eventstore.Provider, aggregateType string, fold func(state S, event eventstore.Event) (S, error), options ...Option) (*Repository[S], error) {
	switch {
	case provider == nil:
		return nil, bad("provider", "it is nil: make one with eventstore.NewProvider")
	case strings.TrimSpace(aggregateType) == "":
		return nil, bad("aggregate type", "it is blank")
	case fold == nil:
		return nil, bad("fold", "it is nil")
	}
	r := &Repository[S]{provider: provider, name: aggregateType, fold: fold, settings: settings{retries: DefaultRetries}}
	for _, option := range options {
		if option == nil {
			return nil, bad("option", "it is nil")
		}
		if err := option(&r.settings); err != nil {
			return nil, err
		}
	}
	if r.settings.every > 0 || r.settings.age > 0 {
		var zero S
		if _, err := provider.Registry().Encode(zero); err != nil {
			return nil, bad("fold", "snapshots are wanted but the state can't be stored: %v", err)
		}
	}
	return r, nil
}

// Aggregate is one aggregate as it was loaded, or as it is after an update.
type Aggregate[S any] struct {
	State   S
	Version int64 // of the last event in State; 0: there is none yet

	// Snapshot is the version of the snapshot that it was loaded from; 0: from events alone.
	Snapshot int64

	// Appended are the events that the update stored.
	Appended []eventstore.Event

	// RepeatOf is the version that an earlier command with the same idempotency id has stored; 0: there was none. See [Once].
	RepeatOf int64
}

// Load loads an aggregate: from its newest usable snapshot and the events after it. An aggregate without events
// is the zero state at version 0, not an error. The only option is [eventstore.ToVersion], for the aggregate
// as it was; its version is then at most that.
//
// Errors are those of [eventstore.Reader.Read], and the fold's.
func (r *Repository[S]) Load(ctx context.Context, id string, options ...eventstore.ReadOption) (Aggregate[S], error) {
	return r.observed(ctx, "aggregate_load", id, func(ctx context.Context, _ *int) (Aggregate[S], error) {
		stream := r.stream(id)
		reader, err := r.provider.ReaderIn(stream.Database, stream.Type, stream.ID)
		if err != nil {
			return Aggregate[S]{}, err
		}
		loaded, err := r.load(ctx, reader, options...)
		return loaded.Aggregate, err
	})
}

// Decide looks at a state and returns the events that follow, each a value of a registered Go type or an [eventstore.Event] with metadata
// of its own. No events is a decision too; an error refuses, and Update returns it as it is.
//
// It may be called several times for one update and should do nothing but decide.
type Decide[S any] = func(state S) (events []any, err error)

// Update loads an aggregate, has it decided, and appends what was decided at the version that was loaded. If another
// update came before, all three are done anew, as often as [Retries] says. The aggregate is returned as it is then, the new
// events included.
//
// It returns the decision's error; an [eventstore.VersionMismatchError] or [eventstore.SessionLostError] if others kept coming before, or with [ExpectVersion];
// and the errors of [eventstore.Provider.Open], [eventstore.Reader.Read] and [eventstore.Session.Append]. Nothing was stored then, unless it is
// an [eventstore.OutcomeUnknownError]: repeat the command with the same id, see [Once].
func (r *Repository[S]) Update(ctx context.Context, id string, decide Decide[S], options ...UpdateOption) (Aggregate[S], error) {
	return r.observed(ctx, "aggregate_update", id, func(ctx context.Context, tries *int) (Aggregate[S], error) {
		return r.tryUpdates(ctx, id, decide, options, tries)
	})
}

func (r *Repository[S]) tryUpdates(ctx context.Context, id string, decide Decide[S], options []UpdateOption, tries *int) (Aggregate[S], error) {
	u := update{expected: -1}
	if decide == nil {
		return Aggregate[S]{}, bad("decide", "it is nil")
	}
	for _, option := range options {
		if option == nil {
			return Aggregate[S]{}, bad("option", "it is nil")
		}
		if err := option(&u); err != nil {
			return Aggregate[S]{}, err
		}
	}
	for n := 0; ; n++ {
		*tries = n + 1
		after, err := r.update(ctx, id, decide, u)
		var used *eventstore.IdempotencyIDUsedError
		if errors.As(err, &used) && used.IdempotencyID == u.once && ctx.Err() == nil {
			continue // it has just been stored, and will be found
		}
		overtaken := errors.Is(err, &eventstore.VersionMismatchError{}) || errors.Is(err, &eventstore.SessionLostError{}) ||
			errors.Is(err, &eventstore.LostWritesError{})
		if !overtaken || u.expected >= 0 || n >= r.settings.retries || !pause(ctx, n) {
			return after, err
		}
	}
}

// pause waits before another try, longer each time and not the same for all. It reports whether the context lived on.
func pause(ctx context.Context, n int) bool {
	timer := time.NewTimer(rand.N(2 * time.Millisecond << min(n, 8)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (r *Repository[S]) stream(id string) eventstore.Stream {
	stream := r.provider.Stream(r.name, id)
	stream.Database = cmp.Or(r.settings.database, stream.Database)
	return stream
}

// loaded is an aggregate, and since when it is so without a snapshot.
type loaded[S any] struct {
	Aggregate[S]
	since time.Time // when the snapshot was made, without one the first event
}

// history is what both sessions and readers can do.
type history interface {
	Load(ctx context.Context, options ...eventstore.ReadOption) (eventstore.Snapshot, iter.Seq2[eventstore.Event, error], error)
	Read(ctx context.Context, options ...eventstore.ReadOption) iter.Seq2[eventstore.Event, error]
}

func (r *Repository[S]) load(ctx context.Context, from history, options ...eventstore.ReadOption) (loaded[S], error) {
	var l loaded[S]
	snapshot, events, err := from.Load(ctx, options...)
	if err != nil {
		return l, err
	}
	if snapshot.Version > 0 {
		if state, ok := snapshot.Data.(S); ok {
			l.State, l.Version, l.Snapshot, l.since = state, snapshot.Version, snapshot.Version, snapshot.Created
		} else { // of something else than the state, as it was once
			events = from.Read(ctx, options...)
		}
	}
	for event, err := range events {
		if err != nil {
			return l, err
		}
		if err := r.apply(&l.Aggregate, event); err != nil {
			return l, err
		}
		if l.since.IsZero() {
			l.since = event.Metadata.Message.Created
		}
	}
	return l, nil
}

// apply folds one more event into an aggregate.
func (r *Repository[S]) apply(a *Aggregate[S], event eventstore.Event) (err error) {
	if a.State, err = r.fold(a.State, event); err != nil {
		return fmt.Errorf("aggregate: folding version %d of %s, a %s: %w", event.Version, r.name, event.Metadata.Message.Type, err)
	}
	a.Version = event.Version
	return nil
}

// update is one try.
func (r *Repository[S]) update(ctx context.Context, id string, decide Decide[S], u update) (Aggregate[S], error) {
	session, err := r.open(ctx, r.stream(id))
	if err != nil {
		return Aggregate[S]{}, err
	}
	defer session.Close() // what was appended stands, whatever it says
	l, err := r.load(ctx, session)
	if err != nil {
		return l.Aggregate, err
	}
	if u.once != "" {
		l.RepeatOf, err = session.VersionOf(ctx, u.once)
		switch {
		case err == nil:
			return l.Aggregate, nil
		case !errors.Is(err, &eventstore.IdempotencyIDNotFoundError{}):
			return l.Aggregate, err
		}
	}
	if u.expected >= 0 && u.expected != l.Version {
		return l.Aggregate, &eventstore.VersionMismatchError{Stream: session.Stream(), Expected: u.expected, Actual: l.Version}
	}
	decided, err := decide(l.State)
	if err != nil || len(decided) == 0 {
		return l.Aggregate, err
	}
	events, stored, err := r.events(session, l.Version, decided, u)
	if err != nil {
		return l.Aggregate, err
	}
	after := l.Aggregate
	for _, event := range events {
		if err := r.apply(&after, event); err != nil {
			return l.Aggregate, err // rather than storing what could never be loaded again
		}
	}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(l.Version), stored...); err != nil {
		return l.Aggregate, err
	}
	after.Appended = events
	r.snapshot(ctx, session, l, after)
	return after, nil
}

func (r *Repository[S]) open(ctx context.Context, stream eventstore.Stream) (*eventstore.Session, error) {
	if r.settings.exclusive {
		return r.provider.OpenIn(ctx, stream.Database, stream.Type, stream.ID)
	}
	return r.provider.OpenShared(ctx, stream)
}

// events makes of what was decided the events as they will be read, and as they are to be stored: what is folded now is what will be
// folded when they are read.
func (r *Repository[S]) events(session *eventstore.Session, version int64, decided []any, u update) (events []eventstore.Event, stored []any, err error) {
	registry := r.provider.Registry()
	for i, data := range decided {
		event, ok := data.(eventstore.Event)
		if !ok {
			event.Data = data
		}
		raw, err := registry.Encode(event.Data)
		if err != nil {
			return nil, nil, err
		}
		if event.Data, err = registry.Decode(raw); err != nil {
			return nil, nil, err
		}
		stream, m := session.Stream(), &event.Metadata
		if m.Message.ID == "" {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, nil, err
			}
			m.Message.ID = id.String()
		}
		if m.Message.Created.IsZero() {
			m.Message.Created = time.Now().UTC()
		}
		m.Message.Type, m.Message.SchemaVersion = raw.Type, raw.SchemaVersion
		m.Message.AggregateType, m.Message.AggregateID = stream.Type, stream.ID
		c := &m.Context
		c.CorrelationID = cmp.Or(c.CorrelationID, u.context.CorrelationID)
		c.CausationID = cmp.Or(c.CausationID, u.context.CausationID)
		c.UserID = cmp.Or(c.UserID, u.context.UserID)
		c.SessionID = session.ID()
		if c.PartitionID = stream.Database; u.context.PartitionID != "" {
			c.PartitionID = u.context.PartitionID
		}
		if c.Timestamp.IsZero() {
			c.Timestamp = u.context.Timestamp
		}
		if c.Timestamp.IsZero() {
			c.Timestamp = m.Message.Created
		}
		if c.Scopes == nil {
			c.Scopes = u.context.Scopes
		}
		if i == 0 && u.once != "" {
			if c.IdempotencyID != "" {
				return nil, nil, bad("Once", "the first event has an idempotency id of its own, %q", c.IdempotencyID)
			}
			c.IdempotencyID = u.once
		}
		event.Version = version + int64(i) + 1
		c.SequenceNumber = event.Version
		events = append(events, event)
		stored = append(stored, eventstore.Event{Version: event.Version, Data: raw, Metadata: event.Metadata})
	}
	return events, stored, nil
}

// snapshot saves one if it is time for it. It never fails an update: without it the next ones take longer.
func (r *Repository[S]) snapshot(ctx context.Context, session *eventstore.Session, before loaded[S], after Aggregate[S]) {
	due := r.settings.every > 0 && after.Version-before.Snapshot >= r.settings.every
	since := before.since
	if since.IsZero() {
		since = after.Appended[0].Metadata.Message.Created
	}
	due = due || r.settings.age > 0 && time.Since(since) >= r.settings.age
	if !due {
		return
	}
	versions, err := session.Snapshots(ctx)
	if err == nil {
		err = session.SaveSnapshot(ctx, after.Version, after.State)
	}
	for _, version := range versions {
		// One that is newer than the one that was used could not be: the state's type has changed since.
		if err == nil && version > before.Snapshot && version < after.Version {
			err = session.ClearSnapshot(ctx, version)
		}
	}
	if err != nil {
		r.provider.Logger().WarnContext(ctx, "no snapshot was saved after an update", "stream", session.Stream().String(), "version", after.Version, "error", err)
	}
}
