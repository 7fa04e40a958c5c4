package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const findUsage = `Usage: eventstores find --store <store> [--correlation id] [--causation id] [--user id] [--event-id id]
                        [--between time time] [--type T] [--event-type T] [--count N]

Prints the events of all streams for which everything holds that is asked for, in the order of the feed.
--between takes two times: the first one belongs to the range, the second one does not.

A store has no index of metadata, so the command reads the feed: all of it, or, with --between, what was
committed since the first time. It first says how much that is. Ctrl+C stops it, and it then says how
to go on.

` + aboutFeeds + `
` + aboutStores + `
` + aboutTimes + `
On a line for people a long payload is shortened: eventstores show prints all of it. With
--output json it prints one JSON object for each line, with the whole payload and the metadata.

The exit code is 0 if something was found, otherwise 1. It is 2 for wrong arguments.
`

// searching is what the command find is asked to do.
type searching struct {
	feedFlags
	format
	correlation, causation, user, eventID string
	place                                 string // the event with the id, if that is a stream and a version
	from, to                              when
	types, events                         []string
	after                                 int64
	count                                 int
}

func findCommand(c *call) *cobra.Command {
	var what searching
	cmd := newCommand("find", "find events of all streams by their metadata or time", findUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	flags := cmd.Flags()
	what.feedFlags.flags(flags)
	what.outputFlag(cmd)
	flags.StringVar(&what.correlation, "correlation", "", "only events with this correlation `id`")
	flags.StringVar(&what.causation, "causation", "", "only events with this causation `id`")
	flags.StringVar(&what.user, "user", "", "only events of the user with this `id`")
	flags.StringVar(&what.eventID, "event-id", "", "only the event with this `id`, which can also be stream/version")
	flags.Var(&what.from, "between", "only events from this `time` up to another one, which is the next argument")
	flags.StringArrayVar(&what.types, "type", nil, "only streams of this aggregate `type`; can be repeated")
	flags.StringArrayVar(&what.events, "event-type", nil, "only events of this `type`; can be repeated")
	flags.Int64Var(&what.after, "after", 0, "begin after this `position` of the feed")
	flags.IntVar(&what.count, "count", 0, "stop after this `number` of events")
	return cmd
}

func (what searching) run(ctx context.Context, c *call, args []string) error {
	between := !what.from.IsZero()
	switch {
	case between && len(args) != 1:
		return wrong(errors.New("--between takes two times"))
	case between:
		if err := what.to.Set(args[0]); err != nil {
			return wrong(fmt.Errorf("the second time of --between: %w", err))
		}
		if !what.from.Before(what.to.Time) {
			return wrong(errors.New("the first time of --between must be before the second"))
		}
	case len(args) > 0:
		return noArguments(nil, args)
	case what.correlation+what.causation+what.user+what.eventID == "":
		return wrong(errors.New("say what to find: --correlation, --causation, --user, --event-id or --between"))
	}
	if what.after < 0 || what.count < 0 {
		return wrong(errors.New("--after and --count must not be negative"))
	}
	what.place = placeOf(what.eventID)
	f, m, done, err := what.openToSearch(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	return what.search(ctx, c, m, f)
}

// options returns which part of the feed to read, and where it begins.
func (what searching) options(ctx context.Context, f *feed.Feed, end feed.Position) (options []feed.ReadOption, begin feed.Position, err error) {
	options = append(filter{types: what.types}.options(), feed.AsRaw(), feed.WithProgress())
	if len(what.events) > 0 {
		options = append(options, feed.OfEventType(what.events...))
	}
	switch {
	case what.after > 0:
		begin = feed.Position(what.after)
		return append(options, feed.After(begin)), begin, nil
	case what.from.IsZero():
		return options, 0, nil
	}
	begin = end // unless something was committed since
	for item, err := range f.Read(ctx, feed.Since(what.from.Time), feed.AsRaw()) {
		if err != nil {
			return nil, 0, err
		}
		begin = max(0, item.Position-1)
		break
	}
	return append(options, feed.Since(what.from.Time)), begin, nil
}

func (what searching) search(ctx context.Context, c *call, m *meter, f *feed.Feed) error {
	end, err := f.End(ctx)
	if err != nil {
		return err
	}
	options, begin, err := what.options(ctx, f, end)
	if err != nil {
		return err
	}
	m.note(fmt.Sprintf("The command reads about %d commits of the feed. Ctrl+C stops it.", max(0, end-begin)))
	found, at := 0, begin
	for item, err := range f.Read(ctx, options...) {
		if err != nil && ctx.Err() != nil {
			break
		} else if err != nil {
			return err
		}
		at = item.Position
		m.reach(int64(at-begin), int64(end-begin), "commits of the feed")
		if !what.wants(item) {
			continue
		}
		if err := m.around(func() error { return c.printItem(what.format, item) }); err != nil {
			return err
		}
		if found++; found == what.count || ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil && outputError(ctx) == nil:
		m.note(fmt.Sprintf("Stopped early. Continue with --after %d.", at))
		return errSaid
	case ctx.Err() != nil:
		return ctx.Err()
	case found == 0:
		m.note("Nothing was found.")
		return errSaid
	}
	return nil
}

// wants reports whether an item is one of those to find.
func (what searching) wants(item feed.Item) bool {
	message, about := item.Event.Metadata.Message, item.Event.Metadata.Context
	if item.What != feed.Appended {
		return false
	}
	for _, id := range [...]struct{ wanted, got string }{
		{what.correlation, about.CorrelationID}, {what.causation, about.CausationID}, {what.user, about.UserID},
	} {
		if id.wanted != "" && id.wanted != id.got {
			return false
		}
	}
	if what.eventID != "" && what.eventID != message.ID && what.place != item.ID() {
		return false
	}
	return what.from.IsZero() || isBetween(timeOf(item), what.from.Time, what.to.Time)
}

// placeOf returns the id of an event, if it is a stream and a version, in the form of
// [feed.Item.ID]. The name of the stream is as a person writes it.
func placeOf(id string) string {
	i := strings.LastIndex(id, "/")
	if i < 0 {
		return id
	}
	stream, err := (&names{database: eventstore.DefaultSettings().DefaultDatabase}).written(id[:i])
	if err != nil {
		return id
	}
	return stream.String() + id[i:]
}

// timeOf returns when an item was committed, as far as it is known.
func timeOf(item feed.Item) time.Time {
	if item.Time.IsZero() {
		return item.Event.Metadata.Message.Created
	}
	return item.Time
}

func isBetween(t, from, to time.Time) bool {
	return !t.Before(from.Truncate(time.Millisecond)) && t.Before(to)
}
