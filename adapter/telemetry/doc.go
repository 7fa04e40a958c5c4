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
// An item that a subscription passes to its handler is a span of kind consumer, "deliver
// BankAccount". The spans of the handler are its children, those of all tries. It has these
// attributes besides:
//
//	eventstore.feed.name
//	eventstore.feed.position             of the item
//	eventstore.subscription.name
//	eventstore.subscription.partition
//	eventstore.subscription.disposition  as in eventstore.Disposition: "handled", "parked"
//
// If the event's metadata has a W3C traceparent among its custom texts, the span is linked to it.
// This puts the trace of ctx there:
//
//	propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(metadata.Custom))
//
// A round of Feed.Index that takes something over is a span "index feed". Requests that an indexer,
// a live loop or a subscription sends although nothing happens have no spans, even if the caller
// has one. They count in the metrics.
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
// These are of feeds, by feed.name. The index metrics are of the process that indexes.
//
//	eventstore.feed.indexed               {entry}    entries that the log took over
//	eventstore.feed.derived               {entry}    those that no journal showed, so that they came from their streams
//	eventstore.feed.index.delay           s          from the oldest commit of a round until the log had it
//	eventstore.feed.position              {entry}    end of the log
//	eventstore.feed.unindexed             {entry}    entries in journals that the last round did not take over
//	eventstore.feed.open_numbers          {number}   numbers that were passed over and may still be used
//	eventstore.feed.journals              {journal}  that have not ended
//	eventstore.feed.walk.age              s          the indexer has looked at every stream since then
//	eventstore.feed.waiting               {entry}    of this process, from the oldest that is known to wait for an indexer
//	eventstore.feed.waiting.age           s          how long that one has waited
//	eventstore.feed.read                  {item}     given to loops over the feed
//	eventstore.feed.read.delay            s          from a commit until a live loop was given it
//
// These are of subscriptions, by subscription.name. The gauges are of the partitions that the
// process has.
//
//	eventstore.subscription.items         {item}       delivered; by subscription.disposition
//	eventstore.subscription.redelivered   {delivery}   calls of a handler for an item for which it was called before
//	eventstore.subscription.delay         s            from a commit until it was handled
//	eventstore.subscription.lag           {entry}      how far the slowest partition is behind
//	eventstore.subscription.lag.age       s            since the commit of the oldest item that waits
//	eventstore.subscription.parked        {stream}
//	eventstore.subscription.partitions    {partition}
//
// The metrics from "position" to "waiting.age" and from "lag" to "partitions" are gauges. A gauge
// has no value if the process no longer indexes or runs the subscription, or if nothing was
// reported for two minutes. So it does not go on showing what a process saw before it hung.
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
