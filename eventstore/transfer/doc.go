// Package transfer moves streams from one store to another: for example from a SQLite file to
// PostgreSQL, from one Redis to a cluster, or from a store in the process to one behind a sidecar.
//
// [Copy] copies one stream: its events with all metadata, its idempotency ids and snapshots, and
// whether it was closed or deleted. It can be run again at any time. It then proves that what the
// target has is the same, and continues where the target ends. At the end it has read everything
// that it wrote back from the target, and compared it with the source.
//
// Copy may run while the source is written to. It copies what the source held when it began. To
// move the rest, stop the writers, copy once more, and start the writers on the target. See
// docs/moving.md.
//
// # Examples
//
//   - example_test.go: copy a stream, and copy it again
package transfer
