package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const tailUsage = `Usage: eventstores tail --store <store> [--since time | --after position] [stream … | --type T | --all]

Prints what happens to streams as it happens, until it is stopped with Ctrl+C: each event with its time,
stream, version, type and payload, and streams that are closed or deleted. Without names and --type it
follows all streams.

It begins now, or with what was committed since a time, or after a position of the feed. It shows what
an indexer has taken over. If nothing comes, eventstores feed status tells whether one works.

` + aboutFeeds + `
` + aboutStores + `
` + aboutTimes + `
On a line for people a long payload is shortened: eventstores show prints all of it. With
--output json it prints one JSON object for each line, with the whole payload and the position.

The exit code is 0 when the command is stopped, and 1 if the feed cannot be read. It is 2 for wrong
arguments.
`

// tailing is what the command tail is asked to do.
type tailing struct {
	feedFlags
	names
	format
	types, events []string
	all           bool
	since         when
	after         int64
	count         int
}

func tailCommand(c *call) *cobra.Command {
	var what tailing
	cmd := newCommand("tail", "follow what happens to streams", tailUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, cmd.Flags().Changed("after"), args)
	})
	flags := cmd.Flags()
	what.feedFlags.flags(flags)
	what.databaseFlag(flags)
	what.outputFlag(cmd)
	flags.StringArrayVar(&what.types, "type", nil, "only streams of this aggregate `type`; can be repeated")
	flags.StringArrayVar(&what.events, "event-type", nil, "only events of this `type`; can be repeated")
	flags.BoolVar(&what.all, "all", false, "all streams, which is the default")
	flags.Var(&what.since, "since", "begin with what was committed since this `time`")
	flags.Int64Var(&what.after, "after", 0, "begin after this `position` of the feed")
	flags.IntVar(&what.count, "count", 0, "stop after this `number` of events")
	return cmd
}

func (what tailing) run(ctx context.Context, c *call, after bool, args []string) error {
	switch {
	case what.all && len(args)+len(what.types) > 0:
		return wrong(errors.New("--all does not go with names or --type"))
	case after && !what.since.IsZero():
		return wrong(errors.New("give --since or --after, not both"))
	case what.after < 0, what.count < 0:
		return wrong(errors.New("--after and --count must not be negative"))
	}
	options := []feed.ReadOption{feed.Live(), feed.AsRaw()}
	switch {
	case after:
		options = append(options, feed.After(feed.Position(what.after)))
	case !what.since.IsZero():
		options = append(options, feed.Since(what.since.Time))
	default:
		options = append(options, feed.FromNow())
	}
	if len(args) > 0 {
		what.parallel = 1
		streams, err := what.streams(args, c.stdin)
		if err != nil {
			return wrong(err)
		}
		options = append(options, feed.OfStream(streams...))
	}
	options = append(options, filter{types: what.types}.options()...)
	if len(what.events) > 0 {
		options = append(options, feed.OfEventType(what.events...))
	}
	s, err := what.named(c, reading)
	if err != nil {
		return err
	}
	f, _, closeFeed, err := what.openFeed(ctx, s, warnings(c))
	if err != nil {
		return err
	}
	defer closeFeed()
	return what.follow(ctx, c, f, options)
}

func (what tailing) follow(ctx context.Context, c *call, f *feed.Feed, options []feed.ReadOption) error {
	n := 0
	for item, err := range f.Read(ctx, options...) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := c.printItem(what.format, item); err != nil {
			return err
		}
		if n++; n == what.count || ctx.Err() != nil {
			return nil
		}
	}
	return nil
}
