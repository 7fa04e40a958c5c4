package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleReader_Read() {
	ctx := context.Background()
	provider := bank()
	session := openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00}, FundsWithdrawn{Amount: 50_00})
	defer session.Close()

	// Reading needs no session, and does not wait for the open one.
	reader := provider.Reader(provider.Stream("BankAccount", "1"))
	var account Account
	for event, err := range reader.Read(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		account, _ = account.apply(event)
	}
	fmt.Printf("%+v\n", account)
	// Output: {Owner:Ada Balance:25000}
}

// Read fetches events in chunks and holds at most two of them in memory, even if the loop ends
// early.
func ExampleBackwards() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsWithdrawn{Amount: 30_00}, FundsWithdrawn{Amount: 20_00})
	defer session.Close()

	for event, err := range session.Read(ctx, eventstore.Backwards()) {
		if err != nil {
			log.Fatal(err)
		}
		if _, ok := event.Data.(FundsDeposited); ok {
			fmt.Println("the last deposit is version", event.Version)
			break
		}
	}
	// Output: the last deposit is version 2
}

func ExampleReader_Slice() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	defer session.Close()

	events, err := session.Slice(ctx, 2, 3) // includes both
	fmt.Println(len(events), err)
	events, err = session.Slice(ctx, 3, 10) // stops at the end of the stream
	fmt.Println(len(events), err)
	// Output:
	// 2 <nil>
	// 1 <nil>
}

func ExampleReader_Event() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	event, err := session.Event(ctx, 1)
	fmt.Println(event.Data, err)
	_, err = session.Event(ctx, 2)
	var missing *eventstore.VersionNotFoundError
	if errors.As(err, &missing) {
		fmt.Println("no version", missing.Version, "in", missing.Stream)
	}
	// Output:
	// {Ada} <nil>
	// no version 2 in EventStores:BankAccount:1
}

// Raw events are for tools that copy or show streams without knowing their types.
func ExampleAsRaw() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1",
		AccountOpened{Owner: "Ada"},
		eventstore.Raw{Type: "FundsFrozen", SchemaVersion: 2, ContentType: "text/plain", Payload: []byte("all of them")})
	defer session.Close()

	_, err := session.Event(ctx, 2)
	fmt.Println(err)
	for event, err := range session.Read(ctx, eventstore.AsRaw()) {
		if err != nil {
			log.Fatal(err)
		}
		raw := event.Data.(eventstore.Raw)
		fmt.Printf("%s %d %s %s\n", raw.Type, raw.SchemaVersion, raw.ContentType, raw.Payload)
	}
	// Output:
	// eventstore: version 2 of stream EventStores:BankAccount:1 is of type "FundsFrozen", which is not registered: add it to the registry, or read with AsRaw
	// AccountOpened 1 application/json {"Owner":"Ada"}
	// FundsFrozen 2 text/plain all of them
}

// To continue later, a reader remembers the last version that it has seen.
func ExampleAfter() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsWithdrawn{Amount: 30_00})
	defer session.Close()

	seen := int64(1) // 0 at the very beginning
	for event, err := range session.Read(ctx, eventstore.After(seen)) {
		if err != nil {
			log.Fatal(err)
		}
		seen = event.Version
		fmt.Printf("%d: %+v\n", event.Version, event.Data)
	}
	// Output:
	// 2: {Amount:10000}
	// 3: {Amount:3000}
}

// How large are the payloads of the stream?
func ExampleCountBytes() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	defer session.Close()

	var total int64
	events, err := session.Slice(ctx, 1, 2, eventstore.CountBytes(&total))
	fmt.Println(len(events), "events of", total, "bytes", err)
	// Output:
	// 2 events of 31 bytes <nil>
}

// Without the option, a stream that does not exist reads as empty, for example if its id is
// misspelt.
func ExampleMustExist() {
	ctx := context.Background()
	reader := bank().Reader(eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "1"})

	events, err := reader.Slice(ctx, 1, 10)
	fmt.Println(len(events), err)
	_, err = reader.Slice(ctx, 1, 10, eventstore.MustExist())
	var missing *eventstore.StreamNotFoundError
	if errors.As(err, &missing) {
		fmt.Println("there is no", missing.Stream)
	}
	// Output:
	// 0 <nil>
	// there is no EventStores:BankAccount:1
}
