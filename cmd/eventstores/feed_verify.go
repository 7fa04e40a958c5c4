package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
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

` + aboutOutput + `A finding says in which pass it was made, "repair" or "verify". The sums come last.
`

// feedVerifying is what the command feed verify is asked to do.
type feedVerifying struct {
	feedFlags
	names
	format
	all, repair bool
}

func feedVerifyCommand(c *call) *cobra.Command {
	var what feedVerifying
	cmd := newCommand("verify", "look for damage in the feed, and repair it", feedVerifyUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	what.feedFlags.flags(cmd.Flags())
	what.names.flags(cmd.Flags(), "")
	what.outputFlag(cmd)
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
	pass := "verify"
	say := func(text string, line any) {
		_ = m.around(func() error {
			c.say(what.format, text, line)
			return nil
		})
	}
	options = append(options, feed.WithFindings(func(found feed.Finding) { say(found.String(), foundInFeed(c, pass, found)) }),
		feed.WithChecked(func(checked, of int64) { m.reach(checked, of, "batches of the log") }))
	var repaired feed.Verification
	if what.repair {
		pass = "repair"
		if repaired, err = f.Repair(ctx, append(options, streams...)...); err != nil {
			m.end()
			return err
		}
		if pass = "verify"; what.format == asText {
			say("repaired; verifying", nil)
		}
		streams = nil // what was imported waits for an indexer
	}
	found, err := f.Verify(ctx, append(options, streams...)...)
	m.end()
	if err != nil {
		return err
	}
	if what.format == asText {
		fmt.Fprintf(c.stdout, "feed %s: end=%d entries=%d streams=%d behind=%d wrong=%d\n", f.Name(), found.End, found.Entries, found.Streams, found.Behind, found.Unrepaired)
	}
	if err := tellMoved(ctx, c, what.format, f, repaired.Moved); err != nil {
		return err
	}
	if what.format == asJSON {
		_ = c.json(feedSum{f.Name(), found.End, found.Entries, found.Streams, found.Behind, found.Unrepaired})
	}
	if !found.Sound() || !repaired.Sound() {
		return errSaid
	}
	return nil
}

// feedFinding is something that is wrong in a feed in JSON.
type feedFinding struct {
	Pass     string `json:"pass"`
	Kind     string `json:"kind"`
	Key      string `json:"key,omitempty"`
	Stream   string `json:"stream,omitempty"`
	From     int64  `json:"from,omitempty"`
	To       int64  `json:"to,omitempty"`
	Error    string `json:"error,omitempty"`
	Repaired string `json:"repaired,omitempty"`
}

func foundInFeed(c *call, pass string, found feed.Finding) feedFinding {
	line := feedFinding{Pass: pass, Kind: found.Kind.String(), Key: found.Key, From: found.From, To: found.To, Repaired: found.Repaired}
	if found.Stream != (eventstore.Stream{}) {
		line.Stream = found.Stream.String()
	}
	if found.Err != nil {
		line.Error = c.hidden(found.Err.Error())
	}
	return line
}

// movedLine is a range of positions that were derived in JSON, and resetLine a subscription in it.
type (
	movedLine struct {
		From  feed.Position `json:"movedFrom"`
		To    feed.Position `json:"movedTo"`
		After feed.Position `json:"beginAfter"`
	}
	resetLine struct {
		Subscription string        `json:"subscription"`
		Partition    int           `json:"partition"`
		Position     feed.Position `json:"position"`
		Reset        feed.Position `json:"resetTo"`
	}
)

// feedSum is the last line in JSON.
type feedSum struct {
	Feed    string        `json:"feed"`
	End     feed.Position `json:"end"`
	Entries int64         `json:"entries"`
	Streams int64         `json:"streams"`
	Behind  int64         `json:"behind"`
	Wrong   int64         `json:"wrong"`
}

// tellMoved prints which subscriptions have a position in a batch that was derived.
func tellMoved(ctx context.Context, c *call, as format, f *feed.Feed, moved []feed.Range) error {
	if len(moved) == 0 {
		return nil
	}
	for _, r := range moved {
		c.say(as, fmt.Sprintf("positions %d to %d were derived: a reader with a position in between begins again after %d", r.From, r.To, r.From-1),
			movedLine{r.From, r.To, r.From - 1})
	}
	return followers.Each(ctx, f, func(name string, partitions []subscription.Partition) {
		for _, p := range partitions {
			for _, r := range moved {
				if p.Position >= r.From && p.Position < r.To {
					c.say(as, fmt.Sprintf("subscription %s partition %d is at %d: reset the subscription to %d", name, p.Number, p.Position, r.From-1),
						resetLine{name, p.Number, p.Position, r.From - 1})
				}
			}
		}
	})
}
