// Command fulfilment is an example: a read model, a process and a publication on one store, which
// is a SQLite file in this process.
//
//   - shop.go has the three parts.
//   - domain.go has the events, and the decisions of the aggregates.
//   - main.go puts them together, and places a few orders.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

const (
	processName = "Fulfilment" // also the aggregate type of its instances
	topic       = "orders"
)

// shop is the shop on one store.
type shop struct {
	domain
	provider      *eventstore.Provider
	feed          *feed.Feed
	orders        *process.Process[Order]
	customers     *projection.Projection[map[string]string]
	announcements *publishing.Publication
}

// newShop returns the shop on a store. It publishes to the broker.
func newShop(state driver.State, broker publishing.Broker) (*shop, error) {
	registry, err := eventstore.NewRegistry(types()...)
	if err != nil {
		return nil, err
	}
	s := &shop{}
	if s.provider, err = eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry),
		eventstore.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))); err != nil {
		return nil, err
	}
	if s.feed, err = feed.Open(s.provider); err != nil {
		return nil, err
	}
	if s.domain, err = newDomain(s.provider); err != nil {
		return nil, err
	}
	s.orders, err = process.New(s.feed, processName, fulfilment(s.ask),
		subscription.OfType(orderType, stockType, walletType, shipmentType), subscription.WithParking())
	if err != nil {
		return nil, err
	}
	s.customers, err = projection.New(s.feed, "orders by customer", byCustomer, projection.With(subscription.OfType(processName)))
	if err != nil {
		return nil, err
	}
	s.announcements, err = publishing.New(s.feed, "announcements", broker, topic,
		publishing.WithMapping(announce), publishing.With(subscription.OfType(processName)))
	return s, err
}

// run does all the work of the shop until ctx ends. It runs in every instance.
func (s *shop) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, run := range []func(context.Context) error{s.feed.Index, s.orders.Run, s.customers.Run, s.announcements.Run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// add stores an event of an aggregate.
func (s *shop) add(ctx context.Context, aggregateType, id string, event any) error {
	return s.change(ctx, Change{Type: aggregateType, ID: id, Event: event})
}

func main() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	err = demo(context.Background(), filepath.Join(dir, "shop.db"))
	_ = os.RemoveAll(dir)
	if err != nil {
		log.Fatal(err)
	}
}

// demo places two orders, and prints what became of them.
func demo(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancel(ctx)
	state, err := sqlite.Open(ctx, path)
	if err != nil {
		cancel()
		return err
	}
	defer state.Close()
	broker := publishing.NewLocal()
	s, err := newShop(state, broker)
	if err != nil {
		cancel()
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() {
		if err := s.run(ctx); err != nil {
			log.Print(err)
		}
	})
	published := make(chan publishing.Message)
	all.Go(func() {
		_ = broker.Subscribe(ctx, topic, func(ctx context.Context, m publishing.Message) error {
			select {
			case published <- m:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
	})
	about := func(order string) About { return About{order} }
	if err := errors.Join(
		s.add(ctx, stockType, "book", Stocked{3}),
		s.add(ctx, walletType, "Ada", MoneyAdded{100}),
		s.add(ctx, orderType, "1", OrderPlaced{about("1"), "Ada", "book", "1 Main St", 2, 60}),
		s.add(ctx, orderType, "2", OrderPlaced{about("2"), "Ada", "book", "1 Main St", 9, 1}),
	); err != nil {
		return err
	}
	for order, events := range map[string]int64{"1": 4, "2": 2} { // accepted, held, paid, completed; accepted, cancelled
		if err := s.customers.WaitFor(ctx, s.provider.Stream(processName, order), events); err != nil {
			return err
		}
	}
	m := <-published
	fmt.Printf("published: %s %s\n", m.Type, m.Data)
	orders, _, err := s.customers.Get(ctx, "Ada")
	if err != nil {
		return err
	}
	text, err := json.Marshal(orders)
	fmt.Printf("Ada's orders: %s\n", text)
	return err
}
