// Package eventstore is an event store for services that run on Dapr: it keeps every change of an
// aggregate as an event, one key per event, through a state store with ETags.
//
// A [Provider] opens streams of one store. A [Stream] holds the history of one aggregate and is named by database, type and
// id. A [Session] is exclusive access to one stream for a limited time: it appends events, which are values of Go types that a
// [Registry] knows, and gives each a version: 1, 2, 3, … without gaps. A [Reader] reads without a session, and never waits for one.
//
//	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
//	defer session.Close()
//	version, err := session.Append(ctx, eventstore.ExpectVersion(3), FundsWithdrawn{Amount: 500_00})
//	for event, err := range session.Read(ctx, eventstore.FromVersion(1)) { … }
//
// # Appending
//
// An append of many events takes effect as a whole or not at all, by one compare-and-swap, whatever dies in
// the middle. Where the caller expects a version ([ExpectVersion]) and the stream has gone on, nothing
// is stored and the [VersionMismatchError] says where it is. An idempotency id in an event's [Metadata]
// makes a command that comes twice take effect once.
//
// Sessions make writers take turns; what makes an append safe is the swap. A session whose time has run out, or
// whose process only seemed dead, can't overwrite what came after it.
//
// # Reading
//
// [Reader.Read] streams events in either direction, in memory that does not grow with the stream. [Reader.Load] begins
// at the newest snapshot, which [Session.SaveSnapshot] or [BuildSnapshots] made: snapshots are derived, so one that is missing or
// unreadable costs time and nothing else.
//
// # Types
//
// A [Registry] leads from stored type names to Go types. When a type changes, history does not: [WithSchemaVersion] and [WithUpcast] bring
// an old payload to the newest schema version when it is read, [WithAliases] keeps older names readable, [WithCodec] older or other
// content types. [ForAggregates] binds a type to aggregate types.
// Package eventtest tests a domain, and that all that was ever stored still reads.
//
// # Errors
//
// Errors are pointers to struct types such as [VersionMismatchError], and each type says whether the
// operation may have taken effect. Match them by type, with errors.AsType or errors.As:
//
//	if mismatch, ok := errors.AsType[*eventstore.VersionMismatchError](err); ok { … mismatch.Actual … }
//	if errors.As(err, new(*eventstore.StreamClosedError)) { … }
//
// errors.Is never matches an empty value of such a type. It matches what an error wraps, as
// [context.Canceled] or [ErrNotAuthentic].
//
// The one to prepare for is [OutcomeUnknownError]: the store did not answer in time, so the append
// may stand or not.
// [Session.Retry] brings it to its end without ever doubling it. [Advise] tells what a caller can do about
// any error: retry, decide again, repeat with the same idempotency id, or give up.
//
// # Stores
//
// The package knows nothing of Dapr. What it asks of a store is in package driver; the adapters in
// adapter/sidecar (through the Dapr sidecar) and adapter/embedded/memory, sqlite and redis (Dapr components
// in this process) give it that.
// Package storetest checks any other store.
//
// # Examples
//
// These files of this folder have runnable examples.
//
//   - example_test.go: open a stream, append to it and read it
//   - example_provider_test.go: create a provider, its registry and settings; name streams
//   - example_append_test.go: expected versions, metadata, idempotency ids
//   - example_metadata_test.go: custom metadata; events as JSON
//   - example_provider_append_test.go: append without a session
//   - example_prepare_test.go: see events as they will be read, before they are stored
//   - example_read_test.go: read forwards, backwards, in slices, and without decoding
//   - example_snapshot_test.go: save, load and clear snapshots
//   - example_evolve_test.go: schema versions, upcasters, aliases, codecs
//   - example_bound_test.go: bind event types to aggregate types
//   - example_codec_test.go: what must come back from a codec, and how to leave it out
//   - example_lifecycle_test.go: close and delete streams; shared sessions
//   - example_outcome_test.go: match errors; retry an append whose outcome is unknown
//   - example_advice_test.go: what a caller can do about an error
//   - example_verify_test.go: find damage in a stream
//   - example_rebuild_test.go: rebuild a lost head
//   - example_observe_test.go: observe operations
//   - example_hashids_test.go: keep aggregate ids out of logs and errors
package eventstore
