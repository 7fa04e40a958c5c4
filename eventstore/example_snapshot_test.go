package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleReader_Load() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	defer session.Close()
	if err := session.SaveSnapshot(ctx, 3, Account{Owner: "Ada", Balance: 300_00}); err != nil {
		log.Fatal(err)
	}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(3), FundsWithdrawn{Amount: 50_00}); err != nil {
		log.Fatal(err)
	}

	snapshot, events, err := session.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	account, _ := snapshot.Data.(Account) // the empty account if there is no snapshot
	fmt.Printf("version %d: %+v\n", snapshot.Version, account)
	for event, err := range events {
		if err != nil {
			log.Fatal(err)
		}
		account, _ = account.apply(event)
		fmt.Printf("version %d: %+v\n", event.Version, account)
	}
	// Output:
	// version 3: {Owner:Ada Balance:30000}
	// version 4: {Owner:Ada Balance:25000}
}

// ToVersion loads an earlier state of the account, and no later snapshot.
func ExampleToVersion() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	defer session.Close()
	if err := session.SaveSnapshot(ctx, 3, Account{Owner: "Ada", Balance: 300_00}); err != nil {
		log.Fatal(err)
	}

	snapshot, events, err := session.Load(ctx, eventstore.ToVersion(2))
	if err != nil {
		log.Fatal(err)
	}
	var account Account
	for event, err := range events {
		if err != nil {
			log.Fatal(err)
		}
		account, _ = account.apply(event)
	}
	fmt.Printf("from version %d on: %+v\n", snapshot.Version, account)
	// Output: from version 0 on: {Owner:Ada Balance:10000}
}

func ExampleBuildSnapshots() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"},
		FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 100_00})
	defer session.Close()

	versions, err := eventstore.BuildSnapshots(ctx, session, 2, Account{}, Account.apply)
	fmt.Println(versions, err)
	last, err := session.LastSnapshot(ctx)
	fmt.Println(last.Version, last.Data, err)
	// Output:
	// [2 4] <nil>
	// 4 {Ada 30000} <nil>
}

func ExampleSession_ClearSnapshot() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 100_00})
	defer session.Close()
	if _, err := eventstore.BuildSnapshots(ctx, session, 1, Account{}, Account.apply); err != nil {
		log.Fatal(err)
	}

	fmt.Println(session.Snapshots(ctx))
	fmt.Println(session.ClearSnapshot(ctx, 2))
	fmt.Println(session.Snapshots(ctx))
	fmt.Println(session.ClearSnapshots(ctx))
	_, err := session.LastSnapshot(ctx)
	fmt.Println(errors.As(err, new(*eventstore.SnapshotNotFoundError)))
	// Output:
	// [1 2 3] <nil>
	// <nil>
	// [1 3] <nil>
	// <nil>
	// true
}

// WithSnapshots spares a session that begins with Load a request.
func ExampleWithSnapshots() {
	ctx := context.Background()
	provider := bank()
	session := openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	if err := session.SaveSnapshot(ctx, 2, Account{Owner: "Ada", Balance: 100_00}); err != nil {
		log.Fatal(err)
	}
	session.Close()

	session, err := provider.Open(ctx, provider.Stream("BankAccount", "1"), eventstore.WithSnapshots())
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	snapshot, _, err := session.Load(ctx)
	fmt.Println(snapshot.Version, snapshot.Data, err)
	// Output: 2 {Ada 10000} <nil>
}

func ExampleWithKept() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	defer session.Close()
	for version, balance := range map[int64]int64{1: 0, 2: 100_00} {
		if err := session.SaveSnapshot(ctx, version, Account{Owner: "Ada", Balance: balance}); err != nil {
			log.Fatal(err)
		}
	}
	if err := session.SaveSnapshot(ctx, 3, Account{Owner: "Ada", Balance: 300_00}, eventstore.WithKept(2)); err != nil {
		log.Fatal(err)
	}
	versions, err := session.Snapshots(ctx)
	fmt.Println(versions, err)
	// Output: [2 3] <nil>
}
