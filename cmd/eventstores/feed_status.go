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

` + aboutOutput

func feedStatusCommand(c *call) *cobra.Command {
	var (
		flags feedFlags
		as    format
	)
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
		return feedStatus(cmd.Context(), c, as, f)
	})
	flags.flags(cmd.Flags())
	as.outputFlag(cmd)
	cmd.Args = noArguments
	return cmd
}

// statusLine is the state of a feed in JSON.
type statusLine struct {
	Feed     string        `json:"feed"`
	End      feed.Position `json:"end"`
	Journals int           `json:"journals"`
	Open     int           `json:"open"`
	Waiting  int           `json:"waiting"`
}

// subscriptionLine is the state of a subscription in JSON.
type subscriptionLine struct {
	Subscription string        `json:"subscription"`
	Position     feed.Position `json:"position"`
	Lag          int64         `json:"lag"`
	Running      int           `json:"running"`
	Partitions   int           `json:"partitions"`
	Parked       int           `json:"parked"`
}

func feedStatus(ctx context.Context, c *call, as format, f *feed.Feed) error {
	now, err := f.Status(ctx)
	if err != nil {
		return err
	}
	c.say(as, fmt.Sprintf("feed          %s end=%d journals=%d open=%d waiting=%d", f.Name(), now.End, now.Journals, now.Open, now.Waiting),
		statusLine{f.Name(), now.End, now.Journals, now.Open, now.Waiting})
	return followers.Each(ctx, f, func(name string, partitions []subscription.Partition) {
		p := followers.Sum(name, partitions)
		c.say(as, fmt.Sprintf("subscription  %s position=%d lag=%d running=%d/%d parked=%d", name, p.Position, p.Lag, p.Running, p.Partitions, p.Parked),
			subscriptionLine{name, p.Position, p.Lag, p.Running, p.Partitions, p.Parked})
	})
}
