package publishing_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

func ExampleLocal() {
	ctx, cancel := context.WithCancel(context.Background())
	broker, ended := publishing.NewLocal(), make(chan error)
	go func() {
		ended <- broker.Subscribe(ctx, "accounts", func(_ context.Context, m publishing.Message) error {
			fmt.Println("handled", m.ID)
			return nil
		})
	}()
	message := publishing.Message{ID: "EventStores:Account:123/1", Type: "AccountOpened"}
	for broker.Publish(ctx, "accounts", message) != nil {
		// No one is subscribed yet.
	}
	fmt.Println("published")
	cancel()
	fmt.Println(<-ended)
	// Output:
	// handled EventStores:Account:123/1
	// published
	// <nil>
}
