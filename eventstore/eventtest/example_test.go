package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// In a test, t is its *testing.T. This one prints the test's failures.
var t printing

type printing struct{ testing.TB }

func (printing) Helper()                           {}
func (printing) Failed() bool                      { return false }
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

// A projection adds up what was deposited to each account.
func ExampleProjecting() {
	type balance struct{ Minor int64 }
	add := func(_ context.Context, docs *projection.Documents[balance], item feed.Item) error {
		if item.What == feed.Deleted {
			return docs.Delete(item.Stream.ID)
		}
		deposited, ok := item.Event.Data.(FundsDeposited)
		if !ok {
			return nil
		}
		return docs.Update(item.Stream.ID, func(b *balance) error { b.Minor += deposited.Amount.Minor; return nil })
	}
	eur := func(minor int64) FundsDeposited {
		return FundsDeposited{Amount: Money{Minor: minor, Currency: "EUR"}}
	}

	eventtest.Projecting(t, add,
		eventtest.On("Account", "ada", AccountOpened{Owner: "Ada"}, eur(70), eur(30)),
		eventtest.On("Account", "bob", eur(50), feed.Deleted)).
		Then(map[string]balance{"ada": {100}})
	fmt.Println("the documents are right")
	// Output: the documents are right
}

// A process asks for an opinion a day after an account was opened, until the mail is refused.
func ExampleProcessing() {
	type (
		Welcomed struct{ Owner string }
		Asked    struct{}
		GivenUp  struct{ Why string }
		Mail     struct{ To, Text string } // a command
	)
	errNoMailbox := errors.New("there is no such mailbox")
	mail := func(to, text string) process.Command {
		return process.Do(func(ctx context.Context, call process.Call) error {
			return nil // send it, with call.ID
		}, func(err error) []any {
			if errors.Is(err, errNoMailbox) {
				return []any{GivenUp{err.Error()}}
			}
			return nil
		}).As(Mail{to, text})
	}
	rules := process.Rules[string]{ // the state is the owner
		Fold: func(owner string, event eventstore.Event) (string, error) {
			if welcomed, ok := event.Data.(Welcomed); ok {
				owner = welcomed.Owner
			}
			return owner, nil
		},
		Route: func(item feed.Item) string { return item.Stream.ID },
		Decide: func(_ string, item feed.Item) ([]any, error) {
			return []any{Welcomed{item.Event.Data.(AccountOpened).Owner}}, nil
		},
		Act: func(owner string, event eventstore.Event) []process.Command {
			switch event.Data.(type) {
			case Welcomed:
				return []process.Command{mail(owner, "welcome"), process.At(event.Metadata.Message.Created.Add(24 * time.Hour))}
			case Asked:
				return []process.Command{mail(owner, "are you happy?")}
			}
			return nil
		},
		Wake: func(string, eventstore.Event) ([]any, error) { return []any{Asked{}}, nil },
	}

	tomorrow := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	eventtest.Processing(t, rules).
		Answering(Mail{"Ada", "are you happy?"}, errNoMailbox).
		When(eventtest.On("Account", "1", AccountOpened{Owner: "Ada"})).
		Then("1", Welcomed{"Ada"}, eventtest.Sends{Command: Mail{"Ada", "welcome"}}, eventtest.WakesAt{Time: tomorrow}).
		When(eventtest.Later(24*time.Hour)).
		Then("1", Asked{}, eventtest.Sends{Command: Mail{"Ada", "are you happy?"}}, GivenUp{"there is no such mailbox"})
	fmt.Println("the process does what it should")
	// Output: the process does what it should
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
