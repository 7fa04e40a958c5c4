package main

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

const feedVerifyUsage = `Usage: eventstores feed verify -store <store> [-feed name] [-repair] [-all]
       eventstores feed verify -store <store> [-feed name] [-repair] [-streams file|-] [stream …]

Compares the log of the feed, its catalogue, its journals and the streams, and prints what is wrong.
Services can write meanwhile. It reads the log and each event once, and needs about 200 bytes of
memory for each stream.

With -all, or with the names of streams, it also looks for streams that the feed does not know.

With -repair it first derives what is damaged: from the streams, from the log and from its pages. It
never changes or invents an event. Indexers wait while it does that, and services can go on. If it
has derived a batch of the log, the order in that batch may be another one than before. Then the
command names the subscriptions that are within that batch. Reset those with Subscription.Reset.

` + aboutFeeds + `
` + aboutStores + `
` + aboutStreams + `
It prints a line for each thing that is wrong:

  damaged    …   a record of the feed, by its key
  missing    …   versions of a stream that the log has taken over without an entry
  lost       …   versions of which the log tells and which the store does not have
  unreadable …   an event or the head of a stream; see eventstores verify
  unlisted   …   a stream that the feed does not know

The exit code is 0 if nothing is wrong, or if everything was repaired, otherwise 1. It is 2 for wrong
arguments.
`

func runFeedVerify(ctx context.Context, c *call, args []string) int {
	flags := newFeedFlags("verify")
	var n names
	n.flags(flags.FlagSet, "")
	all := flags.Bool("all", false, "look for streams that the feed does not know, by the keys of the store")
	repair := flags.Bool("repair", false, "repair what can be derived")
	if code, ok := c.parse(flags.FlagSet, args, feedVerifyUsage); !ok {
		return code
	}
	as := reading
	if *repair {
		as = mending
	}
	s, err := parseStore(*flags.store, as)
	if err != nil {
		return c.wrong(flags.FlagSet, fmt.Errorf("-store: %w", err))
	}
	c.hide(s.secret)
	named := flags.NArg() > 0 || n.file != ""
	if err := checkAll(*all, named, s); err != nil {
		return c.wrong(flags.FlagSet, err)
	}
	var options, streams []feed.VerifyOption
	if named {
		given, err := n.streams(flags.Args(), c.stdin)
		if err != nil {
			return c.wrong(flags.FlagSet, err)
		}
		streams = append(streams, feed.WithStreams(feed.Named(given...)))
	}
	m := newMeter(c, 0)
	f, o, closeFeed, err := flags.open(ctx, s, logger(m))
	if err != nil {
		m.end()
		return c.failed(flags.FlagSet, err)
	}
	defer closeFeed()
	if *all {
		streams = append(streams, feed.WithStreams(feed.Stored(ctx, o.state.(driver.Lister))))
	}
	options = append(options, feed.WithFindings(func(found feed.Finding) { m.say(found.String()) }),
		feed.WithChecked(func(checked, of int64) { m.reach(checked, of, "batches of the log") }))
	var repaired feed.Verification
	if *repair {
		if repaired, err = f.Repair(ctx, append(options, streams...)...); err != nil {
			m.end()
			return c.failed(flags.FlagSet, err)
		}
		m.say("repaired; verifying")
		streams = nil // what was imported waits for an indexer
	}
	found, err := f.Verify(ctx, append(options, streams...)...)
	m.end()
	if err != nil {
		return c.failed(flags.FlagSet, err)
	}
	fmt.Fprintf(c.stdout, "feed %s: end=%d entries=%d streams=%d behind=%d wrong=%d\n", f.Name(), found.End, found.Entries, found.Streams, found.Behind, found.Unrepaired)
	if err := tellMoved(ctx, c, f, repaired.Moved); err != nil {
		return c.failed(flags.FlagSet, err)
	}
	if !found.Sound() || !repaired.Sound() {
		return exitNot
	}
	return exitWell
}

// tellMoved prints which subscriptions have a position in a batch that was derived.
func tellMoved(ctx context.Context, c *call, f *feed.Feed, moved []feed.Range) error {
	if len(moved) == 0 {
		return nil
	}
	for _, r := range moved {
		fmt.Fprintf(c.stdout, "positions %d to %d were derived: a reader with a position in between begins again after %d\n", r.From, r.To, r.From-1)
	}
	return eachSubscription(ctx, f, func(name string, partitions []subscription.Partition) {
		for _, p := range partitions {
			for _, r := range moved {
				if p.Position >= r.From && p.Position < r.To {
					fmt.Fprintf(c.stdout, "subscription %s partition %d is at %d: reset the subscription to %d\n", name, p.Number, p.Position, r.From-1)
				}
			}
		}
	})
}
