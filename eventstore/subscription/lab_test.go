package subscription_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// noted is the event of the tests.
type noted struct{ Text string }

// lab is a store with a feed, and what was delivered.
type lab struct {
	t     *testing.T
	store *memstate.Store
	main  *process // appends and indexes

	late sync.WaitGroup // requests that arrive late

	mu        sync.Mutex
	delivered []delivery
	logs      bytes.Buffer
}

type delivery struct {
	by   string
	item feed.Item
}

// process is a process with its own link to the store.
type process struct {
	*lab
	name     string
	provider *eventstore.Provider
	feed     *feed.Feed
	cut      atomic.Bool  // the link to the store is cut
	faults   *faults      // nil: the link is good
	requests atomic.Int64 // about subscriptions
}

// link is a state whose requests fail while the link is cut.
type link struct {
	driver.State
	p *process
}

var errCut = errors.New("the link is cut")

func (l link) Get(ctx context.Context, partition, key string) (item driver.Item, err error) {
	l.p.counts(key)
	err = l.p.send(ctx, func(ctx context.Context) error { item, err = l.State.Get(ctx, partition, key); return err })
	return item, err
}

func (l link) GetMany(ctx context.Context, partition string, keys []string) (items []driver.Item, err error) {
	l.p.counts(append(keys, "")[0])
	err = l.p.send(ctx, func(ctx context.Context) error { items, err = l.State.GetMany(ctx, partition, keys); return err })
	return items, err
}

func (l link) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	l.p.counts(swap.Key)
	if l.p.faults.one(30) && !l.p.cut.Load() { // it arrives late
		l.p.late.Go(func() {
			pass(l.p.faults.upTo(20 * time.Second))
			_ = l.State.Swap(context.WithoutCancel(ctx), partition, swap)
		})
		return errFault
	}
	return l.p.send(ctx, func(ctx context.Context) error { return l.State.Swap(ctx, partition, swap) })
}

func (p *process) counts(key string) {
	if strings.HasPrefix(key, "{:subscription:") {
		p.requests.Add(1)
	}
}

// send sends a request over a link that may be cut or bad.
func (p *process) send(ctx context.Context, request func(context.Context) error) error {
	if p.faults != nil {
		pass(p.faults.upTo(20 * time.Millisecond))
	}
	if p.cut.Load() {
		return errCut
	}
	if p.faults.one(20) {
		return errFault
	}
	err := request(ctx)
	if p.faults.one(20) || p.cut.Load() {
		return errFault // the answer is lost
	}
	return err
}

var errFault = errors.New("no answer")

// faults decides by chance what goes wrong. A nil one decides that nothing does.
type faults struct {
	mu sync.Mutex
	*rand.Rand
	over atomic.Bool // nothing goes wrong any more
}

func (f *faults) one(in int) bool {
	if f == nil || f.over.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.IntN(in) == 0
}

func (f *faults) upTo(d time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Duration(f.Int64N(int64(d)))
}

func goexit() { runtime.Goexit() }

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d) }

// bench runs a test in fake time on each kind of store, with an indexer.
func bench(t *testing.T, test func(l *lab)) {
	t.Helper()
	memstate.Each(t, func(t *testing.T, store *memstate.Store) { on(t, store, test) })
}

func on(t *testing.T, store *memstate.Store, test func(l *lab)) {
	t.Helper()
	memstate.GoOn(t)
	l := &lab{t: t, store: store}
	l.main = l.process("main")
	stop := memstate.Start(t, l.main.feed.Index)
	test(l)
	stop()
	l.must(l.main.provider.Close(t.Context()))
	l.late.Wait()
	pass(time.Second) // until what waits for nothing but time has ended
}

type lockedWriter struct{ l *lab }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	return w.l.logs.Write(b)
}

