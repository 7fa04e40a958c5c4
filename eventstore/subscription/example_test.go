package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

type AccountOpened struct{ Email string }

// open returns the feed of a store with two accounts, and what ends its indexer.
func open(ctx context.Context) (f *feed.Feed, end func()) {
	registry, err := eventstore.NewRegistry(eventstore.Type[AccountOpened]("AccountOpened"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(), // or sidecar.NewState, sqlite.Open, …
		eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"ada", "bob"} {
		if _, err := provider.Append(ctx, provider.Stream("Account", name), eventstore.ExpectVersion(0), AccountOpened{name + "@example.com"}); err != nil {
			log.Fatal(err)
		}
	}
	if f, err = feed.Open(provider); err != nil {
		log.Fatal(err)
	}
	indexing, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- f.Index(indexing) }()
	return f, func() { stop(); <-done }
}

func Example() {
	ctx := context.Background()
	f, end := open(ctx)
	defer end()

	running, stop := context.WithCancel(ctx)
	sent := 0
	mails, err := subscription.New(f, "mails", func(ctx context.Context, item feed.Item) error {
		if opened, ok := item.Event.Data.(AccountOpened); ok {
			fmt.Println("welcome,", opened.Email)
		}
		if sent++; sent == 2 {
			stop() // so that the example ends
		}
		return nil
	}, subscription.OfType("Account"), subscription.WithPartitions(1))
	if err != nil {
		log.Fatal(err)
	}
	if err := mails.Run(running); err != nil { // in every instance of the service
		log.Fatal(err)
	}
	// Output:
	// welcome, ada@example.com
	// welcome, bob@example.com
}

func ExampleSubscription_Retry() {
	ctx := context.Background()
	f, end := open(ctx)
	defer end()

	mended, sent := false, make(chan string, 1)
	mails, err := subscription.New(f, "mails", func(ctx context.Context, item feed.Item) error {
		if item.Stream.ID == "ada" && !mended {
			return errors.New("the mail server does not like Ada")
		}
		sent <- item.Stream.ID
		return nil
	}, subscription.WithParking(), subscription.WithRetries(0), subscription.WithPartitions(1))
	if err != nil {
		log.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error)
	go func() { done <- mails.Run(running) }()
	fmt.Println("sent to", <-sent) // bob, who comes after ada
	stop()
	<-done
	parked, err := mails.Parked(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range parked {
		fmt.Println(p.Stream.ID, "is parked from version", p.From, "on:", p.Reason)
	}

	mended = true
	if err := mails.Retry(ctx, f.Provider().Stream("Account", "ada")); err != nil {
		log.Fatal(err)
	}
	running, stop = context.WithCancel(ctx)
	go func() { done <- mails.Run(running) }()
	fmt.Println("sent to", <-sent)
	stop()
	<-done
	parked, err = mails.Parked(ctx)
	fmt.Println(len(parked), err)
	// Output:
	// sent to bob
	// ada is parked from version 1 on: the mail server does not like Ada
	// sent to ada
	// 0 <nil>
}

func ExampleNames() {
	ctx := context.Background()
	f, end := open(ctx)
	defer end()

	running, stop := context.WithCancel(ctx)
	mails, err := subscription.New(f, "mails", func(context.Context, feed.Item) error { stop(); return nil })
	if err != nil {
		log.Fatal(err)
	}
	if err := mails.Run(running); err != nil {
		log.Fatal(err)
	}
	names, err := subscription.Names(ctx, f)
	fmt.Println(names, err)
	// Output:
	// [mails] <nil>
}
