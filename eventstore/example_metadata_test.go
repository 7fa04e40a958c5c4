package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Custom is for metadata that has no field of its own.
func ExampleMetadata_custom() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	withdrawal := eventstore.Event{Data: FundsWithdrawn{Amount: 50_00}}
	withdrawal.Metadata.Context.UserID = "ada"
	withdrawal.Metadata.Custom = map[string]string{"terminal": "ATM 17", "app": "4.2.0"}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(1), withdrawal); err != nil {
		log.Fatal(err)
	}

	event, err := session.Event(ctx, 2)
	fmt.Println(event.Metadata.Custom, err)
	// Output: map[app:4.2.0 terminal:ATM 17] <nil>
}

// A snapshot has custom metadata of its own.
func ExampleWithCustom() {
	ctx := context.Background()
	session := openAccount(ctx, bank(), "1", AccountOpened{Owner: "Ada"})
	defer session.Close()

	build := map[string]string{"build": "4.2.0"}
	if err := session.SaveSnapshot(ctx, 1, Account{Owner: "Ada"}, eventstore.WithCustom(build)); err != nil {
		log.Fatal(err)
	}

	snapshot, err := session.LastSnapshot(ctx)
	fmt.Println(snapshot.Version, snapshot.Custom["build"], err)
	// Output: 1 4.2.0 <nil>
}

// Events and their metadata have camelCase JSON, which leaves out what is empty.
func ExampleEvent_json() {
	ctx := context.Background()
	deposit := eventstore.Event{Data: FundsDeposited{Amount: 100_00}}
	deposit.Metadata.Message.ID = "message 1"
	deposit.Metadata.Message.Created = time.Date(2025, 2, 28, 12, 0, 0, 0, time.UTC)
	deposit.Metadata.Context.CorrelationID = "request 4711"
	deposit.Metadata.Custom = map[string]string{"terminal": "ATM 17"}
	session := openAccount(ctx, bank(), "1", deposit)
	defer session.Close()

	event, err := session.Event(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	event.Metadata.Context.SessionID = "" // differs in every run
	text, err := json.MarshalIndent(event, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output:
	// {
	//   "version": 1,
	//   "data": {
	//     "Amount": 10000
	//   },
	//   "metadata": {
	//     "message": {
	//       "id": "message 1",
	//       "type": "FundsDeposited",
	//       "schemaVersion": 1,
	//       "aggregateType": "BankAccount",
	//       "aggregateId": "1",
	//       "created": "2025-02-28T12:00:00Z"
	//     },
	//     "context": {
	//       "correlationId": "request 4711",
	//       "partitionId": "EventStores",
	//       "timestamp": "2025-02-28T12:00:00Z",
	//       "sequenceNumber": 1
	//     },
	//     "custom": {
	//       "terminal": "ATM 17"
	//     }
	//   }
	// }
}
