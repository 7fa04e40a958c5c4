package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
)

const rebuildUsage = `Usage: eventstores rebuild-head --store <store> [--streams file|-] [stream …]

Rebuilds the head of a stream from its events if the head was evicted, deleted, or set back by a
backup. First stop all writers of the stream. A sound head is not changed. Run eventstores verify
afterwards.

` + aboutStores + `
` + aboutStreams + `
It prints a line for each stream: rebuilt, sound (the head was not changed), empty (there is no such
stream; check the name), failed or stopped. The exit code is 0 if all are rebuilt or sound, otherwise
1. It is 2 for wrong arguments.
`

func rebuildCommand(c *call) *cobra.Command {
	return single{as: mending, done: "have a sound head", do: rebuild}.command(c, "rebuild-head", "rebuild the lost head of a stream", rebuildUsage)
}

func rebuild(ctx context.Context, _ *meter, p *eventstore.Provider, stream eventstore.Stream) outcome {
	found, err := p.RebuildHead(ctx, stream, nil)
	switch {
	case err != nil:
		return outcome{word: "failed", about: err.Error(), bad: true}
	case found.Damage == nil && found.Version == 0:
		return outcome{word: "empty", about: "the store has no such stream and no events of it; check the name", bad: true}
	case found.Damage == nil:
		return outcome{word: "sound", about: fmt.Sprintf("version=%d, not changed", found.Version)}
	}
	return outcome{word: "rebuilt", about: fmt.Sprintf("version=%d events=%d idempotency-keys=%d", found.Version, found.Events, found.IdempotencyKeys)}
}
