package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

// The error contains only a hash of the customer's id, and still matches its type.
func ExampleWithHashedIDs() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()
	provider, err := eventstore.NewProvider(state, eventstore.WithHashedIDs([]byte("a secret of the service")))
	if err != nil {
		log.Fatal(err)
	}
	reader := provider.Reader(provider.Stream("Customer", "ada@example.org"))
	_, err = reader.Event(ctx, 7)
	fmt.Println(errors.As(err, new(*eventstore.VersionNotFoundError)))
	fmt.Println(err)
	fmt.Println(provider.HashedStream(provider.Stream("Customer", "ada@example.org")))
	// Output:
	// true
	// eventstore: stream EventStores:Customer:#339d8314b4828e8a has no version 7: it is at version 0
	// EventStores:Customer:#339d8314b4828e8a
}
