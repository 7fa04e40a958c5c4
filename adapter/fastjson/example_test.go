package fastjson_test

import (
	"fmt"
	"log"

	"github.com/hexalith/eventstores-go/adapter/fastjson"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Deposited is an event of a plain type.
type Deposited struct {
	Account string
	Amount  int64
}

// A type may use the codec from the start, or be changed to it later.
func Example() {
	before, err := eventstore.NewRegistry(eventstore.Type[Deposited]("Deposited"))
	if err != nil {
		log.Fatal(err)
	}
	raw, err := before.Encode(Deposited{Account: "4711", Amount: 50})
	if err != nil {
		log.Fatal(err)
	}

	today, err := eventstore.NewRegistry(eventstore.Type[Deposited]("Deposited", eventstore.WithCodec(fastjson.JSON)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(today.Decode(raw))
	// Output: {4711 50} <nil>
}
