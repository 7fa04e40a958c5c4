package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

const rebuildUsage = `Usage: eventstores rebuild-head -store <store> [-streams file|-] [stream …]

Makes the head of a stream anew from its events, where the head was evicted, deleted, or set back by a backup. Stop what writes
to the stream before. A head that is sound is left as it is. Run eventstores verify afterwards.

` + aboutStores + `
` + aboutStreams

func runRebuild(ctx context.Context, c *call, args []string) int {
	flags := flag.NewFlagSet("rebuild-head", flag.ContinueOnError)
	spec := flags.String("store", "", "the `store` that holds the streams")
	var n names
	n.flags(flags)
	if code, ok := c.parse(flags, args, rebuildUsage); !ok {
		return code
	}
	s, err := parseStore(*spec, true)
	if err != nil {
		return c.wrong(flags, fmt.Errorf("-store: %w", err))
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
	well, bad := each(ctx, m, streams, 1, func(ctx context.Context, stream eventstore.Stream) outcome {
		found, err := provider.RebuildHead(ctx, stream, nil)
		switch {
		case err != nil:
			return outcome{"failed", err.Error(), true}
		case found.Damage == nil:
			return outcome{"sound", fmt.Sprintf("version=%d, it was left as it is", found.Version), false}
		}
		return outcome{"rebuilt", fmt.Sprintf("version=%d events=%d idempotency-keys=%d", found.Version, found.Events, found.IdempotencyKeys), false}
	})
	return c.conclude(ctx, "have a sound head", len(streams), well, bad, "Run the same command again.")
}
