package sidecar_test

import (
	"context"
	"log"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
)

// The dial options can be combined with others. The example needs a sidecar, so it is compiled but
// not run.
func ExampleDialOptions() {
	const largest = 16 << 20
	options := append(sidecar.DialOptions(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largest)))
	client, err := dapr.NewClient(options...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
}

// A projection that only reads writes nothing when it starts. The example needs a sidecar, so it is
// compiled but not run.
func ExampleWithoutProbe() {
	ctx := context.Background()
	client, err := dapr.NewClient(sidecar.DialOptions()...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore", sidecar.WithoutProbe())
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		log.Fatal(err)
	}
	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
	for event, err := range reader.Read(ctx, eventstore.AsRaw()) {
		if err != nil {
			log.Fatal(err)
		}
		log.Println(event.Version)
	}
}
