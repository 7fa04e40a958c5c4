package eventstore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Snapshot is the state of an aggregate as of one version of its stream, kept to spare reading the events up
// to there. It is derived: one that is missing or unreadable costs time, never correctness. So does one that was stored as [JSON] with other
// fields than its Go type would be stored with today; it is not used, and a new one is.
type Snapshot struct {
	// Version is that of the last event that went into Data; 0 if there is no snapshot.
	Version int64 `json:"version,omitempty"`

	// Data is a value of a registered Go type, or a [Raw].
	Data any `json:"data,omitempty"`

	Created time.Time `json:"created,omitzero"` // UTC

	// Custom is what [WithCustom] stored with the snapshot. It is nil if there is none.
	Custom map[string]string `json:"custom,omitempty"`
}

// Snapshots returns the versions at which there are snapshots, ascending.
func (r *Reader) Snapshots(ctx context.Context) (versions []int64, err error) {
	ctx, o := r.observe(ctx, OpSnapshots)
	defer o.end(&err)
	v, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	return r.snapshotVersions(ctx, v, 0)
}

// Snapshot reads the snapshot at that version. Where there is none it returns a
// [SnapshotNotFoundError], where it can't be read a [DamagedError], and where the registered type does not fit it a
// [TypeMismatchError], [SchemaError] or [TypeNotRegisteredError]. It takes the options [AsRaw] and [MustExist].
func (r *Reader) Snapshot(ctx context.Context, version int64, options ...ReadOption) (snapshot Snapshot, err error) {
	ctx, o := r.observe(ctx, OpSnapshot)
	defer o.end(&err)
	rng, err := snapshotOptions(append([]ReadOption{ToVersion(version)}, options...))
	if err == nil && rng.to != version {
		err = &ArgumentError{Argument: "option", Reason: "ToVersion contradicts the version that is given already"}
	}
	if err != nil {
		return Snapshot{}, err
	}
	if err := r.begin(ctx); err != nil {
		return Snapshot{}, err
	}
	h := r.history
	items, err := h.getMany(ctx, "read a snapshot", []string{h.keys.head(), h.keys.snapshot(version)})
	if err != nil {
		return Snapshot{}, err
	}
	if hd, _, err := h.headOf(items[0]); err == nil && hd.deleted {
		return Snapshot{}, h.endOf(hd)
	} else if err == nil {
		if err := h.exists(hd, rng); err != nil {
			return Snapshot{}, err
		}
	}
	snapshot, err = h.snapshotOf(ctx, items[1], version, rng.raw)
	o.result.Version = snapshot.Version
	return snapshot, err
}

// LastSnapshot reads the newest snapshot that can be read, with [ToVersion] the newest at or below that version.
// Where there is none it returns a [SnapshotNotFoundError], where none can be read what is wrong with the newest. It takes the options [AsRaw] and [MustExist] as well, others are an [ArgumentError].
func (r *Reader) LastSnapshot(ctx context.Context, options ...ReadOption) (snapshot Snapshot, err error) {
	ctx, o := r.observe(ctx, OpLastSnapshot)
	defer o.end(&err)
	rng, err := snapshotOptions(options)
	if err != nil {
		return Snapshot{}, err
	}
	v, err := r.lookFor(ctx, rng)
	if err != nil {
		return Snapshot{}, err
	}
	snapshot, err = r.newest(ctx, v, rng)
	o.result.Version = snapshot.Version
	return snapshot, err
}

// Load returns the newest usable snapshot, and the events after it to be read as from [Reader.Read].
// Without one the snapshot's Version is 0 and all events follow. With [ToVersion] neither goes beyond that
// version. It takes [AsRaw] and [MustExist] as well; other read options are an [ArgumentError].
func (r *Reader) Load(ctx context.Context, options ...ReadOption) (snapshot Snapshot, events iter.Seq2[Event, error], err error) {
	asked := ctx // for the loop over the events, which comes after this operation
	ctx, o := r.observe(asked, OpLoad)
	defer o.end(&err)
	rng, err := snapshotOptions(options)
	if err != nil {
		return Snapshot{}, nil, err
	}
	v, err := r.lookFor(ctx, rng)
	if err != nil {
		return Snapshot{}, nil, err
	}
	snapshot, err = r.newest(ctx, v, rng)
	if err != nil && ctx.Err() != nil {
		return Snapshot{}, nil, err
	}
	rng.from, o.result.Version = snapshot.Version+1, snapshot.Version
	return snapshot, func(yield func(Event, error) bool) {
		r.loop(asked, yield, func(context.Context) (view, readRange, error) { return v, rng, nil })
	}, nil
}

