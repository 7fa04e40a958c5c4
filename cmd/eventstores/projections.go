package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const projectionsUsage = `Usage: eventstores projections --store <store> [--feed name]
       eventstores projections rebuild …
       eventstores projections parked …

Lists the projections of a feed, each version of them, and other subscriptions, which have one version:
the lowest position of its partitions, how many positions of the feed come after that, how many of its
partitions an instance has, and how many streams are parked. If several versions of a projection exist,
or if one was chosen, "active" is the one that views read. A partition without events saves its position
every 10 seconds, so a lag that is gone 10 seconds later is none.

` + aboutFeeds + `
` + aboutDocuments + `
` + aboutStores + `
` + aboutOutput + `
The exit code is 0, or 1 if something cannot be read. It is 2 for wrong arguments.
`

const aboutDocuments = `If a projection keeps its documents in another store than the events, see projection.WithStore, name
that store with --documents. Otherwise the command does not see which version is active.
`

// projecting is what the command projections, and the commands below it, are asked to do.
type projecting struct {
	feedFlags
	format
	documents string
}

func projectionsCommand(c *call) *cobra.Command {
	var what projecting
	cmd := newCommand("projections", "list projections, and look after them", projectionsUsage, func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return c.choose(cmd, args)
		}
		return what.with(cmd.Context(), c, reading, func(ctx context.Context, f *feed.Feed, options []projection.Option) error {
			return what.list(ctx, c, f, options)
		})
	})
	what.flags(cmd.Flags())
	what.documentsFlag(cmd)
	what.outputFlag(cmd)
	cmd.AddCommand(projectionsRebuildCommand(c), projectionsParkedCommand(c))
	return cmd
}

func (what *projecting) documentsFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&what.documents, "documents", "", "the `store` that holds the documents, if it is another one")
}

// with opens the stores and calls do. The options are those that each projection needs.
func (what *projecting) with(ctx context.Context, c *call, as use, do func(context.Context, *feed.Feed, []projection.Option) error) error {
	s, err := what.named(c, as)
	if err != nil {
		return err
	}
	var options []projection.Option
	if what.documents != "" {
		d, err := parseStore(what.documents, as)
		if err != nil {
			return wrong(fmt.Errorf("--documents: %w", err))
		}
		c.hide(s.secret, d.secret)
		o, err := d.openWith(ctx, warnings(c))
		if err != nil {
			return err
		}
		defer o.close()
		options = append(options, projection.WithStore(o.state))
	}
	f, _, closeFeed, err := what.openFeed(ctx, s, warnings(c))
	if err != nil {
		return err
	}
	defer closeFeed()
	return do(ctx, f, options)
}

func (what *projecting) list(ctx context.Context, c *call, f *feed.Feed, options []projection.Option) error {
	all, err := followers.All(ctx, f, options)
	if err != nil {
		return err
	}
	if what.format == asJSON {
		for _, p := range all {
			if err := c.json(p); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"NAME", "VERSION", "STATE", "POSITION", "LAG", "RUNNING", "PARKED"}}
	for _, p := range all {
		state := "beside"
		if p.Active {
			state = "active"
		}
		rows = append(rows, []string{p.Name, strconv.Itoa(p.Version), state, strconv.FormatInt(int64(p.Position), 10), strconv.FormatInt(p.Lag, 10),
			fmt.Sprintf("%d/%d", p.Running, p.Partitions), strconv.Itoa(p.Parked)})
	}
	c.table(rows)
	return nil
}

// table prints rows with columns as wide as they need to be.
func (c *call) table(rows [][]string) {
	w := tabwriter.NewWriter(lineWriter{c}, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				_, _ = io.WriteString(w, "\t")
			}
			_, _ = io.WriteString(w, harmless(cell))
		}
		_, _ = io.WriteString(w, "\n")
	}
	_ = w.Flush()
}

// lineWriter prints what is harmless already.
type lineWriter struct{ c *call }

func (w lineWriter) Write(p []byte) (int, error) {
	w.c.bytes(p)
	return len(p), nil
}
