package eventstore

import (
	"context"
	"errors"
	"iter"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Reader reads one stream. It is safe for concurrent use.
//
// Every method reads the stream as it was committed at one moment after the call began. It does not
// see what is appended after that moment. In a [Session], it reads the stream as the session knows
// it.
type Reader struct {
	handle  *streamHandle
	session string       // id of the reader's session; empty: none
	guard   func() error // returns why the reader can no longer be used
	view    func(ctx context.Context, withList bool) (view, error)
}

// view is what a read is based on. The tail of its head holds at least those events that are not
// stored under their own keys.
type view struct {
	head      head
	snapshots *driver.Item // the snapshot list, if it was read with the head
}

func newReader(h *streamHandle) *Reader {
	return &Reader{
		handle: h,
		guard:  func() error { return nil },
		view: func(ctx context.Context, withList bool) (view, error) {
			o, err := h.open(ctx, "read", withList)
			if err != nil {
				return view{}, err
			}
			return view{head: o.head, snapshots: o.snapshots}, nil
		},
	}
}

func (r *Reader) usable() error {
	if r == nil || r.handle == nil {
		return &NotOpenError{}
	}
	return r.guard()
}

// begin checks that a read can begin.
func (r *Reader) begin(ctx context.Context) error {
	if err := r.usable(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return r.handle.notBegun(ctx, "read")
	}
	return nil
}

// look checks that a read can begin, and returns the view to read by. It asks for the list of
// snapshots as well if the read needs it.
func (r *Reader) look(ctx context.Context, withList bool) (view, error) {
	if err := r.begin(ctx); err != nil {
		return view{}, err
	}
	v, err := r.view(ctx, withList)
	if err == nil {
		err = r.handle.deletedError(v.head)
	}
	return v, err
}

// lookFor is look for a read of a range, which may require that the stream exists.
func (r *Reader) lookFor(ctx context.Context, rng readRange, withList bool) (view, error) {
	v, err := r.look(ctx, withList)
	if err == nil {
		err = r.handle.exists(v.head, rng)
	}
	return v, err
}

// exists returns a StreamNotFoundError if the range requires a stream that exists and there is
// none. A head is first written with an event, so a stream at version 0 never had an event.
func (h *streamHandle) exists(hd head, rng readRange) error {
	if rng.mustExist && hd.version == 0 {
		return &StreamNotFoundError{Stream: h.Stream}
	}
	return nil
}

// Stream returns the stream's name.
func (r *Reader) Stream() Stream {
	if r == nil || r.handle == nil {
		return Stream{}
	}
	return r.handle.Stream
}

// Version returns the stream's current version. That is the version of its last event, or 0 if it
// is empty.
func (r *Reader) Version(ctx context.Context) (version int64, err error) {
	ctx, o := r.observe(ctx, OpVersion)
	defer o.end(&err)
	v, err := r.look(ctx, false)
	o.result.Version = v.head.version
	return v.head.version, err
}

// Closed reports whether the stream was closed for further appends, see [Session.CloseStream].
func (r *Reader) Closed(ctx context.Context) (closed bool, err error) {
	ctx, o := r.observe(ctx, OpClosed)
	defer o.end(&err)
	v, err := r.look(ctx, false)
	o.result.Version = v.head.version
	return v.head.closed && err == nil, err
}

// Read reads events one after the other, in the order of their versions unless [Backwards] is
// given. Memory does not grow with the stream. Events come in chunks of about 1 MiB, or of one
// event if it is larger. Read fetches the next chunk while the caller looks at one. A read begins
// with few events, and asks for more once it has seen how large they are.
//
// An error ends the sequence, as its last pair. It is an [ArgumentError], a [StorageError], a
// [DamagedError] that names the version, a [TypeNotRegisteredError], a [SchemaError] or a
// [TypeMismatchError]. In a session it may also be the error of a session that has ended. A range
// past the end is empty without an error, and so is a stream that does not exist: see [MustExist].
func (r *Reader) Read(ctx context.Context, options ...ReadOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r.loop(ctx, yield, func(ctx context.Context) (v view, rng readRange, err error) {
			if rng, err = readOptions(options); err == nil {
				v, err = r.lookFor(ctx, rng, false)
			}
			return v, rng, err
		})
	}
}

// Slice returns the events from version first to version last, both included. It leaves out
// versions past the end of the stream, without an error. It returns the errors of [Reader.Read].
func (r *Reader) Slice(ctx context.Context, first, last int64, options ...ReadOption) (events []Event, err error) {
	ctx, o := r.observe(ctx, OpSlice)
	defer o.end(&err)
	rng, err := rangeOf(first, last, options)
	if err != nil {
		return nil, err
	}
	v, err := r.lookFor(ctx, rng, false)
	if err != nil {
		return nil, err
	}
	for event, err := range r.events(ctx, v, rng) {
		if err != nil {
			return nil, err
		}
		events = append(events, event)
		o.result.Version = event.Version
	}
	o.result.Events = len(events)
	return events, nil
}

// Event returns one event. If there is none of that version, it returns a [VersionNotFoundError].
func (r *Reader) Event(ctx context.Context, version int64, options ...ReadOption) (event Event, err error) {
	ctx, o := r.observe(ctx, OpEvent)
	defer o.end(&err)
	rng, err := rangeOf(version, version, options)
	if err != nil {
		return Event{}, err
	}
	v, err := r.lookFor(ctx, rng, false)
	if err != nil {
		return Event{}, err
	}
	for event, err := range r.events(ctx, v, rng) {
		if err == nil {
			o.result.Version, o.result.Events = event.Version, 1
		}
		return event, err
	}
	return Event{}, &VersionNotFoundError{Stream: r.handle.Stream, Version: version, Current: v.head.version}
}

