package aggregate

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Repository loads and updates the aggregates of one type. It is safe for concurrent use and is
// meant to live as long as the process. It keeps the aggregates that were updated last in memory,
// see [WithCache]. It holds no lock, no connection and no goroutine for them.
type Repository[S any] struct {
	provider *eventstore.Provider
	name     string
	fold     func(state S, event eventstore.Event) (S, error)
	config   config
	queue    queue // of the updates under way
	cache    *cache[S]
	batch    int // how many updates are decided together at most
}

// NewRepository returns a repository for an aggregate type. It sends nothing to the store. An
// argument or option that cannot work is an [eventstore.ArgumentError].
//
// fold returns the state that follows from a state and one more event. The first state is the zero
// S. fold must not change anything that the earlier state refers to, such as a map in it. It must
// know every type of event in the streams: if fold returns an error, the aggregate cannot be
// loaded.
func NewRepository[S any](provider *eventstore.Provider, aggregateType string, fold func(state S, event eventstore.Event) (S, error), options ...Option) (*Repository[S], error) {
	switch {
	case provider == nil:
		return nil, bad("provider", "it is nil: make one with eventstore.NewProvider")
	case strings.TrimSpace(aggregateType) == "":
		return nil, bad("aggregate type", "it is blank")
	case fold == nil:
		return nil, bad("fold", "it is nil")
	}
	r := &Repository[S]{provider: provider, name: aggregateType, fold: fold, config: config{retries: DefaultRetries, kept: DefaultSnapshotsKept, cached: unset, cachedBytes: defaultCachedBytes}, batch: batchUpdates}
	for _, option := range options {
		if option == nil {
			return nil, bad("option", "it is nil")
		}
		if err := option(&r.config); err != nil {
			return nil, err
		}
	}
	if r.config.every > 0 || r.config.age > 0 {
		var zero S
		if _, err := provider.Registry().Encode(zero); err != nil {
			return nil, bad("fold", "the state cannot be stored in a snapshot: %v", err)
		}
		for _, t := range provider.Registry().Types() {
			if t.GoType == reflect.TypeFor[S]() && t.AggregateTypes != nil && !slices.Contains(t.AggregateTypes, aggregateType) {
				return nil, bad("fold", "the state cannot be stored in a snapshot: its type %q is bound to the aggregate types %q", t.Name, t.AggregateTypes)
			}
		}
	}
	switch {
	case r.config.exclusive: // a cached session would keep its lock
	case r.config.cached != unset:
		r.cache = newCache[S](r.config.cached, r.config.cachedBytes)
	case !mayBeErased(provider.Registry(), aggregateType):
		r.cache = newCache[S](defaultCached, r.config.cachedBytes)
	}
	return r, nil
}

// mayBeErased reports whether streams of an aggregate type may hold events that are sealed. A state
// in memory would still hold what they were after they were erased.
func mayBeErased(registry *eventstore.Registry, aggregateType string) bool {
	return slices.ContainsFunc(registry.Types(), func(t eventstore.RegisteredType) bool {
		return t.Sealed && (t.AggregateTypes == nil || slices.Contains(t.AggregateTypes, aggregateType))
	})
}

// Aggregate is one aggregate as it was loaded, or as it is after an update.
type Aggregate[S any] struct {
	State   S
	Version int64 // of the last event in State; 0 if there are no events

	// Snapshot is the version of the snapshot that the aggregate was loaded from, or 0 if it was
	// loaded from events alone. If the state came from memory, the snapshot may be one that an
	// earlier update saved.
	Snapshot int64

	// Appended holds the events that the update stored.
	Appended []eventstore.Event

	// RepeatOf is the version that an earlier command with the same idempotency id stored, or 0 if
	// there was none. See [WithIdempotencyID].
	RepeatOf int64
}

// Load loads an aggregate from its newest usable snapshot and the events after it. It always asks
// the store, and never returns a state that the repository has in memory. [Repository.LoadWithin]
// may do so. An aggregate
// without events is the zero state at version 0. With [eventstore.MustExist], Load returns an
// [eventstore.StreamNotFoundError] instead. With [eventstore.ToVersion], Load returns the aggregate
// as it was at that version, or earlier if the stream is shorter. Any other option is an
// [eventstore.ArgumentError].
//
// Load returns the errors of [eventstore.Reader.Read] and of the fold.
func (r *Repository[S]) Load(ctx context.Context, id string, options ...eventstore.ReadOption) (Aggregate[S], error) {
	return r.observed(ctx, eventstore.OpAggregateLoad, id, func(ctx context.Context, _ *int) (Aggregate[S], error) {
		if _, err := eventstore.AsOf(options...); err != nil {
			return Aggregate[S]{}, err
		}
		stream := r.stream(id)
		reader := r.provider.Reader(stream)
		loaded, err := r.load(ctx, reader, options...)
		return loaded.Aggregate, err
	})
}

