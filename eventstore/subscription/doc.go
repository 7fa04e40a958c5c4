// Package subscription delivers the items of a feed to a handler, from a durable position on.
//
//	s, err := subscription.New(f, "mails", func(ctx context.Context, item feed.Item) error {
//		if opened, ok := item.Event.Data.(AccountOpened); ok {
//			return send(ctx, item.ID(), opened.Email)
//		}
//		return nil
//	})
//	…
//	err = s.Run(ctx) // in every instance of the service
//
// # What is promised
//
// Each item is delivered at least once, and the items of one stream in the order of their versions.
// Streams are independent of each other: there is no order between them. The position is saved
// after the handler has returned. So an item can come again, and the handler should notice that.
// [feed.Item.ID] is the same at each delivery, and so are the stream and the version. The position
// is not fit for that, because the events of one commit share positions.
//
// Items come again after a crash. [WithSaving] says how many: by default at most 100 items of each
// partition, or those of one second. When Run ends or a partition moves in good order, nothing
// comes again but the events of a commit that was handled in part.
//
// A handler that must not repeat its effect can store the version of the stream together with the
// effect, in one key or in one transaction, and compare it with the version of the item.
//
// # Partitions and instances
//
// The streams are divided into partitions by a hash of their names, for ever. Each partition is
// handled by one instance at a time, one item after the other. The instances that live share the
// partitions evenly. When an instance starts or ends, the others give partitions to it or take its
// partitions within a third of the lease. When one crashes, that takes a lease longer. See
// [WithPartitions] and [WithLease].
//
// Instances do not compare their clocks. Each judges by its own clock how long another one has been
// silent. The swap of a partition's record decides who has the partition. An instance that was
// stopped for longer than its lease handles nothing more when it goes on, except for the one item
// that its handler was busy with. That item may be handled by two instances at the same time.
//
// # When an item cannot be handled
//
// The handler is called again, see [WithRetries]. If that does not help, Run stops with a
// [HandlerError]. [WithParking] and [WithSkipping] choose otherwise. An event that cannot be
// decoded is such an item too, without a call of the handler. A panic counts as an error, and its
// stack is logged.
//
// # When the store lost its last writes
//
// If the position is older than what was handled, items come again. If it is beyond the end of the
// feed, Run returns an [AheadError] and delivers nothing.
//
// # Examples
//
//   - example_test.go: handle items, handle what was parked once more, and list subscriptions
package subscription
