package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

func ExampleSession_CloseStream() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "123456000", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 500_00})
	defer session.Close()

	if err := session.CloseStream(ctx, eventstore.ExpectVersion(2)); err != nil {
		fmt.Println(err)
		return
	}
	_, err := session.Append(ctx, eventstore.ExpectVersion(2), FundsWithdrawn{Amount: 100_00})
	fmt.Println(err)
	version, err := session.Version(ctx)
	fmt.Println("it can be read up to version", version, err)
	// Output:
	// eventstore: stream EventStores:BankAccount:123456000 was closed at version 2: it can be read but not appended to
	// it can be read up to version 2 <nil>
}

func ExampleSession_DeleteStream() {
	ctx := context.Background()
	provider := bank()
	session := openAccount(ctx, provider, "123456000", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 500_00})
	defer session.Close()

	if err := session.DeleteStream(ctx, eventstore.ExpectVersion(2)); err != nil {
		fmt.Println(err)
		return
	}
	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
	_, err := reader.Event(ctx, 1)
	var deleted *eventstore.StreamDeletedError
	fmt.Println(errors.As(err, &deleted), deleted.Stream)
	// Output:
	// true EventStores:BankAccount:123456000
}

// When streams move to another store, the deletion of a stream moves with them.
func ExampleSession_DeleteRecorded() {
	ctx := context.Background()
	session, err := bank().Open(ctx, eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "123456000"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	fmt.Println("deleting what was never there is refused:", errors.As(session.DeleteStream(ctx, eventstore.ExpectAny()), new(*eventstore.ArgumentError)))
	fmt.Println("marking it as deleted:", session.DeleteRecorded(ctx, eventstore.ExpectVersion(0)))
	_, err = session.Append(ctx, eventstore.ExpectAny(), AccountOpened{Owner: "Ada"})
	fmt.Println("nothing can be appended:", errors.As(err, new(*eventstore.StreamDeletedError)))
	// Output:
	// deleting what was never there is refused: true
	// marking it as deleted: <nil>
	// nothing can be appended: true
}

func ExampleShared() {
	ctx := context.Background()
	provider := bank()
	openAccount(ctx, provider, "123456000", AccountOpened{Owner: "Ada"}).Close()

	// Two sessions are open at the same time and decide on the same version.
	first, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"), eventstore.Shared())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Close()
	second, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"), eventstore.Shared())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Close()
	version, err := first.Append(ctx, eventstore.ExpectVersion(1), FundsDeposited{Amount: 500_00})
	fmt.Println("the first has version", version, err)
	_, err = second.Append(ctx, eventstore.ExpectVersion(1), FundsDeposited{Amount: 500_00})
	fmt.Println("the second is refused:", errors.As(err, new(*eventstore.VersionMismatchError)))
	// Output:
	// the first has version 2 <nil>
	// the second is refused: true
}
