package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore"
)

// outcome is what became of one stream, on one line.
type outcome struct {
	word  string // "copied", "sound", …
	about string
	bad   bool
}

// each does something with all streams, some at a time, and prints a line for each. It returns how many went well, and how many
// did not; the others were not begun, or cut short, because ctx ended.
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

// logger writes warnings, past the meter.
func logger(m *meter) *slog.Logger {
	return slog.New(slog.NewTextHandler(m, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
