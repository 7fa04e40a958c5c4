package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

const copyUsage = `Usage: eventstores copy --from <store> --to <store> [--streams file|-] [stream …]
       eventstores copy --from <store> --to <store> --all

Copies streams completely: events with their metadata, idempotency ids, snapshots, and whether a
stream was closed. It reads everything back from the target and compares it with the source. It does
not change the source; a SQLite source can be read-only. It refuses an existing file that is not an
event store, as source and as target.

It can be run again at any time. It compares what exists, refuses differences, and continues from
there. So first copy while the app runs. Then stop the app, copy once more, and start the app with the
new store. See docs/moving.md.

` + aboutStores + `
` + aboutStreams + `
` + aboutAll + `
It prints a line for each stream:

  copied   …   the target has the whole stream, up to the version that the source had
  deleted  …   the stream is deleted in the source and now in the target
  empty    …   the source has no such stream; check the name
  failed   …   with the reason
  stopped  …   the command was stopped

The exit code is 0 if all were copied or deleted, otherwise 1. It is 2 for wrong arguments.

` + aboutOutput

// copying is what the command copy is asked to do.
type copying struct {
	from, to string
	selection
	format
}

func copyCommand(c *call) *cobra.Command {
	var what copying
	cmd := newCommand("copy", "copy streams from one store to another, and verify them", copyUsage, func(cmd *cobra.Command, args []string) error {
		return what.run(cmd.Context(), c, args)
	})
	cmd.Flags().StringVar(&what.from, "from", "", "the `store` to copy from")
	cmd.Flags().StringVar(&what.to, "to", "", "the `store` to copy to")
	what.flags(cmd.Flags(), "copied")
	what.outputFlag(cmd)
	what.allFlags(cmd.Flags())
	return cmd
}

func (what copying) run(ctx context.Context, c *call, args []string) error {
	source, err := parseStore(what.from, reading)
	if err != nil {
		return wrong(fmt.Errorf("--from: %w", err))
	}
	target, err := parseStore(what.to, creating)
	if err != nil {
		return wrong(fmt.Errorf("--to: %w", err))
	}
	c.hide(source.secret, target.secret)
	if source.same == target.same {
		return wrong(errors.New("--from and --to are the same store"))
	}
	named, err := what.check(c, args)
	if err != nil {
		return wrong(err)
	}
	m := newMeter(c, named)
	defer m.end()
	log := logger(m)
	o, err := source.openWith(ctx, log)
	if err != nil {
		return err
	}
	defer o.close()
	fromStore, err := o.provider(log)
	if err != nil {
		return err
	}
	streams, done, err := what.of(ctx, o, log)
	if err != nil {
		return err
	}
	defer done()
	toStore, closeTarget, err := target.provide(ctx, log)
	if err != nil {
		return err
	}
	defer closeTarget()

	r := reporter{c, m, what.format}.each(ctx, streams, what.parallel, func(ctx context.Context, stream eventstore.Stream) outcome {
		result, err := transfer.Copy(ctx, fromStore, toStore, stream, transfer.WithProgress(func(p transfer.Progress) {
			what := [...]string{"checked", "verified", "copied", "verified"}[p.Stage]
			m.tell(stream, what, progress{stage: int(p.Stage), stages: 4, done: p.Done, of: p.Of})
		}))
		return copied(result, err)
	})
	return c.conclude(ctx, what.format, "copied", max(named, r.begun), r, "Run the same command again to continue.")
}

// copiedLine is the result of one copy in JSON.
type copiedLine struct {
	resultLine
	Version   int64   `json:"version"`
	Before    int64   `json:"before"`
	Copied    int64   `json:"copied"`
	Bytes     int64   `json:"bytes"`
	Verified  int64   `json:"verified"`
	Snapshots int     `json:"snapshots"`
	LeftOut   []int64 `json:"snapshotsLeftOut,omitempty"`
	Closed    bool    `json:"closed"`
}

// copied describes the result of one copy.
func copied(r transfer.Result, err error) outcome {
	o := outcome{word: "copied", about: fmt.Sprintf("version=%d before=%d copied=%d bytes=%d verified=%d snapshots=%d", r.Version, r.Before, r.Copied, r.Bytes, r.Verified, r.Snapshots)}
	if r.Closed {
		o.about += " closed"
	}
	if len(r.Unusable) > 0 {
		slices.Sort(r.Unusable)
		o.about += fmt.Sprintf(" snapshots-left-out=%v (unreadable in the source)", r.Unusable)
	}
	o.line = func(line resultLine) any {
		return copiedLine{line, r.Version, r.Before, r.Copied, r.Bytes, r.Verified, r.Snapshots, r.Unusable, r.Closed}
	}
	switch {
	case err != nil:
		o.word, o.bad, o.why = "failed", true, err.Error()
		o.about += ": " + err.Error()
	case r.Deleted:
		o.word, o.about = "deleted", ""
	case r.Version == 0:
		return empty("the source has no such stream; check the name")
	}
	return o
}

// sumLine is what a command did with all streams in JSON.
type sumLine struct {
	Streams int `json:"streams"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
}

// conclude prints the last line about so many streams, and returns an error if not all went well.
func (c *call) conclude(ctx context.Context, as format, done string, streams int, r results, again string) error {
	summary := fmt.Sprintf("%d of %d streams %s", r.well, streams, done)
	switch {
	case r.bad == streams && streams > 0:
		summary = fmt.Sprintf("%d of %d streams failed", r.bad, streams)
	case r.bad > 0:
		summary += fmt.Sprintf(", %d failed", r.bad)
	}
	c.say(as, summary, sumLine{streams, r.well, r.bad})
	switch {
	case ctx.Err() != nil && outputError(ctx) == nil && (r.err != nil || r.well+r.bad < streams):
		fmt.Fprintf(c.stderr, "Stopped early. %s\n", again)
	case r.err != nil:
		return r.err
	case r.well == streams:
		return nil
	}
	return errSaid
}
