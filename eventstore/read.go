package eventstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Reader reads one stream. It is safe for concurrent use.
//
// Every method reads the stream as it was committed at one moment after the call
// began; what is appended later a call already begun does not see. In a [Session] that is the
// stream as the session stands at it.
type Reader struct {
	history *history
	session string       // the id of its session; empty: none
	guard   func() error // says whether it may still be used
	view    func(context.Context) (view, error)
}

// view is what a read goes by: a head, whose tail holds at least those events that do not stand
// under their own keys.
type view struct {
	head      head
	snapshots *driver.Item // the snapshot list, where it was read with the head
}

func newReader(h *history) *Reader {
	return &Reader{
		history: h,
		guard:   func() error { return nil },
		view: func(ctx context.Context) (view, error) {
			o, err := h.open(ctx, "read")
			if err != nil {
				return view{}, err
			}
			return view{head: o.head, snapshots: o.snapshots}, nil
		},
	}
}

func (r *Reader) usable() error {
	if r == nil || r.history == nil {
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
		return r.history.notBegun(ctx, "read")
	}
	return nil
}

// look checks that a read can begin and returns what to read by.
func (r *Reader) look(ctx context.Context) (view, error) {
	if err := r.begin(ctx); err != nil {
		return view{}, err
	}
	v, err := r.view(ctx)
	if err == nil {
		err = r.history.gone(v.head)
	}
	return v, err
}

// lookFor is look for a read of a range, which may require that the stream exists.
func (r *Reader) lookFor(ctx context.Context, rng readRange) (view, error) {
	v, err := r.look(ctx)
	if err == nil {
		err = r.history.exists(v.head, rng)
	}
	return v, err
}

// exists returns a StreamNotFoundError if the range requires a stream that exists and there is none. A
// head is first written with an event, so a stream at version 0 never had one.
func (h *history) exists(hd head, rng readRange) error {
	if rng.mustExist && hd.version == 0 {
		return &StreamNotFoundError{Stream: h.Stream}
	}
	return nil
}

// Stream returns the stream's name.
func (r *Reader) Stream() Stream {
	if r == nil || r.history == nil {
		return Stream{}
	}
	return r.history.Stream
}

// Version returns the stream's current version: that of its last event, 0 if it is empty.
func (r *Reader) Version(ctx context.Context) (version int64, err error) {
	ctx, o := r.observe(ctx, OpVersion)
	defer o.end(&err)
	v, err := r.look(ctx)
	o.result.Version = v.head.version
	return v.head.version, err
}

// Closed reports whether the stream was closed for further appends, see [Session.CloseStream].
func (r *Reader) Closed(ctx context.Context) (closed bool, err error) {
	ctx, o := r.observe(ctx, OpClosed)
	defer o.end(&err)
	v, err := r.look(ctx)
	o.result.Version = v.head.version
	return v.head.closed && err == nil, err
}

// ReadOption says what of a stream to read.
type ReadOption func(*readRange) error

type readRange struct {
	from, to  int64  // to 0: up to the current version
	after     *int64 // as After set it, until readOptions makes it from
	backwards bool
	raw       bool
	mustExist bool
}

// FromVersion starts a read at that version, included; defaults to 1. Versions below 1 are an
// [ArgumentError].
func FromVersion(version int64) ReadOption {
	return func(r *readRange) error {
		r.from = version
		return validVersion("FromVersion", version)
	}
}

// After starts a read with the first event whose version is larger; After(0) reads from the beginning.
// A reader that remembers the last version it has seen continues with it. A negative version is an
// [ArgumentError], and so is After together with [FromVersion].
func After(version int64) ReadOption {
	return func(r *readRange) error {
		if version < 0 {
			return &ArgumentError{Argument: "After", Reason: fmt.Sprintf("version %d is negative; After(0) reads from the beginning", version)}
		}
		r.after = &version
		return nil
	}
}

// ToVersion ends a read at that version, included; defaults to the current version, and so does
// what lies past it. Versions below 1 are an [ArgumentError].
func ToVersion(version int64) ReadOption {
	return func(r *readRange) error {
		r.to = version
		return validVersion("ToVersion", version)
	}
}

// Backwards reads from the last version down to the first.
func Backwards() ReadOption {
	return func(r *readRange) error { r.backwards = true; return nil }
}