// LoadWithin loads an aggregate as it is now, or as the repository has had it in memory for not
// longer than age. So the state has at least all events that were stored before that time. It takes
// no request if the aggregate is in memory, see [WithCache]. Otherwise, LoadWithin does the same as
// [Repository.Load]. A negative age is an [eventstore.ArgumentError].
//
// Only updates through this repository put an aggregate into memory, and it is not there while one
// of them is under way. The caller must not change anything that the state refers to.
func (r *Repository[S]) LoadWithin(ctx context.Context, id string, age time.Duration) (Aggregate[S], error) {
	return r.observed(ctx, eventstore.OpAggregateLoad, id, func(ctx context.Context, _ *int) (Aggregate[S], error) {
		if age < 0 {
			return Aggregate[S]{}, bad("age", "%s is negative", age)
		}
		stream := r.stream(id)
		if a, found := r.cache.look(stream, time.Now().Add(-age)); found {
			return a, nil
		}
		loaded, err := r.load(ctx, r.provider.Reader(stream))
		return loaded.Aggregate, err
	})
}

// Decide takes a state and returns the events that follow. Each event is a value of a registered Go
// type, or an [eventstore.Event] with its own metadata. Returning no events is valid. If Decide
// returns an error, nothing is stored, and Update returns that error unchanged.
//
// Update may call Decide several times, so it should have no side effects. It must not change
// anything that the state refers to, such as a map in it, because the events are folded into that
// state.
type Decide[S any] = func(state S) (events []any, err error)

// Update loads an aggregate, calls decide, and appends the events at the version that it loaded. It
// returns the aggregate with the new events. The result equals what [Repository.Load] returns for
// that version, and Appended equals what [eventstore.Reader.Read] returns.
//
// The aggregate may come from memory, see [WithCache]. That is safe: the store refuses events that
// were decided on an old state, and Update then decides again. If it would store nothing, Update
// first makes sure that the state is current. So it never refuses a command because of an old
// state. The returned state may be the one in memory, and may refer to the same values as Appended.
// So the caller must not change anything that they refer to.
//
// Updates of one aggregate through one repository take turns, in order of arrival. Those that wait
// are decided together, up to 100: each on the state that the one before it left. All of their
// events go into one append. Each call of Update still returns its own state, events and error. Its
// decision runs in its own goroutine, so a panic or the end of its context does not concern the
// others. A decision that takes longer than half a second, for example because it updates the same
// aggregate, does not hold up the others any longer.
//
// If another writer stores an update first, Update pauses for a short, random time. Then it loads,
// decides and appends again, as often as [WithRetries] allows, until ctx ends.
//
// Update returns:
//
//   - the error of decide;
//   - an [eventstore.VersionMismatchError] if [WithExpectedVersion] sets another version, if an
//     event names another version than it would get, or if every try came too late;
//   - an [eventstore.SessionLostError] if every try came too late;
//   - the errors of [eventstore.Provider.Open], [eventstore.Reader.Read] and
//     [eventstore.Session.Append].
//
// After any of these errors nothing was stored, except after an [eventstore.OutcomeUnknownError].
// In that case repeat the command with the same idempotency id: see [WithIdempotencyID]. The error
// may be that of an append with the events of several updates, and [eventstore.Session.Retry] then
// completes all of them.
//
// If ctx ends while the events are under way with those of others, Update does not wait for the
// append, which goes on for the others. Its OutcomeUnknownError then has no CommitID, because only
// the append knows that, and neither [eventstore.Reader.Outcome] nor Retry takes the error.
func (r *Repository[S]) Update(ctx context.Context, id string, decide Decide[S], options ...UpdateOption) (Aggregate[S], error) {
	return r.observed(ctx, eventstore.OpAggregateUpdate, id, func(ctx context.Context, tries *int) (Aggregate[S], error) {
		u := updateConfig{expected: -1}
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
		return (&update[S]{r: r, ctx: ctx, stream: r.stream(id), decide: decide, config: u, tries: tries}).run()
	})
}

func (r *Repository[S]) stream(id string) eventstore.Stream {
	stream := r.provider.Stream(r.name, id)
	stream.Database = cmp.Or(r.config.database, stream.Database)
	return stream
}

