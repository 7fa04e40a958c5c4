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

` + aboutOutput

func rebuildCommand(c *call) *cobra.Command {
	return single{as: mending, done: "have a sound head", do: rebuild}.command(c, "rebuild-head", "rebuild the lost head of a stream", rebuildUsage)
}

func rebuild(ctx context.Context, _ reporter, p *eventstore.Provider, stream eventstore.Stream) outcome {
	found, err := p.RebuildHead(ctx, stream, nil)
	line := func(r resultLine) any { return rebuiltLine{r, found.Version, found.Events, found.IdempotencyKeys} }
	switch {
	case err != nil:
		return outcome{word: "failed", about: err.Error(), bad: true, why: err.Error()}
	case found.Damage == nil && found.Version == 0:
		return empty("the store has no such stream and no events of it; check the name")
	case found.Damage == nil:
		return outcome{word: "sound", about: fmt.Sprintf("version=%d, not changed", found.Version), line: line}
	}
	return outcome{word: "rebuilt", about: fmt.Sprintf("version=%d events=%d idempotency-keys=%d", found.Version, found.Events, found.IdempotencyKeys), line: line}
}

// rebuiltLine is the result for one stream in JSON.
type rebuiltLine struct {
	resultLine
	Version         int64 `json:"version"`
	Events          int64 `json:"events"`
	IdempotencyKeys int   `json:"idempotencyKeys"`
}
