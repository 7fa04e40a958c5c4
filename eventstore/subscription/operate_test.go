package subscription_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func none(context.Context, feed.Item) error { return nil }

func TestWhatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	state := memstate.Transactional()
	state.Caps.MaxKeyBytes = 128
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"a nil feed":            func() error { _, err := subscription.New(nil, "mails", none); return err },
		"an empty name":         func() error { _, err := subscription.New(f, "", none); return err },
		"a blank name":          func() error { _, err := subscription.New(f, " \t", none); return err },
		"a long name":           func() error { _, err := subscription.New(f, strings.Repeat("x", 201), none); return err },
		"a name of other bytes": func() error { _, err := subscription.New(f, "\xff", none); return err },
		"a long key":            func() error { _, err := subscription.New(f, strings.Repeat("x", 120), none); return err },
		"a nil handler":         func() error { _, err := subscription.New(f, "mails", nil); return err },
		"a nil option":          func() error { _, err := subscription.New(f, "mails", none, nil); return err },
		"names of a nil feed":   func() error { _, err := subscription.Names(t.Context(), nil); return err },
	} {
		if err := call(); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, option := range map[string]subscription.Option{
		"no partitions":       subscription.WithPartitions(0),
		"too many partitions": subscription.WithPartitions(1025),
		"a negative start":    subscription.WithStart(-1),
		"negative retries":    subscription.WithRetries(-1),
		"no backoff":          subscription.WithBackoff(0, time.Second),
		"a backoff backwards": subscription.WithBackoff(2, 1),
		"no time":             subscription.WithHandlerTimeout(0),
		"no items":            subscription.WithSaving(0, 0),
		"a negative time":     subscription.WithSaving(1, -1),
		"a lease below 1 s":   subscription.WithLease(time.Second - 1),
	} {
		if _, err := subscription.New(f, "mails", none, option); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(state.Trace()) > 0 {
		t.Error("something was sent")
	}
}

func TestTheNumberOfPartitionsIsFixed(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		r := l.main.run(none, subscription.WithPartitions(4))
		l.wait("the partitions", func() bool { return len(l.owners()) == 1 })
		r.end()
		err := <-l.main.run(none, subscription.WithPartitions(5)).done
		var wrong *eventstore.ArgumentError
		if !errors.As(err, &wrong) || wrong.Argument != "WithPartitions" || !strings.Contains(err.Error(), "4 partitions") {
			l.t.Errorf("another number: %v", err)
		}
		r = l.main.run(none)
		l.wait("the partitions once more", func() bool { return len(l.owners()) == 1 })
		if positions, err := r.Positions(l.t.Context()); err != nil || len(positions) != 4 {
			l.t.Errorf("without a number: %v, %v", positions, err)
		}
		r.end()
	})
}

