package storetest

import "testing"

// TestFeed checks that all streams on the target can be listed, followed and subscribed to, and
// what projections, publications and processes make of that. Each case has a feed of its own,
// whatever else the store holds. It takes some seconds, because it waits for leases to expire.
func TestFeed(t *testing.T, target Target) {
	run(t, target, feedRules)
	run(t, target, catalogueRules)
	run(t, target, indexerRules)
	run(t, target, subscriptionRules)
	run(t, target, projectionRules)
	run(t, target, publishingRules)
	run(t, target, processRules)
}

// feedRules holds what a reader of a feed may rely on.
var feedRules = []rule[Target]{
	{"feed: what several processes commit comes once, and in the order of its stream", "a missed event is a wrong balance that nobody notices", inEachWay(testFeedOfSeveralProcesses)},
	{"feed: commits of a process that died before it told of them are found", "a process can die between a commit and the note of it", inEachWay(testFeedAfterACrash)},
	{"feed: what a process without a feed appends comes too", "not all services are updated at the same moment", inEachWay(testFeedOfMixedProcesses)},
	{"feed: that a stream was closed or deleted comes after its events", "a projection must forget what its source has forgotten", inEachWay(testFeedOfStreamsThatEnd)},
	{"feed: filters select by database, type, event type, stream and function", "a reader must not get what it did not ask for, and must not miss what it did", testFeedFilters},
	{"feed: a read resumes at each position, both ways, and begins at a time", "a reader that restarts goes on where it was", testFeedPositions},
	{"feed: a live read waits and gets what comes, in each process", "a reader that follows must not need to be restarted", testFeedLive},
	{"feed: an event that cannot be decoded is an item, and the read goes on", "one bad event must not stop the feed", testFeedOfUnreadableEvents},
	{"feed: a second feed and a position that the feed does not have are refused", "two feeds would each have a part of the streams", testFeedRefusals},
	{"feed: names with awkward characters work and stay apart", "no name may reach into another record", testFeedAwkwardNames},
}

// inEachWay returns a check that runs in each way in which commits can tell the feed of themselves:
// in their transaction, if the store has one, and after it.
func inEachWay(check func(*testing.T, Target)) func(*testing.T, Target) {
	return func(t *testing.T, target Target) {
		if !target.State.Capabilities().Atomic {
			check(t, target)
			return
		}
		t.Run("in one transaction", func(t *testing.T) { check(t, target) })
		t.Run("the head alone", func(t *testing.T) { check(t, Target{headAlone{target.State}, target.Locker}) })
	}
}
