package eventstore

import (
	"context"
	"errors"
	"time"
)

// Observer is told when each operation begins and ends, to trace and to measure it, as adapter/telemetry does for OpenTelemetry. The habit is
// that of pgx's tracers.
//
// It is called in the goroutine of the operation, by many at once, and should not take long. What it panics with is not caught: a panic in Begin comes
// before the operation, one in End after it, with its effect.
type Observer interface {
	// Begin is called before anything of an operation is done. All its requests and log records go with the context that is returned, which is ctx or
	// made from it: request spans become children of the operation's. Nil is taken for ctx.
	Begin(ctx context.Context, operation Operation) context.Context

	// End is called when the operation has ended, with the context that Begin returned.
	End(ctx context.Context, operation Operation, result OperationResult)
}

// Operation is one call of a method that takes a context, or of [Session.Close].
type Operation struct {
	// Name is one of the constants from [OpOpen] to [OpAggregateUpdate]. It is the method's name in
	// lower case with underscores: "append", "version_of".
	//
	// [OpRead] begins when a loop over events begins, and ends with it. A loop that never begins is not
	// an operation. The operations of the stream are inside [OpAggregateLoad] and [OpAggregateUpdate],
	// and also inside [OpBuildSnapshots].
	Name string

	// Stream is the one that is named, also where that name is not possible.
	Stream Stream

	// Session is the id of the operation's session; empty for a reader without one, and where an open begins.
	Session string

	// Events is how many an append is given.
	Events int

	// Expected is the version at which the stream is expected; -1 is any.
	Expected int64
}

// OperationResult is how an operation ended.
type OperationResult struct {
	Duration time.Duration

	// Version is that of the last event appended or read, of the snapshot, of the event that was looked for, or else of the stream; 0
	// where there is none or it is not known.
	Version int64

	// Events is how many were read by this operation, or were appended by it for certain.
	Events int

	// Attempts is how often the commit of an append was sent, the lock of an open or rebuilding asked for, or an aggregate's update decided. Lookups is how
	// often it was looked up what had become of an append whose commit failed or was not answered.
	Attempts, Lookups int

	// Waited is how long an open waited for other sessions.
	Waited time.Duration

	// Err is what the operation returns; in case of a loop the error that it was given, and nil where it was left early. Of an
	// operation that panics or ends by runtime.Goexit, as codecs and loops can make it, it says no more than that.
	Err error
}

// WithObserver has an observer told of each operation; defaults to none, which costs nothing. Operations of a [Session] or
// [Reader] that was never opened are nobody's.
func WithObserver(observer Observer) Option {
	return func(c *config) error {
		if observer == nil {
			return &ArgumentError{Argument: "WithObserver", Reason: "the observer is nil: leave the option out for none"}
		}
		c.observer = observer
		return nil
	}
}

var (
	errPanicked = errors.New("eventstore: the operation panicked")
	errExited   = errors.New("eventstore: the operation did not return: its goroutine ended by runtime.Goexit, as t.FailNow ends it")
)

// observation is an operation under way, and what is known of its result.
type observation struct {
	observer  Observer  // nil: nobody is told
	hasher    *idHasher // nil: ids are not hidden
	ctx       context.Context
	began     time.Time
	operation Operation
	result    OperationResult
}

// observe begins an operation. Its end must be deferred.
func observe(ctx context.Context, observer Observer, hasher *idHasher, operation Operation) (context.Context, observation) {
	if observer == nil {
		if hasher == nil {
			return ctx, observation{}
		}
		return ctx, observation{hasher: hasher, operation: operation}
	}
	o := observation{observer: observer, hasher: hasher, began: time.Now(), operation: operation}
	if o.ctx = observer.Begin(ctx, operation); o.ctx == nil {
		o.ctx = ctx
	}
	return o.ctx, o
}

// end is called by defer, with the error that the operation is to return.
func (o *observation) end(err *error) {
	*err = o.hasher.hide(*err, o.operation.Stream)
	if o.observer == nil {
		return
	}
	panicked := recover()
	o.result.Duration, o.result.Err = time.Since(o.began), *err
	switch {
	case panicked != nil:
		o.result.Err = errPanicked
	case *err == nil && exiting():
		o.result.Err = errExited
	}
	o.observer.End(o.ctx, o.operation, o.result)
	if panicked != nil {
		panic(panicked)
	}
}

// observe begins an operation of a reader that asks for no version.
func (r *Reader) observe(ctx context.Context, name string) (context.Context, observation) {
	return r.observeAt(ctx, Operation{Name: name, Expected: -1})
}

func (r *Reader) observeAt(ctx context.Context, operation Operation) (context.Context, observation) {
	if r == nil || r.handle == nil {
		return ctx, observation{}
	}
	operation.Stream, operation.Session = r.handle.Stream, r.session
	return observe(ctx, r.handle.observer, r.handle.hasher, operation)
}

// observe is that of the session's reader.
func (s *Session) observe(ctx context.Context, name string) (context.Context, observation) {
	return s.observeAt(ctx, Operation{Name: name, Expected: -1})
}

// observeExpecting begins an operation that expects a version of the stream.
func (s *Session) observeExpecting(ctx context.Context, name string, expected Expected, events int) (context.Context, observation) {
	return s.observeAt(ctx, expecting(Operation{Name: name, Events: events}, expected))
}

// expecting adds to an operation the version that it expects.
func expecting(operation Operation, expected Expected) Operation {
	if operation.Expected = expected.version; expected.any {
		operation.Expected = -1
	}
	return operation
}

func (s *Session) observeAt(ctx context.Context, operation Operation) (context.Context, observation) {
	if s == nil {
		return ctx, observation{}
	}
	return s.Reader.observeAt(ctx, operation)
}
