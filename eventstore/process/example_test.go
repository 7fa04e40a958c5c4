package process_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// The events of an account. Sent takes money from it.
type (
	Received struct{ Amount int }
	Sent     struct {
		Amount       int
		To, Transfer string
	}
	Closed struct{}
)

// Account is the state of an account.
type Account struct {
	Balance int
	Closed  bool
}

func (a Account) Apply(event eventstore.Event) (Account, error) {
	switch data := event.Data.(type) {
	case Received:
		a.Balance += data.Amount
	case Sent:
		a.Balance -= data.Amount
	case Closed:
		a.Closed = true
	}
	return a, nil
}

var errClosed = errors.New("the account is closed")

func (a Account) Receive(amount int) ([]any, error) {
	if a.Closed {
		return nil, errClosed
	}
	return []any{Received{amount}}, nil
}

// The events of a transfer.
type (
	Started struct {
		From, To string
		Amount   int
	}
	TakenBack struct{ Why string }
)

// Transfer is the state of a transfer.
type Transfer struct {
	Started
	TakenBack
}

func (t Transfer) Apply(event eventstore.Event) (Transfer, error) {
	switch data := event.Data.(type) {
	case Started:
		t.Started = data
	case TakenBack:
		t.TakenBack = data
	}
	return t, nil
}

// transfers returns the process that brings what was sent to the other account, or back.
func transfers(f *feed.Feed, accounts *aggregate.Repository[Account], options ...subscription.Option) (*process.Process[Transfer], error) {
	give := func(account string, amount int, refused func(error) []any) process.Command {
		return process.Do(func(ctx context.Context, call process.Call) error {
			_, err := accounts.Update(ctx, account, func(a Account) ([]any, error) { return a.Receive(amount) }, call.Options()...)
			return err
		}, refused)
	}
	return process.New(f, "Transfer", process.Rules[Transfer]{
		Fold: Transfer.Apply,
		Route: func(item feed.Item) string {
			sent, _ := item.Event.Data.(Sent)
			return sent.Transfer
		},
		Decide: func(_ Transfer, item feed.Item) ([]any, error) {
			sent := item.Event.Data.(Sent)
			return []any{Started{item.Stream.ID, sent.To, sent.Amount}}, nil
		},
		Act: func(t Transfer, event eventstore.Event) []process.Command {
			switch event.Data.(type) {
			case Started:
				return []process.Command{give(t.To, t.Amount, func(err error) []any {
					if errors.Is(err, errClosed) {
						return []any{TakenBack{err.Error()}}
					}
					return nil
				})}
			case TakenBack:
				return []process.Command{give(t.From, t.Amount, nil)}
			}
			return nil
		},
	}, append(options, subscription.OfType("Account"))...)
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry, err := eventstore.NewRegistry(
		eventstore.Type[Received]("Received"), eventstore.Type[Sent]("Sent"), eventstore.Type[Closed]("Closed"),
		eventstore.Type[Started]("TransferStarted"), eventstore.Type[TakenBack]("TransferTakenBack"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(memstate.Transactional(), // or sidecar.NewState, sqlite.Open, …
		eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	f, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	accounts, err := aggregate.NewRepository(provider, "Account", Account.Apply)
	if err != nil {
		log.Fatal(err)
	}
	moves, err := transfers(f, accounts, subscription.WithParking())
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = f.Index(ctx) }()
	go func() { _ = moves.Run(ctx) }() // in every instance of the service

	appendTo := func(account string, events ...any) {
		if _, err := provider.Append(ctx, provider.Stream("Account", account), eventstore.ExpectVersion(0), events...); err != nil {
			log.Fatal(err)
		}
	}
	appendTo("eve", Closed{})
	appendTo("ada", Received{100}, Sent{30, "bob", "t1"}, Sent{20, "eve", "t2"})
	if err := moves.WaitFor(ctx, provider.Stream("Account", "ada"), 3); err != nil { // both transfers are done
		log.Fatal(err)
	}
	for _, name := range []string{"ada", "bob", "eve"} {
		account, err := accounts.Load(ctx, name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, account.State.Balance)
	}
	t, err := moves.Load(ctx, "t2")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("t2 was taken back:", t.State.Why)
	// Output:
	// ada 70
	// bob 30
	// eve 0
	// t2 was taken back: the account is closed
}
