package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// witness keeps what an observer is told of deliveries and of the subscription.
type witness struct {
	mu         sync.Mutex
	deliveries []string
	last       eventstore.SubscriptionReport
}

type deliveryKey struct{}

func (w *witness) Begin(ctx context.Context, operation eventstore.Operation) context.Context {
	return context.WithValue(ctx, deliveryKey{}, operation.Delivery)
}

func (w *witness) End(_ context.Context, o eventstore.Operation, r eventstore.OperationResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.Name != eventstore.OpDeliver {
		return
	}
	again := ""
	if o.Delivery.Again {
		again = " again"
	}
	w.deliveries = append(w.deliveries, fmt.Sprintf("%s/%d %s after %d%s", o.Stream.ID, r.Version, r.Disposition, r.Attempts, again))
}

func (w *witness) ObserveFeed(_ context.Context, report eventstore.FeedReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := report.(eventstore.SubscriptionReport); ok {
		w.last = r
	}
}

// take returns the deliveries since the last call.
func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.deliveries
	w.deliveries = nil
	return got
}

func (w *witness) report() eventstore.SubscriptionReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// watched returns a process with an observer.
func (l *lab) watched() (*process, *witness) {
	l.t.Helper()
	p, w := l.process("watched"), &witness{}
	var err error
	p.provider, err = eventstore.NewProvider(link{l.store, p}, eventstore.WithFeed("all"), eventstore.WithRegistry(p.provider.Registry()),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)), eventstore.WithObserver(w))
	l.must(err)
	p.feed, err = feed.Open(p.provider)
	l.must(err)
	return p, w
}

func TestEachDeliveryIsObserved(t *testing.T) {
	bench(t, func(l *lab) {
		p, w := l.watched()
		var mended atomic.Bool
		fails := 1
		r := p.run(func(ctx context.Context, item feed.Item) error {
			if polling.Is(ctx) || ctx.Value(deliveryKey{}).(*eventstore.Delivery).Version != item.Version {
				t.Errorf("the handler has the context of something else")
			}
			switch {
			case item.Version == 1 && fails > 0:
				fails--
				return errors.New("not yet")
			case item.Version == 2 && !mended.Load():
				return errPoisoned
			}
			return p.note(ctx, item)
		}, subscription.WithPartitions(1), subscription.WithParking(), subscription.WithRetries(2))
		l.append("x", "1", "2", "3")
		l.wait("a parked stream", func() bool { return w.report().Parked == 1 })
		if got := w.take(); !slices.Equal(got, []string{"x/1 handled after 2", "x/2 parked after 3"}) {
			t.Errorf("observed were %q", got)
		}
		l.must(r.Retry(l.t.Context(), l.stream("x")))
		l.wait("another try", func() bool {
			parked, err := r.Parked(l.t.Context())
			l.must(err)
			return len(parked) == 1 && !parked[0].Asked
		})
		mended.Store(true)
		l.must(r.Retry(l.t.Context(), l.stream("x")))
		l.wait("the end of parking", func() bool { return w.report().Parked == 0 })
		if got := w.take(); !slices.Equal(got, []string{"x/2 parked after 3 again", "x/2 handled after 1 again", "x/3 handled after 1"}) {
			t.Errorf("then observed were %q", got)
		}
		r.end()
		if last := w.report(); last != (eventstore.SubscriptionReport{Feed: "all", Subscription: "mails", Ended: true}) {
			t.Errorf("in the end it told %+v", last)
		}
	})
}

func TestDeliveriesSayWhatBecomesOfThem(t *testing.T) {
	for disposition, c := range map[string]struct {
		option subscription.Option
		ends   bool
	}{"skipped": {subscription.WithSkipping(), false}, "stopped": {subscription.WithRetries(0), true}} {
		t.Run(disposition, func(t *testing.T) {
			bench(t, func(l *lab) {
				p, w := l.watched()
				r := p.run(func(context.Context, feed.Item) error { return errPoisoned }, subscription.WithRetries(0), c.option)
				l.append("x", "1")
				pass(10 * time.Second)
				if got := w.take(); !slices.Equal(got, []string{"x/1 " + disposition + " after 1"}) {
					t.Errorf("observed were %q", got)
				}
				if !c.ends {
					r.end()
					return
				}
				if err := <-r.done; !errors.Is(err, errPoisoned) {
					t.Errorf("Run returned %v", err)
				}
				r.stop()
			})
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		bench(t, func(l *lab) {
			p, w := l.watched()
			entered := make(chan struct{}, 1)
			r := p.run(func(ctx context.Context, _ feed.Item) error {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
			l.append("x", "1")
			<-entered
			r.end()
			if got := w.take(); !slices.Equal(got, []string{"x/1 interrupted after 1"}) {
				t.Errorf("observed were %q", got)
			}
		})
	})
}

func TestASubscriptionTellsHowFarItIs(t *testing.T) {
	bench(t, func(l *lab) {
		p, w := l.watched()
		gate := make(chan struct{})
		r := p.run(func(ctx context.Context, item feed.Item) error {
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return p.note(ctx, item)
		}, subscription.WithPartitions(2), subscription.WithHandlerTimeout(time.Hour), subscription.WithLease(time.Second))
		pass(10 * time.Second)
		if got := w.report(); got != (eventstore.SubscriptionReport{Feed: "all", Subscription: "mails", Partitions: 2}) {
			t.Errorf("with nothing to do it told %+v", got)
		}
		for range 5 {
			l.append("x", "1")
		}
		pass(time.Minute)
		if got := w.report(); got.Lag < 4 || got.Lag > 6 || got.LagAge < 59*time.Second || got.LagAge > 61*time.Second {
			t.Errorf("while its handler hangs it told %+v", got)
		}
		close(gate)
		pass(5 * time.Second)
		if got := w.report(); got.Lag != 0 || got.LagAge != 0 {
			t.Errorf("when all was handled it told %+v", got)
		}
		r.end()
	})
}
