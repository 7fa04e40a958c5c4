package feed_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// The events of a bank account. Amounts are in cents.
type (
	AccountOpened  struct{ Owner string }
	FundsDeposited struct{ Amount int64 }
	FundsWithdrawn struct{ Amount int64 }
)

// bank returns a provider with a feed, and the feed, which is indexed until ctx ends.
func bank(ctx context.Context) (*eventstore.Provider, *feed.Feed) {
	types, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memory.New(), eventstore.WithRegistry(types), eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := all.Index(ctx); err != nil {
			log.Print(err)
		}
	}()
	return provider, all
}

// appendTo appends events to an account.
func appendTo(ctx context.Context, provider *eventstore.Provider, id string, events ...any) {
	if _, err := provider.Append(ctx, provider.Stream("BankAccount", id), eventstore.ExpectAny(), events...); err != nil {
		log.Fatal(err)
	}
}

// upTo waits until the feed has so many items.
func upTo(ctx context.Context, all *feed.Feed, items int) {
	for range all.Read(ctx, feed.Live()) {
		if items--; items == 0 {
			return
		}
	}
}

// listed waits until the catalogue, which follows the feed, has so many streams.
func listed(ctx context.Context, all *feed.Feed, streams int) {
	for n := 0; n < streams && ctx.Err() == nil; {
		n = 0
		for range all.Streams(ctx) {
			n++
		}
	}
}

func ExampleOpen() {
	provider, err := eventstore.NewProvider(memory.New(), eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider, feed.WithLease(5*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(all.Name())
	// Output: all
}

// Run Index in a goroutine of each instance. When the process ends, end its context, wait for it,
// and close the provider. Another instance goes on at once.
func ExampleFeed_Index() {
	provider, err := eventstore.NewProvider(memory.New(), eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	indexed := make(chan error, 1)
	go func() { indexed <- all.Index(running) }()

	// The service works. At its end:
	stop()
	fmt.Println(<-indexed)
	fmt.Println(provider.Close(context.Background()))
	// Output:
	// <nil>
	// <nil>
}

func ExampleFeed_Read() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	upTo(ctx, all, 2)
	appendTo(ctx, provider, "2", AccountOpened{Owner: "Bob"})
	upTo(ctx, all, 3)

	var position feed.Position
	for item, err := range all.Read(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %+v\n", item.ID(), item.What, item.Event.Data)
		position = item.Position
	}
	for range all.Read(ctx, feed.After(position)) {
		fmt.Println("this is not reached, because there is nothing new")
	}
	// Output:
	// EventStores:BankAccount:1/1 appended {Owner:Ada}
	// EventStores:BankAccount:1/2 appended {Amount:10000}
	// EventStores:BankAccount:2/1 appended {Owner:Bob}
}

func ExampleLive() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	go func() {
		appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
		appendTo(ctx, provider, "1", FundsWithdrawn{Amount: 30_00})
		appendTo(ctx, provider, "1", FundsDeposited{Amount: 5_00}, FundsWithdrawn{Amount: 20_00})
	}()

	total := int64(0)
	for item, err := range all.Read(ctx, feed.OfEvent[FundsWithdrawn](), feed.Live()) {
		if err != nil {
			log.Fatal(err) // when ctx ends
		}
		total += item.Event.Data.(FundsWithdrawn).Amount
		fmt.Println(total)
		if total == 50_00 {
			break
		}
	}
	// Output:
	// 3000
	// 5000
}

func ExampleBackwards() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsWithdrawn{Amount: 30_00})
	upTo(ctx, all, 3)

	for item, err := range all.Read(ctx, feed.Backwards()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("the newest event is version", item.Version)
		break
	}
	// Output: the newest event is version 3
}

func ExampleFeed_Streams() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	upTo(ctx, all, 2)
	appendTo(ctx, provider, "2", AccountOpened{Owner: "Bob"})
	upTo(ctx, all, 3)
	listed(ctx, all, 2)

	for s, err := range all.Streams(ctx, feed.OfType("BankAccount"), feed.WithDetails()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Stream, "is at version", s.Version)
	}
	// Output:
	// EventStores:BankAccount:1 is at version 2
	// EventStores:BankAccount:2 is at version 1
}

// A store has streams from before its services got a feed. As it is opened in this process, its
// keys tell which ones.
func ExampleFeed_Import() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	state := memory.New()
	before, err := eventstore.NewProvider(state)
	if err != nil {
		log.Fatal(err)
	}
	raw := eventstore.Raw{Type: "AccountOpened", ContentType: "application/json", Payload: []byte(`{"Owner":"Ada"}`)}
	appendTo(ctx, before, "1", raw, raw)

	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	for stream, err := range all.Import(ctx, feed.Stored(ctx, state)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stream.Stream, stream.Result, stream.Err)
	}
	go all.Index(ctx)
	upTo(ctx, all, 2)
	for item := range all.Read(ctx) {
		fmt.Println(item.ID())
	}
	// Output:
	// EventStores:BankAccount:1 added <nil>
	// EventStores:BankAccount:1/1
	// EventStores:BankAccount:1/2
}

// Through a sidecar, keys cannot be listed. So name the streams.
func ExampleNamed() {
	ctx := context.Background()
	provider, all := bank(ctx)
	for stream, err := range all.Import(ctx, feed.Named(provider.Stream("BankAccount", "1"))) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stream.Stream, stream.Result)
	}
	// Output: EventStores:BankAccount:1 absent
}

func ExampleFind() {
	ctx := context.Background()
	state := memory.New()
	name, err := feed.Find(ctx, state)
	fmt.Printf("%q %v\n", name, err)

	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	appendTo(ctx, provider, "1", eventstore.Raw{Type: "AccountOpened", ContentType: "text/plain"})
	name, err = feed.Find(ctx, state)
	fmt.Printf("%q %v\n", name, err)
	// Output:
	// "" <nil>
	// "all" <nil>
}

// A record of the feed was damaged. Indexers end with an error that names it.
func ExampleFeed_Repair() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	state := memory.New()
	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	appendTo(ctx, provider, "1", eventstore.Raw{Type: "AccountOpened", ContentType: "text/plain", Payload: []byte("Ada")})
	root := "{:feed}:journals"
	if err := state.Write(ctx, ":feed", []driver.Write{{Key: root, Value: []byte("damaged")}}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(all.Index(ctx))

	repaired, err := all.Repair(ctx, feed.WithStreams(feed.Stored(ctx, state)))
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range repaired.Findings {
		fmt.Println(f)
	}
	go all.Index(ctx)
	upTo(ctx, all, 1)
	verified, err := all.Verify(ctx)
	fmt.Println(verified.Sound(), verified.End, err)
	// Output:
	// eventstore: stream :feed:all is damaged: check key {:feed}:journals: the value was not written by this event store
	// damaged {:feed}:journals: the value was not written by this event store: written again with 0 journals
	// unlisted EventStores:BankAccount:1: named
	// true 2 <nil>
}

func ExampleFeed_Verify() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"})
	listed(ctx, all, 1)

	found, err := all.Verify(ctx, feed.WithFindings(func(f feed.Finding) { fmt.Println(f) }))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Sound(), found.Streams)
	// Output: true 1
}

func ExampleFeed_Status() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider, all := bank(ctx)
	appendTo(ctx, provider, "1", AccountOpened{Owner: "Ada"})
	upTo(ctx, all, 1)

	now, err := all.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(now.End, now.Journals, now.Waiting)
	// Output: 1 1 0
}