// loaded is an aggregate and what only the repository needs to know of it.
type loaded[S any] struct {
	Aggregate[S]
	since time.Time // when the newest snapshot was made or, without one, the first event
	bytes int64     // the payloads that were read and folded for it
}

// reader is what sessions and readers have in common.
type reader interface {
	Load(ctx context.Context, options ...eventstore.ReadOption) (eventstore.Snapshot, iter.Seq2[eventstore.Event, error], error)
	Read(ctx context.Context, options ...eventstore.ReadOption) iter.Seq2[eventstore.Event, error]
}

func (r *Repository[S]) load(ctx context.Context, from reader, options ...eventstore.ReadOption) (loaded[S], error) {
	var l loaded[S]
	options = append(options[:len(options):len(options)], eventstore.CountBytes(&l.bytes))
	snapshot, events, err := from.Load(ctx, options...)
	if err != nil {
		return l, err
	}
	if snapshot.Version > 0 {
		if state, ok := snapshot.Data.(S); ok {
			l.State, l.Version, l.Snapshot, l.since = state, snapshot.Version, snapshot.Version, snapshot.Created
		} else { // of another type, such as an earlier type of the state
			l.bytes = 0
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

func (r *Repository[S]) open(ctx context.Context, stream eventstore.Stream) (*eventstore.Session, error) {
	if r.config.exclusive {
		return r.provider.Open(ctx, stream, eventstore.WithSnapshots())
	}
	return r.provider.Open(ctx, stream, eventstore.Shared(), eventstore.WithSnapshots())
}

// decided returns the aggregate with the decided events, and the events to store. It encodes and
// decodes each event before it folds it. So nothing is stored that could not be loaded again.
func (r *Repository[S]) decided(ctx context.Context, session *eventstore.Session, before Aggregate[S], decided []any, u updateConfig) (after Aggregate[S], stored []any, err error) {
	given := make([]any, len(decided))
	for i, data := range decided {
		event, ok := data.(eventstore.Event)
		if p, isPointer := data.(*eventstore.Event); isPointer && p != nil {
			event, ok = *p, true
		}
		if !ok {
			event.Data = data
		}
		if err := u.complete(&event.Metadata, i == 0); err != nil {
			return before, nil, err
		}
		given[i] = event
	}
	prepared, err := session.PrepareFor(ctx, before.Version, given...)
	if err != nil {
		return before, nil, err
	}
	after = before
	for _, event := range prepared {
		stored = append(stored, event)
		if event.Data, err = r.provider.Registry().DecodeFor(ctx, event.About(), event.Data.(eventstore.Raw)); err != nil {
			return before, nil, fmt.Errorf("aggregate: version %d of %s cannot be read back, so nothing was stored: %w", event.Version, session.Stream(), err)
		}
		if err := r.apply(&after, event); err != nil {
			return before, nil, err
		}
		after.Appended = append(after.Appended, event)
	}
	return after, stored, nil
}

// complete fills in what the update's options set and the event does not set itself.
func (u updateConfig) complete(m *eventstore.Metadata, first bool) error {
	c, given := &m.Context, u.metadata.Context
	c.CorrelationID = cmp.Or(c.CorrelationID, given.CorrelationID)
	c.CausationID = cmp.Or(c.CausationID, given.CausationID)
	c.UserID = cmp.Or(c.UserID, given.UserID)
	c.PartitionID = cmp.Or(c.PartitionID, given.PartitionID)
	if c.Timestamp.IsZero() {
		c.Timestamp = given.Timestamp
	}
	if c.Scopes == nil {
		c.Scopes = given.Scopes
	}
	if m.Custom == nil {
		m.Custom = u.metadata.Custom
	}
	if first && u.once != "" {
		if c.IdempotencyID != "" {
			return bad("WithIdempotencyID", "the first event already has the idempotency id %q", c.IdempotencyID)
		}
		c.IdempotencyID = u.once
	}
	return nil
}

// saveSnapshot saves a snapshot if one is due, and reports whether it did. A failure is only
// logged: without the snapshot, later loads take longer.
func (r *Repository[S]) saveSnapshot(ctx context.Context, session *eventstore.Session, of loaded[S]) bool {
	old := r.config.every > 0 && of.Version-of.Snapshot >= r.config.every
	if !old && (r.config.age == 0 || time.Since(of.since) < r.config.age) {
		return false
	}
	err := session.SaveSnapshot(ctx, of.Version, of.State, eventstore.WithKept(r.config.kept))
	if err != nil {
		r.provider.Logger().WarnContext(ctx, "could not save a snapshot after an update", "stream", session.Stream().String(), "version", of.Version, "error", err)
	}
	return err == nil
}