func TestASubscriptionIsListedMovedAndDropped(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		ctx := l.t.Context()
		s := l.main.subscribe(l.main.note, subscription.WithPartitions(2))
		for name, call := range map[string]func() error{
			"Positions": func() error { _, err := s.Positions(ctx); return err },
			"Parked":    func() error { _, err := s.Parked(ctx); return err },
			"Retry":     func() error { return s.Retry(ctx, l.stream("x")) },
			"Skip":      func() error { return s.Skip(ctx, l.stream("x")) },
			"Reset":     func() error { return s.Reset(ctx, 0) },
			"Drop":      func() error { return s.Drop(ctx) },
		} {
			if err := call(); !errors.As(err, new(*subscription.NotFoundError)) {
				l.t.Errorf("%s before the first run: %v", name, err)
			}
		}
		l.append("x", "1", "2")
		l.append("x", "3")
		r := l.main.start(s)
		l.wait("the items", func() bool { return l.count() == 3 })
		if names, err := subscription.Names(ctx, l.main.feed); err != nil || !slices.Equal(names, []string{"mails"}) {
			l.t.Errorf("subscriptions are %v, %v", names, err)
		}
		l.wait("the positions", func() bool {
			positions, err := s.Positions(ctx)
			l.must(err)
			return len(positions) == 2 && positions[0].Lag == 0 && positions[1].Lag == 0 && positions[0].Owner != "" && positions[1].Number == 1
		})

		// While it runs:
		last := l.delivered[2].item.Position
		l.must(s.Reset(ctx, 0))
		l.wait("the items once more", func() bool { return l.count() == 6 })
		if got := l.got("x"); !slices.Equal(got[3:], got[:3]) {
			l.t.Errorf("delivered were %v", got)
		}
		if err := s.Reset(ctx, 1000); !errors.As(err, new(*eventstore.ArgumentError)) {
			l.t.Errorf("beyond the end: %v", err)
		}
		if err := s.Reset(ctx, -1); !errors.As(err, new(*eventstore.ArgumentError)) {
			l.t.Errorf("a negative position: %v", err)
		}
		r.end()

		// While it does not run:
		l.append("x", "4")
		l.logged(4)
		l.must(s.Reset(ctx, last))
		r = l.main.start(s)
		l.wait("the last item", func() bool { return l.count() == 7 })

		l.must(s.Drop(ctx))
		if err := <-r.done; !errors.As(err, new(*subscription.NotFoundError)) {
			l.t.Errorf("Run of a subscription that was dropped: %v", err)
		}
		if names, err := subscription.Names(ctx, l.main.feed); err != nil || len(names) != 0 {
			l.t.Errorf("subscriptions are %v, %v", names, err)
		}
		if err := s.Reset(ctx, 0); !errors.As(err, new(*subscription.NotFoundError)) {
			l.t.Errorf("Reset of a subscription that was dropped: %v", err)
		}
		l.must(s.Drop(ctx))
		again := l.main.run(l.main.note, subscription.WithPartitions(3))
		l.wait("all items", func() bool { return l.count() == 11 })
		again.end()
	})
}

func TestResetKeepsWhatIsParkedBeforeThePosition(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		ctx := l.t.Context()
		l.append("a", "1")
		l.append("b", "1")
		l.append("c", "1")
		r := l.main.run(func(context.Context, feed.Item) error { return errPoisoned }, subscription.WithParking(), subscription.WithRetries(0))
		l.wait("the parked streams", func() bool { all, err := r.Parked(ctx); return err == nil && len(all) == 3 })
		r.end()
		all, err := r.Parked(ctx)
		l.must(err)
		slices.SortFunc(all, func(a, b subscription.Parked) int { return int(a.Position - b.Position) })
		l.must(r.Reset(ctx, all[1].Position))
		left, err := r.Parked(ctx)
		l.must(err)
		slices.SortFunc(left, func(a, b subscription.Parked) int { return int(a.Position - b.Position) })
		if !slices.Equal(left, all[:2]) {
			l.t.Errorf("parked are %v", left)
		}
		again := l.main.run(l.main.note)
		l.wait("the last stream", func() bool { return l.count() == 1 })
		l.must(again.Retry(ctx, all[0].Stream))
		l.must(again.Retry(ctx, all[1].Stream))
		l.wait("the others", func() bool { return l.count() == 3 })
		again.end()
	})
}

func TestASubscriptionBeginsWhereItIsTold(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		l.append("x", "1")
		l.append("x", "2")
		l.logged(2)
		end, err := l.main.feed.End(l.t.Context())
		l.must(err)
		for name, option := range map[string]subscription.Option{"after": subscription.WithStart(end - 1), "end": subscription.WithStartAtEnd(), "beginning": subscription.WithStart(0)} {
			p := l.process(name)
			s, err := subscription.New(p.feed, name, p.note, option)
			l.must(err)
			r := p.start(s)
			pass(time.Second)
			r.end()
		}
		if by := l.by(); !maps.Equal(by, map[string]int{"after": 1, "beginning": 2}) {
			l.t.Errorf("delivered were %v", by)
		}
		s, err := subscription.New(l.main.feed, "beyond", none, subscription.WithStart(end+1))
		l.must(err)
		if err := s.Run(l.t.Context()); !errors.As(err, new(*eventstore.ArgumentError)) {
			l.t.Errorf("beyond the end: %v", err)
		}
	})
}

