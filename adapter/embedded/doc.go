// Package embedded has no code of its own. Its subpackages run Dapr's own state components inside
// this process, without a sidecar, and each links only what its store needs:
//
//   - package memory for tests and examples
//   - package sqlite for a file on a local disk
//   - package redis for a Redis server or cluster
//
// The components behave as they do behind a sidecar, except for the prefix that a sidecar puts
// before every key. A stream that was written one way is not seen the other way, unless the
// sidecar's component has keyPrefix: none.
//
// There are no lock components in the process. Sessions take the lease that the event store keeps
// in the state store itself.
package embedded
