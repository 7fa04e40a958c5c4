package eventstore_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

type CustomerMoved struct{ City string }

// The registry knows which events belong to which aggregates.
func ExampleForAggregates() {
	ctx := context.Background()
	provider := bank(eventstore.WithRegistry(registry(
		eventstore.Type[FundsDeposited]("FundsDeposited", eventstore.ForAggregates("BankAccount")),
		eventstore.Type[CustomerMoved]("CustomerMoved", eventstore.ForAggregates("Customer")),
	)))
	account := provider.Stream("BankAccount", "123456000")

	_, err := provider.Append(ctx, account, eventstore.ExpectAny(), FundsDeposited{Amount: 100}, CustomerMoved{"Paris"})
	fmt.Println(err)

	version, err := provider.Append(ctx, account, eventstore.ExpectAny(), FundsDeposited{Amount: 100})
	fmt.Println(version, err)
	// Output:
	// eventstore: bad argument events[1]: type "CustomerMoved" is bound to the aggregate types ["Customer"] by ForAggregates, so stream EventStores:BankAccount:123456000 can't hold it: nothing was stored
	// 1 <nil>
}
