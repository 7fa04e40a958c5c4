package transfer_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

// open returns a new event store in memory. In practice the source could be a SQLite file, and the
// target a store behind a sidecar.
func open() (*eventstore.Provider, error) {
	state := memory.New()
	return eventstore.NewProvider(state)
}

func ExampleCopy() {
	ctx := context.Background()
	from, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := from.Open(ctx, from.Stream("BankAccount", "123456000"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	deposited := eventstore.Raw{Type: "FundsDeposited", ContentType: "application/json", Payload: []byte(`{"Amount":100}`)}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), deposited, deposited); err != nil {
		fmt.Println(err)
		return
	}

	copied, err := transfer.Copy(ctx, from, to, session.Stream())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("up to version %d: %d were there, %d copied, %d verified\n", copied.Version, copied.Before, copied.Copied, copied.Verified)

	// The source has grown. The next copy brings the rest.
	if _, err := session.Append(ctx, eventstore.ExpectVersion(2), deposited); err != nil {
		fmt.Println(err)
		return
	}
	copied, err = transfer.Copy(ctx, from, to, session.Stream())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("up to version %d: %d were there, %d copied, %d verified\n", copied.Version, copied.Before, copied.Copied, copied.Verified)
	// Output:
	// up to version 2: 0 were there, 2 copied, 2 verified
	// up to version 3: 2 were there, 1 copied, 3 verified
}
