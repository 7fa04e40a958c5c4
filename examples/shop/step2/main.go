package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
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
	types, err := eventstore.NewRegistry(orderTypes...)
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

	mux := http.NewServeMux()
	orderRoutes(mux, orders)
	return serve(ctx, mux)
}
