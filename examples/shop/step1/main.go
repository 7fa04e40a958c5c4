package main

import (
	"context"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	state := memory.New()
	defer state.Close()
	types, err := eventstore.NewRegistry(orderTypes...)
	if err != nil {
		return err
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types))
	if err != nil {
		return err
	}
	orders, err := aggregate.NewRepository(provider, "Order", Order.Apply)
	if err != nil {
		return err
	}

	_, err = orders.Update(ctx, "1", func(o Order) ([]any, error) {
		return o.Place(OrderPlaced{Customer: "c-1", Item: "book", Count: 2, Price: 30})
	})
	if err != nil {
		return err
	}
	order, err := orders.Update(ctx, "1", func(o Order) ([]any, error) {
		return o.Cancel("changed my mind")
	})
	if err != nil {
		return err
	}
	fmt.Println("order 1 is", order.State.Status)

	reader := provider.Reader(provider.Stream("Order", "1"))
	for event, err := range reader.Read(ctx) {
		if err != nil {
			return err
		}
		fmt.Printf("%d %T %+v\n", event.Version, event.Data, event.Data)
	}
	return nil
}