// snapshotOptions are readOptions without those that say nothing where snapshots are read.
func snapshotOptions(options []ReadOption) (readRange, error) {
	r, err := readOptions(options)
	if err == nil && r.after != nil {
		err = &ArgumentError{Argument: "After", Reason: "it is for reading events: where a snapshot is wanted use ToVersion and AsRaw"}
	}
	if err == nil && (r.from != 1 || r.backwards) {
		err = &ArgumentError{Argument: "option", Reason: "FromVersion and Backwards are for reading events: where a snapshot is wanted use ToVersion and AsRaw"}
	}
	return r, err
}

// newest finds the newest snapshot that can be read. The error says why there is none.
func (r *Reader) newest(ctx context.Context, v view, rng readRange) (Snapshot, error) {
	h := r.history
	versions, err := r.snapshotVersions(ctx, v, rng.to)
	if err != nil {
		h.log.WarnContext(ctx, "the list of snapshots can't be read, none is used", "error", err)
		return Snapshot{}, err
	}
	var failure error = &SnapshotNotFoundError{Stream: h.Stream}
	for i, version := range slices.Backward(versions) {
		snapshot, err := h.snapshot(ctx, version, rng.raw)
		if err == nil {
			return snapshot, nil
		}
		if i == len(versions)-1 || ctx.Err() != nil {
			failure = err
		}
		if ctx.Err() != nil {
			break
		}
		h.log.WarnContext(ctx, "a snapshot is not used", "version", version, "error", err)
	}
	return Snapshot{}, failure
}

// snapshotVersions lists the snapshots that stand at committed versions, up to version to if that is not 0.
func (r *Reader) snapshotVersions(ctx context.Context, v view, to int64) ([]int64, error) {
	h := r.history
	list := v.snapshots
	if list == nil {
		item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
		if err != nil {
			return nil, err
		}
		list = &item
	}
	versions, err := h.listed(*list)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(versions, func(version int64) bool {
		return version < v.head.first || version > v.head.version || to != 0 && version > to
	}), nil
}

// SaveSnapshot stores state, a value of a registered Go type, as the snapshot at that
// version, which must be committed, else it returns a [VersionNotFoundError]. One that
// is there already is replaced, with its custom metadata. A state that would not come back as it is, is an
// [ArgumentError]: see [Registry.Encode]. So is a state of a type that is bound to other aggregate
// types: see [ForAggregates]. The option [WithCustom] is possible.
func (s *Session) SaveSnapshot(ctx context.Context, version int64, state any, options ...SnapshotOption) (err error) {
	ctx, o := s.observe(ctx, OpSaveSnapshot)
	defer o.end(&err)
	o.result.Version = version
	if err := s.check(); err != nil {
		return err
	}
	config, err := snapshotConfigOf(options)
	if err != nil {
		return err
	}
	return s.saveSnapshot(ctx, Snapshot{Version: version, Data: state, Created: time.Now(), Custom: config.custom}, false)
}

// saveSnapshot saves a snapshot in a session that is open. The snapshot may have been recorded before.
func (s *Session) saveSnapshot(ctx context.Context, snapshot Snapshot, recorded bool) error {
	h, version := s.history, snapshot.Version
	if err := validVersion("version", version); err != nil {
		return err
	}
	if !recorded {
		if err := h.registry.checkState(h.Stream, snapshot.Data); err != nil {
			return err
		}
	}
	raw, err := s.encode(ctx, "state", &About{Version: version, Snapshot: true}, snapshot.Data, recorded)
	if err != nil {
		return err
	}
	_, err = s.saveSnapshots(ctx, []driver.Write{{Key: h.keys.snapshot(version), Value: encodeSnapshot(h.keys.partition, snapshot, raw)}}, version)
	return err
}

