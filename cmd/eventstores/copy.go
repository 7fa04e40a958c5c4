package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

const copyUsage = `Usage: eventstores copy -from <store> -to <store> [-streams file|-] [stream …]

Copies streams with all that belongs to them: events with their metadata as they were, idempotency ids, snapshots, and that a
stream was closed. All of it is read back from the target and compared with the source. Nothing in the source is changed; a SQLite file
to copy from need not be writable. A file that is there and is no event store is refused as source and as target.

It can be run again at any time: it compares what is there, refuses what differs, and goes on from there. So first copy while the
app runs, then stop it, copy once more, and start it with the new store. See docs/moving.md.

` + aboutStores + `
` + aboutStreams + `
It prints a line for each stream:

  copied   …   it is complete in the target, up to the version that the source had
  deleted  …   it was deleted in the source, and is so in the target now
  empty    …   the source has nothing under that name: is the name right?
  failed   …   with the reason
  stopped  …   the command was stopped

The exit code is 0 if all were copied or deleted, 1 if not, 2 for wrong arguments.
`

func runCopy(ctx context.Context, c *call, args []string) int {
	flags := flag.NewFlagSet("copy", flag.ContinueOnError)
	from := flags.String("from", "", "the `store` to copy from")
	to := flags.String("to", "", "the `store` to copy to")
	var n names
	n.flags(flags, "copied")
	if code, ok := c.parse(flags, args, copyUsage); !ok {
		return code
	}
	source, err := parseStore(*from, reading)
	if err != nil {
		return c.wrong(flags, fmt.Errorf("-from: %w", err))
	}
	target, err := parseStore(*to, creating)
	if err != nil {
		return c.wrong(flags, fmt.Errorf("-to: %w", err))
	}
	c.hide(source.secret, target.secret)
	if source.same == target.same {
		return c.wrong(flags, errors.New("-from and -to are the same store"))
	}
	streams, err := n.streams(flags.Args(), c.stdin)
	if err != nil {
		return c.wrong(flags, err)
	}
	m := newMeter(c, len(streams))
	log := logger(m)
	fromStore, closeSource, err := source.provide(ctx, log)
	if err != nil {
		m.end()
		return c.failed(flags, err)
	}
	defer closeSource()
	toStore, closeTarget, err := target.provide(ctx, log)
	if err != nil {
		m.end()
		return c.failed(flags, err)
	}
	defer closeTarget()

	well, bad := each(ctx, m, streams, n.parallel, func(ctx context.Context, stream eventstore.Stream) outcome {
		result, err := transfer.Copy(ctx, fromStore, toStore, stream, transfer.WithProgress(func(p transfer.Progress) {
			what := [...]string{"checked", "verified", "copied", "verified"}[p.Stage]
			m.tell(stream, what, progress{stage: int(p.Stage), stages: 4, done: p.Done, of: p.Of})
		}))
		return copied(result, err)
	})
	return c.conclude(ctx, "copied", len(streams), well, bad, "Run the same command again: it goes on where this one stopped.")
}

// copied is what is said of one copy.
func copied(r transfer.Result, err error) outcome {
	o := outcome{word: "copied", about: fmt.Sprintf("version=%d before=%d copied=%d bytes=%d verified=%d snapshots=%d", r.Version, r.Before, r.Copied, r.Bytes, r.Verified, r.Snapshots)}
	if r.Closed {
		o.about += " closed"
	}
	if len(r.Unusable) > 0 {
		slices.Sort(r.Unusable)
		o.about += fmt.Sprintf(" snapshots-left-out=%v (they can't be read in the source)", r.Unusable)
	}
	switch {
	case err != nil:
		o.word, o.bad = "failed", true
		o.about += ": " + err.Error()
	case r.Deleted:
		o.word, o.about = "deleted", ""
	case r.Version == 0:
		o.word, o.about, o.bad = "empty", "the source has nothing under that name: is it right?", true
	}
	return o
}

// conclude prints the last line and returns the exit code.
func (c *call) conclude(ctx context.Context, done string, streams, well, bad int, again string) int {
	fmt.Fprintf(c.stdout, "%d of %d streams %s, %d not\n", well, streams, done, streams-well)
	switch {
	case well == streams:
		return exitWell
	case ctx.Err() != nil && well+bad < streams:
		fmt.Fprintf(c.stderr, "Stopped before the end. %s\n", again)
	}
	return exitNot
}
