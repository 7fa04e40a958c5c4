package main

import (
	"context"
	"fmt"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// announce says what other services learn of an event.
func announce(_ context.Context, item feed.Item) (string, any, error) {
	confirmed, ok := item.Event.Data.(OrderConfirmed)
	if !ok {
		return "", nil, publishing.ErrLeaveOut
	}
	data := map[string]string{"order": item.Stream.ID, "customer": confirmed.Customer}
	return "shop.order.confirmed", data, nil
}

// mail stands for another service, which receives the messages. It prints them.
func mail(_ context.Context, m publishing.Message) error {
	fmt.Printf("mail: %s %s %s\n", m.ID, m.Type, m.Data)
	return nil
}

// openBroker returns a component of the sidecar, or else a broker within this process.
func openBroker(ctx context.Context, name string) (publishing.Broker, error) {
	if !besideSidecar() {
		return publishing.NewLocal(), nil
	}
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		return nil, err
	}
	return sidecar.NewBroker(ctx, client, name)
}