// saveSnapshots stores encoded snapshots of those versions, which ascend. It returns how many the list
// of snapshots then names.
func (s *Session) saveSnapshots(ctx context.Context, snapshots []driver.Write, versions ...int64) (listed int, err error) {
	h := s.history
	err = s.exclusively(ctx, "save a snapshot", func(ctx context.Context) error {
		if err := h.gone(s.writer.head); err != nil {
			return err
		}
		for i, version := range versions {
			if hd := s.writer.head; version < hd.first || version > hd.version {
				return &VersionNotFoundError{Stream: h.Stream, Version: version, Current: hd.version}
			}
			if err := h.fitsRequest(snapshots[i]); err != nil {
				return err
			}
		}
		s.listed.Store(nil)
		// The list first: a version in it without a snapshot costs one read, while a
		// snapshot that no list names would stay for ever.
		list, err := s.writer.knownAndListed(ctx)
		if err != nil {
			return err
		}
		err = h.changeSnapshots(ctx, list, func(before []int64) []int64 {
			after := slices.Compact(slices.Sorted(slices.Values(append(before, versions...))))
			listed = len(after)
			return after
		})
		if err != nil {
			return err
		}
		if err := h.state.Write(ctx, h.keys.partition, snapshots); err != nil {
			return h.failed("save a snapshot", err)
		}
		for _, version := range versions {
			h.log.DebugContext(ctx, "saved a snapshot", "session", s.id, "version", version)
		}
		return nil
	})
	return listed, err
}

// fitsRequest returns a BatchTooLargeError if the store can't take that in one request.
func (h *history) fitsRequest(w driver.Write) error {
	if size, limit := h.requestBytes(len(w.Key), len(w.Value)), h.caps.MaxRequestBytes; limit > 0 && size > limit {
		return &BatchTooLargeError{Stream: h.Stream, Size: size, Limit: limit}
	}
	return nil
}

// ClearSnapshot removes the snapshot at that version; where there is none it returns a [SnapshotNotFoundError].
func (s *Session) ClearSnapshot(ctx context.Context, version int64) (err error) {
	ctx, o := s.observe(ctx, OpClearSnapshot)
	defer o.end(&err)
	o.result.Version = version
	if err := validVersion("version", version); err != nil {
		return err
	}
	return s.clearSnapshots(ctx, version)
}

// ClearSnapshots removes all snapshots, if there are any. A list of snapshots that is damaged it replaces by an empty one.
func (s *Session) ClearSnapshots(ctx context.Context) (err error) {
	ctx, o := s.observe(ctx, OpClearSnapshots)
	defer o.end(&err)
	return s.clearSnapshots(ctx, 0)
}

// clearSnapshots removes one snapshot, or with version 0 all: first the snapshots, then their place in the list.
func (s *Session) clearSnapshots(ctx context.Context, version int64) error {
	if err := s.check(); err != nil {
		return err
	}
	h := s.history
	return s.exclusively(ctx, "clear snapshots", func(ctx context.Context) error {
		if err := h.gone(s.writer.head); err != nil {
			return err
		}
		s.listed.Store(nil)
		item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
		if err != nil {
			return err
		}
		gone, err := h.listed(item)
		switch {
		case err != nil && version == 0:
			h.log.WarnContext(ctx, "the list of snapshots is unreadable and begins anew", "session", s.id, "error", err)
			if err := h.swapSnapshots(ctx, nil, item.ETag); err != nil {
				return h.failed("clear snapshots", err)
			}
			return nil
		case err != nil:
			return err
		case version != 0 && !slices.Contains(gone, version):
			return &SnapshotNotFoundError{Stream: h.Stream, Version: version}
		case version != 0:
			gone = []int64{version}
		case len(gone) == 0:
			return nil
		}
		deletes := make([]driver.Write, len(gone))
		for i, v := range gone {
			deletes[i] = driver.Write{Key: h.keys.snapshot(v)}
		}
		if err := h.state.Write(ctx, h.keys.partition, deletes); err != nil {
			return h.failed("clear snapshots", err)
		}
		return h.changeSnapshots(ctx, nil, func(versions []int64) []int64 {
			return slices.DeleteFunc(versions, func(v int64) bool { return slices.Contains(gone, v) })
		})
	})
}

