package eventstore_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

// The events of a bank account. Amounts are in cents.
type (
	AccountOpened  struct{ Owner string }
	FundsDeposited struct{ Amount int64 }
	FundsWithdrawn struct{ Amount int64 }
)

func Example() {
	ctx := context.Background()
	state := memory.New() // with a sidecar: sidecar.NewState(ctx, client, "statestore")
	defer state.Close()
	events, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(events))
	if err != nil {
		log.Fatal(err)
	}

	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	// All three take effect together, or none does.
	if _, err = session.Append(ctx, eventstore.ExpectVersion(0),
		AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 1_500_00}, FundsWithdrawn{Amount: 200_00}); err != nil {
		log.Fatal(err)
	}
	version, err := session.Append(ctx, eventstore.ExpectVersion(3), FundsWithdrawn{Amount: 500_00})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the account is at version", version)
	for event, err := range session.Read(ctx, eventstore.FromVersion(1)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %T %+v\n", event.Version, event.Data, event.Data)
	}
	// Output:
	// the account is at version 4
	// 1 eventstore_test.AccountOpened {Owner:Ada}
	// 2 eventstore_test.FundsDeposited {Amount:150000}
	// 3 eventstore_test.FundsWithdrawn {Amount:20000}
	// 4 eventstore_test.FundsWithdrawn {Amount:50000}
}
