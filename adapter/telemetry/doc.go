// Package telemetry traces and measures an event store by OpenTelemetry: its operations ([NewObserver]), the requests that they send
// ([State], [Locker]), and the way of a trace through the sidecar ([DialOption]). [LogHandler] gives log records the trace that they belong to.
//
//	tracing, err := telemetry.DialOption()
//	client, err := dapr.NewClient(append(sidecar.DialOptions(), tracing)...)
//	state, err := sidecar.NewState(ctx, client, "statestore")
//	traced, err := telemetry.State(state, telemetry.WithComponent("statestore"))
//	observer, err := telemetry.NewObserver()
//	provider, err := eventstore.NewProvider(traced,
//		eventstore.WithObserver(observer),
//		eventstore.WithLogger(slog.New(telemetry.LogHandler(slog.Default().Handler()))))
//
// Where spans and metrics go is said by the global providers of OpenTelemetry, or by options. This package uses
// its API only; without an SDK all of it does nothing.
//
// # Spans
//
// An operation is a span of the kind internal, named by operation and aggregate type, "append BankAccount". Requests are its children, of the
// kind client, named by the database conventions: "swap statestore". Sessions that are closed, and loops over events, are beside the operation that
// opened or loaded, inside of what surrounds both. Attributes of operations:
//
//	eventstore.operation.name     as in eventstore.Operation
//	eventstore.database           the stream's
//	eventstore.aggregate.type     the stream's
//	eventstore.aggregate.id       the stream's; see WithoutAggregateIDs
//	eventstore.session.id
//	eventstore.expected_version   where one was expected
//	eventstore.version            as in eventstore.OperationResult
//	eventstore.event.count        appended or read
//	eventstore.attempts           commits sent, locks asked for, updates decided
//	eventstore.lookups            of lost answers
//	eventstore.waited             seconds, for other sessions
//	error.type
//
// Requests have db.system.name, db.operation.name, db.collection.name (the component), db.operation.batch.size, db.response.status_code (of gRPC) and error.type. Keys,
// values, payloads and metadata of events are in neither.
//
// # Metrics
//
// Operation.name and aggregate.type are the attributes above.
//
//	eventstore.operation.duration         s          by operation.name and error.type
//	eventstore.open.wait.duration         s          opens that waited for other sessions
//	eventstore.events.appended            {event}    by aggregate.type
//	eventstore.events.read                {event}    by aggregate.type
//	eventstore.append.conflicts           {append}   another had come before; by aggregate.type
//	eventstore.append.unknown_outcomes    {append}   by aggregate.type
//	eventstore.append.retries             {attempt}  commits that were sent again
//	eventstore.append.lookups             {lookup}   of lost answers
//	eventstore.aggregate.update.retries   {attempt}  updates decided again; by aggregate.type
//	db.client.operation.duration          s          of requests, by what spans have but the batch size
//
// No stream and no session is in a metric: there would be one time series for each.
//
// # Errors
//
// The attribute error.type is a word of few: the name of the error's type in package eventstore ("VersionMismatchError"); of requests, of a
// StorageError whose context had ended, and of what else an operation returns, the gRPC code as Go writes it ("Unavailable"), "context.Canceled",
// "context.DeadlineExceeded", "refused" (nothing was sent), the Go type, or "_OTHER". It is never an error's text.
//
// By OpenTelemetry's conventions an operation that returns an error has failed, so also one that was refused as it should be, as an append at a version
// that is not the stream's any more: its span has the status error. That something was looked for and is not there is an answer and no
// failure: a StreamNotFoundError, VersionNotFoundError, SnapshotNotFoundError or IdempotencyIDNotFoundError. An alert should name the error types that it is for.
//
// The text of an error is in the span's status where it is one of package eventstore, which say nothing of payloads. With [WithoutAggregateIDs] it is left out.
//
// # Examples
//
//   - example_test.go: traces, metrics, and log records with their trace
package telemetry
