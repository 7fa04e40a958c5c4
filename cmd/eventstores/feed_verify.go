package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const feedVerifyUsage = `Usage: eventstores feed verify --store <store> [--feed name] [--repair] [--all]
       eventstores feed verify --store <store> [--feed name] [--repair] [--streams file|-] [stream …]

Compares the log of the feed, its catalogue, its journals and the streams, and prints what is wrong.
Services can write meanwhile. It reads the log and each event once, and needs about 200 bytes of
memory for each stream.

With --all, or with the names of streams, it also looks for streams that the feed does not know.

With --repair it first derives what is damaged: from the streams, from the log and from its pages. It
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

// feedVerifying is what the command feed verify is asked to do.
type feedVerifying struct {
	feedFlags
	names
	all, repair bool
}

func feedVerifyCommand(c *call) *cobra.Command {
	var what feedVerifying
	cmd := newCommand("verify", "look for damage in the feed, and repair it", feedVerifyUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	what.feedFlags.flags(cmd.Flags())
	what.names.flags(cmd.Flags(), "")
	cmd.Flags().BoolVar(&what.all, "all", false, "look for streams that the feed does not know, by the keys of the store")
	cmd.Flags().BoolVar(&what.repair, "repair", false, "repair what can be derived")
	return cmd
}

func (what feedVerifying) run(ctx context.Context, c *call, args []string) error {
	as := reading
	if what.repair {
		as = mending
	}
	s, err := what.named(c, as)
	if err != nil {
		return err
	}
	given := len(args) > 0 || what.file != ""
	if err := checkAll(what.all, given, s); err != nil {
		return wrong(err)
	}
	var options, streams []feed.VerifyOption
	if given {
		named, err := what.names.streams(args, c.stdin)
		if err != nil {
			return wrong(err)
		}
		streams = append(streams, feed.WithStreams(feed.Named(named...)))
	}
	m := newMeter(c, 0)
	f, o, closeFeed, err := what.openFeed(ctx, s, logger(m))
	if err != nil {
		m.end()
		return err
	}
	defer closeFeed()
	if what.all {
		streams = append(streams, feed.WithStreams(feed.Stored(ctx, o.state.(driver.Lister))))
	}
	options = append(options, feed.WithFindings(func(found feed.Finding) { m.say(found.String()) }),
		feed.WithChecked(func(checked, of int64) { m.reach(checked, of, "batches of the log") }))
	var repaired feed.Verification
	if what.repair {
		if repaired, err = f.Repair(ctx, append(options, streams...)...); err != nil {
			m.end()
			return err
		}
		m.say("repaired; verifying")
		streams = nil // what was imported waits for an indexer
	}
	found, err := f.Verify(ctx, append(options, streams...)...)
	m.end()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "feed %s: end=%d entries=%d streams=%d behind=%d wrong=%d\n", f.Name(), found.End, found.Entries, found.Streams, found.Behind, found.Unrepaired)
	if err := tellMoved(ctx, c, f, repaired.Moved); err != nil {
		return err
	}
	if !found.Sound() || !repaired.Sound() {
		return errSaid
	}
	return nil
}

// tellMoved prints which subscriptions have a position in a batch that was derived.
func tellMoved(ctx context.Context, c *call, f *feed.Feed, moved []feed.Range) error {
	if len(moved) == 0 {
		return nil
	}
	for _, r := range moved {
		fmt.Fprintf(c.stdout, "positions %d to %d were derived: a reader with a position in between begins again after %d\n", r.From, r.To, r.From-1)
	}
	return followers.Each(ctx, f, func(name string, partitions []subscription.Partition) {
		for _, p := range partitions {
			for _, r := range moved {
				if p.Position >= r.From && p.Position < r.To {
					fmt.Fprintf(c.stdout, "subscription %s partition %d is at %d: reset the subscription to %d\n", name, p.Number, p.Position, r.From-1)
				}
			}
		}
	})
}
