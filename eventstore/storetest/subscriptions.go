package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// subscriptionRules holds what a subscription promises.
var subscriptionRules = []rule[Target]{
	{"subscriptions: each item is handled once and in order while nothing fails, also after a restart", "a mail must not be sent twice", testSubscriptionHandlesOnce},
	{"subscriptions: after a crash all is handled, and no more comes again than was not saved", "an effect that is lost cannot be noticed", testSubscriptionAfterACrash},
	{"subscriptions: instances share the partitions, and take over those of one that ends", "a service that grows must get faster", testSubscriptionIsShared},
	{"subscriptions: a stream whose event cannot be handled is parked, and retried on request", "one bad event must not stop the others", testSubscriptionParks},
	{"subscriptions: they are listed with their positions, reset and dropped", "operators must see how far a subscription is, and correct it", testSubscriptionIsOperated},
}

// handled is what handlers got.
type handled struct {
	mu    sync.Mutex
	items []feed.Item
}

func (h *handled) add(item feed.Item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items = append(h.items, item)
}

func (h *handled) handle(_ context.Context, item feed.Item) error { h.add(item); return nil }

// all returns what was handled so far.
func (h *handled) all() []feed.Item {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.items)
}

// of returns what was handled of one stream.
func (h *handled) of(id string) string {
	return shown(slices.DeleteFunc(h.all(), func(item feed.Item) bool { return item.Stream.ID != id }))
}

// wait waits until n items were handled.
func (h *handled) wait(t *testing.T, n int) {
	t.Helper()
	eventually(t, "all items are handled", func() bool { return len(h.all()) >= n })
}

// subscribe runs a subscription in a process. stop ends it, and returns the error of Run.
func (p *process) subscribe(handle subscription.Handler, options ...subscription.Option) (s *subscription.Subscription, stop func() error) {
	p.t.Helper()
	options = append([]subscription.Option{subscription.WithPartitions(2)}, options...)
	s, err := subscription.New(p.feed, "m.a|ils {}: %ä", handle, options...)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	p.t.Cleanup(func() { _ = stop() })
	return s, stop
}

// testSubscriptionHandlesOnce restarts a subscription.
func testSubscriptionHandlesOnce(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	var got handled
	p.add("a", opened{}, deposited{})
	_, stop := p.subscribe(got.handle)
	p.add("b", opened{}, deposited{})
	p.add("a", deposited{})
	got.wait(t, 5)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	p.add("a", closed{})
	_, stop = w.process().subscribe(got.handle)
	p.add("b", closed{})
	got.wait(t, 7)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if a, b := got.of("a"), got.of("b"); a != "a/1, a/2, a/3, a/4" || b != "b/1, b/2, b/3" {
		t.Errorf("handled %s and %s", a, b)
	}
}

// testSubscriptionAfterACrash cuts off an instance that has handled more than it has saved.
func testSubscriptionAfterACrash(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, dying := w.indexer(), w.process()
	for range 5 {
		p.add("a", deposited{})
	}
	p.take(5)
	var before, after handled
	_, stop := dying.subscribe(func(_ context.Context, item feed.Item) error {
		if before.add(item); item.Version == 5 {
			dying.die()
		}
		return nil
	}, subscription.WithSaving(2, time.Hour), subscription.WithLease(2*time.Second))
	before.wait(t, 5)
	_ = stop()
	_, _ = w.process().subscribe(after.handle)
	p.add("a", closed{})
	eventually(t, "the last item is handled", func() bool {
		items := after.all()
		return len(items) > 0 && items[len(items)-1].Version == 6
	})
	if first, second := before.of("a"), after.of("a"); first != "a/1, a/2, a/3, a/4, a/5" || second != "a/5, a/6" {
		t.Errorf("handled %s, and after the crash %s", first, second)
	}
}

