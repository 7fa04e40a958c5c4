// Package simulation runs the event store's own code against everything that can go wrong between it and its store, many
// thousand times over, and checks each history. All of it is in tests:
//
//	go test ./eventstore/internal/simulation -run NothingIsLost -v -seeds 1000000   more of it
//	go test ./eventstore/internal/simulation -run NothingIsLost -v -seed 4711       one history again, printed
//
// Up to four processes append, read, retry and make snapshots on one stream, over a store like
// Redis or one with transactions. Requests and answers are lost, doubled, torn and delayed past any number of others;
// processes crash between two requests, or stand still until their session is long over. A
// seed decides everything, and time is simulated.
//
// After each request the store is audited, and in the end the history: see audit and verdict.
package simulation
