package main

import (
	"context"
	"fmt"
	"io"
	"iter"
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

	why  string               // what is wrong, if it is bad; for JSON
	line func(resultLine) any // adds what was counted; nil if nothing was
}

// empty describes a stream that is not there.
func empty(about string) outcome { return outcome{word: "empty", about: about, bad: true, why: about} }

// json returns the line of a stream in JSON.
func (o outcome) json(c *call, stream eventstore.Stream) any {
	line := resultLine{Stream: stream.String(), Result: o.word, Error: c.hidden(o.why)}
	if o.line == nil {
		return line
	}
	return o.line(line)
}

// single is a command that processes streams of one store.
type single struct {
	parallel string // what happens to several streams at a time, such as "read"; empty means one at a time
	as       use
	done     string // what the last line says about successful streams
	all      bool   // it can be about all streams of the store
	do       func(ctx context.Context, r reporter, p *eventstore.Provider, stream eventstore.Stream) outcome
}

// command returns the command.
func (w single) command(c *call, name, short, usage string) *cobra.Command {
	var (
		spec string
		what selection
		as   format
	)
	cmd := newCommand(name, short, usage, func(cmd *cobra.Command, args []string) error {
		return w.run(cmd.Context(), c, as, spec, what, args)
	})
	cmd.Flags().StringVar(&spec, "store", "", "the `store` that holds the streams")
	what.flags(cmd.Flags(), w.parallel)
	as.outputFlag(cmd)
	if w.all {
		what.allFlags(cmd.Flags())
	}
	return cmd
}

// run opens the store and processes the streams.
func (w single) run(ctx context.Context, c *call, as format, spec string, what selection, args []string) error {
	s, err := parseStore(spec, w.as)
	if err != nil {
		return wrong(fmt.Errorf("--store: %w", err))
	}
	c.hide(s.secret)
	named, err := what.check(c, args)
	if err != nil {
		return wrong(err)
	}
	m := newMeter(c, named)
	defer m.end()
	o, err := s.openWith(ctx, logger(m))
	if err != nil {
		return err
	}
	defer o.close()
	provider, err := o.provider(logger(m))
	if err != nil {
		return err
	}
	streams, done, err := what.of(ctx, o, logger(m))
	if err != nil {
		return err
	}
	defer done()
	report := reporter{c, m, as}
	var look sync.Once // because it may read all keys
	r := report.each(ctx, streams, what.parallel, func(ctx context.Context, stream eventstore.Stream) outcome {
		did := w.do(ctx, report, provider, stream)
		if did.word == "empty" {
			look.Do(func() {
				if advice := o.elsewhere(ctx, headOf(stream)); advice != "" {
					did = empty("the store has no such stream: " + advice)
				}
			})
		}
		return did
	})
	return c.conclude(ctx, as, w.done, max(named, r.begun), r, "Run the same command again.")
}

// results is what became of streams. Those that were begun and neither succeeded nor failed were
// interrupted, because a context ended.
type results struct {
	begun, well, bad int
	err              error // why the rest was not begun
}

// reporter prints what comes of the work on streams.
type reporter struct {
	c  *call
	m  *meter
	as format
}

// each processes streams, up to parallel at a time, and prints a line for each.
func (report reporter) each(ctx context.Context, streams iter.Seq2[eventstore.Stream, error], parallel int, do func(context.Context, eventstore.Stream) outcome) (r results) {
	todo := make(chan eventstore.Stream)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
	)
	for range parallel {
		workers.Go(func() {
			for stream := range todo {
				o := do(ctx, stream)
				cut := o.bad && ctx.Err() != nil
				mu.Lock()
				switch {
				case cut:
					o.word = "stopped"
				case o.bad:
					r.bad++
				default:
					r.well++
				}
				report.m.finish(stream, !cut, func() {
					report.c.say(report.as, fmt.Sprintf("%-8s %s %s", o.word, stream, o.about), o.json(report.c, stream))
				})
				mu.Unlock()
			}
		})
	}
	for stream, err := range streams {
		if err == nil {
			select {
			case todo <- stream:
				r.begun++
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		r.err = err
		break
	}
	close(todo)
	workers.Wait()
	report.m.end()
	return r
}

// logger returns a logger that prints warnings without disturbing the meter.
func logger(m *meter) *slog.Logger { return warningsTo(m, m.level) }

// warnings returns a logger that prints warnings.
func warnings(c *call) *slog.Logger { return warningsTo(c.stderr, c) }

func warningsTo(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// Level implements [slog.Leveler]. Warnings count until the command is stopped. Those that come
// later are about what was interrupted.
func (c *call) Level() slog.Level {
	if c.stopped != nil && c.stopped() {
		return slog.LevelError
	}
	return slog.LevelWarn
}
