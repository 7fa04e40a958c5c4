package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"reflect"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Balance is a state with a field that is computed again when it is needed.
type Balance struct {
	Minor  int64
	pretty string
}

// The registry rejects a field that JSON would lose, unless you leave it out on purpose.
func ExampleWithoutFields() {
	_, err := eventstore.NewRegistry(eventstore.Type[Balance]("Balance"))
	fmt.Println(err)

	states := registry(eventstore.Type[Balance]("Balance", eventstore.WithoutFields("pretty")))
	raw, err := states.Encode(Balance{Minor: 12_50, pretty: "12.50 €"})
	fmt.Printf("%s %v\n", raw.Payload, err)
	// Output:
	// eventstore: bad argument type: JSON can't carry all of type "Balance", Go type eventstore_test.Balance: Balance.pretty is not exported, so it is not stored: export it, or give eventstore_test.Balance MarshalJSON and UnmarshalJSON, or leave it out with WithoutFields("pretty")
	// {"Minor":1250} <nil>
}

// A tool with values of unknown types asks whether they can be stored.
func ExampleTypeOf() {
	for _, value := range []any{Account{Owner: "Ada"}, map[string]any{"when": []int{1}}} {
		types := registry(eventstore.TypeOf(reflect.TypeOf(value), "value"))
		raw, err := types.Encode(value)
		fmt.Printf("%s %v\n", raw.Payload, err)
	}
	// Output:
	// {"Owner":"Ada","Balance":0} <nil>
	//  eventstore: bad argument value: field […] of map[string]interface {} holds a []int, which is read back as a []interface {}; nothing was stored
}

// The function decodes plain types. encoding/json decodes all others.
func ExampleJSONDecodedBy() {
	codec := eventstore.JSONDecodedBy(func(data []byte, value any) error {
		fmt.Printf("decoding a %T\n", value)
		return json.Unmarshal(data, value) // a faster library in its place
	})
	types := registry(
		eventstore.Type[Account]("Account", eventstore.WithCodec(codec)),
		eventstore.Type[[]any]("list", eventstore.WithCodec(codec)),
	)
	fmt.Println(types.Decode(eventstore.Raw{Type: "Account", ContentType: codec.ContentType(), Payload: []byte(`{"Owner":"Ada"}`)}))
	fmt.Println(types.Decode(eventstore.Raw{Type: "list", ContentType: codec.ContentType(), Payload: []byte(`[1,2]`)}))
	// Output:
	// decoding a *eventstore_test.Account
	// {Ada 0} <nil>
	// [1 2] <nil>
}

// Hex is a codec of whole numbers that writes them as hexadecimal text.
type Hex struct{}

func (Hex) ContentType() string { return "text/x-hex" }
func (Hex) Marshal(value any) ([]byte, error) {
	return []byte(value.(*big.Int).Text(16)), nil
}
func (Hex) Unmarshal(data []byte, value any) error {
	if _, ok := value.(*big.Int).SetString(string(data), 16); !ok {
		return errors.New("it is no hexadecimal number")
	}
	return nil
}

// Equal compares the numbers, and not how they are kept in memory.
func (Hex) Equal(given, decoded any) bool { return given.(*big.Int).Cmp(decoded.(*big.Int)) == 0 }

func ExampleComparer() {
	numbers := registry(eventstore.Type[*big.Int]("Number", eventstore.WithCodec(Hex{})))
	raw, err := numbers.Encode(big.NewInt(255))
	fmt.Printf("%s %v\n", raw.Payload, err)
	// Output: ff <nil>
}

// Encode rejects a value that would not come back unchanged.
func ExampleRegistry_Encode() {
	events := registry(eventstore.Type[AccountOpened]("AccountOpened"))
	for _, owner := range []string{"Ada", "Ada\xff"} {
		raw, err := events.Encode(AccountOpened{Owner: owner})
		fmt.Printf("%s %v\n", raw.Payload, err)
	}
	// Output:
	// {"Owner":"Ada"} <nil>
	//  eventstore: bad argument value: field Owner of eventstore_test.AccountOpened is a string that is not valid UTF-8, and changes when it is read back: use []byte for data that is not text; nothing was stored
}

// A release changed a Go type without a new schema version, so stored events do not fit the type.
// They are not damaged.
func ExampleTypeMismatchError() {
	ctx := context.Background()
	state := memory.New()
	release := func(opened eventstore.TypeDefinition) *eventstore.Provider {
		provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry(opened)))
		if err != nil {
			log.Fatal(err)
		}
		return provider
	}
	type openedByMany struct{ Owner []string }
	session := openAccount(ctx, release(eventstore.Type[openedByMany]("AccountOpened")), "1", openedByMany{[]string{"Ada", "Bob"}})
	session.Close()

	reader := release(eventstore.Type[AccountOpened]("AccountOpened")).Reader(eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: "1"})
	_, err := reader.Event(ctx, 1)
	var mismatch *eventstore.TypeMismatchError
	fmt.Println(errors.As(err, &mismatch), mismatch.Version, mismatch.Type)
	found, err := reader.Verify(ctx, nil)
	fmt.Println("sound:", found.Sound(), "unreadable:", len(found.Unreadable), err)
	// Output:
	// true 1 AccountOpened
	// sound: true unreadable: 1 <nil>
}
