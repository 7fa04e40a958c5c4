package main

import (
	"context"
	"errors"
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

` + aboutOutput

func verifyCommand(c *call) *cobra.Command {
	return single{parallel: "read", as: reading, done: "sound", do: verify, all: true}.command(c, "verify", "look for damage in streams", verifyUsage)
}

func verify(ctx context.Context, report reporter, p *eventstore.Provider, stream eventstore.Stream) outcome {
	reader := p.Reader(stream)
	found, err := reader.Verify(ctx, func(checked, of int64) {
		report.m.tell(stream, "verified", progress{stages: 1, done: checked, of: of})
	}, eventstore.WithFindings(func(found error) error {
		return report.m.around(func() error {
			report.c.say(report.as, "         "+found.Error(), findingOf(report.c, stream, found))
			return nil
		})
	}))
	return verified(found, err)
}

// findingLine is a finding about a stream in JSON.
type findingLine struct {
	Stream  string `json:"stream"`
	Finding string `json:"finding"`
	Key     string `json:"key,omitempty"`
	Version int64  `json:"version,omitempty"`
}

func findingOf(c *call, stream eventstore.Stream, found error) findingLine {
	line := findingLine{Stream: stream.String(), Finding: c.hidden(found.Error())}
	if damaged, ok := errors.AsType[*eventstore.DamagedError](found); ok {
		line.Key, line.Version = damaged.Key, damaged.Version
	}
	return line
}

// verifiedLine is the result of one verification in JSON.
type verifiedLine struct {
	resultLine
	Version   int64 `json:"version"`
	Events    int64 `json:"events"`
	Snapshots int   `json:"snapshots"`
	Closed    bool  `json:"closed"`
	Damage    int64 `json:"damage"`
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
	line := func(r resultLine) any {
		return verifiedLine{r, found.Version, found.Events, len(found.Snapshots), found.Closed, found.Damaged}
	}
	switch {
	case err != nil:
		return outcome{word: "failed", about: about + ": " + err.Error(), bad: true, why: err.Error(), line: line}
	case !found.Sound():
		return outcome{word: "damaged", about: about, bad: true, line: line}
	case found.Deleted:
		return outcome{word: "deleted"}
	case found.Version == 0:
		return empty("the store has no such stream; check the name")
	}
	return outcome{word: "sound", about: about, line: line}
}
