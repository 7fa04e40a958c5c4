// Package simulation runs the event store's own code against everything that can go wrong between
// it and its store. It does so many thousands of times, and checks each history. All of it is in
// tests:
//
//	go test ./eventstore/internal/simulation -run NothingIsLost -v -seeds 1000000   run more histories
//	go test ./eventstore/internal/simulation -run NothingIsLost -v -seed 4711       print one history
//
// A seed gives two histories. NothingIsLostTornOrDoubled runs the one with sessions alone, and
// NothingIsLostByUpdates the one in which most processes have an aggregate.Repository.
//
// Up to four processes append, read, retry and make snapshots on one stream. The store is like
// Redis, or one with transactions. Requests and answers are lost, doubled, torn, or delayed past
// any number of others. Processes crash between two requests, or pause until their session has long
// expired. The seed decides everything, and time is simulated.
//
// In a process with a repository, up to four goroutines update one aggregate. So their updates
// share a cache, and are decided together. Each event holds a checksum of the events that it was
// decided on.
//
// The audit checks the store after each request, and the verdict checks the history at the end.
//
// A second kind of run is about a feed:
//
//	go test ./eventstore/internal/simulation -run EveryCommit -v -feeds 10000   run more histories
//	go test ./eventstore/internal/simulation -run EveryCommit -v -feed 4711     print one history
//
// Processes append to several streams, with the feed, without it, and with an older version of the
// library that knows no feeds. Others index the feed, and others follow it. The window of a journal
// and the pages of the catalogue are small, so that both are often full. When the writers have
// ended, the faults end too, and new processes put everything in order. The chronicle checks the
// store after each request, and at the end whether anything is missing.
package simulation
