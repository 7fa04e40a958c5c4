package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// One call appends without a session. Of two that decided on the same version one is refused.
func ExampleProvider_Append() {
	ctx := context.Background()
	provider := bank()
	account := provider.Stream("BankAccount", "123456000")

	version, err := provider.Append(ctx, account, eventstore.ExpectVersion(0), AccountOpened{"Ada"}, FundsDeposited{500_00})
	fmt.Println(version, err)

	_, err = provider.Append(ctx, account, eventstore.ExpectVersion(0), AccountOpened{"Bob"})
	var mismatch *eventstore.VersionMismatchError
	if errors.As(err, &mismatch) {
		fmt.Println("the account is at version", mismatch.Actual)
	}

	version, err = provider.Append(ctx, account, eventstore.ExpectAny(), FundsDeposited{100_00})
	fmt.Println(version, err)

	// Output:
	// 2 <nil>
	// the account is at version 2
	// 3 <nil>
}

// A shared session goes on after a mismatch, from the stream as it is then.
func ExampleProvider_OpenShared() {
	ctx := context.Background()
	provider := bank()
	account := provider.Stream("BankAccount", "123456000")
	session, err := provider.OpenShared(ctx, account)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	if _, err := provider.Append(ctx, account, eventstore.ExpectAny(), AccountOpened{"Ada"}); err != nil {
		fmt.Println(err)
	}
	_, err = session.Append(ctx, eventstore.ExpectVersion(0), AccountOpened{"Bob"})
	var mismatch *eventstore.VersionMismatchError
	if errors.As(err, &mismatch) {
		fmt.Println("another came before, to version", mismatch.Actual)
		version, err := session.Append(ctx, eventstore.ExpectVersion(mismatch.Actual), FundsDeposited{500_00})
		fmt.Println(version, err)
	}

	// Output:
	// another came before, to version 1
	// 2 <nil>
}
