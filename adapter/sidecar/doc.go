// Package sidecar connects the event store to a Dapr sidecar with Dapr's Go SDK. [State] uses the
// state API, [Locker] the lock API, and [Bell] the pub/sub API.
//
//	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
//	state, err := sidecar.NewState(ctx, client, "statestore")
//	locker, err := sidecar.NewLocker(ctx, client, "lockstore") // optional
//	bell, err := sidecar.NewBell(ctx, client, "pubsub", "eventstores") // optional, for a feed
//
// The sidecar puts a prefix before every key, by default its app id. Services that share streams
// need keyPrefix: name, or none, in the files of both components.
//
// [NewState] tests a component and refuses one that would lose events. An example is a MySQL or
// MariaDB database with a collation that folds case, which is their default. Create such a database
// with COLLATE utf8mb4_bin.
//
// Two more things make a component unsuitable: a ttlInSeconds in the component's file, and a Redis
// that evicts keys. If the component's answers say that values expire, State logs a warning. The
// rest cannot be tested through a sidecar. The command eventstores check, in cmd/eventstores, finds
// it in the component files.
//
// A store that refuses a write says why, and the sidecar passes on nothing but this text. The event
// store knows the texts of Redis, PostgreSQL, MySQL, MariaDB and SQLite. From them it concludes
// whether a write certainly did not take effect, or whether that is unknown.
//
// # Examples
//
//   - example_test.go: connect to a sidecar, with locks
//   - example_aggregate_test.go: aggregates through a sidecar
//   - example_feed_test.go: a subscription, and a list of streams
//   - example_bell_test.go: a feed whose processes wake each other
//   - example_start_test.go: dial options; start without writing
//   - example_keywrapper_test.go: personal keys, encrypted by a vault
package sidecar
