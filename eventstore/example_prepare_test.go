package eventstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleSession_Prepare() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	prepared, err := session.Prepare(1, FundsDeposited{Amount: 100_00}, FundsWithdrawn{Amount: 30_00})
	if err != nil {
		log.Fatal(err)
	}
	var events []any
	for _, event := range prepared {
		fmt.Printf("version %d will be %s: %s\n", event.Version, event.Metadata.Message.Type, event.Data.(eventstore.Raw).Payload)
		events = append(events, event)
	}
	version, err := session.Append(ctx, eventstore.ExpectVersion(1), events...)
	fmt.Println("appended up to version", version, err)
	// Output:
	// version 2 will be FundsDeposited: {"Amount":10000}
	// version 3 will be FundsWithdrawn: {"Amount":3000}
	// appended up to version 3 <nil>
}

func ExampleAsOf() {
	version, err := eventstore.AsOf(eventstore.ToVersion(7))
	fmt.Println(version, err)
	_, err = eventstore.AsOf(eventstore.Backwards())
	fmt.Println(err)
	// Output:
	// 7 <nil>
	// eventstore: bad argument Backwards: it only works for reading events: use ToVersion or MustExist, or read events with Reader.Read
}
