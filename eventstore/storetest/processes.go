package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// This file has what the cases of feeds share: processes on a store of their own.

// patience is how long a case waits for what has to come. It is long, because a store may be busy.
var patience = 30 * time.Second

// world is a store with processes.
type world struct {
	Target
	t    *testing.T
	name string // of the feed
}

func newWorld(t *testing.T, target Target) *world {
	tag := "~" + unique()[:8]
	own := Target{State: apart{target.State, tag}}
	if target.Locker != nil {
		own.Locker = apartLocks{target.Locker, tag}
	}
	return &world{own, t, "all"}
}

// process is a provider with a feed and a link of its own to the store.
type process struct {
	*eventstore.Provider
	t    *testing.T
	feed *feed.Feed
	link *faulty
}

func (w *world) process(options ...feed.Option) *process {
	w.t.Helper()
	p := &process{t: w.t, link: &faulty{State: w.State}}
	p.Provider = Target{p.link, w.Locker}.provider(w.t, eventstore.WithFeed(w.name))
	var err error
	if p.feed, err = feed.Open(p.Provider, options...); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// indexer returns a process that indexes, until stop is called or the test ends. It looks for lost
// commits more often than usual.
func (w *world) indexer() *process {
	w.t.Helper()
	p := w.process(feed.WithLease(5*time.Second), feed.WithWalk(50*time.Millisecond))
	p.index()
	return p
}

// index starts an indexer.
func (p *process) index() (stop func()) {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.feed.Index(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("Index: %v", err)
		}
	})
	p.t.Cleanup(stop)
	return stop
}

// add appends events to the stream of an account.
func (p *process) add(id string, events ...any) {
	p.t.Helper()
	p.addTo(p.Stream("account", id), events...)
}

func (p *process) addTo(stream eventstore.Stream, events ...any) {
	p.t.Helper()
	if _, err := p.Append(contextOf(p.t), stream, eventstore.ExpectAny(), events...); err != nil {
		p.t.Fatalf("Append to %s: %v", stream, err)
	}
}

// die makes the process end like one that was killed: it has no more effect on the store.
func (p *process) die() {
	p.link.set(func(string, string) error { return errLost }, nil)
}

// keepQuiet makes the process note nothing more of its commits after they are made. It can still
// note the names of so many streams before they begin.
func (p *process) keepQuiet(names int) {
	var mu sync.Mutex
	p.link.set(func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "write" && strings.HasPrefix(key, "{:journal:") {
			if names--; names < 0 {
				return errLost
			}
		}
		return nil
	}, nil)
}

// take reads the feed until n items came.
func (p *process) take(n int, options ...feed.ReadOption) (items []feed.Item) {
	p.t.Helper()
	if n == 0 {
		return nil
	}
	p.follow(func(item feed.Item) bool {
		items = append(items, item)
		return len(items) < n
	}, options...)
	return items
}

// takeUpTo reads the feed until streams have come up to these versions, by their ids. Events may
// come again, which it leaves out.
func (p *process) takeUpTo(versions map[string]int64) {
	p.t.Helper()
	reached := map[string]int64{}
	left := len(versions)
	p.follow(func(item feed.Item) bool {
		id := item.Stream.ID
		if item.Err != nil || item.Version > reached[id]+1 {
			p.t.Fatalf("%s came after version %d: %v", show(item), reached[id], item.Err)
		}
		if item.Version == reached[id]+1 {
			if reached[id]++; reached[id] == versions[id] {
				left--
			}
		}
		return left > 0
	})
}

// follow passes on the items of a live read until more returns false. It does not wait for ever.
func (p *process) follow(more func(feed.Item) bool, options ...feed.ReadOption) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	var came []feed.Item
	for item, err := range p.feed.Read(ctx, append(options, feed.Live())...) {
		if errors.Is(err, context.DeadlineExceeded) {
			p.t.Fatalf("in %s nothing came but %s", patience, cmp.Or(shown(came), "nothing"))
		}
		if err != nil {
			p.t.Fatalf("Read: %v", err)
		}
		if came = append(came, item); !more(item) {
			return
		}
	}
}

// toEnd reads the feed to its end as of now.
func (p *process) toEnd(options ...feed.ReadOption) (items []feed.Item) {
	p.t.Helper()
	for item, err := range p.feed.Read(contextOf(p.t), options...) {
		if err != nil {
			p.t.Fatalf("Read: %v", err)
		}
		items = append(items, item)
	}
	return items
}

// expect reads the feed to its end, and compares what came.
func (p *process) expect(want string, options ...feed.ReadOption) {
	p.t.Helper()
	if got := shown(p.toEnd(options...)); got != want {
		p.t.Errorf("read %s\nwant %s", got, want)
	}
}

func (p *process) end() feed.Position {
	p.t.Helper()
	end, err := p.feed.End(contextOf(p.t))
	if err != nil {
		p.t.Fatalf("End: %v", err)
	}
	return end
}

// show returns an item in short form: id of the stream, version, and what is not usual.
func show(item feed.Item) string {
	s := fmt.Sprintf("%s/%d", item.Stream.ID, item.Version)
	if item.What != feed.Appended {
		s += " " + item.What.String()
	}
	if item.Err != nil {
		s += " error"
	}
	return s
}

func shown(items []feed.Item) string {
	words := make([]string, len(items))
	for i, item := range items {
		words[i] = show(item)
	}
	return strings.Join(words, ", ")
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}
