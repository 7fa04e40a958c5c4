package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// The events of a bank account. Amounts are in minor units, such as cents.
type (
	AccountOpened  struct{ Owner string }
	FundsDeposited struct{ Amount int64 }
	FundsWithdrawn struct{ Amount int64 }
)

// Account is the state of an account.
type Account struct {
	Owner   string
	Balance int64
}

var ErrInsufficientFunds = errors.New("insufficient funds")

// Apply returns the account after one more event.
func (a Account) Apply(event eventstore.Event) (Account, error) {
	switch e := event.Data.(type) {
	case AccountOpened:
		a.Owner = e.Owner
	case FundsDeposited:
		a.Balance += e.Amount
	case FundsWithdrawn:
		a.Balance -= e.Amount
	default:
		return a, fmt.Errorf("%T is no event of an account", e)
	}
	return a, nil
}

// Withdraw decides on a withdrawal.
func (a Account) Withdraw(amount int64) ([]any, error) {
	if amount > a.Balance {
		return nil, ErrInsufficientFunds
	}
	return []any{FundsWithdrawn{amount}}, nil
}

// OpenAccount decides on a new account.
func OpenAccount(owner string, deposit int64) aggregate.Decide[Account] {
	return func(a Account) ([]any, error) {
		if a.Owner != "" {
			return nil, errors.New("there is such an account already")
		}
		return []any{AccountOpened{owner}, FundsDeposited{deposit}}, nil
	}
}

// newAccounts returns a repository of accounts in memory.
func newAccounts(options ...aggregate.Option) *aggregate.Repository[Account] {
	state := memory.New()
	types, err := eventstore.NewRegistry(
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[Account]("Account"), // for snapshots
	)
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types))
	if err != nil {
		log.Fatal(err)
	}
	accounts, err := aggregate.NewRepository(provider, "BankAccount", Account.Apply, options...)
	if err != nil {
		log.Fatal(err)
	}
	return accounts
}

func Example() {
	ctx := context.Background()
	accounts := newAccounts(aggregate.WithSnapshotEvery(100))

	account, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00))
	fmt.Println(account.State, "at version", account.Version, err)

	account, err = accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(500_00) })
	fmt.Println(account.State, "at version", account.Version, err)

	_, err = accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(5_000_00) })
	fmt.Println(errors.Is(err, ErrInsufficientFunds), err)

	account, err = accounts.Load(ctx, "123456000")
	fmt.Println(account.State, "at version", account.Version, err)
	// Output:
	// {Ada 150000} at version 2 <nil>
	// {Ada 100000} at version 3 <nil>
	// true insufficient funds
	// {Ada 100000} at version 3 <nil>
}

func ExampleRepository_Update() {
	ctx := context.Background()
	accounts := newAccounts()
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}

	// Many withdrawals come at the same time. Each is decided on the balance that the one before
	// left.
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(100_00) })
			if err != nil && !errors.Is(err, ErrInsufficientFunds) {
				log.Fatal(err)
			}
		})
	}
	all.Wait()
	account, err := accounts.Load(ctx, "123456000")
	fmt.Println("balance", account.State.Balance, "after", account.Version-2, "withdrawals", err)
	// Output:
	// balance 0 after 15 withdrawals <nil>
}

// A service with small states keeps more of them in memory.
func ExampleWithCache() {
	ctx := context.Background()
	accounts := newAccounts(aggregate.WithCache(100_000))
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}

	// This is decided on the balance in memory. If it was old, the store would refuse the event,
	// and the decision would be made again.
	account, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(500_00) })
	fmt.Println(account.State.Balance, err)
	// Output:
	// 100000 <nil>
}

// A service with little memory bounds what its states may take.
func ExampleWithCacheBytes() {
	ctx := context.Background()
	accounts := newAccounts(aggregate.WithCacheBytes(8 << 20))
	account, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00))
	fmt.Println(account.State.Balance, err)
	// Output:
	// 150000 <nil>
}

// A page that is shown often need not be newer than a second.
func ExampleRepository_LoadWithin() {
	ctx := context.Background()
	accounts := newAccounts()
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}
	account, err := accounts.LoadWithin(ctx, "123456000", time.Second)
	fmt.Println(account.State.Balance, err)
	// Output:
	// 150000 <nil>
}

// States of many megabytes are better loaded each time.
func ExampleWithoutCache() {
	ctx := context.Background()
	accounts := newAccounts(aggregate.WithoutCache(), aggregate.WithSnapshotEvery(100))
	account, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00))
	fmt.Println(account.State.Balance, err)
	// Output:
	// 150000 <nil>
}

func ExampleRepository_Load() {
	ctx := context.Background()
	accounts := newAccounts()
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}
	if _, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) { return a.Withdraw(500_00) }); err != nil {
		log.Fatal(err)
	}

	now, err := accounts.Load(ctx, "123456000")
	fmt.Println(now.State.Balance, err)
	before, err := accounts.Load(ctx, "123456000", eventstore.ToVersion(2))
	fmt.Println(before.State.Balance, err)
	// Output:
	// 100000 <nil>
	// 150000 <nil>
}

func ExampleOnce() {
	ctx := context.Background()
	accounts := newAccounts()
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}

	// The command is delivered twice.
	for range 2 {
		account, err := accounts.Update(ctx, "123456000",
			func(a Account) ([]any, error) { return a.Withdraw(1_000_00) }, aggregate.WithIdempotencyID("command 4711"))
		fmt.Println("balance", account.State.Balance, "repeat of version", account.RepeatOf, err)
	}
	// Output:
	// balance 50000 repeat of version 0 <nil>
	// balance 50000 repeat of version 3 <nil>
}

func ExampleExpectVersion() {
	ctx := context.Background()
	accounts := newAccounts()
	if _, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00)); err != nil {
		log.Fatal(err)
	}

	// The sender of this command saw the account at version 1.
	_, err := accounts.Update(ctx, "123456000",
		func(a Account) ([]any, error) { return a.Withdraw(500_00) }, aggregate.WithExpectedVersion(1))
	var mismatch *eventstore.VersionMismatchError
	if errors.As(err, &mismatch) {
		fmt.Println("expected version", mismatch.Expected, "but it is at", mismatch.Actual)
	}
	// Output:
	// expected version 1 but it is at 2
}

func ExampleWith() {
	ctx := context.Background()
	accounts := newAccounts(aggregate.Exclusive())
	account, err := accounts.Update(ctx, "123456000", OpenAccount("Ada", 1_500_00),
		aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{CorrelationID: "request 1", UserID: "ada"}}))
	if err != nil {
		log.Fatal(err)
	}
	for _, event := range account.Appended {
		fmt.Println(event.Version, event.Metadata.Message.Type, event.Metadata.Context.CorrelationID, event.Metadata.Context.UserID)
	}
	// Output:
	// 1 AccountOpened request 1 ada
	// 2 FundsDeposited request 1 ada
}
