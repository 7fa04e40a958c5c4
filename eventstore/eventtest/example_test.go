package eventtest_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

// In a test, t is its *testing.T. This one prints the test's failures.
var t printing

type printing struct{ testing.TB }

func (printing) Helper()                           {}
func (printing) Cleanup(func())                    {}
func (printing) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (printing) Logf(string, ...any)               {}
func (printing) Fatal(args ...any)                 { log.Fatal(args...) }
func (printing) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func ExampleGiven() {
	eur := func(minor int64) Money { return Money{Minor: minor, Currency: "EUR"} }
	withdraw := func(minor int64) func(Account) ([]any, error) {
		return func(a Account) ([]any, error) { return a.Withdraw(minor) }
	}

	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: eur(100_00)}).
		When(withdraw(30_00)).
		Then(FundsWithdrawn{Amount: eur(30_00)})

	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: eur(100_00)}).
		When(withdraw(0)).
		ThenNothing()

	var insufficient InsufficientFundsError
	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}).
		When(withdraw(30_00)).
		ThenError(&insufficient)
	fmt.Println(insufficient.Missing, "are missing")

	// A failing scenario reports the following.
	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: eur(10_00)}).
		When(withdraw(30_00)).
		Then(FundsWithdrawn{Amount: eur(30_00)})
	// Output:
	// 3000 are missing
	// eventtest: got the error insufficient funds: 2000 are missing, want 1 events:
	// 	eventtest_test.FundsWithdrawn {Amount:{Minor:3000 Currency:EUR}}
}

// With the service's types a scenario stores events the way the service does.
func ExampleScenario_Using() {
	types, err := eventstore.NewRegistry(bankTypes()...)
	if err != nil {
		log.Fatal(err)
	}
	eventtest.Given(t, Account.Apply, AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: Money{Minor: 5_00, Currency: "EUR"}}).Using(types).
		When(func(a Account) ([]any, error) { return a.Withdraw(2_00) }).
		Then(FundsWithdrawn{Amount: Money{Minor: 2_00, Currency: "EUR"}})
	fmt.Println("all of it is stored as it was given")
	// Output: all of it is stored as it was given
}

// The folder holds deposits of three schema versions, and the event that opens an account, stored
// under its earlier name.
func ExampleGolden() {
	events, err := eventstore.NewRegistry(bankTypes()...)
	if err != nil {
		log.Fatal(err)
	}
	eventtest.Golden(t, events, "testdata/bank",
		AccountOpened{Owner: "Ada", Branch: "North"},
		FundsDeposited{Amount: Money{Minor: 12_50, Currency: "EUR"}},
		FundsWithdrawn{Amount: Money{Minor: 3_00, Currency: "EUR"}},
		Account{Owner: "Ada", Balance: Money{Minor: 9_50, Currency: "EUR"}},
	)
	for _, name := range []string{"AccountCreated.v1.json", "FundsDeposited.v1.json", "FundsDeposited.v2.json", "FundsDeposited.v3.json"} {
		payload, err := os.ReadFile("testdata/bank/" + name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", name, payload)
	}
	reads, err := os.ReadFile("testdata/bank/FundsDeposited.v1.json.reads-as")
	fmt.Printf("the first deposit reads as\n%s%v\n", reads, err)
	// Output:
	// AccountCreated.v1.json {"owner":"Ada"}
	// FundsDeposited.v1.json {"amount":12.5}
	// FundsDeposited.v2.json {"amount_minor":1250}
	// FundsDeposited.v3.json {"amount":{"minor":1250,"currency":"EUR"}}
	// the first deposit reads as
	// {
	//   "amount": {
	//     "minor": 1250,
	//     "currency": "EUR"
	//   }
	// }
	// <nil>
}

func ExampleNewProvider() {
	ctx := context.Background()
	provider := eventtest.NewProvider(t, bankTypes()...)
	session, err := provider.Open(ctx, provider.Stream("BankAccount", "1"))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	version, err := session.Append(ctx, eventstore.ExpectVersion(0), AccountOpened{Owner: "Ada"})
	fmt.Println(version, err)
	// Output: 1 <nil>
}
