package eventstore_test

import (
	"context"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// A service maps every error to a status that tells its client what to do.
func ExampleAdvise() {
	status := func(err error) int {
		switch eventstore.Advise(err) {
		case eventstore.AdviceNone, eventstore.AdviceAlreadyStored:
			return 200
		case eventstore.AdviceRetry:
			return 503 // with the header Retry-After
		case eventstore.AdviceConflict:
			return 409 // the client reads the new state and decides again
		case eventstore.AdviceRepeatWithSameID:
			return 504 // the client sends the same command with the same idempotency id
		default:
			return 500 // a person has to look at it
		}
	}
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	_, err := session.Append(ctx, eventstore.ExpectVersion(7), FundsDeposited{Amount: 1_00})
	fmt.Println(eventstore.Advise(err), status(err))

	away := &eventstore.StorageError{Operation: "read"}
	fmt.Println(eventstore.Advise(away), status(away))

	unknown := &eventstore.OutcomeUnknownError{Cause: away}
	fmt.Println(eventstore.Advise(unknown), status(unknown))
	// Output:
	// conflict 409
	// retry 503
	// repeat with the same id 504
}
