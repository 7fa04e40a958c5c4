package eventstore

import (
	"context"
	"time"
)

// FeedObserver is an [Observer] that is also told how a feed and its subscriptions are doing. Pass
// it to [WithObserver]. The reports tell what is known without another request to the store.
//
// A report says how things are at that moment. If none comes for minutes, the process has stopped
// or hangs, and its last report is no longer true.
type FeedObserver interface {
	Observer

	// ObserveFeed is called with one of [IndexReport], [JournalReport], [ReadReport] and
	// [SubscriptionReport]. Ignore others, which a later version may add. It is called by many
	// goroutines at once, and should not take long.
	ObserveFeed(ctx context.Context, report FeedReport)
}

// FeedReport is what a [FeedObserver] is told.
type FeedReport interface{ feedReport() }

// IndexReport tells what a round of Feed.Index did. The process that indexes sends a few a second
// when idle, and up to 200 a second when busy. The processes that wait to take its place send none.
type IndexReport struct {
	Feed string

	Logged  int           // how many entries the log took over in this round
	Derived int           // how many of these no journal showed, so that they came from the streams themselves
	Delay   time.Duration // from the oldest commit of the round until the log had it; 0 if nothing was taken over

	Position    int64         // the end of the log
	Unindexed   int           // entries that stand in journals and wait, for an earlier entry or for the next round
	OpenNumbers int           // numbers of journals that were passed over, and that may still be used
	Journals    int           // journals that have not ended
	WalkAge     time.Duration // every stream was looked at since then, or the process has indexed only since then

	Ended bool // the process no longer indexes; the other fields but Feed are zero
}

// JournalReport tells whether an indexer takes over what this provider commits. A provider that
// appends, or whose feed is read live, sends one about once a minute.
type JournalReport struct {
	Feed    string
	Waiting int           // the entries of this provider from the oldest that is known to wait; 0 if none is
	Age     time.Duration // how long that one has waited
}

// ReadReport tells what a loop over Feed.Read was given since its last report. A subscription reads
// the feed by such loops.
type ReadReport struct {
	Feed     string
	Items    int
	Position int64
	Live     bool
	Delay    time.Duration // from the commit of the oldest of these items until now, if the loop is live
}

// SubscriptionReport tells how far an instance of a subscription is. Subscription.Run sends one
// whenever it renews its lease, which is every 5 s by default.
type SubscriptionReport struct {
	Feed, Subscription string

	Partitions int           // how many this instance has
	Parked     int           // how many streams are parked in them
	Lag        int64         // how many positions of the feed the slowest of them is behind, as far as this instance has read the feed
	LagAge     time.Duration // how long ago the oldest item was committed that waits or is being handled; 0 if none is known

	Ended bool // Run has returned; the other fields but Feed and Subscription are zero
}

// Delivery is an item that a subscription passes to its handler.
type Delivery struct {
	Feed, Subscription string
	Partition          int
	Position           int64     // of the item
	Version            int64     // of the event, or of the stream if it was closed or deleted
	Committed          time.Time // zero if it is not known
	Metadata           Metadata  // of the event, if there is one

	// Again says that the handler was called for the item before: it is the one because of which
	// the stream was parked. Other items may come again too, after a crash, but nothing tells that.
	Again bool
}

// Disposition is what became of a [Delivery].
type Disposition string

// Dashboards and alerts match these texts, so a released one never changes.
const (
	DeliveryHandled     Disposition = "handled"     // the handler returned no error
	DeliveryParked      Disposition = "parked"      // its stream is parked
	DeliverySkipped     Disposition = "skipped"     // it is left out
	DeliveryStopped     Disposition = "stopped"     // it failed, and the subscription stops
	DeliveryInterrupted Disposition = "interrupted" // the partition was lost or given up, so that it comes again
)

func (IndexReport) feedReport()        {}
func (JournalReport) feedReport()      {}
func (ReadReport) feedReport()         {}
func (SubscriptionReport) feedReport() {}

// report tells an observer how the feed is doing.
func report(ctx context.Context, observer Observer, r FeedReport) {
	if o, ok := observer.(FeedObserver); ok {
		o.ObserveFeed(ctx, r)
	}
}
