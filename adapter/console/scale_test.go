package console_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// counting counts the keys that are read from a store.
type counting struct {
	driver.State
	keys atomic.Int64
}

func (c *counting) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	c.keys.Add(1)
	return c.State.Get(ctx, partition, key)
}

func (c *counting) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	c.keys.Add(int64(len(keys)))
	return c.State.GetMany(ctx, partition, keys)
}

func TestAPageReadsNoMoreOfALargeStore(t *testing.T) {
	inner := memory.New()
	t.Cleanup(func() { _ = inner.Close() })
	state := &counting{State: inner}
	l := newLab(t, state)
	long := numbered("long", 1)
	events := make([]any, 500)
	for i := range events {
		events[i] = note("x")
	}
	for range 20 {
		l.append(long, events...)
	}
	const streams = 3000
	for i := range streams {
		l.append(numbered("order", i), note("x"))
	}
	l.index()
	l.indexed(numbered("order", streams-1), 1)
	h := l.console()
	get(t, h, "/", http.StatusOK) // which counts the streams of each type

	for _, path := range []string{"/", "/?type=order", "/?search=order:2", "/events", pathOf(long), pathOf(long) + "?before=5000", pathOf(long) + "/events/5000"} {
		before := state.keys.Load()
		page := get(t, h, path, http.StatusOK)
		if read := state.keys.Load() - before; read > 1000 || len(page) > 100<<10 {
			t.Errorf("%s reads %d keys, and has %d bytes", path, read, len(page))
		}
	}
}