func (l *lab) process(name string, types ...eventstore.TypeDefinition) *process {
	l.t.Helper()
	p := &process{lab: l, name: name}
	if types == nil {
		types = []eventstore.TypeDefinition{eventstore.Type[noted]("noted")}
	}
	registry, err := eventstore.NewRegistry(types...)
	l.must(err)
	logger := slog.New(slog.NewTextHandler(lockedWriter{l}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.provider, err = eventstore.NewProvider(link{l.store, p}, eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(logger))
	l.must(err)
	p.feed, err = feed.Open(p.provider)
	l.must(err)
	return p
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// append appends events to a stream of the type account.
func (l *lab) append(id string, texts ...string) {
	l.t.Helper()
	events := make([]any, len(texts))
	for i, text := range texts {
		events[i] = noted{text}
	}
	_, err := l.main.provider.Append(l.t.Context(), l.stream(id), eventstore.ExpectAny(), events...)
	l.must(err)
}

func (l *lab) stream(id string) eventstore.Stream { return l.main.provider.Stream("account", id) }

// note is a handler that accepts everything.
func (p *process) note(_ context.Context, item feed.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivered = append(p.delivered, delivery{p.name, item})
	return nil
}

// got returns the ids of what was delivered for a stream, in order.
func (l *lab) got(id string) (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.delivered {
		if d.item.Stream.ID == id {
			ids = append(ids, fmt.Sprintf("%d%s", d.item.Version, d.item.What.String()[:1]))
		}
	}
	return ids
}

func (l *lab) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.delivered)
}

// by returns how many items each process got.
func (l *lab) by() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, d := range l.delivered {
		n[d.by]++
	}
	return n
}

// running is a Run under way.
type running struct {
	*subscription.Subscription
	p    *process
	stop context.CancelFunc
	done chan error
}

func (p *process) subscribe(handle subscription.Handler, options ...subscription.Option) *subscription.Subscription {
	p.t.Helper()
	s, err := subscription.New(p.feed, "mails", handle, options...)
	p.must(err)
	return s
}

func (p *process) run(handle subscription.Handler, options ...subscription.Option) *running {
	p.t.Helper()
	return p.start(p.subscribe(handle, options...))
}

func (p *process) start(s *subscription.Subscription) *running {
	ctx, stop := context.WithCancel(p.t.Context())
	r := &running{Subscription: s, p: p, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	return r
}

// end ends the Run, and expects no error.
func (r *running) end() {
	r.p.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.p.t.Errorf("Run returned %v", err)
	}
}

// kill ends the process as kill -9 does: it has no more effect on the store.
func (r *running) kill() {
	r.p.cut.Store(true)
	r.stop()
	<-r.done
}

// wait lets time pass, until a condition holds or a minute is over.
func (l *lab) wait(what string, holds func() bool) {
	l.t.Helper()
	for range 600 {
		pass(100 * time.Millisecond)
		synctest.Wait()
		if holds() {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Fatalf("%s did not come within a minute: %d items were delivered, %d different ones", what, len(l.delivered), reached(l))
}

// logged waits until the feed has n items.
func (l *lab) logged(n int) {
	l.t.Helper()
	l.wait(fmt.Sprintf("item %d of the feed", n), func() bool {
		items := 0
		for _, err := range l.main.feed.Read(l.t.Context(), feed.AsRaw()) {
			l.must(err)
			items++
		}
		return items >= n
	})
}

// stored waits until the store holds a key.
func (l *lab) stored(key string) {
	l.t.Helper()
	l.wait(key, func() bool { value, _ := l.store.Value(key); return value != nil })
}

// complete expects that each stream was delivered whole and in order. Items may have come again.
func (l *lab) complete(versions map[string]int64) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	reached := map[string]int64{}
	for _, d := range l.delivered {
		id := d.item.Stream.ID
		if d.item.Version > reached[id]+1 {
			l.t.Errorf("%s came after version %d", d.item.ID(), reached[id])
		}
		reached[id] = max(reached[id], d.item.Version)
	}
	for id, version := range versions {
		if reached[id] != version {
			l.t.Errorf("%s was delivered up to version %d of %d", id, reached[id], version)
		}
	}
}
