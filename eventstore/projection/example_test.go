package projection_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

type Deposited struct{ Amount int }

type Balance struct{ Amount int }

// start returns a provider and its feed, which is indexed until ctx ends.
func start(ctx context.Context) (*eventstore.Provider, *feed.Feed) {
	registry, err := eventstore.NewRegistry(eventstore.Type[Deposited]("Deposited"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(), // or sidecar.NewState, sqlite.Open, …
		eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	f, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = f.Index(ctx) }()
	return provider, f
}

// add adds an item to a balance.
func add(_ context.Context, docs *projection.Documents[Balance], item feed.Item) error {
	deposited, ok := item.Event.Data.(Deposited)
	if !ok {
		return nil
	}
	return docs.Update(item.Stream.ID, func(b *Balance) error { b.Amount += deposited.Amount; return nil })
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, f := start(ctx)
	balances, err := projection.New(f, "balances", add)
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = balances.Run(ctx) }() // in every instance of the service

	ada := provider.Stream("Account", "ada")
	version, err := provider.Append(ctx, ada, eventstore.ExpectAny(), Deposited{70}, Deposited{30})
	if err != nil {
		log.Fatal(err)
	}
	if err := balances.WaitFor(ctx, ada, version); err != nil { // read your own write
		log.Fatal(err)
	}
	balance, _, err := balances.Get(ctx, "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Ada has", balance.Amount)
	// Output: Ada has 100
}

func ExampleProjection_Switch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, f := start(ctx)
	old, err := projection.New(f, "balances", add)
	if err != nil {
		log.Fatal(err)
	}
	next, err := projection.New(f, "balances", // in cents
		func(_ context.Context, docs *projection.Documents[Balance], item feed.Item) error {
			deposited, ok := item.Event.Data.(Deposited)
			if !ok {
				return nil
			}
			return docs.Update(item.Stream.ID, func(b *Balance) error { b.Amount += 100 * deposited.Amount; return nil })
		}, projection.WithVersion(2))
	if err != nil {
		log.Fatal(err)
	}
	view, err := projection.NewView(old, next)
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = old.Run(ctx) }()
	go func() { _ = next.Run(ctx) }()

	ada := provider.Stream("Account", "ada")
	version, err := provider.Append(ctx, ada, eventstore.ExpectAny(), Deposited{70})
	if err != nil {
		log.Fatal(err)
	}
	if err := next.Switch(ctx); err != nil { // waits until the new version includes all of the feed
		log.Fatal(err)
	}
	if err := view.WaitFor(ctx, ada, version); err != nil {
		log.Fatal(err)
	}
	balance, _, err := view.Get(ctx, "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(balance.Amount)
	// Output: 7000
}
