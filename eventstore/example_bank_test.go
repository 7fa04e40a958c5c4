package eventstore_test

import (
	"context"
	"log"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Account is the state that follows from the events of a bank account. Snapshots are of this type.
type Account struct {
	Owner   string
	Balance int64
}

// apply returns the account after one more event.
func (a Account) apply(event eventstore.Event) (Account, error) {
	switch e := event.Data.(type) {
	case AccountOpened:
		a.Owner = e.Owner
	case FundsDeposited:
		a.Balance += e.Amount
	case FundsWithdrawn:
		a.Balance -= e.Amount
	}
	return a, nil
}

// bank returns a provider on a new store in memory, which the other examples start from.
func bank(options ...eventstore.Option) *eventstore.Provider {
	state := memory.New()
	types, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[Account]("Account"),
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, append([]eventstore.Option{eventstore.WithRegistry(types)}, options...)...)
	if err != nil {
		log.Fatal(err)
	}
	return provider
}

// openAccount returns a session on an account with these events.
func openAccount(ctx context.Context, provider *eventstore.Provider, id string, events ...any) *eventstore.Session {
	session, err := provider.Open(ctx, provider.Stream("BankAccount", id))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), events...); err != nil {
		log.Fatal(err)
	}
	return session
}
