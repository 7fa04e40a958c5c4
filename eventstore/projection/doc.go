// Package projection keeps read models: documents that are made of the events of many streams.
//
//	balances, err := projection.New(f, "balances",
//		func(ctx context.Context, docs *projection.Documents[Balance], item feed.Item) error {
//			deposited, ok := item.Event.Data.(Deposited)
//			if !ok {
//				return nil
//			}
//			return docs.Update(item.Stream.ID, func(b *Balance) error { b.Amount += deposited.Amount; return nil })
//		})
//	…
//	err = balances.Run(ctx) // in every instance of the service
//	balance, exists, err := balances.Get(ctx, "ada")
//
// # What is promised
//
// Each document includes each item once, whatever dies or is repeated, on every store. Items of one
// stream are included in the order of their versions. Streams are independent of each other, so
// what a document is made of from several streams must not depend on their order: sums do not, the
// newest of all does unless the document keeps times.
//
// A document is written after the items that it includes, and before the position is saved. So
// readers see a document as it was after some item. Two documents that one item changes may be seen
// one before the other.
//
// An event of a stream that is written without a feed may come again, see [feed.Feed.Read]. So all
// services that write need the feed.
//
// # How
//
// Beside its value, the record of a document holds the place of the last item that it includes of
// each partition. It is written by a swap. An item at that place or before it is not applied again.
// The items of a parked stream come out of turn. The document then holds the last one of that
// stream as long as it needs to.
//
// Changes are kept in memory and written together, after 1,000 items of a partition or a second:
// see [With]. A document that changes often is so written once for many items.
//
// # When an item cannot be handled
//
// The handler is called again, and then the projection stops or parks the stream: see
// [subscription.WithParking]. There is one exception. If an instance died while it wrote what an
// item changes, and the item cannot be handled afterwards, then the projection stops, because some
// documents may include the item already.
//
// # Deleted streams and erased subjects
//
// A deleted stream is an item whose What is [feed.Deleted]. Its handler deletes the documents of
// the stream. The data of a forgotten subject is absent from an event whose Erased is true, see
// package sealed. A new version of the projection then has nothing of it.
//
// # A new version
//
// A projection whose handler or documents change gets another version: see [WithVersion]. It runs
// beside the old one from the beginning of the feed. [Projection.Switch] makes every [View] read it
// at once, and [Projection.Drop] deletes the old one.
//
// # In the transaction of an append
//
// [NewInline] makes documents that change in the transaction of the append, on stores that allow
// it. They are never behind, and a handler can refuse an append.
//
// # Anything else than documents
//
// A read model in SQL, a search index or a map in memory is a [subscription.Subscription]. Store
// the version of the item's stream with its effect, in one transaction, and leave out what is not
// above it.
//
// # Examples
//
//   - example_test.go: balances, read after a write, and a new version
//   - example_inline_test.go: a document in the transaction of an append, which keeps names unique
package projection
