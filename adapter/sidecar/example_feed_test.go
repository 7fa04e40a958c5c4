package sidecar_test

import (
	"context"
	"fmt"
	"log"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// send sends a mail, unless it has sent one with that id.
func send(ctx context.Context, id, address string) error { return nil }

// The example needs a sidecar, so it is compiled but not run.
func ExampleNewState_following() {
	type AccountOpened struct{ Email string }
	ctx := context.Background()
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		log.Fatal(err)
	}
	types, err := eventstore.NewRegistry(eventstore.Type[AccountOpened]("AccountOpened"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types), eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close(ctx)
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	go all.Index(ctx) // in every instance: one works, the others wait
	mails, err := subscription.New(all, "mails", func(ctx context.Context, item feed.Item) error {
		if opened, ok := item.Event.Data.(AccountOpened); ok {
			return send(ctx, item.ID(), opened.Email)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = mails.Run(ctx) // in every instance: they share the work
	if err != nil {
		log.Fatal(err)
	}
	for stream, err := range all.Streams(ctx, feed.OfType("BankAccount")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stream.Stream.ID)
	}
}
