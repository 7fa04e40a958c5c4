// Package telemetry traces and measures an event store with OpenTelemetry: its operations
// ([NewObserver]) and the requests that they send ([State], [Locker]). [DialOption] passes traces
// on to the sidecar. [LogHandler] adds the ids of the trace to log records.
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
// Spans and metrics go to the global providers of OpenTelemetry, unless options name others. This
// package uses only OpenTelemetry's API. Without an SDK it does nothing.
//
// # Spans
//
// An operation is a span of kind internal. Its name is the operation and the aggregate type, for
// example "append BankAccount". The requests of the operation are its children, of kind client.
// Their names follow OpenTelemetry's database conventions, for example "swap statestore".
//
// The span of an operation ends when the operation returns. So the close of a session is a sibling
// of its open, and a loop over loaded events is a sibling of the load. The caller's span is their
// parent. Operations have these attributes:
//
//	eventstore.operation.name     as in eventstore.Operation
//	eventstore.database           of the stream
//	eventstore.aggregate.type     of the stream
//	eventstore.aggregate.id       of the stream; see WithoutAggregateIDs
//	eventstore.session.id
//	eventstore.expected_version   if the append expects one
//	eventstore.version            as in eventstore.OperationResult
//	eventstore.event.count        events appended or read
//	eventstore.attempts           commits sent, lock requests, decisions of an update
//	eventstore.lookups            lookups after lost answers
//	eventstore.waited             seconds of waiting for other sessions
//	error.type
//
// Requests have these attributes: db.system.name, db.operation.name, db.collection.name (the
// component), db.operation.batch.size, db.response.status_code (the gRPC code) and error.type.
// Keys, values, payloads and metadata of events are in no attribute.
//
// # Metrics
//
// Here operation.name and aggregate.type stand for the attributes with the prefix eventstore.
//
//	eventstore.operation.duration         s          by operation.name and error.type
//	eventstore.open.wait.duration         s          time that opens waited for other sessions
//	eventstore.events.appended            {event}    by aggregate.type
//	eventstore.events.read                {event}    by aggregate.type
//	eventstore.append.conflicts           {append}   another append came first; by aggregate.type
//	eventstore.append.unknown_outcomes    {append}   by aggregate.type
//	eventstore.append.retries             {attempt}  commits that were sent again
//	eventstore.append.lookups             {lookup}   lookups after lost answers
//	eventstore.aggregate.update.retries   {attempt}  repeated decisions of updates; by aggregate.type
//	db.client.operation.duration          s          requests, by the attributes of their spans except the batch size
//
// Streams and sessions are in no metric, because each of them would be a time series of its own.
//
// # Errors
//
// The attribute error.type has few values, and never contains the text of an error. An error of
// package eventstore has the name of its type ("VersionMismatchError"). These are the values for
// all other errors, for requests, and for a StorageError whose context had ended:
//
//   - the gRPC code as Go writes it ("Unavailable")
//   - "context.Canceled" or "context.DeadlineExceeded"
//   - "refused" if nothing was sent
//   - the Go type, or "_OTHER"
//
// By OpenTelemetry's conventions an operation that returns an error has failed, and its span has
// the status error. That includes expected refusals, such as an append whose expected version is no
// longer the stream's. Not finding something is an answer, not a failure: StreamNotFoundError,
// VersionNotFoundError, SnapshotNotFoundError and IdempotencyIDNotFoundError. So an alert should
// name the error types that it is for.
//
// The status of a span contains the text of the error if it is an error of package eventstore.
// These texts contain no payloads. With [WithoutAggregateIDs] the status has no text.
//
// # Examples
//
//   - example_test.go: traces, metrics, and log records with their trace
package telemetry
