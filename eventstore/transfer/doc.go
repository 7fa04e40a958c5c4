// Package transfer moves streams from one store to another: from a SQLite file to PostgreSQL, from one Redis to a cluster, from a
// store in the process to one behind a sidecar.
//
// [Copy] copies one stream: its events with all of their metadata, what leads to them from their idempotency ids, its
// snapshots, and that it was closed or deleted. It can be run again at any time and then goes on where the target ends, after it has proved that what
// is there is the same. At its end it has read back from the target all that it wrote and compared it with the source.
//
// It may run while the source is written to. It copies what the source held when it began; run it once more, with the writers
// stopped, to bring the rest, then let the writers go on with the target. See docs/moving.md.
//
// # Examples
//
//   - example_test.go: copy a stream, and copy it again
package transfer
