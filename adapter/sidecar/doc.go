// Package sidecar connects the event store to a Dapr sidecar over Dapr's Go SDK: [State] through the
// state API, [Locker] through the lock API.
//
//	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
//	state, err := sidecar.NewState(ctx, client, "statestore")
//	locker, err := sidecar.NewLocker(ctx, client, "lockstore") // optional
//
// The sidecar puts a prefix before every key, by default its app id. Services that share
// streams need keyPrefix: name, or none, in the files of both components.
//
// [NewState] tries a component out, and refuses one on which events would be lost, as a MySQL or MariaDB database whose
// collation folds case, as by default (create it with COLLATE utf8mb4_bin). Not for the event store are also a component with a ttlInSeconds of
// its own and a Redis that evicts keys. Where a component's answers say that what is stored expires, that is logged as a
// warning. The rest can't be tried out: eventstores check, in cmd/eventstores, sees it in the component files.
//
// A store that turns a write down says why in its own words, which are all that a sidecar passes on. By these words, those of Redis, PostgreSQL,
// MySQL, MariaDB and SQLite, the event store tells what certainly did not take effect from what is not known.
//
// # Examples
//
//   - example_test.go: connect to a sidecar, with locks
//   - example_aggregate_test.go: aggregates through a sidecar
//   - example_start_test.go: dial options; start without writing
//   - example_keywrapper_test.go: keys of persons, encrypted by a vault
package sidecar
