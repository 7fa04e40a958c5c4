package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const feedImportUsage = `Usage: eventstores feed import --store <store> [--feed name] --all
       eventstores feed import --store <store> [--feed name] [--streams file|-] [stream …]

Makes streams enter the feed that were written before the services had one. Without it such a stream
enters at its next append. It changes only the heads of streams. A running indexer then takes the
streams over.

It can run while services write, and again at any time. It leaves alone what is in the feed. It needs
little memory, however many streams there are.

` + aboutFeeds + `
` + aboutStores + `
` + aboutStreams + `
With --all the command finds the streams itself, by the keys of the store. That works for stores that
it opens itself, sqlite: and redis:, not through a sidecar.

It prints a line for each stream that cannot be imported:

  empty    …   the store has no such stream; check the name
  failed   …   with the reason

and how many streams were added to the feed, were known to it, and were deleted. Deleted streams
have no events any more, so they are left out. The exit code is 0 if all others are in the feed,
otherwise 1. It is 2 for wrong arguments.

` + aboutOutput

// importing is what the command feed import is asked to do.
type importing struct {
	feedFlags
	names
	format
	all bool
}

func feedImportCommand(c *call) *cobra.Command {
	var what importing
	cmd := newCommand("import", "make streams from before the feed enter it", feedImportUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	what.feedFlags.flags(cmd.Flags())
	what.names.flags(cmd.Flags(), "")
	what.outputFlag(cmd)
	cmd.Flags().BoolVar(&what.all, "all", false, "find the streams by the keys of the store")
	return cmd
}

func (what importing) run(ctx context.Context, c *call, args []string) error {
	s, err := what.named(c, mending)
	if err != nil {
		return err
	}
	given := len(args) > 0 || what.file != ""
	if err := checkAll(what.all, given, s); err != nil {
		return wrong(err)
	}
	if !what.all && !given {
		return wrong(errors.New("no streams given; name them as arguments, or in a file with --streams, or give --all"))
	}
	wanted := imports{names: what.names, report: reporter{c: c, as: what.format}}
	for _, name := range args {
		stream, err := what.written(name)
		if err != nil {
			return wrong(err)
		}
		wanted.given = append(wanted.given, stream)
	}
	if what.file != "" {
		file, err := what.names.open(c.stdin)
		if err != nil {
			return wrong(err)
		}
		defer file.Close()
		wanted.lines = what.lines(file)
	}
	m := newMeter(c, 0)
	wanted.report.m = m
	f, o, closeFeed, err := what.openFeed(ctx, s, logger(m))
	if err != nil {
		m.end()
		return err
	}
	defer closeFeed()
	if what.all {
		wanted.stored = feed.Stored(ctx, o.state.(driver.Lister))
	}
	return wanted.run(ctx, f)
}

// imports is what one import is about, and what has become of it.
type imports struct {
	names
	report reporter
	given  []eventstore.Stream
	lines  iter.Seq2[eventstore.Stream, error] // of a file; nil if there is none
	stored iter.Seq2[eventstore.Stream, error] // by their keys; nil if they are named

	of  [feed.ImportFailed + 1]int // streams, by result
	bad int                        // lines that name no stream
}

// streams returns the streams to import. It tells of lines that name none, and goes on.
func (i *imports) streams() iter.Seq2[eventstore.Stream, error] {
	if i.stored != nil {
		return i.stored
	}
	return func(yield func(eventstore.Stream, error) bool) {
		for _, stream := range i.given {
			if !yield(stream, nil) {
				return
			}
		}
		if i.lines == nil {
			return
		}
		for stream, err := range i.lines {
			if errors.Is(err, context.Canceled) {
				yield(stream, err)
				return
			} else if err != nil {
				i.bad++
				i.say("failed   "+err.Error(), resultLine{Result: "failed", Error: err.Error()})
				continue
			}
			if !yield(stream, nil) {
				return
			}
		}
	}
}

// say prints a line about a stream.
func (i *imports) say(text string, line resultLine) {
	_ = i.report.m.around(func() error {
		i.report.c.say(i.report.as, text, line)
		return nil
	})
}

// importSum is the last line in JSON.
type importSum struct {
	Added   int `json:"added"`
	Known   int `json:"known"`
	Deleted int `json:"deleted"`
	Empty   int `json:"empty"`
	Failed  int `json:"failed"`
}

func (i *imports) run(ctx context.Context, f *feed.Feed) error {
	c, m := i.report.c, i.report.m
	var failed error
	for stream, err := range f.Import(ctx, i.streams()) {
		if err != nil {
			failed = err
			break
		}
		i.of[stream.Result]++
		m.count()
		switch stream.Result {
		case feed.ImportAbsent:
			const why = "the store has no such stream; check the name"
			i.say(fmt.Sprintf("empty    %s %s", stream.Stream, why), resultLine{stream.Stream.String(), "empty", why})
		case feed.ImportFailed:
			i.say(fmt.Sprintf("failed   %s %s", stream.Stream, stream.Err), resultLine{stream.Stream.String(), "failed", c.hidden(stream.Err.Error())})
		}
	}
	m.end()
	bad := i.of[feed.ImportFailed] + i.bad
	sum := importSum{i.of[feed.ImportAdded], i.of[feed.ImportKnown], i.of[feed.ImportDeleted], i.of[feed.ImportAbsent], bad}
	c.say(i.report.as, fmt.Sprintf("%d added, %d known, %d deleted, %d empty, %d failed", sum.Added, sum.Known, sum.Deleted, sum.Empty, sum.Failed), sum)
	switch {
	case ctx.Err() != nil && failed != nil && outputError(ctx) == nil:
		fmt.Fprintln(c.stderr, "Stopped early. Run the same command again to continue.")
		return errSaid
	case failed != nil:
		return failed
	case bad+i.of[feed.ImportAbsent] > 0:
		return errSaid
	}
	return nil
}