// VersionOf returns the version of the event that was appended with that idempotency id, or an
// [IdempotencyIDNotFoundError].
func (r *Reader) VersionOf(ctx context.Context, idempotencyID string) (version int64, err error) {
	ctx, o := r.observe(ctx, OpVersionOf)
	defer o.end(&err)
	if err := validateName("idempotency id", idempotencyID); err != nil {
		return 0, err
	}
	v, err := r.look(ctx, false)
	if err != nil {
		return 0, err
	}
	version, err = r.handle.versionOfID(ctx, v.head, idempotencyID)
	o.result.Version = version
	if err == nil && version == 0 {
		err = &IdempotencyIDNotFoundError{Stream: r.handle.Stream, IdempotencyID: idempotencyID}
	}
	return version, err
}

// Outcome returns what became of an append that ended with an [OutcomeUnknownError]. Pass that
// error's Base and CommitID. Any process may ask, at any time. If the stream was deleted since,
// Outcome can only return a [StreamDeletedError].
func (r *Reader) Outcome(ctx context.Context, base int64, commitID string) (outcome Outcome, err error) {
	ctx, o := r.observe(ctx, OpOutcome)
	defer o.end(&err)
	if err := r.begin(ctx); err != nil {
		return OutcomePending, err
	}
	if base < 0 || commitID == "" {
		return OutcomePending, &ArgumentError{Argument: "base, commitID", Reason: "take them from an OutcomeUnknownError"}
	}
	found, err := r.handle.lookup(ctx, commit{base: base, id: commitID})
	return found.outcome, err
}

// events reads the range as it is committed in v.
func (r *Reader) events(ctx context.Context, v view, rng readRange) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		first, last := max(rng.from, v.head.first), v.head.version
		if rng.to != 0 {
			last = min(last, rng.to)
		}
		for c := range r.handle.chunks(ctx, "read", v.head, span{first: first, last: last, backwards: rng.backwards}) {
			if err := r.guard(); err != nil {
				c.err = err
			}
			if c.err != nil {
				yield(Event{}, c.err)
				return
			}
			for i := range c.data {
				if rng.backwards {
					i = len(c.data) - 1 - i
				}
				if ctx.Err() != nil {
					yield(Event{}, r.handle.failed("read", contextErr(ctx)))
					return
				}
				event, err := r.decode(ctx, c.from+int64(i), c.data[i], rng)
				c.data[i] = nil // free each event when the caller is done with it, before the rest of the chunk
				if !yield(event, err) || err != nil {
					return
				}
			}
		}
	}
}

// decode returns the event of a committed record. A record that is missing or unreadable is damaged
// only if it still is after a new read of the head and then of the key. (Rule 5)
func (r *Reader) decode(ctx context.Context, version int64, data []byte, rng readRange) (Event, error) {
	h := r.handle
	_, m, stored, err := decodeEventAt(h.Stream, h.keys.partition, version, data)
	if err != nil {
		if data, err = h.readAgain(ctx, version); err != nil {
			return Event{}, err
		}
		if _, m, stored, err = decodeEventAt(h.Stream, h.keys.partition, version, data); err != nil {
			return Event{}, h.damaged(h.keys.event(version), version, err)
		}
	}
	event := Event{Version: version, Data: stored, Metadata: m}
	rng.count(stored.Payload)
	if !rng.raw {
		about := About{Stream: h.Stream, Version: version, Metadata: m}
		if event.Data, event.Erased, err = h.registry.decodeAt(ctx, &about, h.keys.event(version), stored); err != nil {
			return Event{}, err
		}
	}
	return event, nil
}

// readAgain reads one committed record again: first the head, then the key.
func (h *streamHandle) readAgain(ctx context.Context, version int64) ([]byte, error) {
	hd, _, err := h.readHead(ctx, "read")
	if err != nil {
		return nil, err
	}
	if err := h.deletedError(hd); err != nil {
		return nil, err
	}
	if version < hd.first {
		return nil, &VersionNotFoundError{Stream: h.Stream, Version: version, Current: hd.version}
	}
	if record, ok := hd.inTail(version); ok {
		return record.data, nil
	}
	item, err := h.get(ctx, "read", h.keys.event(version))
	if err != nil {
		return nil, err
	}
	if !item.Found() && version > hd.version {
		return nil, &LostWritesError{Stream: h.Stream, Version: version, Actual: hd.version}
	}
	if !item.Found() {
		return nil, h.damaged(h.keys.event(version), version, errMissing)
	}
	return item.Value, nil
}

var errMissing = errors.New("the event is committed but its key is missing")

// loop runs one loop over the events of a range, which is one operation. start returns the range
// and the view to read it by. loop calls yield itself and does not pass it on, so the body of the
// caller's loop does not escape to the heap.
func (r *Reader) loop(ctx context.Context, yield func(Event, error) bool, start func(context.Context) (view, readRange, error)) {
	var failed error
	ctx, o := r.observe(ctx, OpRead)
	defer o.end(&failed)
	v, rng, err := start(ctx)
	if err != nil {
		failed = o.hasher.hide(err, o.operation.Stream)
		yield(Event{}, failed)
		return
	}
	for event, err := range r.events(ctx, v, rng) {
		err = o.hasher.hide(err, o.operation.Stream)
		if failed = err; err == nil {
			o.result.Version = event.Version
			o.result.Events++
		}
		if !yield(event, err) {
			return
		}
	}
}
