package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleExpectVersion() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	defer session.Close()

	// This withdrawal was decided when the account was at version 1.
	_, err := session.Append(ctx, eventstore.ExpectVersion(1), FundsWithdrawn{Amount: 50_00})
	var mismatch *eventstore.VersionMismatchError
	if errors.As(err, &mismatch) {
		fmt.Println("refused:", mismatch.Metadata.Message.Type, "expected version", mismatch.Expected, "and it is", mismatch.Actual)
	}

	// Read the newer events, decide again and append again.
	version, err := session.Append(ctx, eventstore.ExpectVersion(mismatch.Actual), FundsWithdrawn{Amount: 50_00})
	fmt.Println(version, err)
	// Output:
	// refused: FundsWithdrawn expected version 1 and it is 2
	// 3 <nil>
}

func ExampleExpectAny() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()
	version, err := session.Append(ctx, eventstore.ExpectAny(), FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	fmt.Println(version, err)
	// Output: 3 <nil>
}

func ExampleEvent_metadata() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	withdrawal := eventstore.Event{Data: FundsWithdrawn{Amount: 50_00}}
	withdrawal.Metadata.Context.CorrelationID = "request 4711"
	withdrawal.Metadata.Context.UserID = "ada"
	withdrawal.Metadata.Context.Scopes = []string{"withdraw"}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(1), withdrawal); err != nil {
		log.Fatal(err)
	}

	stored, err := session.Event(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	m := stored.Metadata
	fmt.Println(m.Context.UserID, m.Context.CorrelationID, m.Context.Scopes)
	fmt.Println(m.Message.Type, "of", m.Message.AggregateType, m.Message.AggregateID, "in", m.Context.PartitionID)
	fmt.Println(m.Context.SequenceNumber, m.Context.SessionID == session.ID(), m.Message.ID != "", m.Message.Created.IsZero())
	// Output:
	// ada request 4711 [withdraw]
	// FundsWithdrawn of BankAccount 1 in EventStores
	// 2 true true false
}

func ExampleReader_VersionOf() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	// Messages can be delivered twice. The id makes the command take effect once.
	deposit := eventstore.Event{Data: FundsDeposited{Amount: 100_00}}
	deposit.Metadata.Context.IdempotencyID = "command-81"
	for range 2 {
		version, err := session.Append(ctx, eventstore.ExpectAny(), deposit)
		var used *eventstore.IdempotencyIDUsedError
		switch {
		case errors.As(err, &used):
			fmt.Println("it stands at version", used.Version)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("appended at version", version)
		}
	}
	fmt.Println(session.VersionOf(ctx, "command-81"))

	_, err := session.VersionOf(ctx, "command-82")
	fmt.Println(errors.As(err, new(*eventstore.IdempotencyIDNotFoundError)))
	// Output:
	// appended at version 2
	// it stands at version 2
	// 2 <nil>
	// true
}

func ExampleSession_VersionsOf() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	// Of three deposits that were delivered, the first was delivered before.
	deposit := func(command string) any {
		event := eventstore.Event{Data: FundsDeposited{Amount: 100_00}}
		event.Metadata.Context.IdempotencyID = command
		return event
	}
	if _, err := session.Append(ctx, eventstore.ExpectAny(), deposit("command-1")); err != nil {
		log.Fatal(err)
	}
	commands := []string{"command-1", "command-2", "command-3"}
	versions, err := session.VersionsOf(ctx, commands...)
	if err != nil {
		log.Fatal(err)
	}
	var events []any
	for _, command := range commands {
		if version, found := versions[command]; found {
			fmt.Println(command, "stands at version", version)
			continue
		}
		events = append(events, deposit(command))
	}
	fmt.Println(session.Append(ctx, eventstore.ExpectAny(), events...)) // it does not look them up again
	// Output:
	// command-1 stands at version 2
	// 4 <nil>
}

func ExampleSession_Refresh() {
	ctx := context.Background()
	provider := bank()
	account := provider.Stream("BankAccount", "1")
	session, err := provider.Open(ctx, account, eventstore.Shared())
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	// Another process opens the account meanwhile.
	if _, err := provider.Append(ctx, account, eventstore.ExpectAny(), AccountOpened{Owner: "Ada"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Version(ctx))
	fmt.Println(session.Refresh(ctx))
	// Output:
	// 0 <nil>
	// 1 <nil>
}
