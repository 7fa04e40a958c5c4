package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

const verifyUsage = `Usage: eventstores verify -store <store> [-streams file|-] [stream …]

Reads all of each stream and looks for damage: events that are missing, changed or in the wrong place, idempotency ids that
lead elsewhere, snapshots that can't be read. It changes nothing.

` + aboutStores + `
` + aboutStreams + `
It prints a line for each stream: sound, deleted, empty (is the name right?), damaged, failed or stopped. The exit code is 0 if all are
sound or deleted, 1 if not, 2 for wrong arguments.
`

func runVerify(ctx context.Context, c *call, args []string) int {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	spec := flags.String("store", "", "the `store` that holds the streams")
	parallel := flags.Int("parallel", 4, "how many `streams` are read at a time")
	var n names
	n.flags(flags)
	if code, ok := c.parse(flags, args, verifyUsage); !ok {
		return code
	}
	s, err := parseStore(*spec, true)
	if err != nil {
		return c.wrong(flags, fmt.Errorf("-store: %w", err))
	}
	if *parallel < 1 {
		return c.wrong(flags, fmt.Errorf("-parallel %d is not positive", *parallel))
	}
	streams, err := n.streams(flags.Args(), c.stdin)
	if err != nil {
		return c.wrong(flags, err)
	}
	m := newMeter(c, len(streams))
	provider, closeStore, err := s.provide(ctx, logger(m))
	if err != nil {
		m.end()
		return c.failed(flags, err)
	}
	defer closeStore()
	well, bad := each(ctx, m, streams, *parallel, func(ctx context.Context, stream eventstore.Stream) outcome {
		reader, err := provider.ReaderIn(stream.Database, stream.Type, stream.ID)
		if err != nil {
			return outcome{"failed", err.Error(), true}
		}
		found, err := reader.Verify(ctx, func(checked, of int64) {
			m.tell(stream, "verified", progress{stages: 1, done: checked, of: of})
		})
		return verified(found, err)
	})
	return c.conclude(ctx, "sound", len(streams), well, bad, "Run the same command again.")
}

// verified is what is said of one verification.
func verified(found eventstore.Verification, err error) outcome {
	about := fmt.Sprintf("version=%d events=%d snapshots=%d", found.Version, found.Events, len(found.Snapshots))
	if found.Closed {
		about += " closed"
	}
	for _, damage := range found.Damage {
		about += "\n         " + damage.Error()
	}
	switch {
	case err != nil:
		return outcome{"failed", about + ": " + err.Error(), true}
	case !found.Sound():
		return outcome{"damaged", about, true}
	case found.Deleted:
		return outcome{"deleted", "", false}
	case found.Version == 0:
		return outcome{"empty", "the store has nothing under that name: is it right?", true}
	}
	return outcome{"sound", about, false}
}
