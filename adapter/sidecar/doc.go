// Package sidecar connects the event store to a Dapr sidecar over Dapr's Go SDK: [State] through the
// state API, [Locker] through the lock API.
//
//	client, err := dapr.NewClient() // github.com/dapr/go-sdk/client
//	state, err := sidecar.NewState(ctx, client, "statestore")
//	locker, err := sidecar.NewLocker(ctx, client, "lockstore") // optional
//
// The sidecar puts a prefix before every key, by default its app id. Services that share
// streams need keyPrefix: name, or none, in the files of both components.
//
// Not for the event store are a component with a ttlInSeconds of its own, a Redis that evicts
// keys, a MySQL or MariaDB database whose collation folds case, as by default (create it with COLLATE
// utf8mb4_bin), and, without [WithoutTransactions], a component with Dapr's automatic encryption. Where a component's answers say that
// what is stored expires, that is logged as a warning. The rest a sidecar does not tell: eventstores check, in
// cmd/eventstores, sees it in the component files.
package sidecar
