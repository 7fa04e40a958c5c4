package eventstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleWithFeed() {
	ctx := context.Background()
	state := memory.New()
	defer state.Close()

	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	raw := eventstore.Raw{Type: "AccountOpened", ContentType: "application/json", Payload: []byte(`{"Owner":"Ada"}`)}
	if _, err := provider.Append(ctx, provider.Stream("BankAccount", "1"), eventstore.ExpectVersion(0), raw); err != nil {
		log.Fatal(err)
	}
	fmt.Println("closed:", provider.Close(ctx)) // when the process ends

	// A store has one feed.
	other, err := eventstore.NewProvider(state, eventstore.WithFeed("everything"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = other.Append(ctx, other.Stream("BankAccount", "2"), eventstore.ExpectVersion(0), raw)
	fmt.Println(err)
	// Output:
	// closed: <nil>
	// eventstore: bad argument WithFeed: "everything" is not the feed of this store: the feed of the store is called "all", and a store has one feed
}

func ExampleProvider_Close() {
	ctx := context.Background()
	provider := bank(eventstore.WithFeed("all"))
	openAccount(ctx, provider, "123456000", AccountOpened{Owner: "Ada"}).Close()

	fmt.Println(provider.Close(ctx))
	fmt.Println(provider.Close(ctx)) // has nothing to do
	// Output:
	// <nil>
	// <nil>
}
