// Package eventstore is an event store for services that run on Dapr: it keeps every change of an
// aggregate as an event, one key per event, through a state store with ETags.
//
// A [Provider] opens streams of one store. A [Stream] holds the history of one aggregate and is named by database, type and
// id. A [Session] is exclusive access to one stream for a limited time: it appends events, which are values of Go types that a
// [Registry] knows, and gives each a version: 1, 2, 3, … without gaps. A [Reader] reads without a session, and never waits for one.
//
//	session, err := provider.Open(ctx, "BankAccount", "123456000")
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
// content types. Package eventtest tests a domain, and that all that was ever stored still reads.
//
// # Errors
//
// Errors are struct types, see [VersionMismatchError] and the others; each says whether the operation may have taken
// effect. Match their kind with errors.Is and an empty value, get at what they carry with errors.As. The
// one to prepare for is [OutcomeUnknownError]: the store did not answer in time, so the append may stand or not.
// [Session.Retry] brings it to its end without ever doubling it. [Advise] tells what a caller can do about
// any error: retry, decide again, repeat with the same idempotency id, or give up.
//
// # Stores
//
// The package knows nothing of Dapr. What it asks of a store is in package driver; the adapters in
// adapter/sidecar (through the Dapr sidecar) and adapter/inprocess (Dapr components in this process) give it that.
// Package storetest checks any other store.
package eventstore
