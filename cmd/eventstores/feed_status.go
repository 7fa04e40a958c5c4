package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const feedStatusUsage = `Usage: eventstores feed status --store <store> [--feed name]

Prints how far the feed of a store is, and its subscriptions. It changes nothing.

` + aboutFeeds + `
` + aboutStores + `
It prints one line for the feed: the position at its end, how many journals may still grow, how many
of their numbers are open, and how many entries wait for an indexer. If that number grows, no process
indexes. Then comes one line for each subscription: its lowest position, how many positions of the
feed come after that, how many of its partitions an instance has, and how many streams are parked.

The exit code is 0, or 1 if something cannot be read. It is 2 for wrong arguments.
`

func feedStatusCommand(c *call) *cobra.Command {
	var flags feedFlags
	cmd := newCommand("status", "say how far the feed and its subscriptions are", feedStatusUsage, func(cmd *cobra.Command, _ []string) error {
		s, err := flags.named(c, reading)
		if err != nil {
			return err
		}
		f, _, closeFeed, err := flags.openFeed(cmd.Context(), s, warnings(c))
		if err != nil {
			return err
		}
		defer closeFeed()
		return feedStatus(cmd.Context(), c, f)
	})
	flags.flags(cmd.Flags())
	cmd.Args = noArguments
	return cmd
}

func feedStatus(ctx context.Context, c *call, f *feed.Feed) error {
	now, err := f.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "feed          %s end=%d journals=%d open=%d waiting=%d\n", f.Name(), now.End, now.Journals, now.Open, now.Waiting)
	return followers.Each(ctx, f, func(name string, partitions []subscription.Partition) {
		p := followers.Sum(name, partitions)
		fmt.Fprintf(c.stdout, "subscription  %s position=%d lag=%d running=%d/%d parked=%d\n", name, p.Position, p.Lag, p.Running, p.Partitions, p.Parked)
	})
}
