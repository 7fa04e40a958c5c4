package eventstore_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"log"
	"math"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

// registry returns a registry of types that are known to fit together.
func registry(types ...eventstore.TypeDefinition) *eventstore.Registry {
	r, err := eventstore.NewRegistry(types...)
	if err != nil {
		log.Fatal(err)
	}
	return r
}

// These are the first two versions of the event, and today's version.
type (
	TransferV1 struct{ Amount float64 }
	TransferV2 struct{ Cents int64 }
	Transfer   struct {
		Cents    int64
		Currency string
	}
)

func ExampleWithUpcastJSON() {
	ctx := context.Background()
	provider := bank(eventstore.WithRegistry(registry(
		eventstore.Type[Transfer]("Transfer", eventstore.WithSchemaVersion(3),
			eventstore.WithUpcastJSON(1, func(old TransferV1) (TransferV2, error) {
				return TransferV2{Cents: int64(math.Round(old.Amount * 100))}, nil
			}),
			eventstore.WithUpcastJSON(2, func(old TransferV2) (Transfer, error) {
				return Transfer{Cents: old.Cents, Currency: "EUR"}, nil // there was no other currency then
			}),
		))))
	// These events were stored over the years.
	session := openAccount(ctx, provider, "1",
		eventstore.Raw{Type: "Transfer", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Amount":12.5}`)},
		eventstore.Raw{Type: "Transfer", SchemaVersion: 2, ContentType: "application/json", Payload: []byte(`{"Cents":300}`)},
		Transfer{Cents: 450, Currency: "CHF"})
	defer session.Close()

	for event, err := range session.Read(ctx) {
		fmt.Printf("%+v, stored in schema version %d, %v\n", event.Data, event.Metadata.Message.SchemaVersion, err)
	}
	// Output:
	// {Cents:1250 Currency:EUR}, stored in schema version 1, <nil>
	// {Cents:300 Currency:EUR}, stored in schema version 2, <nil>
	// {Cents:450 Currency:CHF}, stored in schema version 3, <nil>
}

// At first the payload was a bare number.
func ExampleWithUpcast() {
	events := registry(eventstore.Type[FundsDeposited]("FundsDeposited", eventstore.WithSchemaVersion(2),
		eventstore.WithUpcast(1, func(payload []byte) ([]byte, error) {
			return fmt.Appendf(nil, `{"Amount":%s}`, payload), nil
		})))
	fmt.Println(events.Decode(eventstore.Raw{Type: "FundsDeposited", SchemaVersion: 1, ContentType: "application/json", Payload: []byte("2500")}))
	_, err := events.Decode(eventstore.Raw{Type: "FundsDeposited", SchemaVersion: 3, ContentType: "application/json"})
	fmt.Println(err)
	// Output:
	// {2500} <nil>
	// eventstore: type "FundsDeposited" has schema version 3, but the newest registered is 2: a newer version of this service wrote it; update this one, or read with AsRaw
}

// The event used to be called Deposit.
func ExampleWithAliases() {
	events := registry(eventstore.Type[FundsDeposited]("FundsDeposited", eventstore.WithAliases("Deposit")))
	fmt.Println(events.Decode(eventstore.Raw{Type: "Deposit", ContentType: "application/json", Payload: []byte(`{"Amount":2500}`)}))
	written, err := events.Encode(FundsDeposited{Amount: 100})
	fmt.Println("written as", written.Type, err)
	// Output:
	// {2500} <nil>
	// written as FundsDeposited <nil>
}

// Load ignores a snapshot of an older schema version, and reads the events instead.
func ExampleWithSchemaVersion() {
	ctx := context.Background()
	state := func(options ...eventstore.TypeOption) eventstore.Option {
		return eventstore.WithRegistry(registry(eventstore.Type[FundsDeposited]("FundsDeposited"), eventstore.Type[Account]("Account", options...)))
	}
	provider := bank(state(eventstore.WithSchemaVersion(2)))
	session := openAccount(ctx, provider, "1", FundsDeposited{Amount: 100_00}, FundsDeposited{Amount: 200_00})
	defer session.Close()
	old := eventstore.Raw{Type: "Account", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Total":30000}`)}
	if err := session.SaveRecordedSnapshot(ctx, eventstore.Snapshot{Version: 2, Data: old, Created: time.Now()}); err != nil {
		log.Fatal(err)
	}

	snapshot, _, err := session.Load(ctx)
	fmt.Println("loading begins after version", snapshot.Version, err)
	if err := session.SaveSnapshot(ctx, 2, Account{Balance: 300_00}); err != nil {
		log.Fatal(err)
	}
	snapshot, _, err = session.Load(ctx)
	fmt.Println("loading begins after version", snapshot.Version, err)
	// Output:
	// loading begins after version 0 <nil>
	// loading begins after version 2 <nil>
}

// XML is a custom codec that uses encoding/xml.
type XML struct{}

func (XML) ContentType() string                    { return "application/xml" }
func (XML) Marshal(value any) ([]byte, error)      { return xml.Marshal(value) }
func (XML) Unmarshal(data []byte, value any) error { return xml.Unmarshal(data, value) }

// Deposits were stored as JSON before, and are stored as XML from now on.
func ExampleWithCodec() {
	ctx := context.Background()
	provider := bank(eventstore.WithRegistry(registry(
		eventstore.Type[FundsDeposited]("FundsDeposited", eventstore.WithCodec(XML{}, eventstore.JSON)))))
	session := openAccount(ctx, provider, "1",
		eventstore.Raw{Type: "FundsDeposited", ContentType: "application/json", Payload: []byte(`{"Amount":2500}`)},
		FundsDeposited{Amount: 100})
	defer session.Close()

	for event, err := range session.Read(ctx) {
		fmt.Println(event.Data, err)
	}
	last, err := session.Event(ctx, 2, eventstore.AsRaw())
	if err != nil {
		log.Fatal(err)
	}
	raw := last.Data.(eventstore.Raw)
	fmt.Printf("%s: %s\n", raw.ContentType, raw.Payload)
	// Output:
	// {2500} <nil>
	// {100} <nil>
	// application/xml: <FundsDeposited><Amount>100</Amount></FundsDeposited>
}

func ExampleRegistry_Decode() {
	events := registry(eventstore.Type[FundsDeposited]("FundsDeposited"))
	raw, err := events.Encode(FundsDeposited{Amount: 100})
	fmt.Printf("%s %d %s %s %v\n", raw.Type, raw.SchemaVersion, raw.ContentType, raw.Payload, err)
	value, err := events.Decode(raw)
	fmt.Printf("%T %v %v\n", value, value, err)
	_, err = events.Decode(eventstore.Raw{Type: "FundsWithdrawn"})
	fmt.Println(err)
	// Output:
	// FundsDeposited 1 application/json {"Amount":100} <nil>
	// eventstore_test.FundsDeposited {100} <nil>
	// eventstore: type "FundsWithdrawn" is not registered: add it to the registry
}

func ExampleRegistry_Types() {
	events := registry(
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[FundsDeposited]("FundsDeposited", eventstore.WithSchemaVersion(3), eventstore.WithAliases("Deposit"),
			eventstore.WithUpcast(2, func(payload []byte) ([]byte, error) { return payload, nil })))
	for _, t := range events.Types() {
		fmt.Printf("%s is %s, in schema version %d, and reads from %d on; it was %q; it is stored as %s\n",
			t.Name, t.GoType, t.SchemaVersion, t.OldestVersion, t.Aliases, t.ContentTypes)
	}
	// Output:
	// FundsDeposited is eventstore_test.FundsDeposited, in schema version 3, and reads from 2 on; it was ["Deposit"]; it is stored as [application/json]
	// FundsWithdrawn is eventstore_test.FundsWithdrawn, in schema version 1, and reads from 1 on; it was []; it is stored as [application/json]
}