// testSubscriptionIsShared runs two instances, and ends one.
func testSubscriptionIsShared(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, other := w.indexer(), w.process()
	var first, second handled
	lease := subscription.WithLease(3 * time.Second) // they look for each other three times in that time
	s, stop := p.subscribe(first.handle, lease)
	_, _ = other.subscribe(second.handle, lease)
	owners := func() map[string]int {
		partitions, err := s.Positions(contextOf(t))
		if errors.As(err, new(*subscription.NotFoundError)) {
			return nil
		}
		if err != nil {
			t.Fatalf("Positions: %v", err)
		}
		n := map[string]int{}
		for _, p := range partitions {
			n[p.Owner]++
		}
		delete(n, "")
		return n
	}
	eventually(t, "each instance has a partition", func() bool { return len(owners()) == 2 })
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for _, id := range ids {
		p.add(id, opened{}, closed{})
	}
	both := func() []feed.Item { return append(first.all(), second.all()...) }
	eventually(t, "all items are handled", func() bool { return len(both()) >= 2*len(ids) })
	if len(first.all()) == 0 || len(second.all()) == 0 {
		t.Errorf("the instances handled %d and %d items", len(first.all()), len(second.all()))
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	eventually(t, "one instance has both partitions", func() bool { n := owners(); return len(n) == 1 && sum(n) == 2 })
	for _, id := range ids {
		p.add(id, deposited{})
	}
	eventually(t, "all items are handled by the other instance", func() bool { return len(both()) >= 3*len(ids) })
	items := both()
	for _, id := range ids {
		of := slices.DeleteFunc(slices.Clone(items), func(item feed.Item) bool { return item.Stream.ID != id })
		slices.SortStableFunc(of, func(a, b feed.Item) int { return int(a.Version - b.Version) })
		if got := shown(of); got != id+"/1, "+id+"/2, "+id+"/3" {
			t.Errorf("handled %s", got)
		}
	}
}

func sum(n map[string]int) (total int) {
	for _, v := range n {
		total += v
	}
	return total
}

// testSubscriptionParks fails at an event, and then no more.
func testSubscriptionParks(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	var got handled
	var mu sync.Mutex
	broken := true
	s, stop := p.subscribe(func(_ context.Context, item feed.Item) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && item.Stream.ID == "bad" && item.Version == 2 {
			return errors.New("on purpose")
		}
		got.add(item)
		return nil
	}, subscription.WithParking(), subscription.WithRetries(0), subscription.WithSaving(1, 0))
	p.add("bad", opened{}, deposited{}, deposited{})
	for _, id := range []string{"a", "b", "c", "d"} {
		p.add(id, opened{})
	}
	got.wait(t, 5)
	bad := p.Stream("account", "bad")
	var parked []subscription.Parked
	eventually(t, "versions 2 and 3 are parked", func() bool {
		var err error
		if parked, err = s.Parked(contextOf(t)); err != nil {
			t.Fatalf("Parked: %v", err)
		}
		return len(parked) == 1 && parked[0].To == 3
	})
	if p := parked[0]; p.Stream != bad || p.From != 2 || p.Attempts != 1 || p.Reason != "on purpose" {
		t.Errorf("%+v", p)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	err := s.Retry(contextOf(t), p.Stream("account", "a"))
	if !errors.As(err, new(*subscription.NotParkedError)) {
		t.Errorf("Retry of a stream that is not parked: %v", err)
	}
	if err := s.Retry(contextOf(t), bad); err != nil {
		t.Fatalf("Retry: %v", err)
	}
	eventually(t, "nothing is parked", func() bool { parked, err := s.Parked(contextOf(t)); return err == nil && len(parked) == 0 })
	p.add("bad", closed{})
	got.wait(t, 8)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := got.of("bad"); got != "bad/1, bad/2, bad/3, bad/4" {
		t.Errorf("handled %s", got)
	}
}

// testSubscriptionIsOperated lists subscriptions, moves one back, and drops it.
func testSubscriptionIsOperated(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	var got handled
	p.add("a", opened{}, deposited{})
	s, stop := p.subscribe(got.handle)
	got.wait(t, 2)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	operator := w.process()
	names, err := subscription.Names(contextOf(t), operator.feed)
	if err != nil || !slices.Equal(names, []string{s.Name()}) {
		t.Errorf("Names: %q, %v", names, err)
	}
	partitions, err := s.Positions(contextOf(t))
	if err != nil || len(partitions) != 2 {
		t.Fatalf("Positions: %+v, %v", partitions, err)
	}
	for _, partition := range partitions {
		if partition.Position != p.end() || partition.Lag != 0 || partition.Owner != "" || partition.Parked != 0 {
			t.Errorf("%+v, but all was handled", partition)
		}
	}
	if err := s.Reset(contextOf(t), 0); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	s, stop = operator.subscribe(got.handle)
	got.wait(t, 4)
	if got := got.of("a"); got != "a/1, a/2, a/1, a/2" {
		t.Errorf("handled %s", got)
	}
	if err := s.Drop(contextOf(t)); err != nil {
		t.Fatalf("Drop: %v", err)
	}
	eventually(t, "the subscription is gone", func() bool {
		_, err := s.Positions(contextOf(t))
		return errors.As(err, new(*subscription.NotFoundError))
	})
	if names, err := subscription.Names(contextOf(t), p.feed); err != nil || len(names) != 0 {
		t.Errorf("Names: %q, %v", names, err)
	}
	if err := stop(); err != nil && !errors.As(err, new(*subscription.NotFoundError)) {
		t.Errorf("Run: %v", err)
	}
}
