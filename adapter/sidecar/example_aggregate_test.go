package sidecar_test

import (
	"context"
	"log"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// The domain comes from the example of package aggregate.
type (
	AccountOpened  struct{ Owner string }
	FundsDeposited struct{ Amount int64 }
	Account        struct{ Balance int64 }
)

// Apply returns the account after one more event.
func (a Account) Apply(event eventstore.Event) (Account, error) {
	switch e := event.Data.(type) {
	case FundsDeposited:
		a.Balance += e.Amount
	case FundsWithdrawn:
		a.Balance -= e.Amount
	}
	return a, nil
}

// Withdraw decides on a withdrawal.
func (a Account) Withdraw(amount int64) ([]any, error) { return []any{FundsWithdrawn{amount}}, nil }

// The example needs a sidecar, so it is compiled but not run.
func ExampleNewState_aggregates() {
	ctx := context.Background()
	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		log.Fatal(err)
	}
	types, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[Account]("Account")) // for snapshots
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types))
	if err != nil {
		log.Fatal(err)
	}
	accounts, err := aggregate.NewRepository(provider, "BankAccount", Account.Apply, aggregate.WithSnapshotEvery(100))
	if err != nil {
		log.Fatal(err)
	}

	account, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(500_00) })
	if err != nil {
		log.Fatal(err)
	}
	log.Println(account.State.Balance, account.Version)
}
