package sidecar_test

import (
	"context"
	"log"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
)

// FundsWithdrawn is an event.
type FundsWithdrawn struct{ Amount int64 }

// The example needs a sidecar, so it is compiled but not run.
func ExampleNewState() {
	ctx := context.Background()
	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		log.Fatal(err)
	}
	locker, err := sidecar.NewLocker(ctx, client, "lockstore")
	if err != nil {
		log.Fatal(err)
	}
	events, err := eventstore.NewRegistry(
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state,
		eventstore.WithLocker(locker),
		eventstore.WithRegistry(events))
	if err != nil {
		log.Fatal(err)
	}
	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
}
