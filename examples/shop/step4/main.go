package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run runs the shop until ctx ends.
func run(ctx context.Context) error {
	state, closeStore, err := openStore(ctx, "statestore")
	if err != nil {
		return err
	}
	defer closeStore()
	types, err := eventstore.NewRegistry(slices.Concat(orderTypes, stockTypes, saleTypes)...)
	if err != nil {
		return err
	}
	provider, err := eventstore.NewProvider(state,
		eventstore.WithRegistry(types), eventstore.WithFeed("all"))
	if err != nil {
		return err
	}
	defer provider.Close(context.WithoutCancel(ctx))
	orders, err := aggregate.NewRepository(provider, "Order", Order.Apply)
	if err != nil {
		return err
	}
	stocks, err := aggregate.NewRepository(provider, "Stock", Stock.Apply)
	if err != nil {
		return err
	}
	all, err := feed.Open(provider)
	if err != nil {
		return err
	}
	accounts, err := projection.New(all, "accounts", byCustomer,
		projection.With(subscription.OfType("Order")))
	if err != nil {
		return err
	}
	sales, err := process.New(all, "Sale", saleRules(orders, stocks),
		subscription.OfType("Order", "Stock"), subscription.WithParking())
	if err != nil {
		return err
	}
	broker, err := openBroker(ctx, "pubsub")
	if err != nil {
		return err
	}
	announcements, err := publishing.New(all, "announcements", broker, "orders",
		publishing.WithMapping(announce),
		publishing.With(subscription.OfType("Order"), subscription.WithParking()))
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	orderRoutes(mux, orders)
	accountRoutes(mux, accounts)
	stockRoutes(mux, stocks)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return all.Index(ctx) })
	work.Go(func() error { return accounts.Run(ctx) })
	work.Go(func() error { return sales.Run(ctx) })
	work.Go(func() error { return broker.Subscribe(ctx, "orders", mail) })
	work.Go(func() error { return announcements.Run(ctx) })
	work.Go(func() error { return serve(ctx, mux) })
	return work.Wait()
}