// AsRaw leaves events and snapshots as they are stored: their Data is a [Raw], and no type needs to
// be registered.
func AsRaw() ReadOption {
	return func(r *readRange) error { r.raw = true; return nil }
}

// MustExist makes a read fail with a [StreamNotFoundError] if the stream does not exist. Without it such
// a stream reads as an empty one. A stream exists from its first event on. It also exists when it is
// closed, or when the range of the read is empty; a deleted one is a [StreamDeletedError] in any case.
// The option takes no further request.
func MustExist() ReadOption {
	return func(r *readRange) error { r.mustExist = true; return nil }
}

func validVersion(argument string, version int64) error {
	switch {
	case version < 0:
		return &ArgumentError{Argument: argument, Reason: fmt.Sprintf("version %d is negative", version)}
	case version == 0:
		return &ArgumentError{Argument: argument, Reason: "version 0 is the empty stream, events begin at 1"}
	}
	return nil
}

func readOptions(options []ReadOption) (readRange, error) {
	var r readRange
	for _, option := range options {
		if option == nil {
			return r, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&r); err != nil {
			return r, err
		}
	}
	if r.after != nil {
		return r, r.follow(*r.after)
	}
	r.from = max(r.from, 1)
	if r.to != 0 && r.from > r.to {
		return r, &ArgumentError{Argument: "FromVersion", Reason: fmt.Sprintf("first version %d is above the last, %d", r.from, r.to)}
	}
	return r, nil
}

// follow begins the range after a version.
func (r *readRange) follow(version int64) error {
	switch {
	case r.from != 0:
		return &ArgumentError{Argument: "After", Reason: "FromVersion or a first version is given as well: use one of them"}
	case r.to != 0 && version > r.to:
		return &ArgumentError{Argument: "After", Reason: fmt.Sprintf("version %d is above the last, %d", version, r.to)}
	}
	r.from = version
	if version < math.MaxInt64 { // which no event has
		r.from++
	}
	return nil
}

// AsOf returns the version that [ToVersion] sets among options, or 0 where that is left out. It accepts
// [MustExist] as well; any other option is an [ArgumentError]. It is for functions that take read options
// and return a state rather than events, such as those of package aggregate.
func AsOf(options ...ReadOption) (version int64, err error) {
	for _, option := range options {
		if option == nil {
			return 0, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		var r readRange
		if err := option(&r); err != nil {
			return 0, err
		}
		name := ""
		switch {
		case r.from != 0:
			name = "FromVersion"
		case r.after != nil:
			name = "After"
		case r.backwards:
			name = "Backwards"
		case r.raw:
			name = "AsRaw"
		case r.mustExist:
			continue
		default:
			version = r.to
			continue
		}
		return 0, &ArgumentError{Argument: name, Reason: "it is for reading events, a state is made of all of them: use no option but ToVersion and MustExist, or read events with Reader.Read"}
	}
	return version, nil
}

// rangeOf is the range of a read that names its versions itself, which leaves options only the manner.
func rangeOf(first, last int64, options []ReadOption) (readRange, error) {
	r, err := readOptions(append([]ReadOption{FromVersion(first), ToVersion(last)}, options...))
	if err == nil && (r.from != first || r.to != last) {
		err = &ArgumentError{Argument: "option", Reason: "FromVersion and ToVersion contradict the versions that are given already"}
	}
	return r, err
}

// Read reads events one after the other, in the order of their versions unless [Backwards] is given. Memory does not grow
// with the stream: events come in chunks of about 1 MiB, or one event where it is larger, and the next
// is under way while one is looked at. A read begins with few events and asks for more as it sees how
// large they are.
//
// An error ends the sequence, as its last pair: an [ArgumentError], [StorageError],
// [DamagedError] that names the version, [TypeNotRegisteredError], [SchemaError] or [TypeMismatchError]; in a
// session also the errors of one that has ended. A range past the end is empty without an error, and so
// is a stream that does not exist: see [MustExist].
func (r *Reader) Read(ctx context.Context, options ...ReadOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		r.loop(ctx, yield, func(ctx context.Context) (v view, rng readRange, err error) {
			if rng, err = readOptions(options); err == nil {
				v, err = r.lookFor(ctx, rng)
			}
			return v, rng, err
		})
	}
}

