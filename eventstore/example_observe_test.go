package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/eventstore"
)

// printer is an observer that prints. Package telemetry has an observer for OpenTelemetry.
type printer struct{}

func (printer) Begin(ctx context.Context, operation eventstore.Operation) context.Context {
	return ctx // a tracer returns one with its span
}

func (printer) End(ctx context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	conflict := errors.As(result.Err, new(*eventstore.VersionMismatchError))
	fmt.Println(operation.Name, operation.Stream.ID, "version", result.Version, "events", result.Events, "conflict", conflict)
}

func ExampleWithObserver() {
	ctx := context.Background()
	provider := bank(eventstore.WithObserver(printer{}))
	session := openAccount(ctx, provider, "1", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100_00})
	for _, err := range session.Read(ctx) {
		if err != nil {
			log.Fatal(err)
		}
	}
	_, _ = session.Append(ctx, eventstore.ExpectVersion(1), FundsWithdrawn{Amount: 50_00})
	session.Close()
	// Output:
	// open 1 version 0 events 0 conflict false
	// append 1 version 2 events 2 conflict false
	// read 1 version 2 events 2 conflict false
	// append 1 version 0 events 0 conflict true
	// close 1 version 0 events 0 conflict false
}
