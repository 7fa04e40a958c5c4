// Package publishing tells other services what was committed, and keeps them from handling it
// twice.
//
//	p, err := publishing.New(f, "announcements", broker, "accounts",
//		publishing.WithMapping(announce), publishing.With(subscription.OfType("Account")))
//	…
//	err = p.Run(ctx) // in every instance of the service
//
// # What is promised
//
// Each item of the feed is published at least once, in the form of a CloudEvent, after it was
// committed. The messages of one stream are published in the order of their versions: the next one
// leaves when the broker has the one before. Their ids, [feed.Item.ID], are the same whenever they
// are published again.
//
// Whether a subscriber gets them in this order is a matter of the broker. The key of a message is
// the name of its stream, for brokers that keep the order of a key.
//
// A message that the broker does not take is tried again. After that the publication stops, or
// parks the stream, as its subscription says: see [subscription.WithParking].
//
// # The receiving side
//
// [Inbox] drops messages that were handled before. [Message] reads a CloudEvent from JSON.
//
// # Brokers
//
// sidecar.NewBroker publishes by the pub/sub API of a Dapr sidecar, messages of several partitions
// together. [NewLocal] is a broker within the process, which has a message when its subscribers
// have handled it.
//
// # Examples
//
//   - example_publication_test.go: publish what others may know, and handle each message once
//   - example_test.go: a broker within the process
package publishing