// Slice reads the events from version first to version last, both included. What lies past
// the end of the stream is left out, without an error. Errors are those of [Reader.Read].
func (r *Reader) Slice(ctx context.Context, first, last int64, options ...ReadOption) (events []Event, err error) {
	ctx, o := r.observe(ctx, OpSlice)
	defer o.end(&err)
	rng, err := rangeOf(first, last, options)
	if err != nil {
		return nil, err
	}
	v, err := r.lookFor(ctx, rng)
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

// Event reads one event. Where there is none of that version it returns a [VersionNotFoundError].
func (r *Reader) Event(ctx context.Context, version int64, options ...ReadOption) (_ Event, err error) {
	ctx, o := r.observe(ctx, OpEvent)
	defer o.end(&err)
	rng, err := rangeOf(version, version, options)
	if err != nil {
		return Event{}, err
	}
	v, err := r.lookFor(ctx, rng)
	if err != nil {
		return Event{}, err
	}
	for event, err := range r.events(ctx, v, rng) {
		if err == nil {
			o.result.Version, o.result.Events = event.Version, 1
		}
		return event, err
	}
	return Event{}, &VersionNotFoundError{Stream: r.history.Stream, Version: version, Current: v.head.version}
}

// VersionOf returns the version of the event that was appended with that idempotency
// id, or an [IdempotencyIDNotFoundError].
func (r *Reader) VersionOf(ctx context.Context, idempotencyID string) (version int64, err error) {
	ctx, o := r.observe(ctx, OpVersionOf)
	defer o.end(&err)
	if err := validateName("idempotency id", idempotencyID); err != nil {
		return 0, err
	}
	v, err := r.look(ctx)
	if err != nil {
		return 0, err
	}
	version, err = r.history.versionOf(ctx, v.head, idempotencyID)
	o.result.Version = version
	if err == nil && version == 0 {
		err = &IdempotencyIDNotFoundError{Stream: r.history.Stream, IdempotencyID: idempotencyID}
	}
	return version, err
}

// Outcome tells what became of an append that ended with an [OutcomeUnknownError], from
// that error's Base and CommitID. Any process may ask, at any time. Of a stream that was deleted since nothing
// can be told but a [StreamDeletedError].
func (r *Reader) Outcome(ctx context.Context, base int64, commitID string) (outcome Outcome, err error) {
	ctx, o := r.observe(ctx, OpOutcome)
	defer o.end(&err)
	if err := r.begin(ctx); err != nil {
		return OutcomePending, err
	}
	if base < 0 || commitID == "" {
		return OutcomePending, &ArgumentError{Argument: "base, commitID", Reason: "take them from an OutcomeUnknownError"}
	}
	outcome, _, _, err = r.history.lookup(ctx, commit{base: base, id: commitID})
	return outcome, err
}

// events reads the range as it is committed in view.
func (r *Reader) events(ctx context.Context, v view, rng readRange) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		first, last := max(rng.from, v.head.first), v.head.version
		if rng.to != 0 {
			last = min(last, rng.to)
		}
		for c := range r.history.chunks(ctx, "read", v.head, first, last, rng.backwards) {
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
					yield(Event{}, r.history.failed("read", over(ctx)))
					return
				}
				event, err := r.decode(ctx, c.from+int64(i), c.data[i], rng.raw)
				c.data[i] = nil // what the caller has done with goes before the rest of the chunk
				if !yield(event, err) || err != nil {
					return
				}
			}
		}
	}
}

// decode makes the event of a committed record. One that is missing or unreadable is damage, but
// only after a fresh look at head and then key. (Rule 5)
func (r *Reader) decode(ctx context.Context, version int64, data []byte, raw bool) (Event, error) {
	h := r.history
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
	if !raw {
		about := About{Stream: h.Stream, Version: version, Metadata: m}
		if event.Data, event.Erased, err = h.registry.decodeAt(ctx, &about, h.keys.event(version), stored); err != nil {
			return Event{}, err
		}
	}
	return event, nil
}

// readAgain reads one committed record afresh: head, then key.
func (h *history) readAgain(ctx context.Context, version int64) ([]byte, error) {
	hd, _, err := h.readHead(ctx, "read")
	if err != nil {
		return nil, err
	}
	if err := h.gone(hd); err != nil {
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