// BuildSnapshots reads the whole history and saves a snapshot at every version that is a multiple of
// every. The state begins as initial, and fold makes the next state from an event; its type is
// registered. Use it for streams that had no snapshots, or whose snapshots a new type made unusable.
//
// BuildSnapshots returns the versions at which it saved snapshots, also together with an error. It
// returns an error of fold as it is. Snapshots that were saved before an error stay and are used.
// Calling it again replaces them and builds the rest.
//
// Requests and bytes grow in proportion to the history. Memory holds the snapshots that are not saved yet:
// 64 KiB, or 128 bytes for each snapshot of the stream where that is more.
//
// Every below 1, a fold that is nil and a state that can't be stored are an [ArgumentError]. Other errors
// are those of [Reader.Read] and [Session.SaveSnapshot].
func BuildSnapshots[S any](ctx context.Context, session *Session, every int64, initial S, fold func(state S, event Event) (S, error)) (versions []int64, err error) {
	ctx, o := session.observe(ctx, OpBuildSnapshots)
	defer o.end(&err)
	defer func() {
		if n := len(versions); n > 0 {
			o.result.Version = versions[n-1]
		}
	}()
	if every < 1 {
		return nil, &ArgumentError{Argument: "every", Reason: fmt.Sprintf("%d is not positive", every)}
	}
	if fold == nil {
		return nil, &ArgumentError{Argument: "fold", Reason: "it is nil"}
	}
	if err := session.check(); err != nil {
		return nil, err
	}
	if err := session.history.registry.checkState(session.history.Stream, initial); err != nil {
		return nil, err
	}
	b := snapshotBuilder{session: session}
	state := initial
	for event, err := range session.Read(ctx) {
		if err == nil {
			state, err = fold(state, event)
		}
		if err == nil && event.Version%every == 0 {
			err = b.add(ctx, event.Version, state)
		}
		if err != nil {
			_ = b.flush(ctx) // what was folded before is right all the same, and err says more
			return b.saved, err
		}
	}
	err = b.flush(ctx)
	return b.saved, err
}

// A snapshotBuilder saves many snapshots in as few bytes as it can. Each save rewrites the list of
// snapshots, so one save for each snapshot would take bytes that grow with the square of their number.
// The builder collects snapshots until they outweigh the list listShare times, so that lists make up
// a bounded share of what is written.
//
// It could also write the whole list first. But then every reader that loads the stream during the build,
// or after a crash, would look for snapshots that are not there. As it is, the list is written when its
// snapshots are ready. A crash between the two requests leaves the versions of one batch without
// snapshots. Each of them costs a reader one read, until a newer snapshot is saved.
type snapshotBuilder struct {
	session  *Session
	versions []int64 // collected
	writes   []driver.Write
	bytes    int // of writes
	listed   int // snapshots in the list, as far as that is known
	saved    []int64
}

const (
	buildBytes  = 64 << 10 // snapshots are saved from so many bytes on
	listedBytes = 16       // about what a version takes in the list
	listShare   = 8
)

// add takes one more snapshot and saves those that were collected if there are enough.
func (b *snapshotBuilder) add(ctx context.Context, version int64, state any) error {
	s := b.session
	h := s.history
	raw, err := s.encode(ctx, "state", &About{Version: version, Snapshot: true}, state, false)
	if err != nil {
		return err
	}
	snapshot := Snapshot{Version: version, Created: time.Now()}
	w := driver.Write{Key: h.keys.snapshot(version), Value: encodeSnapshot(h.keys.partition, snapshot, raw)}
	if err := h.fitsRequest(w); err != nil {
		return err
	}
	b.versions, b.writes, b.bytes = append(b.versions, version), append(b.writes, w), b.bytes+len(w.Key)+len(w.Value)
	if b.bytes < max(buildBytes, listShare*listedBytes*b.listed) {
		return nil
	}
	return b.flush(ctx)
}

// flush saves the snapshots that were collected. Those that it can't save it drops.
func (b *snapshotBuilder) flush(ctx context.Context) error {
	if len(b.writes) == 0 {
		return nil
	}
	versions, writes := b.versions, b.writes
	b.versions, b.writes, b.bytes = nil, nil, 0
	listed, err := b.session.saveSnapshots(ctx, writes, versions...)
	if err != nil {
		return err
	}
	b.listed, b.saved = listed, append(b.saved, versions...)
	return nil
}

// knownAndListed reads the list of snapshots, and in the same request makes sure that the stream still
// holds what the writer knows as committed: a snapshot of events that a store has lost would be
// believed for ever. (Rule 12)
func (w *writer) knownAndListed(ctx context.Context) (*driver.Item, error) {
	const operation = "read the list of snapshots"
	items, err := w.getMany(ctx, operation, []string{w.keys.snapshots(), w.keys.head()})
	if err != nil {
		return nil, err
	}
	hd, _, err := w.headOf(items[1])
	if err != nil {
		return nil, err
	}
	if hd.version != w.head.version || hd.commit != w.head.commit {
		w.fresh = false
		if _, err := w.refresh(ctx, operation); err != nil {
			return nil, err
		}
	}
	return &items[0], nil
}

