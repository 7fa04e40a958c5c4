package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const projectionsParkedUsage = `Usage: eventstores projections parked --store <store> [--version V] <name>
       eventstores projections parked --store <store> [--version V] <name> retry [--all | stream …]
       eventstores projections parked --store <store> [--version V] [--yes] <name> skip [stream …]

Lists the streams that a projection, or another subscription, has parked because an event could not be
handled: which version it is, up to which version later events wait behind it, since when, and why.

With retry it asks the instance that runs to deliver what is held back, for example after a repaired
handler was deployed. With skip it leaves out the event that could not be handled, for ever, and then
does the same. It asks before it does that, unless --yes is given. What came of it shows the list: the
stream is gone from it, or it is parked again.

` + aboutFeeds + `
` + aboutStores + `
` + aboutOutput + `
The exit code is 0, or 1 if something cannot be read or written, or if a stream is not parked. It is 2
for wrong arguments.
`

// unparking is what the command projections parked is asked to do.
type unparking struct {
	projecting
	names
	version  int
	all, yes bool
}

func projectionsParkedCommand(c *call) *cobra.Command {
	var what unparking
	cmd := newCommand("parked", "list parked streams, retry or skip them", projectionsParkedUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	flags := cmd.Flags()
	what.feedFlags.flags(flags)
	what.outputFlag(cmd)
	what.databaseFlag(flags)
	flags.IntVar(&what.version, "version", 1, "the `version` of the projection")
	flags.BoolVar(&what.all, "all", false, "retry all streams that are parked")
	flags.BoolVar(&what.yes, "yes", false, "do not ask")
	return cmd
}

func (what *unparking) run(ctx context.Context, c *call, args []string) error {
	switch {
	case len(args) == 0:
		return wrong(errors.New("name a projection"))
	case what.version < 1:
		return wrong(errors.New("--version must be positive"))
	}
	do, streams, err := what.action(args[1:])
	if err != nil {
		return wrong(err)
	}
	as := reading
	if do != "" {
		as = mending
	}
	return what.with(ctx, c, as, func(ctx context.Context, f *feed.Feed, _ []projection.Option) error {
		s, err := followers.Subscription(f, followers.Name(args[0], what.version))
		if err != nil {
			return err
		}
		if do == "" || what.all {
			parked, err := s.Parked(ctx)
			if err != nil {
				return err
			}
			if do == "" {
				return what.list(c, parked)
			}
			for _, p := range parked {
				streams = append(streams, p.Stream)
			}
		}
		return what.ask(ctx, c, s, do, streams)
	})
}

// action returns what to do with which streams. It is nothing if the streams are to be listed.
func (what *unparking) action(args []string) (do string, streams []eventstore.Stream, err error) {
	if len(args) == 0 {
		if what.all {
			return "", nil, errors.New("--all goes with retry")
		}
		return "", nil, nil
	}
	do = args[0]
	switch {
	case do != "retry" && do != "skip":
		return "", nil, errors.New("after the name comes retry or skip, or nothing")
	case do == "skip" && what.all:
		return "", nil, errors.New("skip does not go with --all: name the streams")
	case what.all && len(args) > 1:
		return "", nil, errors.New("give --all or the names of streams, not both")
	case what.all:
		return do, nil, nil
	}
	what.parallel = 1
	streams, err = what.streams(args[1:], nil)
	return do, streams, err
}

// ask asks the subscription to retry or skip streams.
func (what *unparking) ask(ctx context.Context, c *call, s *subscription.Subscription, do string, streams []eventstore.Stream) error {
	tell := s.Retry
	if do == "skip" {
		tell = s.Skip
		if !what.yes {
			seen, err := what.show(ctx, c, s, streams)
			if err != nil {
				return err
			}
			tell = func(ctx context.Context, stream eventstore.Stream) error {
				return followers.Skip(ctx, s, stream, seen[stream])
			}
			if err := c.confirm(ctx, fmt.Sprintf("Leave out one event of each of %d streams for ever?", len(streams))); err != nil {
				return err
			}
		}
	}
	bad := false
	for _, stream := range streams {
		line := askedLine{Stream: stream.String(), Result: "asked"}
		if err := tell(ctx, stream); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			line.Result, line.Error, bad = "failed", c.hidden(err.Error()), true
		}
		if err := line.print(c, what.format); err != nil {
			return err
		}
	}
	if bad {
		return errSaid
	}
	return nil
}

// show prints at which events streams are parked, and returns their versions.
func (what *unparking) show(ctx context.Context, c *call, s *subscription.Subscription, streams []eventstore.Stream) (map[eventstore.Stream]int64, error) {
	parked, err := s.Parked(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[eventstore.Stream]int64{}
	for _, p := range parked {
		if slices.Contains(streams, p.Stream) {
			seen[p.Stream] = p.From
			fmt.Fprintf(c.stderr, "event    %s, version %d: %s\n", readable(p.Stream), p.From, p.Reason)
		}
	}
	return seen, nil
}

// askedLine is the answer about a stream in JSON.
type askedLine struct {
	Stream string `json:"stream"`
	Result string `json:"result"` // "asked" or "failed"
	Error  string `json:"error,omitempty"`
}

func (line askedLine) print(c *call, as format) error {
	if as == asJSON {
		return c.json(line)
	}
	about := ""
	if line.Error != "" {
		about = " " + line.Error
	}
	fmt.Fprintf(c.stdout, "%-8s %s%s\n", line.Result, line.Stream, about)
	return nil
}

// parkedLine is a parked stream in JSON.
type parkedLine struct {
	Stream    string        `json:"stream"`
	Partition int           `json:"partition"`
	Position  feed.Position `json:"position"`
	From      int64         `json:"from"`
	To        int64         `json:"to"`
	Since     time.Time     `json:"since"`
	Attempts  int           `json:"attempts"`
	Reason    string        `json:"reason"`
	Asked     bool          `json:"asked"`
}

func (what *unparking) list(c *call, parked []subscription.Parked) error {
	rows := [][]string{{"STREAM", "VERSIONS", "SINCE", "ATTEMPTS", "REASON"}}
	for _, p := range parked {
		p.Reason = c.hidden(p.Reason) // an error of a handler, which may quote what the store said
		if what.format == asJSON {
			if err := c.json(parkedLine{p.Stream.String(), p.Partition, p.Position, p.From, p.To, p.Since.UTC(), p.Attempts, p.Reason, p.Asked}); err != nil {
				return err
			}
			continue
		}
		reason := p.Reason
		if p.Asked {
			reason = "(asked for another try) " + reason
		}
		rows = append(rows, []string{readable(p.Stream), fmt.Sprintf("%d-%d", p.From, p.To), shownTime(p.Since), strconv.Itoa(p.Attempts), reason})
	}
	if what.format == asText {
		c.table(rows)
	}
	return nil
}
