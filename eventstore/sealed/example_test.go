package sealed_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

type CustomerRegistered struct {
	Customer string `json:"customer" sealed:"subject"`
	Name     string `json:"name" sealed:"data"`
	Country  string `json:"country"`
}

// Once the key is destroyed, the name is gone and the country stays.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sealed")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	events, err := sqlite.Open(ctx, filepath.Join(dir, "events.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	keyStore, err := sqlite.Open(ctx, filepath.Join(dir, "keys.db")) // backed up separately
	if err != nil {
		log.Fatal(err)
	}
	defer keyStore.Close()

	keys, err := sealed.NewStateKeys(keyStore)
	if err != nil {
		log.Fatal(err)
	}
	codec, err := sealed.New(keys)
	if err != nil {
		log.Fatal(err)
	}
	registry, err := eventstore.NewRegistry(
		eventstore.Type[CustomerRegistered]("CustomerRegistered", eventstore.WithCodec(codec, eventstore.JSON)),
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(events, eventstore.WithRegistry(registry))
	if err != nil {
		log.Fatal(err)
	}

	stream := provider.Stream("Customer", "c-1")
	if _, err := provider.Append(ctx, stream, eventstore.ExpectVersion(0), CustomerRegistered{"c-1", "Ada", "GB"}); err != nil {
		log.Fatal(err)
	}
	show := func() {
		reader := provider.Reader(provider.Stream("Customer", "c-1"))
		for event, err := range reader.Read(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%+v, erased: %v\n", event.Data, event.Erased)
		}
	}
	show()
	if err := keys.Forget(ctx, "c-1"); err != nil {
		log.Fatal(err)
	}
	show()
	// Output:
	// {Customer:c-1 Name:Ada Country:GB}, erased: false
	// {Customer:c-1 Name:[erased] Country:GB}, erased: true
}
