package console_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
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

// TestALargeCommitFillsSeveralPages looks at a stream that was imported, which is one commit.
func TestALargeCommitFillsSeveralPages(t *testing.T) {
	inner := memory.New()
	t.Cleanup(func() { _ = inner.Close() })
	state := &counting{State: inner}
	plain, err := eventstore.NewProvider(inner, eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	const events = 6000
	stream := numbered("imported", 1)
	for n := 0; n < events; n += 500 {
		some := make([]any, 500)
		for i := range some {
			some[i] = caused(fmt.Sprint("m", n+i+1), "c1", fmt.Sprint("m", n+i))
		}
		if _, err := plain.Append(t.Context(), stream, eventstore.ExpectAny(), some...); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t, state)
	l.index()
	before, after := numbered("order", 1), numbered("order", 2)
	l.append(before, caused("before", "c1", ""))
	l.indexed(before, 1)
	for _, err := range l.feed.Import(t.Context(), feed.Named(stream)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	l.indexed(stream, events)
	l.append(after, caused("after", "c1", ""))
	l.indexed(after, 1)
	h := l.console()
	get(t, h, "/", http.StatusOK) // which counts the streams of each type
	read := func(path string) (page string) {
		t.Helper()
		before := state.keys.Load()
		page = get(t, h, path, http.StatusOK)
		if read := state.keys.Load() - before; read > 4500 || len(page) > 1<<20 {
			t.Errorf("%s reads %d keys, and has %d bytes", path, read, len(page))
		}
		return page
	}

	shown := regexp.MustCompile(`<li id="(i[0-9a-z]+)"`)
	seen := map[string]bool{}
	path := "/correlation?id=c1"
	for pages := 0; path != ""; pages++ {
		page := read(path)
		for _, id := range shown.FindAllStringSubmatch(page, -1) {
			if seen[id[1]] {
				t.Errorf("%s shows an event again", path)
			}
			seen[id[1]] = true
		}
		if path = ""; strings.Contains(page, ">Search on</a>") {
			path = link(t, page, "Search on")
		}
		if pages > 2*events/300 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != events+2 {
		t.Errorf("the pages of the correlation show %d events", len(seen))
	}

	page := read("/events")
	says(t, page, "The last commit has more events", "Older events")
	says(t, read(link(t, page, "The page of its stream has them.")), `id="e5801"`, `!id="e5802"`)
	says(t, read(link(t, page, "Older events")), "before", "!"+pathOf(stream)+"?")
}

// slow is a store that needs long to read pages of the feed's log.
type slow struct{ driver.State }

func (s slow) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if !strings.Contains(keys[0], "}:page:") {
		return s.State.GetMany(ctx, partition, keys)
	}
	select {
	case <-time.After(2500 * time.Millisecond):
		return s.State.GetMany(ctx, partition, keys)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestASearchForEventsOfATypeGoesOnWhereItsTimeWasOver(t *testing.T) {
	l := inMemory(t)
	rare := numbered("rare", 1)
	l.append(rare, note("here it is"))
	l.index()
	l.indexed(rare, 1)
	var writers sync.WaitGroup
	const each = 2000
	for i := range 10 {
		writers.Go(func() {
			for range each / 10 {
				l.append(numbered("order", i), note("x"))
			}
		})
	}
	writers.Wait()
	for i := range 10 {
		l.indexed(numbered("order", i), each/10)
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, slow{l.state})
		h := l.console()
		paths := []string{"/events?type=rare"}
		for {
			page := get(t, h, paths[len(paths)-1], http.StatusOK)
			if strings.Contains(page, "here it is") {
				break
			}
			says(t, page, "Nothing was found in time")
			next := link(t, page, "Search on")
			if slices.Contains(paths, next) {
				t.Fatalf("%q lead to %s", paths, next)
			}
			paths = append(paths, next)
		}
		if len(paths) < 2 {
			t.Errorf("the time was not over: %q", paths)
		}
	})
}