// changeSnapshots brings the list of snapshots to what change makes of it. The list is read first,
// unless it is given.
func (h *history) changeSnapshots(ctx context.Context, list *driver.Item, change func([]int64) []int64) error {
	var failure error
	for n := range readAttempts {
		if !backoff(ctx, n) {
			break
		}
		if list == nil {
			item, err := h.get(ctx, "read the list of snapshots", h.keys.snapshots())
			if err != nil {
				return err
			}
			list = &item
		}
		item := *list
		list = nil
		versions, err := h.listed(item)
		if err != nil {
			return err
		}
		changed := change(slices.Clone(versions))
		if slices.Equal(versions, changed) {
			return nil
		}
		if denied(failure) || refused(failure) { // and the list is as it was
			break
		}
		if failure = h.swapSnapshots(ctx, changed, item.ETag); failure == nil {
			return nil
		}
	}
	switch {
	case failure == nil:
		failure = over(ctx)
	case ctx.Err() != nil:
		failure = fmt.Errorf("%w; before that: %w", over(ctx), failure)
	}
	return h.failed("change the list of snapshots", failure)
}

// swapSnapshots replaces the list of snapshots.
func (h *history) swapSnapshots(ctx context.Context, versions []int64, etag string) error {
	return h.state.Swap(ctx, h.keys.partition, driver.Swap{Key: h.keys.snapshots(), Value: encodeSnapshots(h.keys.partition, versions), ETag: etag})
}

// listed are the versions in the list of snapshots.
func (h *history) listed(list driver.Item) ([]int64, error) {
	if !list.Found() {
		return nil, nil
	}
	versions, err := decodeSnapshots(h.keys.partition, list.Value)
	if err != nil {
		return nil, h.damaged(h.keys.snapshots(), 0, err)
	}
	return versions, nil
}

func encodeSnapshots(name string, versions []int64) []byte {
	w := newRecord(kindSnapshots, name, 16*len(versions))
	for _, v := range versions {
		w.number("snapshot", v)
	}
	return w.finish()
}

func decodeSnapshots(name string, data []byte) (versions []int64, err error) {
	_, err = readRecord(data, kindSnapshots, name, func(field, value string) error {
		if field != "snapshot" {
			return nil
		}
		var v int64
		err := parseNumber(value, &v)
		versions = append(versions, v)
		return err
	})
	return versions, err
}

// encodeSnapshot makes the record of a snapshot, whose state is raw.
func encodeSnapshot(name string, s Snapshot, raw Raw) []byte {
	w := newRecord(kindSnapshot, name, len(raw.Payload))
	w.number("version", s.Version)
	w.text("type", raw.Type)
	w.number("schema", int64(raw.SchemaVersion))
	w.text("content", raw.ContentType)
	w.time("created", s.Created)
	w.custom(s.Custom)
	return w.finish(raw.Payload)
}

func decodeSnapshot(name string, version int64, data []byte) (s Snapshot, raw Raw, err error) {
	var schema int64
	raw.Payload, err = readRecord(data, kindSnapshot, name, func(field, value string) error {
		switch field {
		case "version":
			return parseNumber(value, &s.Version)
		case "type":
			raw.Type = value
		case "schema":
			return parseNumber(value, &schema)
		case "content":
			raw.ContentType = value
		case "created":
			return parseTime(value, &s.Created)
		default:
			return readCustom(&s.Custom, field, value)
		}
		return nil
	})
	raw.SchemaVersion = int(schema)
	if err == nil && s.Version != version {
		err = fmt.Errorf("it holds version %d", s.Version)
	}
	return s, raw, err
}

// snapshot reads one snapshot from its key.
func (h *history) snapshot(ctx context.Context, version int64, raw bool) (Snapshot, error) {
	item, err := h.get(ctx, "read a snapshot", h.keys.snapshot(version))
	if err != nil {
		return Snapshot{}, err
	}
	return h.snapshotOf(ctx, item, version, raw)
}

// snapshotOf decodes what stands under a snapshot's key.
func (h *history) snapshotOf(ctx context.Context, item driver.Item, version int64, raw bool) (Snapshot, error) {
	key := h.keys.snapshot(version)
	if !item.Found() {
		return Snapshot{}, &SnapshotNotFoundError{Stream: h.Stream, Version: version}
	}
	s, stored, err := decodeSnapshot(h.keys.partition, version, item.Value)
	if err != nil {
		return Snapshot{}, h.damaged(key, version, err)
	}
	s.Data = stored
	if !raw {
		if s.Data, err = h.registry.decodeSnapshot(ctx, &About{Stream: h.Stream, Version: version, Snapshot: true}, key, stored); err != nil {
			return Snapshot{}, err
		}
	}
	return s, nil
}
