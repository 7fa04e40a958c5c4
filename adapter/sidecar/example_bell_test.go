package sidecar_test

import (
	"context"
	"log"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// With a bell, a reader in another process gets an event some 30 ms after its append. The example
// needs a sidecar, so it is compiled but not run.
func ExampleNewBell() {
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
	bell, err := sidecar.NewBell(ctx, client, "pubsub", "eventstores")
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithBell(bell))
	if err != nil {
		log.Fatal(err)
	}
	defer provider.Close(ctx)
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	for item, err := range all.Read(ctx, feed.Live()) {
		if err != nil {
			log.Fatal(err)
		}
		log.Println(item.ID())
	}
}
