package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const projectionsRebuildUsage = `Usage: eventstores projections rebuild --store <store> [--version V] [--drop] [--yes]
                                       [--output json] <name>

Completes the rebuild of a projection. What builds the documents is the handler of the service. So first
deploy the service with a projection of the next version beside the present one, see
projection.WithVersion. It begins at the beginning of the feed. This command then waits until that
version has caught up, shows how far it is, and makes all views read it.

Without --version it takes the newest one. Another, older version that still runs can be chosen to go
back. With --drop it then deletes the documents and positions of the versions before the new one, which
no instance may run any more. It asks before it does that, unless --yes is given.

` + aboutFeeds + `
` + aboutDocuments + `
` + aboutStores + `
` + aboutOutput + `
The exit code is 0 if views read the version, otherwise 1. It is 2 for wrong arguments.
`

// rebuilding is what the command projections rebuild is asked to do.
type rebuilding struct {
	projecting
	version   int
	drop, yes bool
}

func projectionsRebuildCommand(c *call) *cobra.Command {
	var what rebuilding
	cmd := newCommand("rebuild", "wait for a new version, and make views read it", projectionsRebuildUsage, func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrong(errors.New("name one projection"))
		}
		if what.version < 0 {
			return wrong(errors.New("--version must be positive"))
		}
		return what.with(cmd.Context(), c, mending, func(ctx context.Context, f *feed.Feed, options []projection.Option) error {
			return what.rebuild(ctx, c, f, args[0], options)
		})
	})
	what.flags(cmd.Flags())
	what.documentsFlag(cmd)
	what.outputFlag(cmd)
	cmd.Flags().IntVar(&what.version, "version", 0, "the `version` that views are to read; by default the newest one")
	cmd.Flags().BoolVar(&what.drop, "drop", false, "delete the versions before it")
	cmd.Flags().BoolVar(&what.yes, "yes", false, "do not ask")
	return cmd
}

func (what *rebuilding) rebuild(ctx context.Context, c *call, f *feed.Feed, name string, options []projection.Option) error {
	all, err := followers.All(ctx, f, options)
	if err != nil {
		return err
	}
	var chosen followers.Follower
	for _, p := range all {
		if p.Name == name && (p.Version == what.version || what.version == 0 && p.Version > chosen.Version) {
			chosen = p
		}
	}
	switch {
	case chosen.Version == 0:
		return errors.New("no such projection, or no such version of it; eventstores projections lists them")
	case chosen.Active && what.version == 0 && !what.drop:
		return fmt.Errorf("version %d is the newest one and views read it already; to rebuild, deploy the service with version %d beside it", chosen.Version, chosen.Version+1)
	}
	if what.drop && !what.yes {
		if err := c.confirm(ctx, fmt.Sprintf("Make views read version %d, and delete the versions before it?", chosen.Version)); err != nil {
			return err
		}
	}
	version, err := followers.Projection(f, name, chosen.Version, options)
	if err != nil {
		return err
	}
	if err := follow(ctx, c, version); err != nil {
		return err
	}
	what.say(c, "active", chosen)
	for _, p := range all {
		if !what.drop || p.Name != name || p.Version >= chosen.Version {
			continue
		}
		old, err := followers.Projection(f, name, p.Version, options)
		if err == nil {
			err = old.Drop(ctx)
		}
		if err != nil {
			return err
		}
		what.say(c, "dropped", p)
	}
	return nil
}

// rebuiltVersion is what became of a version of a projection in JSON.
type rebuiltVersion struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Result  string `json:"result"` // "active" or "dropped"
}

// say prints what became of a version.
func (what *rebuilding) say(c *call, result string, p followers.Follower) {
	c.say(what.format, fmt.Sprintf("%-8s %s version=%d", result, p.Name, p.Version), rebuiltVersion{p.Name, p.Version, result})
}

// follow switches to a version, and shows meanwhile how far it is.
func follow(ctx context.Context, c *call, version *projection.Projection[any]) error {
	m := newMeter(c, 0)
	defer m.end()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	switched := make(chan error, 1)
	go func() { switched <- version.Switch(ctx) }()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case err := <-switched:
			return err
		case <-again.C:
		}
		partitions, err := version.Subscription().Positions(ctx)
		if err != nil {
			continue // Switch has the same error, or overcomes it
		}
		p := followers.Sum("", partitions)
		m.reach(int64(p.Position), int64(p.Position)+p.Lag, "positions of the feed")
	}
}
