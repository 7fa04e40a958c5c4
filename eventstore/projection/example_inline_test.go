package projection_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

type Registered struct{ Email string }

var errTaken = errors.New("somebody has registered with this address")

func ExampleNewInline() {
	ctx := context.Background()
	registry, err := eventstore.NewRegistry(eventstore.Type[Registered]("Registered"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(), // or sqlite.Open, or sidecar.NewState with PostgreSQL
		eventstore.WithRegistry(registry))
	if err != nil {
		log.Fatal(err)
	}
	// Before the first append, in every service that appends:
	users, err := projection.NewInline(provider, "users", func(_ context.Context, docs *projection.Documents[string], item feed.Item) error {
		registered, ok := item.Event.Data.(Registered)
		if !ok {
			return nil
		}
		if _, taken, err := docs.Get(registered.Email); err != nil || taken {
			return errors.Join(errTaken, err)
		}
		return docs.Put(registered.Email, item.Stream.ID)
	})
	if err != nil {
		log.Fatal(err) // a *projection.UnsupportedError says why not on this store
	}

	for _, id := range []string{"u1", "u2"} {
		_, err = provider.Append(ctx, provider.Stream("User", id), eventstore.ExpectVersion(0), Registered{"ada@example.org"})
		fmt.Println(id, "is refused:", errors.Is(err, errTaken))
	}
	id, _, err := users.Get(ctx, "ada@example.org") // without waiting
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The address belongs to", id)
	// Output:
	// u1 is refused: false
	// u2 is refused: true
	// The address belongs to u1
}
