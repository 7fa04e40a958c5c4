// Package inprocess runs Dapr's own state components inside this process, without a sidecar: in memory
// for tests ([NewMemory]), in a SQLite file for local work and services that run once ([OpenSQLite], to read one only
// [OpenSQLiteReadOnly]), on Redis ([OpenRedis]).
//
// They behave as they do behind a sidecar, but for the prefix that a sidecar puts before every key: a
// stream written the one way is not seen the other way, unless the sidecar's component has
// keyPrefix: none.
//
// There are no lock components in the process; sessions take the lease that the event store
// keeps in the state store itself.
//
// # Examples
//
//   - example_test.go: open a SQLite file
//   - readonly_test.go: read a SQLite file that may not be written to
package inprocess
