package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
)

// outcome is the result for one stream, printed on one line.
type outcome struct {
	word  string // "copied", "sound", …
	about string
	bad   bool
}

// single is a command that processes streams of one store.
type single struct {
	parallel string // what happens to several streams at a time, such as "read"; empty means one at a time
	as       use
	done     string // what the last line says about successful streams
	do       func(ctx context.Context, m *meter, p *eventstore.Provider, stream eventstore.Stream) outcome
}

// command returns the command.
func (w single) command(c *call, name, short, usage string) *cobra.Command {
	var (
		spec string
		n    names
	)
	cmd := newCommand(name, short, usage, func(cmd *cobra.Command, args []string) error {
		return w.run(cmd.Context(), c, spec, n, args)
	})
	cmd.Flags().StringVar(&spec, "store", "", "the `store` that holds the streams")
	n.flags(cmd.Flags(), w.parallel)
	return cmd
}

// run opens the store and processes the streams.
func (w single) run(ctx context.Context, c *call, spec string, n names, args []string) error {
	s, err := parseStore(spec, w.as)
	if err != nil {
		return wrong(fmt.Errorf("--store: %w", err))
	}
	c.hide(s.secret)
	streams, err := n.streams(args, c.stdin)
	if err != nil {
		return wrong(err)
	}
	m := newMeter(c, len(streams))
	provider, closeStore, err := s.provide(ctx, logger(m))
	if err != nil {
		m.end()
		return err
	}
	defer closeStore()
	well, bad := each(ctx, m, streams, n.parallel, func(ctx context.Context, stream eventstore.Stream) outcome {
		return w.do(ctx, m, provider, stream)
	})
	return c.conclude(ctx, w.done, len(streams), well, bad, "Run the same command again.")
}

// each processes all streams, up to parallel at a time, and prints a line for each. It returns how
// many succeeded and how many failed. The others were not started or were interrupted, because ctx
// ended.
func each(ctx context.Context, m *meter, streams []eventstore.Stream, parallel int, do func(context.Context, eventstore.Stream) outcome) (well, bad int) {
	todo := make(chan eventstore.Stream)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
	)
	for range min(parallel, len(streams)) {
		workers.Go(func() {
			for stream := range todo {
				o := do(ctx, stream)
				cut := o.bad && ctx.Err() != nil
				mu.Lock()
				switch {
				case cut:
					o.word = "stopped"
				case o.bad:
					bad++
				default:
					well++
				}
				m.finish(stream, fmt.Sprintf("%-8s %s %s", o.word, stream, o.about), !cut)
				mu.Unlock()
			}
		})
	}
	for _, stream := range streams {
		select {
		case todo <- stream:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(todo)
	workers.Wait()
	m.end()
	return well, bad
}

// logger returns a logger that prints warnings without disturbing the meter.
func logger(m *meter) *slog.Logger { return warningsTo(m) }

// warnings returns a logger that prints warnings.
func warnings(c *call) *slog.Logger { return warningsTo(c.stderr) }

func warningsTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
