package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// One call appends without a session. If two appends were decided on the same version, the second
// fails.
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
