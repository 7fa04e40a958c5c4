// Package feed lists and follows all streams of a store.
//
// A Dapr state store can neither list its keys nor be followed. So each provider with
// [eventstore.WithFeed] notes its commits in a journal of its own, and one process at a time makes
// a log of all journals, see [Feed.Index]. ARCHITECTURE.md has the protocol.
package feed