func TestAPositionThatTheStoreHasLostIsReported(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		l.append("x", "1")
		l.logged(1)
		before := l.store.Clone()
		l.append("x", "2")
		r := l.main.run(l.main.note, subscription.WithPartitions(1))
		l.wait("the items", func() bool { return l.count() == 2 })
		r.end()
		for key, value := range l.store.Values() { // the log is lost, the position is not
			if strings.Contains(key, ":subscription:") {
				l.must(before.Swap(l.t.Context(), "", driver.Swap{Key: key, Value: value}))
			}
		}
		p := &process{lab: &lab{t: l.t, store: before}}
		p = p.process("after")
		r = p.run(p.note)
		var ahead *subscription.AheadError
		if err := <-r.done; !errors.As(err, &ahead) || ahead.Position != ahead.End+1 || ahead.Partition != 0 || ahead.Subscription != "mails" {
			l.t.Errorf("Run returned %v", err)
		}
		l.must(r.Reset(l.t.Context(), ahead.End))
		r = p.run(p.note)
		pass(time.Minute)
		r.end()
		if p.count() != 0 {
			l.t.Error("something was delivered")
		}
	})
}

// eachRecord runs a test for the key of each kind of record, on each kind of store. A subscription
// has run before.
func eachRecord(t *testing.T, test func(l *lab, key string)) {
	for _, key := range []string{"{:subscription:all.mails}:instances", "{:subscription:all.mails}:3", "{:subscription:all}:names"} {
		bench(t, func(l *lab) {
			r := l.main.run(none)
			l.stored(key)
			r.end()
			test(l, key)
		})
	}
}

func TestADamagedRecordIsNamed(t *testing.T) {
	t.Parallel()
	eachRecord(t, func(l *lab, key string) {
		value, _ := l.store.Value(key)
		l.store.Set(key, slices.Concat(value[:len(value)-3], []byte("x\n\n")))
		var damaged *eventstore.DamagedError
		if err := l.main.subscribe(none).Run(l.t.Context()); !errors.As(err, &damaged) || damaged.Key != key {
			l.t.Errorf("%s is damaged: %v", key, err)
		}
	})
}

func TestOnlyWhatIsAskedForIsDelivered(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		writer := l.process("writer", eventstore.Type[other]("other"), eventstore.Type[noted]("noted"))
		add := func(s eventstore.Stream, events ...any) {
			_, err := writer.provider.Append(l.t.Context(), s, eventstore.ExpectAny(), events...)
			l.must(err)
		}
		add(eventstore.Stream{Database: "a", Type: "account", ID: "1"}, noted{}, other{}, noted{})
		add(eventstore.Stream{Database: "b", Type: "account", ID: "2"}, noted{}, other{}, noted{})
		add(eventstore.Stream{Database: "a", Type: "customer", ID: "3"}, noted{}, other{}, noted{})
		for name, options := range map[string][]subscription.Option{
			"1 2 ": {subscription.OfType("account")},
			"1 3 ": {subscription.InDatabase("a")},
			"1 ":   {subscription.InDatabase("a"), subscription.OfType("account"), subscription.OfEventType("other")},
		} {
			got := map[string]int{}
			s, err := subscription.New(writer.feed, name, func(_ context.Context, item feed.Item) error {
				l.mu.Lock()
				defer l.mu.Unlock()
				got[item.Stream.ID]++
				return nil
			}, options...)
			l.must(err)
			r := writer.start(s)
			pass(2 * time.Minute)
			positions, err := s.Positions(l.t.Context())
			l.must(err)
			for _, p := range positions {
				if p.Lag != 0 {
					l.t.Errorf("%s: partition %d lags behind by %d", name, p.Number, p.Lag)
				}
			}
			r.end()
			want := 3
			if len(options) == 3 {
				want = 1
			}
			var ids string
			for _, id := range slices.Sorted(maps.Keys(got)) {
				ids += id + " "
				if got[id] != want {
					l.t.Errorf("%s: %d items of stream %s", name, got[id], id)
				}
			}
			if ids != name {
				l.t.Errorf("items of the streams %s, not %s", ids, name)
			}
		}
		l.must(writer.provider.Close(l.t.Context()))
	})
}
