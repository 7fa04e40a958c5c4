// Package eventstore is an event store for services that run on Dapr: it keeps every change of an
// aggregate as an event, one key per event, through a state store with ETags.
//
// A [Provider] opens streams of one store. A [Session] is exclusive access to one [Stream] for a limited
// time and appends to it; a [Reader] reads without one. Versions begin at 1 and have no gaps. An append of
// many events takes effect as a whole or not at all, by one compare-and-swap, whatever dies in
// the middle.
//
// The package knows nothing of Dapr. What it asks of a store is in package driver; the adapters in
// adapter/sidecar (through the Dapr sidecar) and adapter/inprocess (Dapr components in this process) give it that.
//
// Errors are struct types, see [VersionMismatchError] and the others; each says
// whether the operation may have taken effect.
package eventstore
