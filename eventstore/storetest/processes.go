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
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// This file has what the cases of feeds share: a store of their own, and processes on it.

// patience is how long a case waits for what has to come. It is long, because a store may be busy.
var patience = 20 * time.Second

// apart is a part of a store that looks like a store of its own. A store has one feed, and the
// cases must not get in the way of each other or of a feed that is there.
type apart struct {
	driver.State
	tag string // ends each partition
}

// key adds the tag to the partition of a key.
func (a apart) key(key string) string {
	partition, rest, _ := strings.Cut(key, "}:")
	return partition + a.tag + "}:" + rest
}

func (a apart) writes(writes []driver.Write) []driver.Write {
	all := make([]driver.Write, len(writes))
	for i, w := range writes {
		if w.Key = a.key(w.Key); w.Partition != "" {
			w.Partition += a.tag
		}
		all[i] = w
	}
	return all
}

func (a apart) Capabilities() driver.Capabilities {
	caps := a.State.Capabilities()
	if caps.MaxKeyBytes > 0 {
		caps.MaxKeyBytes -= len(a.tag)
	}
	return caps
}

func (a apart) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := a.State.Get(ctx, partition+a.tag, a.key(key))
	item.Key = key
	return item, err
}

func (a apart) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	tagged := make([]string, len(keys))
	for i, key := range keys {
		tagged[i] = a.key(key)
	}
	items, err := a.State.GetMany(ctx, partition+a.tag, tagged)
	for i := range items {
		items[i].Key = keys[i]
	}
	return items, err
}

func (a apart) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	swap.Key = a.key(swap.Key)
	return a.State.Swap(ctx, partition+a.tag, swap)
}

func (a apart) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return a.State.Write(ctx, partition+a.tag, a.writes(writes))
}

func (a apart) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	swap.Key = a.key(swap.Key)
	return a.State.Commit(ctx, partition+a.tag, swap, a.writes(writes))
}

// apartLocks are the locks of a part of a store.
type apartLocks struct {
	driver.Locker
	tag string
}

func (a apartLocks) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	return a.Locker.TryLock(ctx, resource+a.tag, owner, expiry)
}

func (a apartLocks) Unlock(ctx context.Context, resource, owner string) (driver.UnlockStatus, error) {
	return a.Locker.Unlock(ctx, resource+a.tag, owner)
}

// headAlone is a store whose transactions are not used.
type headAlone struct{ driver.State }

func (s headAlone) Capabilities() driver.Capabilities {
	caps := s.State.Capabilities()
	caps.Atomic = false
	return caps
}

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

// keepQuiet makes the process die at the first note of a commit that it writes after the commit.
// Before that, it may still note the name of a stream.
func (p *process) keepQuiet(streams int) {
	var mu sync.Mutex
	p.link.set(func(op, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if op == "write" && strings.HasPrefix(key, "{:journal:") {
			if streams--; streams < 0 {
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
