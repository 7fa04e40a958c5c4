package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const listUsage = `Usage: eventstores streams --store <store> [--type T] [--database D] [--since time] [--names]

Lists the streams of a store, in the order in which they began: version, time of the last change,
open, closed or deleted, and name. With --since it leaves out those that did not change since then.

The list is the catalogue of the store's feed. A stream enters it soon after it began, if an indexer
runs. If the store has no feed, the command finds the streams by their keys, which works for sqlite:
and redis: stores. It needs little memory, however many streams there are.

With --names it prints only names, all escaped, as other commands take them from a file with
--streams. That takes one request for 4,000 streams, instead of one more for every 250.

` + aboutStores + `
` + aboutTimes + `
` + aboutOutput + `
The exit code is 0, or 1 if the streams, or one of them, cannot be read. It is 2 for wrong arguments.
`

// listing is what the command streams is asked to do.
type listing struct {
	feedFlags
	format
	filter
	since when
	names bool
}

func listCommand(c *call) *cobra.Command {
	var what listing
	cmd := newCommand("streams", "list the streams of a store", listUsage, func(cmd *cobra.Command, _ []string) error {
		return what.run(cmd.Context(), c)
	})
	cmd.Args = noArguments
	what.flags(cmd.Flags())
	what.outputFlag(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&what.types, "type", nil, "only streams of this aggregate `type`; can be repeated")
	flags.StringArrayVar(&what.databases, "database", nil, "only streams of this `database`; can be repeated")
	flags.Var(&what.since, "since", "only streams that changed since this `time`")
	flags.BoolVar(&what.names, "names", false, "print only the names")
	return cmd
}

func (what listing) run(ctx context.Context, c *call) error {
	if what.names && !what.since.IsZero() {
		return wrong(errors.New("--names does not go with --since, which needs more than the names"))
	}
	s, err := what.named(c, reading)
	if err != nil {
		return err
	}
	o, err := s.openWith(ctx, warnings(c))
	if err != nil {
		return err
	}
	defer o.close()
	return what.list(ctx, c, o)
}

// list prints the streams of an open store.
func (what listing) list(ctx context.Context, c *call, o opened) error {
	what.details = !what.names
	streams, closeFeed, err := what.catalogue(ctx, o, warnings(c), what.filter)
	if err != nil {
		return err
	}
	defer closeFeed()
	unreadable, some := false, false
	if what.format == asText && what.details {
		c.data(fmt.Sprintf("%8s  %-24s  %-7s  %s", "VERSION", "CHANGED", "STATE", "STREAM"))
	}
	for info, err := range streams {
		some = true
		switch {
		case err != nil:
			return err
		case info.Err == nil && !what.since.IsZero() && info.Changed.Before(what.since.Time):
			continue
		}
		unreadable = unreadable || info.Err != nil
		if err := what.print(c, info); err != nil {
			return err
		}
		if ctx.Err() != nil { // nothing can be printed any more, or the user has enough
			return ctx.Err()
		}
	}
	if unreadable {
		return errSaid
	}
	if !some {
		if advice := o.elsewhere(ctx, anyHead); advice != "" {
			return errors.New("no stream is found: " + advice)
		}
	}
	return nil
}

// streamLine is a stream of the list in JSON.
type streamLine struct {
	Stream   string     `json:"stream"`
	Database string     `json:"database"`
	Type     string     `json:"type"`
	ID       string     `json:"id"`
	Version  int64      `json:"version,omitempty"`
	Begun    *time.Time `json:"begun,omitempty"`
	Changed  *time.Time `json:"changed,omitempty"`
	State    string     `json:"state,omitempty"`
	Error    string     `json:"error,omitempty"`
}

func (what listing) print(c *call, info feed.StreamInfo) error {
	if what.format == asJSON {
		line := streamLine{Stream: info.Stream.String(), Database: info.Stream.Database, Type: info.Stream.Type, ID: info.Stream.ID,
			Version: info.Version, Begun: timeOrNil(info.Begun), Changed: timeOrNil(info.Changed)}
		if what.details {
			line.State = stateOf(info)
		}
		if info.Err != nil {
			line.Error = c.hidden(info.Err.Error())
		}
		return c.json(line)
	}
	if what.names {
		c.data(info.Stream.String())
		return nil
	}
	line := fmt.Sprintf("%8d  %s  %-7s  %s", info.Version, shownTime(info.Changed), stateOf(info), readable(info.Stream))
	if info.Err != nil {
		line += "  " + c.hidden(info.Err.Error())
	}
	c.data(line)
	return nil
}

func stateOf(info feed.StreamInfo) string {
	switch {
	case info.Err != nil:
		return "damaged"
	case info.Deleted:
		return "deleted"
	case info.Closed:
		return "closed"
	}
	return "open"
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
