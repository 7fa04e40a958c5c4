package eventstore

import (
	"context"
	"errors"
	"time"
)

// Observer is told when each operation begins and ends, to trace and to measure it.
// adapter/telemetry does this for OpenTelemetry. The interface follows pgx's tracers.
//
// An observer is called in the goroutine of the operation, by many goroutines at once. It should
// not take long. The event store does not catch its panics. A panic in Begin comes before the
// operation, a panic in End after the operation and its effect.
type Observer interface {
	// Begin is called before anything of an operation is done. It returns ctx or a context made
	// from ctx, and nil stands for ctx. All requests and log records of the operation carry that
	// context, so that spans of requests become children of the operation's span.
	Begin(ctx context.Context, operation Operation) context.Context

	// End is called when the operation has ended, with the context that Begin returned.
	End(ctx context.Context, operation Operation, result OperationResult)
}

// WithObserver sets the observer that is told of each operation. The default is none, which costs
// nothing. The observer is not told of operations of a [Session] or [Reader] that was never opened.
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
	errExited   = errors.New("eventstore: the operation did not return: its goroutine ended by runtime.Goexit, for example by t.FailNow")
)

// observation is an operation under way, and what is known of its result.
type observation struct {
	observer  Observer  // nil: none
	hasher    *idHasher // nil: ids are not hidden
	ctx       context.Context
	began     time.Time
	operation Operation
	result    OperationResult
}

// observe begins an operation. The caller must defer its end.
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

// end is called by defer, with the error that the operation is going to return.
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

// observe begins an operation that expects no version of the stream.
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

// observe begins an operation of the session that expects no version of the stream.
func (s *Session) observe(ctx context.Context, name string) (context.Context, observation) {
	return s.observeAt(ctx, Operation{Name: name, Expected: -1})
}

// observeExpecting begins an operation that expects a version of the stream.
func (s *Session) observeExpecting(ctx context.Context, name string, expected Expected, events int) (context.Context, observation) {
	return s.observeAt(ctx, expecting(Operation{Name: name, Events: events}, expected))
}

// expecting returns an operation with the version that it expects.
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
