// Package feed lists and follows all streams of a store.
//
// A Dapr state store can neither list its keys nor be followed. So each provider with
// [eventstore.WithFeed] notes its commits in a journal of its own, and one process at a time, the
// indexer, makes one log of all journals. ARCHITECTURE.md has the protocol.
//
//	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types), eventstore.WithFeed("all"))
//	defer provider.Close(ctx)
//	all, err := feed.Open(provider)
//	go all.Index(ctx) // in every instance: one works, the others wait
//
// # Reading
//
// [Feed.Read] returns what was committed, stream by stream in the order of versions, and all of it
// in one order that never changes. Options say where to begin and what to return:
//
//	for item, err := range all.Read(ctx, feed.After(position), feed.OfEvent[FundsWithdrawn](), feed.Live()) {
//		if err != nil {
//			return err // such as the error of ctx
//		}
//		if item.Err != nil {
//			return item.Err // the event cannot be decoded: decide whether to go on
//		}
//		withdrawn := item.Event.Data.(FundsWithdrawn)
//		// Make the effect, then store item.Position.
//	}
//
// A reader that stores the position of each item after its effect misses nothing. After a crash it
// may get a commit again, with the same [Item.ID].
//
// The order of the log is not an order of time. Streams are written by many processes, and each
// process has its own clock. A commit enters the log soon after it is made, and later if no indexer
// works or if its process crashed at the worst moment.
//
// # Listing
//
// [Feed.Streams] returns the streams of the store, of a type, or those that began since a position.
// With [WithDetails] it tells the version of each, when it changed last, and whether it was closed
// or deleted.
//
// # Streams from before, and damage
//
// A stream that was written before the feed enters it at its next append, or by [Feed.Import].
// [Feed.Verify] compares the feed with the streams, and [Feed.Repair] derives records of the feed
// that are damaged. The command eventstores feed does the same. [Feed.Status] tells how far the
// feed is.
//
// # Costs
//
// An append takes no more requests than without a feed, see [eventstore.WithFeed]. The log keeps
// about 75 bytes for each commit in pages of 500. It also keeps 80 to 400 bytes in batches, fewer
// the more commits there are in a second. The catalogue keeps about 190 bytes for each stream. To
// continue at a position takes a few requests, however long the log is.
//
// # Examples
//
//   - example_test.go: indexing, reading, following with filters, listing streams, and importing
//     those from before
package feed
