package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
)

const verifyUsage = `Usage: eventstores verify --store <store> [--streams file|-] [stream …]
       eventstores verify --store <store> --all

Reads each stream completely and looks for damage: events that are missing, changed or in the wrong
place, idempotency ids with a wrong target, unreadable snapshots. It changes nothing and creates
nothing: a SQLite file and its folder can be read-only. It refuses a file that is not an event store.

` + aboutStores + `
` + aboutStreams + `
` + aboutAll + `
It prints damage when it finds it, and a line for each stream: sound, deleted, empty (check the name),
damaged, failed or stopped. The exit code is 0 if all are sound or deleted, otherwise 1. It is 2 for
wrong arguments.
`

func verifyCommand(c *call) *cobra.Command {
	return single{parallel: "read", as: reading, done: "sound", do: verify, all: true}.command(c, "verify", "look for damage in streams", verifyUsage)
}

func verify(ctx context.Context, m *meter, p *eventstore.Provider, stream eventstore.Stream) outcome {
	reader := p.Reader(stream)
	found, err := reader.Verify(ctx, func(checked, of int64) {
		m.tell(stream, "verified", progress{stages: 1, done: checked, of: of})
	}, eventstore.WithFindings(func(found error) error {
		m.say("         " + found.Error())
		return nil
	}))
	return verified(found, err)
}

// verified describes the result of one verification.
func verified(found eventstore.Verification, err error) outcome {
	about := fmt.Sprintf("version=%d events=%d snapshots=%d", found.Version, found.Events, len(found.Snapshots))
	if found.Closed {
		about += " closed"
	}
	if found.Damaged > 0 {
		about += fmt.Sprintf(" damage=%d", found.Damaged)
	}
	switch {
	case err != nil:
		return outcome{word: "failed", about: about + ": " + err.Error(), bad: true}
	case !found.Sound():
		return outcome{word: "damaged", about: about, bad: true}
	case found.Deleted:
		return outcome{word: "deleted"}
	case found.Version == 0:
		return outcome{word: "empty", about: "the store has no such stream; check the name", bad: true}
	}
	return outcome{word: "sound", about: about}
}
