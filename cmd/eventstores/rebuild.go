package main

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

const rebuildUsage = `Usage: eventstores rebuild-head -store <store> [-streams file|-] [stream …]

Makes the head of a stream anew from its events, where the head was evicted, deleted, or set back by a backup. Stop what writes
to the stream before. A head that is sound is left as it is. Run eventstores verify afterwards.

` + aboutStores + `
` + aboutStreams + `
It prints a line for each stream: rebuilt, sound (it was left as it is), empty (there is no such stream: is the name right?), failed or
stopped. The exit code is 0 if all are rebuilt or sound, 1 if not, 2 for wrong arguments.
`

func runRebuild(ctx context.Context, c *call, args []string) int {
	return single{as: mending, done: "have a sound head", do: rebuild}.run(ctx, c, "rebuild-head", args, rebuildUsage)
}

func rebuild(ctx context.Context, _ *meter, p *eventstore.Provider, stream eventstore.Stream) outcome {
	found, err := p.RebuildHead(ctx, stream, nil)
	switch {
	case err != nil:
		return outcome{word: "failed", about: err.Error(), bad: true}
	case found.Damage == nil && found.Version == 0:
		return outcome{word: "empty", about: "there is no such stream, and no event from which to rebuild a head: is the name right?", bad: true}
	case found.Damage == nil:
		return outcome{word: "sound", about: fmt.Sprintf("version=%d, it was left as it is", found.Version)}
	}
	return outcome{word: "rebuilt", about: fmt.Sprintf("version=%d events=%d idempotency-keys=%d", found.Version, found.Events, found.IdempotencyKeys)}
}
